"""The wire formats, by name. A route loads only the formats that it serves."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import cast

from core.formats.contract import Format, Wire


@cache
def load_format(name: str) -> Format:
    """The eight names of the format `name`. Its modules are imported when a name is first used."""
    return cast(Format, import_module(f"core.formats.{name}"))


@cache
def load_wire(name: str) -> Wire:
    """What a pass-through route needs of the format `name`."""
    return cast(Wire, import_module(f"core.formats.{name}.wire"))
