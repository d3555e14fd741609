"""A whole answer of the Converse format, read and written.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from core.conversation import (
    Answer,
    Block,
    Image,
    JsonObject,
    Opaque,
    Origin,
    Reasoning,
    Refusal,
    ServerToolCall,
    ServerToolResult,
    Stop,
    Text,
    ToolCall,
)
from core.errors import UpstreamFault, upstream_fault
from core.formats import envelope
from core.formats.carriers import carrier_of
from core.formats.contract import Reply, Target
from core.formats.converse.media import format_name
from core.formats.converse.members import Invalid, list_of, object_of
from core.formats.converse.read_blocks import BINARY_REDACTED, CITATIONS_CONTENT, GUARD_CONTENT, BlockReader
from core.formats.converse.usage import read_stop, read_usage, write_stop, write_usage
from core.formats.converse.write_blocks import redacted_content, tool_use, write_citation
from core.models.resolve import facts_for

_TOP = frozenset({"output", "stopReason", "usage", "serviceTier"})
_FIELDS = "additionalModelResponseFields"
_PATHS = "additionalModelResponseFieldPaths"


def read_response(body: JsonObject, target: Target) -> Answer:
    """The answer in a response body. Raises UpstreamFault when it is none."""
    try:
        answer = _read(object_of(body), target)
    except Invalid as invalid:
        message = f"the backend's answer cannot be read: {invalid.fault().message}"
        raise upstream_fault("upstream", message, 502) from None
    if answer.stop.reason == "error":
        raise broken_answer(answer.stop)
    return answer


def broken_answer(stop: Stop) -> UpstreamFault:
    """The fault of an answer that the model ended badly: it is no answer, though its status says so."""
    return upstream_fault("upstream", f"the model ended its answer with {stop.raw}", 502)


def _read(body: JsonObject, target: Target) -> Answer:
    message = object_of(object_of(body.get("output"), "output").get("message"), "output.message")
    reader = BlockReader(Origin(target.facts.vendor))
    content = reader.read_all(list_of(message.get("content"), "output.message.content"))
    called = any(isinstance(block, ToolCall) for block in content)
    return Answer(
        id="",
        model=target.model,
        content=content,
        stop=read_stop(body.get("stopReason"), body.get(_FIELDS), called=called),
        usage=read_usage(body.get("usage")),
        service_tier=read_tier(body.get("serviceTier")),
        format="converse",
        extra={name: value for name, value in body.items() if name not in _TOP},
    )


def read_tier(raw: Any) -> str | None:
    """The tier in a `serviceTier` object."""
    tier = raw.get("type") if isinstance(raw, dict) else None
    return tier if isinstance(tier, str) else None


def write_response(answer: Answer, reply: Reply) -> JsonObject:
    """The body of `answer` for a client of this format."""
    own = answer.format == "converse"
    blocks = AnswerBlocks(reply, own=own)
    content = [raw for block in answer.content for raw in blocks.write(block)]
    body: JsonObject = {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": write_stop(answer.stop, same_format=own),
        "usage": write_usage(answer.usage, same_format=own),
        # How long it took is not known here; the SDKs want a number.
        "metrics": {"latencyMs": 0},
    }
    if own:
        body.update(answer.extra)
        if answer.service_tier is not None:
            body["serviceTier"] = {"type": answer.service_tier}
        return body
    fields = stop_fields(answer.stop, reply)
    return {**body, _FIELDS: fields} if fields else body


def stop_fields(stop: Stop, reply: Reply) -> JsonObject:
    """The stop sequence that was met, where the client asked to be told so."""
    paths = reply.conversation.extra.get(_PATHS)
    asked = isinstance(paths, list) and "/stop_sequence" in paths
    return {"stop_sequence": stop.sequence} if asked and stop.sequence is not None else {}


class AnswerBlocks:
    """Writes the blocks of an answer. `own`: the answer came in this very format."""

    def __init__(self, reply: Reply, *, own: bool) -> None:
        # The name in the client's next request is all that tells whose signatures come back with it.
        self._vendor = facts_for(reply.conversation.model).vendor
        self.own = own

    def write(self, block: Block) -> Iterator[JsonObject]:
        """The blocks for `block`: none where only another format knows it, two where a signature needs one."""
        carrier = carrier_of(block)
        if carrier is not None and isinstance(block, ToolCall):
            yield self._carried(carrier)
        raw = self._write(block)
        if raw is not None:
            yield raw
        if carrier is not None and isinstance(block, Text):
            yield self._carried(carrier)

    def _write(self, block: Block) -> JsonObject | None:
        match block:
            case Text():
                return self._text(block)
            case Refusal():
                return {"text": block.text} if block.text else None
            case Reasoning():
                return self._reasoning(block)
            case ToolCall():
                return {"toolUse": {**tool_use(block), **(block.extra if self.own else {})}}
            case Image():
                return self._image(block)
            case ServerToolCall() | ServerToolResult() | Opaque() if block.format == "converse":
                return block.raw
            case _:
                return None

    def _text(self, block: Text) -> JsonObject | None:
        if self.own and GUARD_CONTENT in block.extra:
            return {"guardContent": {"text": {"text": block.text, **block.extra[GUARD_CONTENT]}}}
        texts = block.extra.get(CITATIONS_CONTENT) if self.own else None
        if not block.citations and texts is None:
            return {"text": block.text} if block.text or self.own else None
        content = [{"text": text} for text in ([block.text] if texts is None else texts)]
        citations = [write_citation(citation, own=self.own) for citation in block.citations]
        return {"citationsContent": {"content": content, "citations": citations}}

    def _image(self, block: Image) -> JsonObject | None:
        name = format_name("image", block.source.media_type)
        if name is None or block.source.kind != "base64":
            return None
        return {"image": {"format": name, "source": {"bytes": block.source.data}}}

    def _reasoning(self, block: Reasoning) -> JsonObject | None:
        if block.redacted is not None and self._readable_again(block):
            return {"reasoningContent": {"redactedContent": redacted_content(block)}}
        signature = self.signature(block)
        if not block.text and not signature:
            return None
        text: JsonObject = {"text": block.text, **(block.extra if self.own else {})}
        if signature:
            text["signature"] = signature
        return {"reasoningContent": {"reasoningText": text}}

    def signature(self, block: Reasoning) -> str | None:
        """What goes in the signature's place: the issuer's own, or an envelope with all that it needs.

        The issuer's own suffices where the client's next request will name a model of the same vendor.
        """
        if block.redacted is None and block.encrypted is None and not block.signature:
            return None
        if self._readable_again(block):
            return block.signature
        return envelope.seal(block)

    def _readable_again(self, block: Reasoning) -> bool:
        plain = block.encrypted is None and not (block.extra.keys() - {BINARY_REDACTED})
        return plain and block.origin is not None and block.origin.vendor == self._vendor

    def _carried(self, carrier: Reasoning) -> JsonObject:
        return {"reasoningContent": {"reasoningText": {"text": "", "signature": envelope.seal(carrier)}}}
