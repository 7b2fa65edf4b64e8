"""Statistics of features, a file each; every module of this folder is imported, so that its classes are found by name.

A statistic that is added here needs no entry anywhere: ``lit_gen.metrics.<Class>`` and the class's bare name serve in
configurations.
"""

import importlib
import inspect
import pkgutil

from lit_gen.metrics.statistics.statistic import Statistic

_modules = [importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]

STATISTICS: dict[str, type[Statistic]] = {
    name: value
    for module in _modules
    for name, value in vars(module).items()
    if isinstance(value, type) and issubclass(value, Statistic) and value.__module__ == module.__name__
    if not inspect.isabstract(value)
}
"""All statistics by the names of their classes."""
