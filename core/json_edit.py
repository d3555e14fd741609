"""Reads a JSON object once and replaces top-level members without touching any other byte.

The values are found with the standard library's C scanner, member by member, so that reading costs what
`json.loads` costs and gives each member's place beside its value. What is refused here (RFC 8259): invalid
UTF-8, NaN and Infinity, anything but an object, and a top-level name that occurs twice, because the two ends
of a connection may each believe another one of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from json.decoder import scanstring  # type: ignore[attr-defined]  # public in practice, missing in typeshed
from typing import Any

from core.errors import ClientFault

type JsonObject = dict[str, Any]

_SPACE = re.compile(r"[ \t\n\r]*")
_OPENING = re.compile(r"[ \t\n\r]*\{[ \t\n\r]*")
# A member's name without escapes up to its value, the first one and those behind a value; and what else may follow a
# value, up to a name.
_PLAIN_NAME = re.compile(r'"([^"\\\x00-\x1f]*)"[ \t\n\r]*:[ \t\n\r]*')
_NEXT_NAME = re.compile(r"[ \t\n\r]*,[ \t\n\r]*" + _PLAIN_NAME.pattern)
_AFTER_VALUE = re.compile(r"[ \t\n\r]*(?:(,)[ \t\n\r]*|\})")


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON value")


class Exact(float):
    """A number that was written in another way than a float is: `1.50`, `1e5`, more digits than it holds. Where the
    arguments of a tool become text, that text says it as it came (core.formats.arguments)."""

    __slots__ = ("text",)
    text: str


def exact_float(text: str) -> float:
    """The number that `text` says."""
    value = float(text)
    if repr(value) == text:
        return value
    exact = Exact(value)
    exact.text = text
    return exact


# What a text is that stands for a number of these very digits. A NUL begins it, which tools' arguments do not hold.
NUMBER = "\x00number:"
_NUMBER = re.compile(r'"\\u0000number:(-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)"')


def with_numbers(text: str) -> str:
    """JSON with its numbers in the place of the texts that stand for them."""
    return _NUMBER.sub(r"\1", text) if r"\u0000number:" in text else text


_scan_value = json.JSONDecoder(parse_float=exact_float, parse_constant=_refuse_constant).scan_once  # type: ignore[attr-defined]


# What json.dumps does as it is by default.
_encode = json.JSONEncoder().encode


class Document:
    """A JSON object: `values` by name, their places in the text, and that text as `body` has it in UTF-8."""

    __slots__ = ("_edits", "body", "spans", "text", "values")

    def __init__(self, body: bytes, text: str, values: dict[str, Any], spans: dict[str, tuple[int, int]]) -> None:
        self.body = body
        self.text = text
        self.values = values
        self.spans = spans
        self._edits: dict[str, Any] = {}

    def copy(self) -> Document:
        """The same object, to be edited by itself."""
        return Document(self.body, self.text, self.values, self.spans)

    def forget(self) -> None:
        """Lets go of what was read, which takes several times the room of the body."""
        self.text, self.values, self.spans = "", {}, {}

    def set(self, name: str, value: Any) -> None:
        """Replaces the member `name`, or adds it as the last one."""
        self._edits[name] = value

    def remove(self, name: str) -> None:
        """Takes the member `name` out, if it is there."""
        if name in self.spans:
            self._edits[name] = _REMOVED

    def edited(self) -> bytes:
        """The object with its edits. With none, the very bytes that were read."""
        edits = self._edits
        if len(edits) == 1 and self.text.isascii():
            [(name, value)] = edits.items()
            if name in self.spans and value is not _REMOVED:
                # Most requests' only edit. Large bodies are copied once, their characters being the bytes.
                start, end = self.spans[name]
                body = memoryview(self.body)
                return b"".join((body[:start], _encode(value).encode(), body[end:]))
        if _REMOVED in edits.values():
            return self._rebuilt()
        text = self.text
        spans = self.spans
        for name in sorted((name for name in edits if name in spans), key=lambda name: -spans[name][0]):
            start, end = spans[name]
            text = text[:start] + json.dumps(edits[name]) + text[end:]
        added = {name: value for name, value in edits.items() if name not in spans}
        if added:
            members = json.dumps(added)[1:-1]
            end = text.rindex("}")
            text = text[:end] + (", " if spans else "") + members + text[end:]
        return text.encode()

    def _rebuilt(self) -> bytes:
        """Every other member keeps its own text; only the white space between members changes."""
        parts = []
        for name, (start, end) in self.spans.items():
            value = self._edits.get(name, _UNCHANGED)
            if value is not _REMOVED:
                text = self.text[start:end] if value is _UNCHANGED else json.dumps(value)
                parts.append(f"{json.dumps(name)}: {text}")
        for name, value in self._edits.items():
            if name not in self.spans:
                parts.append(f"{json.dumps(name)}: {json.dumps(value)}")
        return ("{" + ", ".join(parts) + "}").encode()


_REMOVED = object()
_UNCHANGED = object()


def read_object(body: bytes) -> Document:
    """Reads a request body. Raises ClientFault (400) that says what is wrong and where."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ClientFault("bad_request", f"The request body is not valid UTF-8 (byte {error.start}).") from error
    opening = _OPENING.match(text)
    if opening is None:
        if not text.strip(" \t\n\r"):
            raise ClientFault("bad_request", "The request body is empty; a JSON object is expected.")
        raise ClientFault("bad_request", "The request body must be a JSON object.")
    try:
        return Document(body, text, *_scan_object(text, opening.end()))
    except json.JSONDecodeError as error:
        raise ClientFault("bad_request", f"The request body is not valid JSON: {error}.") from error
    except StopIteration as error:
        place = int(error.value) if error.value is not None else len(text)
        raise ClientFault("bad_request", f"The request body is not valid JSON at character {place}.") from error
    except RecursionError as error:
        raise ClientFault("bad_request", "The request body is nested too deeply.") from error
    except ValueError as error:
        raise ClientFault("bad_request", f"The request body is not valid JSON: {error}.") from error


