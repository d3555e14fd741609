"""Makes a value that fits a JSON Schema and that a reader would call sensible: a city for `city`, the number that
the user named for a number, the unit that the user named from an enum.

What the schema says always holds as far as it can be read: https://json-schema.org/draft/2020-12. Keywords that
constrain values in ways that no single example can follow (`not`, `if`, `patternProperties`) are passed over.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

# Deeper and larger than any schema that people write: only a recursive one gets here, and must end somewhere.
_DEEPEST = 24
_MOST_NODES = 2_000

# Longer than this, neither a pattern nor a text is matched: a hostile pair takes exponential time.
_LONGEST_PATTERN = 200
_LONGEST_MATCHED = 20

# Bounds beyond this are as good as none.
_HUGE = 1e15

_QUOTED = re.compile(r"[\"“`]([^\"“”`]{1,400})[\"”`]|(?<!\w)'([^']{1,400})'(?!\w)")
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?")
_PLACE = re.compile(r"\b(?:in|at|for|from|to|near|of)\s+([A-Z][\w'-]*(?:[ ,]+[A-Z][\w'-]*)*)")
_FILE = re.compile(r"(?<!\S)[\w./~-]*[\w-]+\.\w{1,5}(?!\w)")
_SUM = re.compile(r"-?\d[\d\s.]*(?:[-+*/%^]\s*-?\d[\d\s.]*)+")
_WORD = re.compile(r"[a-z]+|[A-Z][a-z]*|\d+")


def _first(pattern: re.Pattern[str], text: str, otherwise: str) -> str:
    match = pattern.search(text)
    if match is None:
        return otherwise
    return next((group for group in match.groups() if group), match.group(0)).strip()


def _said(text: str) -> str:
    return _first(_QUOTED, text, text.strip()[:400] or "hello")


# What a string holds, by a word of its property's name. A command does no harm: clients really run it.
_BY_NAME: tuple[tuple[frozenset[str], Callable[[str], str]], ...] = (
    (frozenset({"command", "cmd", "script", "shell"}), lambda text: _first(_QUOTED, text, "echo skybridge-demo")),
    (frozenset({"city", "location", "place", "address", "town", "destination", "region"}),
     lambda text: _first(_PLACE, text, "Paris")),
    (frozenset({"country"}), lambda text: _first(_PLACE, text, "France")),
    (frozenset({"path", "file", "filename", "filepath"}), lambda text: _first(_FILE, text, "README.md")),
    (frozenset({"directory", "folder", "cwd", "workdir"}), lambda text: "."),
    (frozenset({"url", "uri", "link", "website"}), lambda text: "https://example.com/"),
    (frozenset({"email", "mail"}), lambda text: "ada@example.com"),
    (frozenset({"date", "day"}), lambda text: "2026-01-01"),
    (frozenset({"time", "datetime", "timestamp"}), lambda text: "2026-01-01T12:00:00Z"),
    (frozenset({"timezone", "tz"}), lambda text: "Europe/Paris"),
    (frozenset({"language", "lang", "locale"}), lambda text: "en"),
    (frozenset({"currency"}), lambda text: "EUR"),
    (frozenset({"unit", "units"}), lambda text: "celsius"),
    (frozenset({"ticker"}), lambda text: "ACME"),
    (frozenset({"pattern", "regex", "glob"}), lambda text: _first(_QUOTED, text, "*")),
    (frozenset({"expression", "formula", "equation", "calculation"}), lambda text: _first(_SUM, text, "2 + 2")),
    (frozenset({"query", "question", "text", "prompt", "message", "input", "content", "search", "q", "term",
                "keyword", "topic", "body", "answer", "summary", "phrase", "sentence"}), _said),
)

_BY_FORMAT = {
    "date-time": "2026-01-01T12:00:00Z",
    "date": "2026-01-01",
    "time": "12:00:00Z",
    "duration": "P1D",
    "email": "ada@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}

# Tried in turn where a string must match a pattern: no general generator is worth its length here.
_PATTERN_CANDIDATES = (
    "a", "A", "abc", "ABC", "0", "1", "12", "123", "1234", "12345", "123456", "A1", "ABC-123", "AB12", "a-b",
    "2026-01-01", "12:00", "#a0b0c0", "1.0", "1.0.0", "+33123456789", "555-0100", "(555) 555-0100", "en-US",
    "ada@example.com", "@ada", "https://example.com/", "00000000-0000-4000-8000-000000000000", "ACME", "",
)


def sample(schema: object, text: str) -> Any:
    """A value that fits `schema`, chosen with `text`, what the user wrote, in mind."""
    return _Sampler(schema, text).value(schema, "", 0)


class _Sampler:
    """One walk through one schema; `root` is where its references start."""

    def __init__(self, root: object, text: str) -> None:
        self._root = root
        self._text = text
        self._left = _MOST_NODES
        self._makers: dict[str, Callable[[Mapping[str, Any], str, int], Any]] = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "integer": self._integer,
            "number": self._number,
            "boolean": self._boolean,
            "null": self._null,
        }

    def _ends(self, depth: int) -> bool:
        """Whether the walk must end here; counts the step."""
        self._left -= 1
        return depth > _DEEPEST or self._left < 0

    def value(self, schema: object, name: str, depth: int) -> Any:
        """A value for the property `name`; "" at the root and in lists."""
        if not isinstance(schema, dict) or self._ends(depth):
            return self._string({}, name, depth)
        resolved = self._resolve(schema, depth)
        if "const" in resolved:
            return resolved["const"]
        enum = resolved.get("enum")
        if isinstance(enum, list) and enum:
            return next((each for each in enum if self._mentions(each)), enum[0])
        examples = resolved.get("examples")
        if isinstance(examples, list) and examples:
            return examples[0]
        if "default" in resolved and resolved["default"] is not None:
            return resolved["default"]
        make = self._makers.get(_type_of(resolved)) or self._string
        return make(resolved, name, depth)

    def _mentions(self, value: object) -> bool:
        return bool(re.search(rf"(?<!\w){re.escape(str(value))}(?!\w)", self._text, re.IGNORECASE))

    def _resolve(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        """The schema with its reference, its `allOf` and the first branch of its alternatives merged in."""
        merged = dict(schema)
        branches: list[object] = []
        if isinstance(reference := merged.pop("$ref", None), str):
            branches.append(self._refer(reference))
        if isinstance(parts := merged.pop("allOf", None), list):
            branches += parts
        for keyword in ("anyOf", "oneOf"):
            if isinstance(alternatives := merged.pop(keyword, None), list) and alternatives:
                branches.append(next((each for each in alternatives if not _is_null(each)), alternatives[0]))
        for branch in branches:
            if isinstance(branch, dict) and not self._ends(depth):
                merged = _merge(self._resolve(branch, depth + 1), merged)
        return merged

    def _refer(self, reference: str) -> object:
        node = self._root
        for part in reference.removeprefix("#").strip("/").split("/"):
            key = part.replace("~1", "/").replace("~0", "~")
            if key:
                node = node.get(key) if isinstance(node, dict) else None
        return node

    def _object(self, schema: Mapping[str, Any], name: str, depth: int) -> dict[str, Any]:
        properties = schema.get("properties")
        if not isinstance(properties, dict):
            properties = {}
        required = [each for each in _list(schema, "required") if isinstance(each, str)]
        wanted = [each for each in properties if each in required or self._wants(properties[each])]
        if not wanted and depth == 0:
            wanted = list(properties)[:1]
        wanted += [each for each in required if each not in properties]
        return {each: self.value(properties.get(each), each, depth + 1) for each in wanted}

    def _wants(self, schema: object) -> bool:
        """Whether the user named one of an optional property's values."""
        return isinstance(schema, dict) and any(self._mentions(each) for each in _list(schema, "enum"))

    def _array(self, schema: Mapping[str, Any], name: str, depth: int) -> list[Any]:
        first = [self.value(each, name, depth + 1) for each in _list(schema, "prefixItems")]
        least, most = _bound(schema, "minItems", 0), _bound(schema, "maxItems", 1_000)
        if schema.get("items") is False:
            return first[:most]
        singular = name.removesuffix("s")
        wanted = min(max(least, len(first), 1), max(most, least), 100)
        rest = [self.value(schema.get("items"), singular, depth + 1) for _ in range(wanted - len(first))]
        return _made_different(first + rest) if schema.get("uniqueItems") is True else first + rest

    def _string(self, schema: Mapping[str, Any], name: str, depth: int) -> str:
        value = _BY_FORMAT.get(str(schema.get("format"))) or self._by_name(name)
        pattern = schema.get("pattern")
        if isinstance(pattern, str):
            candidates = _PATTERN_CANDIDATES if len(value) > _LONGEST_MATCHED else (value, *_PATTERN_CANDIDATES)
            value = _matching(pattern, candidates) or value
        least, most = _bound(schema, "minLength", 0), _bound(schema, "maxLength", 10_000)
        return value.ljust(min(least, 10_000), ".")[:most]

    def _by_name(self, name: str) -> str:
        words = {word.lower() for word in _WORD.findall(name)}
        for names, make in _BY_NAME:
            if words & names:
                return make(self._text)
        return _first(_QUOTED, self._text, f"demo {name.replace('_', ' ')}".strip())

    def _integer(self, schema: Mapping[str, Any], name: str, depth: int) -> int:
        return int(_within(schema, self._number_said(), integer=True))

    def _number(self, schema: Mapping[str, Any], name: str, depth: int) -> float:
        value = _within(schema, self._number_said(), integer=False)
        return int(value) if value.is_integer() else value

    def _boolean(self, schema: Mapping[str, Any], name: str, depth: int) -> bool:
        return False

    def _null(self, schema: Mapping[str, Any], name: str, depth: int) -> None:
        return None

    def _number_said(self) -> float:
        said = _NUMBER.search(self._text)
        return float(said.group(0)) if said and len(said.group(0)) < 16 else 1.0


