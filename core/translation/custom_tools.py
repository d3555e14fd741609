"""Free-text tools for a model that knows functions only: wrapped as a function of one string, and unwrapped.

The wrapped arguments are `{"input": "..."}`. `Unwrapper` takes the JSON as it streams, cut anywhere, and gives
the string's characters as soon as they are certain, so that a patch is seen while it is written.
"""

from __future__ import annotations

import json
import re
from typing import Final

from core.conversation import Tool
from core.slotted import replace

MEMBER: Final = "input"
_OPENING = re.compile(r'\s*\{\s*"input"\s*:\s*"')
# Every proper beginning of the opening, so that the reader knows whether to wait for more or to give up.
_OPENING_BEGUN = re.compile(r'\s*(?:\{\s*(?:"(?:i(?:n(?:p(?:u(?:t(?:"\s*(?::\s*)?)?)?)?)?)?)?)?)?')
_PLAIN = re.compile(r'[^"\\]+')
_ESCAPES: Final = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_REPLACEMENT: Final = "\ufffd"


def wrapped_tool(tool: Tool) -> Tool:
    """The function that stands for the free-text tool `tool`. Its grammar, if any, becomes advice."""
    description = tool.description or ""
    if tool.grammar and isinstance(tool.grammar.get("definition"), str):
        syntax = tool.grammar.get("syntax", "")
        advice = f"The input must match this {syntax} grammar:\n{tool.grammar['definition']}"
        description = f"{description}\n\n{advice}" if description else advice
    schema = {
        "type": "object",
        "properties": {MEMBER: {"type": "string", "description": "The tool's whole input, as free text."}},
        "required": [MEMBER],
        "additionalProperties": False,
    }
    return replace(
        tool,
        kind="function",
        description=description or None,
        parameters=schema,
        grammar=None,
        strict=None,
        extra={},
    )


def wrapped_arguments(text: str) -> str:
    """The arguments of a past call of a free-text tool, as its wrapping function would have got them."""
    return json.dumps({MEMBER: text}, ensure_ascii=False)


def unwrapped_arguments(arguments: str) -> str:
    """The free text inside `arguments`; `arguments` itself where the model did not keep to the wrapping."""
    unwrapper = Unwrapper()
    return unwrapper.feed(arguments) + unwrapper.close()


class Unwrapper:
    """`feed` takes any split of the wrapped JSON and gives the text that is certain; `close` gives the rest.

    JSON of any other shape is held back until `close`, which gives its `input` if that is a string, and
    otherwise the whole as it came.
    """

    def __init__(self) -> None:
        self._rest = ""
        self._state = "opening"
        self._high = ""

    def feed(self, fragment: str) -> str:
        """The characters that `fragment` completes, "" when none."""
        self._rest += fragment
        if self._state == "opening":
            self._read_opening()
        if self._state == "string":
            return self._read_string()
        return ""

    def close(self) -> str:
        """What was held back. The string that a cut stream left open counts as it stands."""
        if self._state in ("opening", "other"):
            return self._other_shape()
        rest, self._high = self._high, ""
        return _REPLACEMENT if rest else ""

    def _read_opening(self) -> None:
        opening = _OPENING.match(self._rest)
        if opening:
            self._rest = self._rest[opening.end() :]
            self._state = "string"
        elif not _OPENING_BEGUN.fullmatch(self._rest):
            self._state = "other"

    def _read_string(self) -> str:
        pieces: list[str] = []
        while self._rest and self._state == "string":
            plain = _PLAIN.match(self._rest)
            if plain:
                pieces.append(self._flush_high() + plain.group())
                self._rest = self._rest[plain.end() :]
            elif self._rest[0] == '"':
                pieces.append(self._flush_high())
                self._state = "closed"
            elif not self._read_escape(pieces):
                break
        return "".join(pieces)

    def _read_escape(self, pieces: list[str]) -> bool:
        """Takes one escape off the rest; False when it is not complete yet."""
        if len(self._rest) < 2:
            return False
        letter = self._rest[1]
        if letter != "u":
            pieces.append(self._flush_high() + _ESCAPES.get(letter, letter))
            self._rest = self._rest[2:]
            return True
        if len(self._rest) < 6:
            return False
        digits, self._rest = self._rest[2:6], self._rest[6:]
        pieces.append(self._code_unit(digits))
        return True

    def _code_unit(self, digits: str) -> str:
        try:
            unit = int(digits, 16)
        except ValueError:
            return self._flush_high() + _REPLACEMENT
        if 0xD800 <= unit <= 0xDBFF:
            flushed = self._flush_high()
            self._high = chr(unit)
            return flushed
        if 0xDC00 <= unit <= 0xDFFF:
            if not self._high:
                return _REPLACEMENT
            high, self._high = ord(self._high), ""
            return chr(0x10000 + ((high - 0xD800) << 10) + (unit - 0xDC00))
        return self._flush_high() + chr(unit)

    def _flush_high(self) -> str:
        """A high surrogate without its partner is no character."""
        high, self._high = self._high, ""
        return _REPLACEMENT if high else ""

    def _other_shape(self) -> str:
        whole, self._rest = self._rest, ""
        try:
            value = json.loads(whole)
        except ValueError:
            return whole
        if isinstance(value, dict) and isinstance(value.get(MEMBER), str):
            text: str = value[MEMBER]
            return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return whole
