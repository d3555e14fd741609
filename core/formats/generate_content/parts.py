"""The parts of a content, both ways: what requests and answers have in common.

https://ai.google.dev/api/caching#Part
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from core.conversation import (
    Audio,
    Block,
    Document,
    Image,
    JsonObject,
    Opaque,
    Reasoning,
    ServerToolCall,
    ServerToolResult,
    Source,
    Text,
    ToolCall,
    Video,
)
from core.formats.arguments import read_arguments, spaced_text
from core.formats.generate_content.fields import Fields, invalid, json_text
from core.formats.generate_content.signatures import GOOGLE, canonical, sealed, unsealed

_MEDIA_TYPES: Final = {"image/jpg": "image/jpeg"}
# Ids that were made up here, for calls that came without one, begin so and are not sent back.
MINTED: Final = "call_gemini_"



def read_part(value: Any, path: str, mint: Callable[[], str]) -> list[Block]:
    """The blocks of one part (foreign reasoning in its signature is a block of its own). `mint` gives an id for
    a call without one. Raises ClientFault."""
    if type(value) is dict and len(value) == 1 and type(value.get("text")) is str:
        return [Text(value["text"])]  # as most are
    fields = Fields(value, path)
    signature = fields.text("thoughtSignature")
    carried = unsealed(signature) if signature else None
    if carried is not None:
        signature = None
    thought = fields.boolean("thought") or False
    for name, reader in _READERS.items():
        content = fields.take(name)
        if content is None:
            continue
        block = reader(fields, content, mint)
        if thought and isinstance(block, Text):
            block = Reasoning([block.text] if block.text else [], form="summary", origin=GOOGLE, extra=block.extra)
        _sign(block, signature)
        return _with_carried(block, carried)
    if thought or signature or carried is not None:
        reasoning = Reasoning(form="summary", origin=GOOGLE, extra=fields.rest)
        _sign(reasoning, signature)
        return _with_carried(reasoning, carried)
    return [Opaque("generate_content", next(iter(fields.rest), "empty"), fields.rest, content=bool(fields.rest))]


def _with_carried(block: Block, carried: Reasoning | None) -> list[Block]:
    """A thought's text is in its envelope too, so the thought that carried it is replaced by it."""
    if carried is None:
        return [block]
    return [carried] if isinstance(block, Reasoning) else [carried, block]


def _sign(block: Block, signature: str | None) -> None:
    if signature and isinstance(block, Text | Reasoning | ToolCall):
        block.signature, block.origin = canonical(signature), GOOGLE
    elif signature and isinstance(block, ServerToolCall | ServerToolResult):
        block.raw["thoughtSignature"] = canonical(signature)
    elif signature and isinstance(block, Image | Audio | Video | Document):
        block.extra["thoughtSignature"] = canonical(signature)


def _read_text(fields: Fields, content: Any, _mint: Callable[[], str]) -> Block:
    if not isinstance(content, str):
        raise invalid(fields.at("text"), "a string is expected.")
    return Text(content, extra=fields.rest)


def _read_inline(fields: Fields, content: Any, _mint: Callable[[], str]) -> Block:
    blob = Fields(content, fields.at("inlineData"))
    media_type = _media_type(blob.required_text("mimeType"))
    source = Source("base64", canonical(blob.required_text("data")), media_type)
    return _media(source, blob.text("displayName"), {**blob.rest, **fields.rest})


def _read_file(fields: Fields, content: Any, _mint: Callable[[], str]) -> Block:
    blob = Fields(content, fields.at("fileData"))
    source = Source("url", blob.required_text("fileUri"), _media_type(blob.text("mimeType") or ""))
    return _media(source, blob.text("displayName"), {**blob.rest, **fields.rest})


def _media(source: Source, name: str | None, extra: JsonObject) -> Block:
    kind = source.media_type.partition("/")[0]
    if kind == "image":
        return Image(source, extra=_named(name, extra))
    if kind == "audio":
        return Audio(source, extra=_named(name, extra))
    if kind == "video":
        return Video(source, extra=_named(name, extra))
    return Document(source, name=name, extra=extra)


def _named(name: str | None, extra: JsonObject) -> JsonObject:
    return {"displayName": name, **extra} if name else extra


def _read_call(fields: Fields, content: Any, mint: Callable[[], str]) -> Block:
    call = Fields(content, fields.at("functionCall"))
    arguments = call.object("args")
    return ToolCall(
        call.text("id") or mint(),
        call.required_text("name"),
        json_text(arguments, call.at("args")) if arguments is not None else "",
        extra={**call.rest, **fields.rest},
    )


