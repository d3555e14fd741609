"""The demo's Responses side, writing: a `response` object, or its stream of events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from core.framing import sse
from core.providers.demo.ask import Ask, JsonObject, Reply, Stamp
from core.providers.demo.responses import seal
from core.providers.demo.tokens import pieces_of
from core.providers.demo.writing import to_json

# Members that an answer repeats from its request, and what they are where the request says nothing.
_ECHOED: dict[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "prompt_cache_key": None,
    "safety_identifier": None,
    "store": True,
    "temperature": 1.0,
    "tool_choice": "auto",
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}


def usage_of(ask: Ask, reply: Reply) -> JsonObject:
    """The usage object of an answer."""
    return {
        "input_tokens": ask.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": reply.output_tokens,
        "output_tokens_details": {"reasoning_tokens": reply.reasoning_tokens},
        "total_tokens": ask.prompt_tokens + reply.output_tokens,
    }


def _snapshot(ask: Ask, stamp: Stamp) -> JsonObject:
    """The response as it begins."""
    body = ask.body
    echoed = {
        name: value if body.get(name) is None else body[name]
        for name, value in _ECHOED.items()
    }
    reasoning = body.get("reasoning") or {}
    text = body.get("text") or {}
    return {
        "id": stamp.mint("resp_"),
        "object": "response",
        "created_at": stamp.created,
        "completed_at": None,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "model": ask.model,
        "output": [],
        "previous_response_id": None,
        "reasoning": {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")},
        "service_tier": "default",
        "text": {"format": text.get("format") or {"type": "text"}, "verbosity": text.get("verbosity") or "medium"},
        "tools": [_echoed_tool(tool) for tool in body.get("tools") or []],
        "usage": None,
        **echoed,
    }


def _echoed_tool(tool: JsonObject) -> JsonObject:
    if tool["type"] != "function":
        return tool
    return {"description": None, "parameters": None, "strict": True, **tool}


def _ended(ask: Ask, reply: Reply, stamp: Stamp, output: list[JsonObject]) -> JsonObject:
    """The response as it ends."""
    cut = reply.ended == "length"
    return {
        **_snapshot(ask, stamp),
        "status": "incomplete" if cut else "completed",
        "completed_at": None if cut else stamp.created,
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "output": output,
        "usage": usage_of(ask, reply),
    }


def _items(ask: Ask, reply: Reply, stamp: Stamp) -> list[JsonObject]:
    """The output items, complete."""
    items: list[JsonObject] = []
    if reply.reasoning:
        summary = [{"type": "summary_text", "text": reply.reasoning}] if ask.show_reasoning else []
        item: JsonObject = {"id": stamp.mint("rs_"), "type": "reasoning", "summary": summary}
        items.append({**item, "encrypted_content": seal(reply.reasoning)} if ask.encrypted else item)
    if reply.text or not reply.calls:
        content = [{"type": "output_text", "text": reply.text, "annotations": [], "logprobs": []}]
        status = "incomplete" if reply.ended == "length" else "completed"
        message = {"id": stamp.mint("msg_"), "type": "message", "status": status, "role": "assistant"}
        items.append({**message, "content": content})
    for number, call in enumerate(reply.calls):
        function = call.offer.schema is not None
        called: JsonObject = {
            "id": stamp.mint("fc_" if function else "ctc_", number),
            "type": "function_call" if function else "custom_tool_call",
            "status": "completed",
            "call_id": stamp.mint("call_", number),
            "name": call.offer.name,
            "arguments" if function else "input": call.arguments,
        }
        items.append({**called, "namespace": call.offer.namespace} if call.offer.namespace else called)
    return items


def write_answer(ask: Ask, reply: Reply, stamp: Stamp) -> JsonObject:
    """The answer as a `response`."""
    return _ended(ask, reply, stamp, _items(ask, reply, stamp))


class _Writer:
    """Numbers the events of one stream."""

    def __init__(self) -> None:
        self._count = 0

    def event(self, kind: str, **members: Any) -> bytes:
        """One frame."""
        body = {"type": kind, "sequence_number": self._count, **members}
        self._count += 1
        return sse.encode(to_json(body), event=kind)


def write_frames(ask: Ask, reply: Reply, stamp: Stamp) -> Iterator[bytes]:
    """The answer as server-sent events, word by word."""
    writer = _Writer()
    snapshot = _snapshot(ask, stamp)
    yield writer.event("response.created", response=snapshot)
    yield writer.event("response.in_progress", response=snapshot)
    items = _items(ask, reply, stamp)
    for index, item in enumerate(items):
        place = {"item_id": item["id"], "output_index": index}
        yield writer.event("response.output_item.added", output_index=index, item=_begun(item))
        yield from _FILLERS[item["type"]](writer, item, place)
        yield writer.event("response.output_item.done", output_index=index, item=item)
    ended = _ended(ask, reply, stamp, items)
    yield writer.event(f"response.{ended['status']}", response=ended)


_EMPTY: dict[str, JsonObject] = {
    "reasoning": {"summary": []},
    "message": {"content": [], "status": "in_progress"},
    "function_call": {"arguments": "", "status": "in_progress"},
    "custom_tool_call": {"input": "", "status": "in_progress"},
}


def _begun(item: JsonObject) -> JsonObject:
    """An item as it is added, before its content."""
    return {name: value for name, value in (item | _EMPTY[item["type"]]).items() if name != "encrypted_content"}


def _fill_reasoning(writer: _Writer, item: JsonObject, place: JsonObject) -> Iterator[bytes]:
    for number, part in enumerate(item["summary"]):
        place = {**place, "summary_index": number}
        yield writer.event("response.reasoning_summary_part.added", **place, part={**part, "text": ""})
        for piece in pieces_of(part["text"]):
            yield writer.event("response.reasoning_summary_text.delta", **place, delta=piece)
        yield writer.event("response.reasoning_summary_text.done", **place, text=part["text"])
        yield writer.event("response.reasoning_summary_part.done", **place, part=part)


def _fill_message(writer: _Writer, item: JsonObject, place: JsonObject) -> Iterator[bytes]:
    for number, part in enumerate(item["content"]):
        place = {**place, "content_index": number}
        yield writer.event("response.content_part.added", **place, part={**part, "text": ""})
        for piece in pieces_of(part["text"]):
            yield writer.event("response.output_text.delta", **place, delta=piece, logprobs=[])
        yield writer.event("response.output_text.done", **place, text=part["text"], logprobs=[])
        yield writer.event("response.content_part.done", **place, part=part)


def _fill_function(writer: _Writer, item: JsonObject, place: JsonObject) -> Iterator[bytes]:
    for piece in pieces_of(item["arguments"]):
        yield writer.event("response.function_call_arguments.delta", **place, delta=piece)
    written = {"name": item["name"], "arguments": item["arguments"]}
    yield writer.event("response.function_call_arguments.done", **place, **written)


def _fill_custom(writer: _Writer, item: JsonObject, place: JsonObject) -> Iterator[bytes]:
    for piece in pieces_of(item["input"]):
        yield writer.event("response.custom_tool_call_input.delta", **place, delta=piece)
    yield writer.event("response.custom_tool_call_input.done", **place, input=item["input"])


_FILLERS = {
    "reasoning": _fill_reasoning,
    "message": _fill_message,
    "function_call": _fill_function,
    "custom_tool_call": _fill_custom,
}
