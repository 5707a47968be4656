"""Which modules and names are public: what the reference describes and its checks go through."""

import importlib
import inspect
import pkgutil
import types

import keras_rkm

# The programs are described by their flags.
_NOT_PUBLIC = {"keras_rkm.apps", "keras_rkm.loading"}


def _public_modules():
    yield "keras_rkm"
    for found in pkgutil.iter_modules(keras_rkm.__path__, "keras_rkm."):
        if found.name.rpartition(".")[2].startswith("_") or found.name in _NOT_PUBLIC:
            continue
        yield found.name
        module = importlib.import_module(found.name)
        for name in getattr(module, "__all__", ()):
            if isinstance(getattr(module, name), types.ModuleType):
                yield f"{found.name}.{name}"


PUBLIC_MODULES = tuple(_public_modules())


def public_names(module: types.ModuleType) -> list[str]:
    """The classes, functions and data of a module that are public, without modules.

    They are those of its `__all__`; of a module without one, what it defines.
    """
    names = getattr(module, "__all__", None)
    if names is None:
        names = [
            name
            for name, value in vars(module).items()
            if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
        ]
    return [
        name
        for name in names
        if not name.startswith("__") and not inspect.ismodule(getattr(module, name))
    ]
