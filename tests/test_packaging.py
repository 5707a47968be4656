"""The distribution: its metadata, the command it installs, and what is in the wheel."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import keras_rkm
from apps import main as main_module

_ROOT = Path(__file__).resolve().parents[1]
_PROJECT = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]

# Without the package itself, which the extras name, and without the build tool.
_REQUIREMENTS = [
    requirement
    for line in [*_PROJECT["dependencies"], *sum(_PROJECT["optional-dependencies"].values(), [])]
    if (requirement := Requirement(line)).name not in ("keras-rkm", "setuptools")
]


def _command(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "apps.main", *arguments],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_installed_version_is_the_one_of_the_package():
    try:
        installed = importlib.metadata.version("keras-rkm")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("keras-rkm is not installed here, only on the path")
    assert installed == keras_rkm.__version__


def test_console_script_points_at_the_dispatcher():
    module, function = _PROJECT["scripts"]["keras-rkm"].split(":")
    assert module == "keras_rkm.apps.main"
    assert callable(getattr(main_module, function))


@pytest.mark.parametrize("command", main_module.COMMANDS)
def test_every_command_has_a_module_with_a_main(command):
    # The module defines absl flags, so it is read rather than imported a second time.
    source = (_ROOT / "apps" / f"{command}.py").read_text()
    assert re.search(r"^def main\(argv\b", source, re.MULTILINE)


@pytest.mark.parametrize("requirement", _REQUIREMENTS, ids=str)
def test_requirement_is_met_and_has_an_upper_bound(requirement):
    assert any(clause.operator == "<" for clause in requirement.specifier)
    installed = Version(importlib.metadata.version(requirement.name))
    assert requirement.specifier.contains(installed, prereleases=True)


def test_version_is_printed():
    result = _command("--version")
    assert (result.returncode, result.stdout) == (0, f"keras-rkm {keras_rkm.__version__}\n")


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_lists_each_command_with_its_summary(arguments, capsys):
    assert main_module.main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    for name, summary in main_module.COMMANDS.items():
        assert any(line.split(None, 1) == [name, summary] for line in lines)


@pytest.mark.parametrize("command, hint", [("trian", "Did you mean train?"), ("xyz", "Commands: ")])
def test_unknown_command_ends_with_one_line_and_status_2(command, hint, capsys):
    assert main_module.main([command]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert f"no command '{command}'" in captured.err
    assert hint in captured.err


def test_command_receives_its_flags_and_shows_them_in_its_help(tmp_path):
    # A copy of the dispatcher with a command of its own and an empty library, so that nothing
    # here waits for TensorFlow.
    (tmp_path / "keras_rkm.py").write_text('__version__ = "0"\n')
    package = tmp_path / "programs"
    package.mkdir()
    (package / "__init__.py").touch()
    shutil.copy(_ROOT / "apps" / "errors.py", package)
    source = (_ROOT / "apps" / "main.py").read_text()
    (package / "main.py").write_text(source.replace('"train":', '"double":'))
    (package / "double.py").write_text(
        '"""Doubles a number."""\n'
        "from absl import flags\n"
        'NUMBER = flags.DEFINE_integer("number", 1, "What to double.")\n'
        "def main(argv):\n"
        "    print(2 * NUMBER.value, argv[1:])\n"
    )

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "programs.main", "double", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=120,
        )

    result = run("--number=21")
    assert (result.returncode, result.stdout) == (0, "42 []\n"), result.stderr
    help_text = run("--help").stdout
    assert "Doubles a number." in help_text
    assert "--number: What to double." in help_text
    unknown = run("--nubmer=21")
    assert unknown.returncode != 0
    assert "Traceback" not in unknown.stderr
    assert "nubmer" in unknown.stderr


@pytest.mark.skipif(
    Version(importlib.metadata.version("setuptools")) < Version("77"),
    reason="building without a network needs setuptools >= 77",
)
def test_wheel_holds_the_package_and_the_apps_under_it(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for name in ("keras_rkm", "apps"):
        shutil.copytree(_ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "LICENSE", "README.md"):
        shutil.copy(_ROOT / name, source)
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, source],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    modules = {name for name in names if name.endswith(".py")}
    assert modules == {
        *(str(path.relative_to(source)) for path in (source / "keras_rkm").rglob("*.py")),
        *(f"keras_rkm/{path.relative_to(source)}" for path in (source / "apps").rglob("*.py")),
    }
    assert any(name.endswith("licenses/LICENSE") for name in names)
    others = {name for name in names if name.startswith("keras_rkm/")} - modules
    files = (source / "keras_rkm" / "explorer").glob("[pv]*/*.*")
    assert others == {str(path.relative_to(source)) for path in files if path.suffix != ".py"}
    assert "keras_rkm/explorer/vendor/LICENSES.txt" in others