def _read_code(fields: Fields, content: Any, mint: Callable[[], str]) -> Block:
    code = Fields(content, fields.at("executableCode"))
    raw = {"executableCode": content, **fields.rest}
    arguments = spaced_text({"code": code.text("code") or ""})
    return ServerToolCall(code.text("id") or mint(), "code_execution", arguments, "generate_content", raw)


def _read_code_result(fields: Fields, content: Any, _mint: Callable[[], str]) -> Block:
    result = Fields(content, fields.at("codeExecutionResult"))
    raw = {"codeExecutionResult": content, **fields.rest}
    text = result.text("output") or result.text("outcome") or ""
    return ServerToolResult(result.text("id") or "", "code_execution", text, "generate_content", raw)


# What Google's own tools did, beside functions of the client's; elsewhere the tools have other names.
_TOOL_TYPES: Final = {"GOOGLE_SEARCH_WEB": "web_search", "URL_CONTEXT": "web_fetch"}


def _tool_of(fields: Fields) -> str:
    kind = fields.text("toolType") or "unknown"
    return _TOOL_TYPES.get(kind, kind.lower())


def _read_tool_call(fields: Fields, content: Any, mint: Callable[[], str]) -> Block:
    call = Fields(content, fields.at("toolCall"))
    raw = {"toolCall": content, **fields.rest}
    arguments = call.object("args") or {}
    queries = arguments.get("queries")
    if isinstance(queries, list) and all(isinstance(query, str) for query in queries):
        arguments = {"query": "; ".join(queries), **arguments}  # as the other vendors call it
    text = json_text(arguments, call.at("args"))
    return ServerToolCall(call.text("id") or mint(), _tool_of(call), text, "generate_content", raw)


def _read_tool_response(fields: Fields, content: Any, _mint: Callable[[], str]) -> Block:
    result = Fields(content, fields.at("toolResponse"))
    raw = {"toolResponse": content, **fields.rest}
    response = result.object("response")
    text = json_text(response, result.at("response")) if response else ""
    return ServerToolResult(result.text("id") or "", _tool_of(result), text, "generate_content", raw)


_READERS: Final[dict[str, Callable[[Fields, Any, Callable[[], str]], Block]]] = {
    "functionCall": _read_call,
    "text": _read_text,
    "inlineData": _read_inline,
    "fileData": _read_file,
    "executableCode": _read_code,
    "codeExecutionResult": _read_code_result,
    "toolCall": _read_tool_call,
    "toolResponse": _read_tool_response,
}


def _media_type(value: str) -> str:
    lower = value.lower()
    return _MEDIA_TYPES.get(lower, lower)


# --- writing ---------------------------------------------------------------------------------------------


def write_media(block: Image | Document | Audio | Video) -> JsonObject:
    """The part of bytes or of a file; a plain text as inline text. What has no such form is the caller's to
    refuse."""
    source = block.source
    if source.kind == "url":
        media = {"mimeType": source.media_type} if source.media_type else {}
        return {"fileData": {**media, "fileUri": source.data}}
    return {"inlineData": {"mimeType": source.media_type or "application/octet-stream", "data": source.data}}


def write_call(call: ToolCall, *, own: bool) -> JsonObject:
    """The part of a tool call. Arguments that are no JSON object stand under `_raw`."""
    inner: JsonObject = {"name": call.name, "args": read_arguments(call.arguments)}
    if call.id and not call.id.startswith(MINTED):
        inner = {"id": call.id, **inner}
    written: JsonObject = {"functionCall": inner, **(call.extra if own else {})}
    if call.signature:
        written["thoughtSignature"] = call.signature
    return written


def write_reasoning(reasoning: Reasoning) -> JsonObject:
    """The part of a thought. Another vendor's state travels in its signature."""
    written: JsonObject = {"text": reasoning.text, "thought": True}
    signature = signature_of(reasoning)
    if signature is not None:
        written["thoughtSignature"] = signature
    return written


def signature_of(reasoning: Reasoning) -> str | None:
    """The signature of a thought: Gemini's own, or an envelope where there is foreign state."""
    own = reasoning.origin is not None and reasoning.origin.vendor == GOOGLE.vendor
    if own and not reasoning.extra.get("for_call"):
        return reasoning.signature
    has_state = reasoning.signature or reasoning.redacted or reasoning.encrypted or reasoning.id
    return sealed(reasoning) if has_state else None