def _scan_object(text: str, at: int) -> tuple[dict[str, Any], dict[str, tuple[int, int]]]:
    """Reads an object to the end of `text`, from its first member on; gives the values and their places."""
    values: dict[str, Any] = {}
    spans: dict[str, tuple[int, int]] = {}
    if not text.startswith("}", at):
        at = _scan_members(text, at, values, spans)
    if at + 1 != len(text):
        at = _end(_SPACE.match(text, at + 1))
        if at != len(text):
            raise json.JSONDecodeError("Extra data", text, at)
    return values, spans


def _scan_members(text: str, at: int, values: dict[str, Any], spans: dict[str, tuple[int, int]]) -> int:
    """Reads `"name": value, ...` from `at` on; gives the place of the closing brace."""
    plain = _PLAIN_NAME.match(text, at)
    while True:
        if plain is not None:
            name, start = plain[1], plain.end()
        else:
            name, start = _scan_name(text, at)
        if name in values:
            raise ClientFault("bad_request", f"The member {name!r} occurs twice in the request body.", param=name)
        values[name], end = _scan_value(text, start)
        spans[name] = (start, end)
        plain = _NEXT_NAME.match(text, end)
        if plain is None:
            after = _AFTER_VALUE.match(text, end)
            if after is None:
                raise json.JSONDecodeError("Expecting ',' delimiter", text, _end(_SPACE.match(text, end)))
            at = after.end()
            if after[1] is None:
                return at - 1


def _scan_name(text: str, at: int) -> tuple[str, int]:
    """A name with escapes in it, or what stands in its place; gives it and where its value begins."""
    if text[at : at + 1] != '"':
        raise json.JSONDecodeError("Expecting property name enclosed in double quotes", text, at)
    name, at = scanstring(text, at + 1, True)
    at = _end(_SPACE.match(text, at))
    if text[at : at + 1] != ":":
        raise json.JSONDecodeError("Expecting ':' delimiter", text, at)
    return name, _end(_SPACE.match(text, at + 1))


def _end(match: re.Match[str] | None) -> int:
    assert match is not None  # the pattern matches the empty string
    return match.end()


def load(data: str | bytes) -> Any:
    """What json.loads gives, at the speed of the C scanner alone: streams are read with it delta by delta. Raises
    ValueError, RecursionError."""
    try:
        text = data if isinstance(data, str) else data.decode()
        value, end = _scan_any(text, 0)
    except (StopIteration, UnicodeDecodeError):
        return json.loads(data, parse_float=exact_float)
    # json.loads passes over white space, or says what is wrong.
    return value if end == len(text) else json.loads(data, parse_float=exact_float)


_scan_any = json.JSONDecoder(parse_float=exact_float).scan_once  # type: ignore[attr-defined]  # missing in typeshed


def compact_encoder(
    default: Callable[[Any], Any], blank: str = "", *, in_ascii: bool = False
) -> Callable[[Any], str]:
    """JSON in Unicode (`in_ascii`: with escapes for the rest), with `blank` behind each comma and colon. json.dumps
    makes two encoders for each call where one made once will do; it looks for circles, which what was read from JSON
    has none of."""
    quote = json.encoder.encode_basestring_ascii if in_ascii else json.encoder.encode_basestring
    colon, comma = f":{blank}", f",{blank}"
    encode = json.encoder.c_make_encoder(None, default, quote, None, colon, comma, False, False, True)  # type: ignore[attr-defined]

    def encoded(value: Any) -> str:
        return "".join(encode(value, 0))

    return encoded


def refuse(value: Any) -> Any:
    """Raises TypeError: `value` is of a type that JSON has not."""
    raise TypeError(f"{type(value).__name__} is not JSON")


_dump = compact_encoder(refuse)


def dump(value: Any) -> bytes:
    """Compact JSON in UTF-8. A lone surrogate, which UTF-8 has no bytes for, stays an escape."""
    text = with_numbers(_dump(value))
    try:
        return text.encode()
    except UnicodeEncodeError:
        return with_numbers(json.dumps(value, separators=(",", ":"))).encode()


def split_half(text: str) -> tuple[str, str]:
    """`text` with the halves of surrogate pairs in it joined, and without a first half at its end, which is the second
    value: it belongs to what follows the text. A half without its partner stays."""
    half = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
    whole = text[:-1] if half else text
    return whole.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass"), half
