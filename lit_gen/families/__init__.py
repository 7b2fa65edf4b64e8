"""The model families: one folder per family, one file per paper's model.

All modules of this package are imported here, so that ``--model=NICE`` finds every model by its short name; new models
need no registration. Models are attributes of this package, such as ``lit_gen.families.VAE``.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import TYPE_CHECKING, Any

from lit_gen.contract import GenerativeModule

__all__: list[str] = []


def _import_models() -> None:
    """Imports all modules of the package, and makes each concrete model an attribute of it."""
    for found in pkgutil.walk_packages(__path__, f"{__name__}."):
        module = importlib.import_module(found.name)
        for name, value in vars(module).items():
            defined_here = inspect.isclass(value) and value.__module__ == module.__name__
            if defined_here and issubclass(value, GenerativeModule) and not inspect.isabstract(value):
                globals()[name] = value
                __all__.append(name)
    __all__.sort()


_import_models()

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...
