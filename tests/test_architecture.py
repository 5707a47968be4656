"""The layers of docs/architecture.md: which part of the package may import which."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[1]
_PACKAGE = _ROOT / "keras_rkm"

# A new module needs a line here and in docs/architecture.md. A private module of the top level
# (`_name.py`) is open to all and imports none of them; `__init__.py` imports them all.
ALLOWED = {
    "manifolds": set(),
    "constraints": {"manifolds"},
    "optimizers": {"manifolds", "constraints"},
    "layers": {"constraints"},
    "documents": set(),
    "networks": set(),
    "losses": set(),
    "rotations": set(),
    "models": {"layers", "losses", "manifolds", "optimizers", "rotations", "samplers"},
    "samplers": set(),
    "metrics": {"manifolds"},
    "visualization": set(),
    "evaluation": {"metrics", "samplers", "visualization"},
    "callbacks": {
        "constraints",
        "evaluation",
        "manifolds",
        "metrics",
        "samplers",
        "visualization",
    },
    "checkpoints": set(),
    "datasets": set(),
    "comparison": {
        "datasets",
        "evaluation",
        "metrics",
        "models",
        "networks",
        "rotations",
        "samplers",
        "visualization",
    },
    "explorer": {"samplers"},
    "export": {"models", "samplers"},
    "loading": {"checkpoints", "models", "samplers"},
    "serving": {"samplers"},
}

# Imported inside the functions that need them: they are optional or cost a second.
LAZY = {
    "grpc",
    "joblib",
    "matplotlib",
    "sklearn",
    "tensorboard",
    "tensorflow_datasets",
    "tensorflow_probability",
    "tensorflow_serving",
    "threadpoolctl",
}

Import = tuple[str, int]  # A dotted absolute name and its line.


def _nodes(tree: ast.AST, inside_functions: bool) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(tree):
        if inside_functions or not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child
            yield from _nodes(child, inside_functions)


def _imports(source: str, package: str, inside_functions: bool = True) -> list[Import]:
    """Every name that `source`, a module in `package`, imports; relative ones made absolute."""
    found = []
    for node in _nodes(ast.parse(source), inside_functions):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            parents = parents[: len(parents) - node.level + 1] if node.level else []
            module = ".".join([*parents, *([node.module] if node.module else [])])
            found += [(f"{module}.{alias.name}", node.lineno) for alias in node.names]
    return found


def _layer_violations(source: str, package: str, layer: str) -> list[str]:
    """Imports that `layer` may not make: of other layers, of the package as a whole, of apps."""
    wrong = []
    for name, line in _imports(source, package):
        top, *rest = name.split(".")
        if top in ("apps", "tests"):
            wrong.append(f"{line}: {name}")
        if top != "keras_rkm":
            continue
        target = rest[0] if rest else "the whole package"
        private = target.startswith("_")
        if target != layer and not private and target not in ALLOWED.get(layer, set()):
            wrong.append(f"{line}: {name}")
    return wrong


def _lazy_violations(source: str, package: str) -> list[str]:
    imports = _imports(source, package, inside_functions=False)
    return [f"{line}: {name}" for name, line in imports if name.split(".")[0] in LAZY]


def _style_violations(source: str) -> list[str]:
    wrong = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assert):
            wrong.append(f"{node.lineno}: assert")
        elif isinstance(node, ast.Call) and getattr(node.func, "id", None) == "print":
            wrong.append(f"{node.lineno}: print")
    return wrong


def _package_of(path: Path) -> str:
    return ".".join(path.relative_to(_ROOT).parent.parts)


def _layer_of(path: Path) -> str:
    return path.relative_to(_PACKAGE).parts[0].removesuffix(".py")


def _id(path: Path) -> str:
    return str(path.relative_to(_ROOT))


_LIBRARY = sorted(_PACKAGE.rglob("*.py"))
_LAYERED = [path for path in _LIBRARY if path != _PACKAGE / "__init__.py"]


@pytest.mark.parametrize("path", _LAYERED, ids=_id)
def test_module_imports_only_the_layers_below_it(path):
    layer = _layer_of(path)
    assert layer in ALLOWED or layer.startswith("_"), f"{layer} has no place in the architecture"
    assert not _layer_violations(path.read_text(), _package_of(path), layer)


@pytest.mark.parametrize("path", _LIBRARY, ids=_id)
def test_library_neither_prints_nor_asserts(path):
    assert not _style_violations(path.read_text())


@pytest.mark.parametrize("path", _LIBRARY, ids=_id)
def test_heavy_packages_are_imported_lazily(path):
    assert not _lazy_violations(path.read_text(), _package_of(path))


@pytest.mark.parametrize("path", sorted((_ROOT / "apps").rglob("*.py")), ids=_id)
def test_apps_import_each_other_relatively(path):
    # As an absolute name they are `apps` in a checkout and `keras_rkm.apps` in an installation.
    absolute = [
        name
        for name, _ in _imports(path.read_text(), package="RELATIVE")
        if name.startswith(("apps.", "keras_rkm.apps")) or name == "apps"
    ]
    assert not absolute


def test_table_has_no_cycle():
    done: set[str] = set()
    while len(done) < len(ALLOWED):
        ready = {layer for layer, below in ALLOWED.items() if below <= done} - done
        assert ready, f"a cycle among {sorted(set(ALLOWED) - done)}"
        done |= ready


@pytest.mark.parametrize(
    "source",
    [
        "from keras_rkm.models import StiefelRKM",
        "from keras_rkm import models",
        "from keras_rkm import constraints, models",
        "import keras_rkm.models.stiefel_rkm",
        "import keras_rkm",
        "from ..models import StiefelRKM",
        "from .. import models",
        "def function():\n    from keras_rkm import models",
        "from apps.train import main",
    ],
)
def test_check_finds_a_forbidden_import(source):
    assert _layer_violations(source, "keras_rkm.layers", "layers")


@pytest.mark.parametrize(
    "source",
    [
        "from keras_rkm.constraints import Stiefel",
        "from keras_rkm import constraints",
        "from ..constraints import Stiefel",
        "from .centering import FeatureCentering",
        "from keras_rkm.layers.centering import FeatureCentering",
        "from keras_rkm._version import __version__",
        "import keras, numpy",
    ],
)
def test_check_passes_an_allowed_import(source):
    assert not _layer_violations(source, "keras_rkm.layers", "layers")


def test_check_tells_lazy_imports_from_those_at_import_time():
    for source in ("import sklearn.linear_model", "class A:\n    from matplotlib import figure"):
        assert _lazy_violations(source, "keras_rkm")
    assert not _lazy_violations("def function():\n    import sklearn", "keras_rkm")


def test_check_finds_print_and_assert():
    assert len(_style_violations("assert True\ndef function():\n    print(1)")) == 2
    assert not _style_violations('"""assert; print(1)"""')
