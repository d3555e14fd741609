"""Content parts of a Chat Completions message to neutral blocks; Anthropic's and Responses' parts too, since
clients that believe in "OpenAI-compatible" send them here (Cursor does)."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_to_bytes

from core.conversation import (
    Audio,
    Block,
    CacheMark,
    Document,
    Image,
    JsonObject,
    Opaque,
    Refusal,
    Source,
    Text,
    ToolCall,
    ToolResult,
    Video,
)
from core.formats.chat_completions.fields import Fields, missing, text_at, wrong_type, wrong_value
from core.formats.chat_completions.reasoning_slots import read_thinking_block
from core.formats.chat_completions.tool_arguments import arguments_text
from core.formats.openai_files import media_type_of

_MEDIA_TYPES = {"image/jpg": "image/jpeg", "audio/mp3": "audio/mpeg", "audio/x-wav": "audio/wav"}
_AUDIO_TYPES = {"wav": "audio/wav", "mp3": "audio/mpeg"}


def read_content(content: object, path: str) -> list[Block]:
    """The blocks of a message's `content`: a string (one Text, also when empty), parts, or null (none)."""
    if content is None:
        return []
    if isinstance(content, str):
        return [Text(content)]
    if not isinstance(content, list):
        raise wrong_type(path, "a string or an array of content parts", content)
    return [block for index, part in enumerate(content) for block in _part(part, f"{path}[{index}]")]


def read_cache(fields: Fields) -> CacheMark | None:
    """The cache breakpoint of a part, message or tool: OpenAI's own, or Anthropic's as routers accept it."""
    mark = fields.fields("prompt_cache_breakpoint")
    if mark is not None:
        mark.take("mode")
        return CacheMark(mark.text("ttl"), mark.rest)
    mark = fields.fields("cache_control")
    if mark is None:
        return None
    mark.take("type")
    return CacheMark(mark.text("ttl"), mark.rest)


def read_source(url: str) -> Source:
    """Where the bytes are: a data URI becomes base64 text and a normalised media type."""
    if url[:5].lower() != "data:":
        return Source("url", url)
    head, _, data = url[5:].partition(",")
    media_type, *parameters = head.split(";")
    if "base64" not in parameters:
        data = base64.b64encode(unquote_to_bytes(data.encode("utf-8", "surrogatepass"))).decode()
    return Source("base64", data, normal_media_type(media_type))


def normal_media_type(media_type: str) -> str:
    """The registered spelling: `image/jpg` is `image/jpeg`."""
    lowered = media_type.strip().lower()
    return _MEDIA_TYPES.get(lowered, lowered)


def _part(part: object, path: str) -> list[Block]:
    if isinstance(part, str):  # some SDKs allow bare strings among the parts
        return [Text(part)]
    fields = Fields(part, path)
    kind = fields.required_text("type")
    reader = _READERS.get(kind)
    if reader is None:
        assert isinstance(part, dict)
        return [Opaque("chat_completions", kind, part, content=True)]
    block = reader(fields)
    return [] if block is None else [block]


def _text(fields: Fields) -> Block:
    text = fields.required_text("text")
    for name in ("citations", "annotations"):  # of an answer that a client sends back; empty mostly
        if not fields.rest.get(name):
            fields.take(name)
    return Text(text, cache=read_cache(fields), extra=fields.rest)


def _image_url(fields: Fields) -> Block:
    value = fields.take("image_url")
    if isinstance(value, str):  # the part of Responses
        url, detail = value, fields.text("detail")
        inner: JsonObject = {}
    elif value is None:
        file_id = fields.text("file_id")
        if file_id is None:
            raise missing(fields.at("image_url"))
        return Image(Source("file_id", file_id), fields.text("detail"), read_cache(fields), fields.rest)
    else:
        image = Fields(value, fields.at("image_url"))
        url, detail = image.required_text("url"), image.text("detail")
        inner = image.rest
    source = read_source(url)
    source.extra = inner
    return Image(source, detail, read_cache(fields), fields.rest)


def _input_audio(fields: Fields) -> Block:
    audio = fields.fields("input_audio")
    if audio is None:
        raise missing(fields.at("input_audio"))
    data, format_ = audio.required_text("data"), audio.text("format") or ""
    source = read_source(data)
    if source.kind == "url":
        source = Source("base64", data)
    if format_:
        source.media_type = _AUDIO_TYPES.get(format_, f"audio/{format_}")
    source.extra = audio.rest
    return Audio(source, read_cache(fields), fields.rest)


