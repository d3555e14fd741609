"""Lets a format's package offer its eight names without importing what a route does not use (PEP 562)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any


def lazy_names(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """A module `__getattr__` for `package`: `homes` says in which of its modules each name lives.

    A name may be that of its own home: the import system would then set the package's attribute to the module,
    for good. Properties on the package's class stand above its attributes and keep the name the function's.
    """

    @cache
    def resolve(name: str) -> Any:
        home = homes.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{home}"), name)

    members = {name: _property(resolve, name) for name in homes}
    sys.modules[package].__class__ = type("LazyPackage", (ModuleType,), members)
    return resolve


def _property(resolve: Callable[[str], Any], name: str) -> property:
    def read(_: ModuleType) -> Any:
        return resolve(name)

    def ignore(_: ModuleType, value: object) -> None:
        """The import system's assignment of a submodule to its parent."""

    return property(read, ignore)
