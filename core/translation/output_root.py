"""Answers that are no object at their top, from backends that enforce objects only.

Gemini enforces a list, a word of an enum or a number as well (https://ai.google.dev/gemini-api/docs/structured-output);
OpenAI (https://platform.openai.com/docs/guides/structured-outputs) and tools' arguments demand an object. There the
value stands in the one member of an object, and is taken out of it again. An answer that does not keep to that, as
models may where the schema is not enforced, is shown as it is.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from core.conversation import Answer, Block, Conversation, JsonObject, Text
from core.events import Event, PartDelta, PartEnded, PartStarted
from core.slotted import replace
from core.translation.losses import Losses
from core.translation.rules import FormatRules
from core.translation.strict_schemas import strict_output

MEMBER: Final = "value"
_BARE_ENUM: Final = "text/x.enum"
_OPENING: Final = re.compile(rf'\s*\{{\s*"{MEMBER}"\s*:\s*')
_SQUEEZED: Final = f'{{"{MEMBER}":'
_SPACE: Final = " \t\n\r"
_DEFINITIONS: Final = ("$defs", "definitions")


def enforceable_output(
    conversation: Conversation, rules: FormatRules, losses: Losses
) -> tuple[Conversation, RootRestorer | None]:
    """The conversation with an output format that the target's format can enforce: an object where it demands one. And
    what takes the value out of the answer, None where nothing stands around it."""
    wanted = conversation.output_format
    if wanted is None or wanted.schema is None or conversation.format == rules.format:
        return conversation, None
    restorer: RootRestorer | None = None
    if not (rules.any_output_root or _is_object(wanted.schema)):
        bare = wanted.extra.get("responseMimeType") == _BARE_ENUM
        wanted = replace(wanted, schema=_wrapped(wanted.schema), extra={} if bare else wanted.extra)
        conversation, restorer = replace(conversation, output_format=wanted), RootRestorer(bare)
    return strict_output(conversation, rules, losses), restorer


def _is_object(schema: JsonObject) -> bool:
    kind = schema.get("type")
    return kind == "object" or (kind is None and "properties" in schema)


def _wrapped(schema: JsonObject) -> JsonObject:
    shared: JsonObject = {name: _moved(schema[name]) for name in _DEFINITIONS if name in schema}
    inner = {name: _moved(value) for name, value in schema.items() if name not in shared and name != "$schema"}
    return {
        "type": "object",
        "properties": {MEMBER: inner},
        "required": [MEMBER],
        "additionalProperties": False,
        **shared,
    }


def _moved(value: Any) -> Any:
    """A part of a schema, its references to the old root pointing to where that stands now."""
    if isinstance(value, dict):
        return {name: _reference(item) if name == "$ref" else _moved(item) for name, item in value.items()}
    return [_moved(item) for item in value] if isinstance(value, list) else value


def _reference(value: Any) -> Any:
    if not isinstance(value, str) or not (value == "#" or value.startswith("#/")):
        return _moved(value)
    if value.startswith(tuple(f"#/{name}/" for name in _DEFINITIONS)):
        return value
    return f"#/properties/{MEMBER}{value[1:]}"


class RootRestorer:
    """Takes the value out of the object around it, whole or streamed. One object serves one answer.

    `bare`: the client wants a word as such, without the quotes of JSON.
    """

    def __init__(self, bare: bool) -> None:
        self._bare = bare
        self._taker = _Taker()

    def answer(self, answer: Answer) -> Answer:
        """The answer with the value as its text."""
        content: list[Block] = []
        for block in answer.content:
            content.append(replace(block, text=self._value(block.text)) if isinstance(block, Text) else block)
        return replace(answer, content=content)

    def feed(self, event: Event) -> list[Event]:
        """The event, or what it becomes."""
        match event:
            case PartStarted(block=Text()):
                self._taker = _Taker()
                return [event]
            case PartDelta(kind="text"):
                text = "" if self._bare else self._taker.feed(event.value)
                return [replace(event, value=text)] if text else []
            case PartEnded(block=Text() as block):
                value = self._value(block.text)
                rest = value if self._bare else self._taker.close(block.text)
                ended = replace(event, block=replace(block, text=value))
                return [PartDelta(event.index, "text", rest), ended] if rest else [ended]
            case _:
                return [event]

    def _value(self, text: str) -> str:
        taker = _Taker()
        value = taker.feed(text) + taker.close(text)
        return _word(value) if self._bare else value


def _word(value: str) -> str:
    """The word that the JSON `value` is; `value` itself where it is none."""
    word = _json(value)
    return word if isinstance(word, str) else value


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


class _Taker:
    """`feed` takes any split of the object's text and gives what surely belongs to the value."""

    def __init__(self) -> None:
        self._rest = ""
        self._inside: bool | None = None  # None while it is not known
        self._begun = False

    def feed(self, fragment: str) -> str:
        """What `fragment` completes of the value, "" when nothing."""
        self._rest += fragment
        if self._inside is None:
            self._begin()
        if self._inside is None:
            return ""
        certain = self._rest
        if self._inside:
            if not self._begun:
                certain = self._rest = certain.lstrip(_SPACE)
                self._begun = bool(certain)
            # What may be the object's own end waits.
            certain = certain.rstrip(_SPACE).removesuffix("}").rstrip(_SPACE)
        self._rest = self._rest[len(certain) :]
        return certain

    def close(self, whole: str) -> str:
        """What was held back and belongs to the answer. `whole` is all that was fed: an object that was cut short has
        no end of its own."""
        return "" if self._inside and isinstance(_json(whole), dict) else self._rest

    def _begin(self) -> None:
        opening = _OPENING.match(self._rest)
        squeezed = "".join(self._rest.split())
        if opening:
            self._inside = True
            self._rest = self._rest[opening.end() :]
        elif len(squeezed) >= len(_SQUEEZED) or not _SQUEEZED.startswith(squeezed):
            self._inside = False
