"""A shim for tools that still call setup.py. Everything is declared in pyproject.toml."""

from setuptools import find_packages, setup

# `keras_rkm.apps` is the folder apps/ (see package-dir in pyproject.toml). It is named here because
# setuptools finds packages by where they stand, not by where they are mapped to.
setup(
    packages=[
        *find_packages(include=["keras_rkm", "keras_rkm.*"]),
        *(f"keras_rkm.{name}" for name in find_packages(include=["apps", "apps.*"])),
    ]
)
