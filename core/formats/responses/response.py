"""A whole Response object to a neutral answer, and back.

https://platform.openai.com/docs/api-reference/responses/object
"""

from __future__ import annotations

from typing import Any

from core.conversation import Answer, Block, JsonObject, Origin, Refusal
from core.errors import ClientFault, upstream_fault
from core.events import Started
from core.formats.contract import Reply, Target
from core.formats.openai_errors import read_error_object
from core.formats.responses.item_assembly import finished_blocks
from core.formats.responses.limits import SERVICE_TIERS
from core.formats.responses.output import OutputWriter, answer_id, settings, unsaid_refusal
from core.formats.responses.usage import read_stop, read_usage, write_stop, write_usage

# Members with a neutral field; `error` is an exception and never stands in an answer.
_HANDLED = frozenset({"id", "object", "model", "output", "usage", "service_tier", "created_at"})

# What OpenAI's SDK requires, for backends that leave it out.
_REQUIRED: JsonObject = {
    "error": None,
    "incomplete_details": None,
    "instructions": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "temperature": None,
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
}


def read_response(body: JsonObject, target: Target) -> Answer:
    """The answer in `body`. Raises UpstreamFault when it is a failure, or no Response."""
    if body.get("error"):
        raise read_error_object(body["error"])
    output = body.get("output")
    if not isinstance(output, list) or body.get("status") == "failed":
        raise upstream_fault("upstream", "The backend's answer is no finished Response.", 502)
    start = started_by(body)
    tier = body.get("service_tier")
    return Answer(
        id=start.id,
        model=start.model,
        content=_content(output, origin_of(target)),
        stop=read_stop(body),
        usage=read_usage(body.get("usage")),
        created=start.created,
        service_tier=tier if isinstance(tier, str) else None,
        format="responses",
        extra=start.extra,
    )


def _content(output: list[Any], origin: Origin) -> list[Block]:
    try:
        return [
            block for item in output if isinstance(item, dict) for block in finished_blocks(item, origin)
        ]
    except ClientFault as fault:
        message = f"The backend sent a malformed answer: {fault.message}"
        raise upstream_fault("upstream", message, 502) from fault


def write_response(answer: Answer, reply: Reply) -> JsonObject:
    """The Response object for `answer`, with the settings of the request that it answers."""
    refused = any(isinstance(block, Refusal) for block in answer.content)
    refusal = unsaid_refusal(answer.stop, refused=refused)
    blocks = answer.content if refusal is None else [*answer.content, refusal]
    output = OutputWriter(reply, own=answer.format == "responses").items(blocks)
    return ending(answer, reply, output, refused=refused)


def ending(answer: Answer, reply: Reply, output: list[JsonObject], *, refused: bool) -> JsonObject:
    """The finished Response whose output items are `output`; `answer.content` is not looked at. `refused`: the
    output holds a refusal part."""
    own = answer.format == "responses"
    body = opening(answer, reply)
    body["output"] = output
    status, details = write_stop(answer.stop, refused=refused)
    if not own or "status" not in body:
        body["status"] = status
        body["incomplete_details"] = details
        if status == "incomplete":
            body["output"] = [*output[:-1], *(cut_short(item) for item in output[-1:])]
        if status == "failed":
            message = answer.stop.explanation or f"The model stopped with '{answer.stop.raw or 'error'}'."
            body["error"] = {"code": "server_error", "message": message}
    if own:
        body["usage"] = answer.usage.raw or None
    else:
        body["completed_at"] = reply.created if status == "completed" else None
        body["usage"] = write_usage(answer.usage)
    if answer.service_tier is not None or not own:
        tier = answer.service_tier
        body["service_tier"] = tier if tier is not None and (own or tier in SERVICE_TIERS) else "default"
    return body


def cut_short(item: JsonObject) -> JsonObject:
    """The last item of an incomplete answer: a message or a function's call says that it is not whole."""
    return {**item, "status": "incomplete"} if item["type"] in ("message", "function_call") else item


def opening(answer: Answer, reply: Reply) -> JsonObject:
    """The members of a Response that are known before its output is: identity and settings."""
    own = answer.format == "responses"
    rest = {**_REQUIRED, **answer.extra} if own else settings(reply.conversation)
    return {
        "id": answer_id(answer.id, reply),
        "object": "response",
        "created_at": reply.created if answer.created is None else answer.created,
        **rest,
        **({} if reply.previous_response_id is None else {"previous_response_id": reply.previous_response_id}),
        "model": reply.model,
    }


def started_by(response: JsonObject) -> Started:
    """The neutral start of the answer that `response` is, or is a first snapshot of."""
    response_id, model, created = response.get("id"), response.get("model"), response.get("created_at")
    told = type(created) in (int, float) and 0 <= created < 2**53  # type: ignore[operator]  # the types say so
    return Started(
        id=response_id if isinstance(response_id, str) else "",
        model=model if isinstance(model, str) else "",
        usage=read_usage(response.get("usage")),
        created=int(created) if told else None,  # type: ignore[arg-type]  # the same
        format="responses",
        extra=response_members(response),
    )


def response_members(response: JsonObject) -> JsonObject:
    """The members of a Response without a neutral field, as they are."""
    return {name: value for name, value in response.items() if name not in _HANDLED}


def origin_of(target: Target) -> Origin:
    """Whose reasoning state `target` gives. Encrypted reasoning can be read by the resource that issued it
    only, so the backend is part of the origin. A server of this API whose model is not known is OpenAI's."""
    return Origin(target.facts.vendor or "openai", target.backend)
