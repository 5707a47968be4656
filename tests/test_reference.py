"""The reference has all public modules, and all that is public has a docstring."""

import functools
import importlib
import inspect
import types
from pathlib import Path

import pytest

from docs.public_modules import PUBLIC_MODULES, public_names

_PAGES = Path(__file__).resolve().parents[1] / "docs" / "reference"


def _members(cls):
    """The names of public methods and properties that this package adds to a class."""
    for base in cls.__mro__:
        if not base.__module__.startswith("keras_rkm"):
            continue
        for name, member in vars(base).items():
            kinds = (types.FunctionType, property, classmethod, staticmethod)
            kinds += (functools.cached_property,)
            if isinstance(member, kinds) and not name.startswith("_"):
                yield name


def _is_of_others(cls, name):
    """Whether another package has said what the method is for, as Keras has of `call`."""
    return any(name in vars(b) for b in cls.__mro__ if not b.__module__.startswith("keras_rkm"))


def _without_docstring(module):
    """What is public in a module and says nothing, as `name` or `class.name`."""
    if not module.__doc__:
        yield module.__name__
    for name in public_names(module):
        value = getattr(module, name)
        if inspect.isclass(value):
            # Not the docstring of a class that it inherits from, nor that of a dataclass.
            if not value.__doc__ or value.__doc__.startswith(f"{name}("):
                yield name
            for member in _members(value):
                if not inspect.getdoc(getattr(value, member)) and not _is_of_others(value, member):
                    yield f"{name}.{member}"
        elif inspect.isfunction(value) and not value.__doc__:
            yield name


@pytest.mark.parametrize("name", PUBLIC_MODULES)
def test_public_names_and_methods_have_docstrings(name):
    assert not list(_without_docstring(importlib.import_module(name)))


@pytest.mark.parametrize("name", PUBLIC_MODULES)
def test_public_module_has_a_place_in_the_reference(name):
    pages = "\n".join(path.read_text() for path in _PAGES.glob("*.md"))
    assert f".. automodule:: {name}\n" in pages


def test_every_page_is_in_the_list():
    listed = (_PAGES / "index.md").read_text().split("```{toctree}\n")[1].split("\n```")[0]
    pages = {path.stem for path in _PAGES.glob("*.md")} - {"index"}
    assert set(listed.splitlines()) == pages


def test_a_name_without_docstring_is_told(monkeypatch):
    module = importlib.import_module("keras_rkm.losses")

    def bare():
        pass

    bare.__module__ = module.__name__
    monkeypatch.setattr(module, "bare", bare, raising=False)
    assert list(_without_docstring(module)) == ["bare"]