def _type_of(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((each for each in kind if each != "null"), "null")
    if isinstance(kind, str):
        return kind
    return "object" if "properties" in schema else "array" if "items" in schema else "string"


def _is_null(schema: object) -> bool:
    return isinstance(schema, dict) and schema.get("type") == "null"


def _list(schema: Mapping[str, Any], keyword: str) -> list[Any]:
    value = schema.get(keyword)
    return value if isinstance(value, list) else []


def _bound(schema: Mapping[str, Any], keyword: str, otherwise: int) -> int:
    value = schema.get(keyword)
    return value if isinstance(value, int) and value >= 0 else otherwise


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Both schemas at once: properties and required names add up, `over` wins elsewhere."""
    merged = {**base, **over}
    if isinstance(base.get("properties"), dict) and isinstance(over.get("properties"), dict):
        merged["properties"] = {**base["properties"], **over["properties"]}
    if "required" in base and "required" in over:
        merged["required"] = [*_list(base, "required"), *_list(over, "required")]
    return merged


def _made_different(values: list[Any]) -> list[Any]:
    """Strings and numbers told apart by their place, for a list that must have no duplicates."""
    different: list[Any] = []
    for index, value in enumerate(values):
        if value in values[:index]:
            value = f"{value} {index + 1}" if isinstance(value, str) else value + index if _is_count(value) else value
        different.append(value)
    return different


def _is_count(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _matching(pattern: str, candidates: tuple[str, ...]) -> str | None:
    """The first candidate that matches; None where none does, or where Python cannot read the pattern."""
    try:
        compiled = re.compile(pattern if len(pattern) <= _LONGEST_PATTERN else "")
    except (re.error, OverflowError, RecursionError, FutureWarning):
        return None
    return next((candidate for candidate in candidates if compiled.search(candidate)), None)


def _numeric(schema: Mapping[str, Any], keyword: str) -> float | None:
    value = schema.get(keyword)
    if not isinstance(value, int | float) or isinstance(value, bool) or abs(value) >= _HUGE:
        return None
    return float(value)


def _within(schema: Mapping[str, Any], value: float, *, integer: bool) -> float:
    """`value` if the schema's bounds allow it, else the first number near its bounds that they allow."""
    limits = [limit for keyword in _BOUNDS if (limit := _numeric(schema, keyword)) is not None]
    near = [value, *limits, *(limit + 1 for limit in limits), *(limit - 1 for limit in limits)]
    near.append(sum(limits) / len(limits) if limits else value)
    step = _numeric(schema, "multipleOf")
    if integer:
        near = [float(rounded) for each in near for rounded in (math.ceil(each), math.floor(each))]
    if step is not None and step > 1 / _HUGE:
        near = [rounded * step for each in near for rounded in (math.ceil(each / step), math.floor(each / step))]
    return next((each for each in near if _allows(schema, each)), near[0])


_BOUNDS: Mapping[str, Callable[[float, float], bool]] = {
    "minimum": operator.ge,
    "maximum": operator.le,
    "exclusiveMinimum": operator.gt,
    "exclusiveMaximum": operator.lt,
}


def _allows(schema: Mapping[str, Any], value: float) -> bool:
    """Whether every bound of the schema holds for `value`."""
    limits = ((_numeric(schema, keyword), holds) for keyword, holds in _BOUNDS.items())
    return all(holds(value, limit) for limit, holds in limits if limit is not None)