def _file(fields: Fields) -> Block:
    inner = fields.fields("file")
    if inner is None:  # the part of Responses is flat
        inner = fields
    name, file_id = inner.text("filename"), inner.text("file_id")
    data = inner.text("file_data") or inner.text("file_url")
    if file_id is not None:
        source = Source("file_id", file_id)
    elif data is None:
        raise missing(inner.at("file_data"))
    elif data.startswith(("data:", "http://", "https://")):
        source = read_source(data)
    else:
        source = Source("base64", data)
    if source.kind == "base64":
        source.media_type = media_type_of(name, source.media_type)
    if inner is not fields:
        source.extra = inner.rest
    return Document(source, name, cache=read_cache(fields), extra=fields.rest)


def _video(fields: Fields) -> Block:
    value = fields.take("video_url")
    if isinstance(value, str):
        return Video(read_source(value), read_cache(fields), fields.rest)
    video = Fields(value, fields.at("video_url"))
    source = read_source(video.required_text("url"))
    source.extra = video.rest
    return Video(source, read_cache(fields), fields.rest)


def _refusal(fields: Fields) -> Block:
    return Refusal(fields.required_text("refusal"), fields.rest)


def _anthropic_source(fields: Fields) -> Source:
    source = fields.fields("source")
    if source is None:
        raise missing(fields.at("source"))
    kind = source.required_text("type")
    media_type = normal_media_type(source.text("media_type") or "")
    if kind in ("base64", "text"):
        found = Source("base64" if kind == "base64" else "text", source.required_text("data"), media_type)
    elif kind == "url":
        found = Source("url", source.required_text("url"), media_type)
    elif kind == "file":
        found = Source("file_id", source.required_text("file_id"), media_type)
    else:
        raise wrong_value(source.at("type"), f"{kind!r} is not supported here.")
    found.extra = source.rest
    return found


def _anthropic_image(fields: Fields) -> Block:
    return Image(_anthropic_source(fields), cache=read_cache(fields), extra=fields.rest)


def _anthropic_document(fields: Fields) -> Block:
    source = _anthropic_source(fields)
    name, context = fields.text("title"), fields.text("context")
    return Document(source, name, context, cache=read_cache(fields), extra=fields.rest)


def _tool_use(fields: Fields) -> Block:
    return ToolCall(
        fields.required_text("id"),
        fields.required_text("name"),
        arguments_text(fields.take("input"), fields.at("input")),
        cache=read_cache(fields),
        extra=fields.rest,
    )


def _tool_result(fields: Fields) -> Block:
    content = fields.take("content")
    for index, part in enumerate(content if isinstance(content, list) else []):
        if isinstance(part, dict) and part.get("type") in ("tool_use", "tool_result"):
            raise wrong_value(f"{fields.at('content')}[{index}]", "a tool result holds no calls or results.")
    return ToolResult(
        fields.required_text("tool_use_id"),
        read_content(content, fields.at("content")),
        is_error=fields.boolean("is_error"),
        plain=isinstance(content, str),
        cache=read_cache(fields),
        extra=fields.rest,
    )


def _thinking(fields: Fields) -> Block | None:
    return read_thinking_block(fields.rest)


def _databricks_reasoning(fields: Fields) -> Block | None:
    return read_reasoning_part(fields.rest)


def read_reasoning_part(part: JsonObject) -> Block | None:
    """The reasoning in Databricks' own part, None when it holds nothing:
    `{"type": "reasoning", "summary": [{"type": "summary_text", "text", "signature"}]}`."""
    texts: list[str] = []
    signature = data = ""
    summary = part.get("summary")
    for entry in summary if isinstance(summary, list) else []:
        if isinstance(entry, dict):
            texts.append(_string(entry.get("text")))
            signature = _string(entry.get("signature")) or signature
            data = _string(entry.get("data")) or data
    return read_thinking_block({"thinking": "".join(texts), "signature": signature, "data": data})


def _string(value: Any) -> str:
    return value if isinstance(value, str) else ""


_READERS: dict[str, Callable[[Fields], Block | None]] = {
    "text": _text,
    "input_text": _text,
    "output_text": _text,
    "image_url": _image_url,
    "input_image": _image_url,
    "input_audio": _input_audio,
    "file": _file,
    "input_file": _file,
    "video_url": _video,
    "refusal": _refusal,
    "image": _anthropic_image,
    "document": _anthropic_document,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
    "thinking": _thinking,
    "redacted_thinking": _thinking,
    "reasoning": _databricks_reasoning,
}


def read_stop(value: object) -> list[str]:
    """The `stop` member: a string or an array of strings."""
    if value is None:
        return []
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        raise wrong_type("stop", "a string or an array of strings", value)
    return [text_at(item, f"stop[{index}]") for index, item in enumerate(value)]
