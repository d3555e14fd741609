"""`POST /v1/responses/compact`: a conversation made shorter, in one whole answer.

Every backend is asked in the one way that all of them know here: an ordinary request whose last item is a
`compaction_trigger`, which OpenAI's own backends take and `core.translation.compaction` makes a summary of for others.
https://platform.openai.com/docs/api-reference/responses/compact
"""

from __future__ import annotations

import json
from typing import Any, Final

from core.conversation import JsonObject
from core.errors import ClientFault, upstream_fault
from core.http import Request, Response
from core.json_edit import read_object
from core.slotted import replace
from core.translation.compaction import TRIGGER

_ENDING: Final = "/compact"
_REFRAMED: Final = frozenset({"content-length", "content-encoding"})


def as_generation(request: Request) -> tuple[Request, list[JsonObject]]:
    """The request for an answer that is the compaction, and the user's messages, which outlast it. An input that is
    none stays as it is, for the reader of requests to refuse. Raises ClientFault for a body that is no JSON object, and
    where there is nothing to compact."""
    inner = replace(request, path=request.path.rstrip("/").removesuffix(_ENDING))
    document = read_object(request.body)
    items = _items(document.values.get("input"))
    if items is None:
        return inner, []
    if not items and not document.values.get("previous_response_id"):
        raise ClientFault("bad_request", "Missing required parameter: 'input'.", param="input")
    for name, value in (("input", [*items, {"type": TRIGGER}]), ("stream", False), ("store", False)):
        document.set(name, value)
    inner.body = document.edited()
    return inner, [item for item in items if isinstance(item, dict) and item.get("role") == "user"]


def _items(value: Any) -> list[Any] | None:
    """The input as a list, None where it is neither a text nor a list."""
    if value is None:
        return []
    if isinstance(value, str):
        return [{"type": "message", "role": "user", "content": value}] if value else []
    return list(value) if isinstance(value, list) else None


async def as_compaction(response: Response, said: list[JsonObject]) -> Response:
    """The answer as clients of this endpoint read it: the user's messages `said`, and the compaction. An error stays
    as it is. Raises UpstreamFault where the backend made no compaction."""
    if response.status != 200:
        return response
    whole = response.body
    if not isinstance(whole, bytes):
        whole = b"".join([data async for data in whole])
    answer = _answer(whole)
    made = [item for item in answer.get("output") or () if isinstance(item, dict) and item.get("type") == "compaction"]
    if not made:
        raise upstream_fault("upstream", "The backend made no compaction of the conversation.", 502)
    written = {
        "id": answer.get("id"),
        "object": "response.compaction",
        "created_at": answer.get("created_at"),
        "output": [*(_kept(item, place) for place, item in enumerate(said)), *made],
        "usage": answer.get("usage"),
    }
    headers = [(name, value) for name, value in response.headers if name not in _REFRAMED]
    return Response(200, headers, json.dumps(written, separators=(",", ":")).encode())


def _answer(body: bytes) -> JsonObject:
    """The backend's Response, empty where its body is none."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) and isinstance(answer.get("output"), list) else {}


def _kept(item: JsonObject, place: int) -> JsonObject:
    """A user's message as an item of the answer."""
    content = item.get("content")
    parts = [{"type": "input_text", "text": content}] if isinstance(content, str) else content
    minted = {"id": f"msg_{place:04d}", "type": "message", "status": "completed"}
    return {**minted, **item, "content": parts}
