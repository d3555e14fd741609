"""Standard modules that others import and hardly ever use, loaded when they are first asked for something.

asyncio imports `inspect`, which imports half of a compiler, for a function that a running loop does not call; with
what `subprocess` and `traceback` import for their rarer functions that is an eighth of a cold start. `urllib.parse`
imports `ipaddress` for addresses in brackets; dates and XML come with some AWS credentials only. (The standard
library's LazyLoader does not help: an `import` statement alone makes it load the module.)
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

MODULES = ("calendar", "html", "inspect", "ipaddress", "locale", "textwrap")


class Deferred(ModuleType):
    """Stands in sys.modules for the module of its name, and becomes its likeness when an attribute is asked for."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        module = import_module(self.__name__)
        self.__dict__.update(module.__dict__)
        return getattr(module, name)


def defer(names: tuple[str, ...] = MODULES) -> None:
    """To be called before anything imports them. What is already loaded stays."""
    for name in names:
        sys.modules.setdefault(name, Deferred(name))
