"""Responses that the gateway keeps for its clients, where the backends behind a model do not, or not all the same ones.

`store` (OpenAI's default is true), `previous_response_id` and `item_reference` then hold whichever backend answers:
what they stand for is put in their place before a candidate is asked, and what was answered is kept after it.
Imported when a client of the Responses API first asks such a model.
https://platform.openai.com/docs/guides/conversation-state
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from typing import Any
from urllib.parse import parse_qsl

from core.errors import ClientFault, NotConfigured
from core.formats.contract import Reply
from core.formats.responses import members, state
from core.framing.sse import records_of
from core.generation import Generation, read_generation
from core.json_edit import JsonObject, dump
from core.ports import KeptResponses, StoredDocument, StoreFault
from core.routes import Endpoint
from core.routing.registry import Route
from core.slotted import replace

NO_STORE = "This gateway keeps no responses: it has no store (SKYBRIDGE_STORE)."
_AWAY = "The gateway cannot read kept responses now; try again in a moment."

# One of these stands in a stream's last event; the names in quotes cannot stand in a text, where quotes are escaped.
_ENDS = (b'"response.completed"', b'"response.incomplete"')
_KEPT_STATUSES = frozenset({"completed", "incomplete"})
# Output items whose own ids refer to stored reasoning before them.
_FOLLOWING = frozenset({"function_call", "custom_tool_call", "message"})
_MOST_LISTED = 100


def gateway_keeps(route: Route) -> bool:
    """Whether responses of `route` are the gateway's to keep: its backend does not, or there are several, of which
    another one may be asked for the next turn."""
    names = {candidate.backend.name for candidate in route.candidates}
    return len(names) > 1 or not route.candidates[0].backend.keeps_responses


class Keeping:
    """One request of the Responses API whose answer may be kept."""

    def __init__(self, kept: KeptResponses, owner: str, generation: Generation) -> None:
        self.generation = generation
        self.edits: list[str] = []
        self.dropped: list[str] = []
        self._kept = kept
        self._owner = owner
        self._body: JsonObject = generation.document.values
        self._wanted = self._body.get("store") is not False
        self._previous: str | None = None

    async def expand(self, route: Route) -> Generation:
        """The request that says all that it refers to. Raises ClientFault for what is not there, and NotConfigured
        where the store cannot be asked."""
        native = any(item.backend.speaks("responses", item.api_model) for item in route.candidates)
        try:
            body = await self._resolved(await self._continued(self._body, native))
        except StoreFault as fault:
            raise NotConfigured(_AWAY) from fault
        if body is self._body:
            return self.generation
        if native:
            items = portable(body["input"])
            if len(items) < len(body["input"]):
                self.dropped = [f"{'input' if self._previous is None else 'previous_response_id'}.reasoning"]
            body = {**body, "input": items}
        self._body = body
        return self._rewritten(body["input"])

    async def _continued(self, body: JsonObject, native: bool) -> JsonObject:
        """`body` with its earlier turns. An id that is not known here may be a backend's own."""
        earlier = state.previous_response_id(body)
        if earlier is None:
            return body
        found = await self._kept.response(self._owner, earlier)
        if found is None:
            if native:
                return body
            raise state.unknown_response(earlier)
        self._previous = earlier
        return state.expanded(body, state.StoredTurn(found["input"], found["output"]))

    async def _resolved(self, body: JsonObject) -> JsonObject:
        references = state.referenced_ids(body)
        if not references:
            return body
        found = await self._kept.items(self._owner, references)
        return state.resolved(body, found) if found else body

    def _rewritten(self, items: list[JsonObject]) -> Generation:
        """The request again, with `items` in the place of what they stand for; every other member as it came."""
        before = self.generation
        document = before.document
        document.set("input", items)
        document.remove("previous_response_id")
        self.edits = ["input"] if self._previous is None else ["input", "previous_response_id"]
        after = read_generation(replace(before.request, body=document.edited()), before.endpoint)
        after.route = before.route
        self.generation = after
        return after

    def reply(self, reply: Reply) -> Reply:
        """What a translated answer says of the request: the response that it continues; and with the state that the
        next turn needs, if it is kept. That it is kept is the gateway's doing, so `store` is no knob that is lost."""
        conversation = reply.conversation
        if self._wanted:
            conversation = replace(conversation, store=None)
        return replace(reply, conversation=conversation, previous_response_id=self._previous, kept=self._wanted)

    def answered(self, body: bytes) -> None:
        """Keeps a whole answer, as the client gets it."""
        if self._wanted:
            self._keep(_json_object(body))

    async def watched(self, stream: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
        """`stream`, whose answer can be asked for from the moment that its last event goes out, and is written at once
        after it: what follows that event in a backend's stream may take its time. Chunks hold whole frames."""
        try:
            async for data in stream:
                ends = self._wanted and (_ENDS[0] in data or _ENDS[1] in data)
                if ends:
                    self._keep_ending(data)
                yield data
                if ends:
                    await self._kept.flush()
        finally:
            await stream.aclose()

    def _keep_ending(self, frames: bytes) -> None:
        for record in records_of(frames):
            response = _json_object(record.data).get("response")
            if isinstance(response, dict):
                self._keep(response)

    def _keep(self, response: JsonObject) -> None:
        response_id = response.get("id")
        if response.get("status") not in _KEPT_STATUSES or not isinstance(response_id, str):
            return
        turn = state.stored_turn(self._body, response)
        document = {"input": turn.input, "output": turn.output, "response": response}
        self._kept.keep(self._owner, response_id, document)


def portable(items: Sequence[JsonObject]) -> list[JsonObject]:
    """Items for a backend that may not be the one that gave them: reasoning that it would have to look up in a store of
    its own is left out, and what followed it loses the ids that refer to it."""
    kept: list[JsonObject] = []
    bare = False
    for item in items:
        kind = item.get("type")
        if kind == "reasoning" and not item.get("encrypted_content"):
            bare = True
        elif bare and kind in _FOLLOWING:
            kept.append({name: value for name, value in item.items() if name != "id"})
        else:
            bare = False
            kept.append(item)
    return kept


def _json_object(data: str | bytes) -> JsonObject:
    try:
        value = json.loads(data)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


async def page(kept: KeptResponses | None, owner: str, endpoint: Endpoint, query: str) -> bytes:
    """The answer to `GET` and `DELETE /v1/responses/{id}` and to `/input_items`. Raises ClientFault (404 for what is
    not there or another caller's) or NotConfigured."""
    assert endpoint.model is not None  # the path's id
    if kept is None:
        raise ClientFault("not_found", NO_STORE)
    try:
        if endpoint.operation == "delete_response":
            if not await kept.delete(owner, endpoint.model):
                raise _not_found(endpoint.model)
            return dump({"id": endpoint.model, "object": "response", "deleted": True})
        found = await kept.response(owner, endpoint.model)
    except StoreFault as fault:
        raise NotConfigured(_AWAY) from fault
    if found is None:
        raise _not_found(endpoint.model)
    asked = dict(parse_qsl(query))
    if endpoint.operation == "response":
        if asked.get("stream") == "true":
            raise members.invalid("stream", "A kept response is not streamed again; ask without `stream`.")
        return dump(found["response"])
    return dump(_listed(found, endpoint.model, asked))


def _not_found(response_id: str) -> ClientFault:
    return ClientFault("not_found", f"Response with id '{response_id}' not found.")


def _listed(found: StoredDocument, response_id: str, asked: dict[str, str]) -> JsonObject:
    """A page of the input, the newest first unless `order=asc`.

    https://platform.openai.com/docs/api-reference/responses/input-items
    """
    limit = asked.get("limit", "20")
    if len(limit) > 3 or not limit.isdecimal() or not 1 <= int(limit) <= _MOST_LISTED:
        raise members.invalid("limit", f"Invalid 'limit': expected an integer from 1 to {_MOST_LISTED}.")
    items = [_as_item(item, response_id, place) for place, item in enumerate(found["input"])]
    if asked.get("order") != "asc":
        items.reverse()
    ids = [item["id"] for item in items]
    after = asked.get("after")
    start = ids.index(after) + 1 if after in ids else 0
    shown = items[start : start + int(limit)]
    return {
        "object": "list", "data": shown, "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None, "has_more": start + len(shown) < len(items),
    }  # fmt: skip


def _as_item(item: JsonObject, response_id: str, place: int) -> JsonObject:
    """An input item in its full form: clients may leave out a message's type and write its content as a string."""
    item_id = item.get("id") or f"in_{response_id.removeprefix('resp_')}_{place}"
    if item.get("type", "message") != "message":
        return {**item, "id": item_id}
    content: Any = item.get("content")
    if isinstance(content, str):
        content = [{"type": "output_text" if item.get("role") == "assistant" else "input_text", "text": content}]
    return {**item, "id": item_id, "type": "message", "status": "completed", "content": content}
