"""Requests that lean on earlier ones: previous_response_id and item_reference.

OpenAI keeps each answer (unless `store` is false) and lets a request name it. Here the caller reads the earlier
turns through a port and these functions put them in the request's place; nothing is read or kept here.
https://platform.openai.com/docs/guides/conversation-state
"""

from __future__ import annotations

from collections.abc import Mapping

from core.conversation import JsonObject
from core.errors import ClientFault
from core.formats.responses import members
from core.slotted import slotted

REFERENCE = "item_reference"


@slotted(frozen=True)
class StoredTurn:
    """What a store keeps of one answered request: the whole input that led to it, and its output items."""

    input: list[JsonObject]
    output: list[JsonObject]


def stored_turn(body: JsonObject, response: JsonObject) -> StoredTurn:
    """What to keep of the request `body` (as `expanded` gave it) and its whole `response`."""
    return StoredTurn(_input_items(body), members.objects(response, "output") or [])


def previous_response_id(body: JsonObject) -> str | None:
    """The id of the answer that the request continues. Raises ClientFault when it is no string."""
    return members.text(body, "previous_response_id")


def expanded(body: JsonObject, earlier: StoredTurn) -> JsonObject:
    """The request that says all that `previous_response_id` stands for. Instructions are not carried over."""
    items = [*earlier.input, *earlier.output, *_input_items(body)]
    return {**_without(body, "previous_response_id"), "input": items}


def resolved(body: JsonObject, items: Mapping[str, JsonObject]) -> JsonObject:
    """The request with each `item_reference` replaced by the item of that id, where `items` has it."""
    if not isinstance(body.get("input"), list):
        return body
    return {**body, "input": [items.get(_referenced(item), item) for item in _input_items(body)]}


def referenced_ids(body: JsonObject) -> list[str]:
    """The ids that the input's references name, each once."""
    if not isinstance(body.get("input"), list):
        return []
    return list(dict.fromkeys(found for found in map(_referenced, _input_items(body)) if found))


def _without(body: JsonObject, name: str) -> JsonObject:
    return {key: value for key, value in body.items() if key != name}


def unknown_response(response_id: str) -> ClientFault:
    """The 400 for an id that the store does not have, in OpenAI's words."""
    return members.invalid(
        "previous_response_id",
        f"Previous response with id '{response_id}' not found.",
        "previous_response_not_found",
    )


def _input_items(body: JsonObject) -> list[JsonObject]:
    value = body.get("input")
    if isinstance(value, str):
        return [{"role": "user", "content": value}]
    return members.objects(body, "input") or []


def _referenced(item: JsonObject) -> str:
    """The id that the item refers to, "" when it is no reference."""
    if item.get("type") == REFERENCE or set(item) == {"id"}:
        return members.text(item, "id") or ""
    return ""
