"""Puts the console's modules into one script, so that a first visit is not forty requests (on Lambda each of them may
start an instance).

Each module becomes a function that is called once, in the order of their imports, and gives what the module exports:
its lines stay as they are written, so that the browser's debugger shows them. It reads the few forms that the modules
are written in, one on a line, and refuses others:

    import { one, other } from "./module.js";
    export function name() {    (or const, class, async function)
    () => import("./views/module.js")
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import Final

_IMPORT: Final = re.compile(r'^import (\{[\w, ]+\}) from "(\.[^"]+)";$', re.MULTILINE)
_LATE_IMPORT: Final = re.compile(r'\bimport\("(\.[^"]+)"\)')
_EXPORT: Final = re.compile(r"^export (?=(?:async )?(?:function\*?|const|class) (\w+))", re.MULTILINE)
_NOT_READ: Final = re.compile(r"^(?:import|export)\b.*|\bimport\(.*", re.MULTILINE)


def bundle(modules: Mapping[str, str], entry: str) -> str:
    """The script that does what loading `entry` would. `modules` are texts by name ("views/usage.js").

    Raises ValueError for a form that is not read, KeyError for a module that is not there.
    """
    written: dict[str, str] = {}
    _add(modules, entry, written, ())
    return "\n".join(written.values())


def _add(modules: Mapping[str, str], name: str, written: dict[str, str], above: tuple[str, ...]) -> None:
    """Writes what `name` imports and then itself, once."""
    if name in above:
        raise ValueError(f"modules import each other in a circle: {' -> '.join((*above, name))}")
    if name in written:
        return
    text = modules[name]
    for address in [match[2] for match in _IMPORT.finditer(text)] + _LATE_IMPORT.findall(text):
        _add(modules, _resolve(name, address), written, (*above, name))
    exports = ", ".join(match[1] for match in _EXPORT.finditer(text))
    text = _IMPORT.sub(lambda match: f"const {match[1]} = {_variable(_resolve(name, match[2]))};", text)
    text = _LATE_IMPORT.sub(lambda match: f"Promise.resolve({_variable(_resolve(name, match[1]))})", text)
    text = _EXPORT.sub("", text)
    other = _NOT_READ.search(text)
    if other is not None:
        raise ValueError(f"{name}: not a form that is read here: {other[0]}")
    head, foot = f"// {name}\nconst {_variable(name)} = (() => {{", f"return {{ {exports} }};\n}})();\n"
    written[name] = f"{head}\n{text.rstrip()}\n{foot}"


def _resolve(name: str, address: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), address))


def _variable(name: str) -> str:
    """What a module is called in the script: no name that modules use."""
    return "$" + re.sub(r"\W", "_", name)
