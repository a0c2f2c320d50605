"""One file a thing: a folder's modules, found by name.

    load_folder("mixgrid.strategies", "STRATEGY")  ->  {"dmt": <Strategy dmt>, "multi_task": ...}

Adding a source, strategy, experiment or benchmark is adding a file; nothing else lists them.
"""

import importlib
import pkgutil
from functools import cache
from typing import Any


@cache
def load_folder(package: str, attribute: str) -> dict[str, Any]:
    """The `attribute` of every module of `package` that has one, by its `name`, in alphabetical order."""
    folder = importlib.import_module(package)
    modules = (importlib.import_module(f"{package}.{m.name}") for m in pkgutil.iter_modules(folder.__path__))
    found = [getattr(module, attribute) for module in modules if hasattr(module, attribute)]
    return {thing.name: thing for thing in sorted(found, key=lambda thing: str(thing.name))}
