"""Content parts of Responses items and neutral blocks, both ways.

https://platform.openai.com/docs/api-reference/responses/create#responses-create-input
"""

from __future__ import annotations

import re
from collections.abc import Callable

from core.conversation import (
    Audio,
    Block,
    CacheMark,
    Citation,
    Document,
    Image,
    JsonObject,
    Opaque,
    Refusal,
    Source,
    Text,
)
from core.formats.openai_files import file_name, media_type_of, suffix_of
from core.formats.responses import members

_DATA_URI = re.compile(r"data:(?P<type>[^;,]*)(?P<parameters>(?:;[^;,]*)*?);base64,", re.IGNORECASE)
_MEDIA_ALIASES = {"image/jpg": "image/jpeg"}

# Begins the kind of an Opaque that is a content part; without it, it is a whole item.
PART = "part:"

# What says no more of a text than that it is one, and all that has a neutral member.
_PLAIN_TEXT = frozenset({"type", "text", "annotations"})
_TEXT_MEMBERS = _PLAIN_TEXT | {"prompt_cache_breakpoint", "logprobs"}

_CACHE_LIFETIMES = {"5m": "30m", "1h": "12h"}


def read_content(owner: JsonObject, name: str, path: str, *, assistant: bool) -> tuple[list[Block], bool]:
    """The blocks of `owner[name]`, which is a string or a list of parts, and whether it was a string.

    Raises ClientFault for anything else.
    """
    value = owner.get(name)
    if isinstance(value, str):
        return [Text(value)], True
    parts = members.objects(owner, name, path)
    here = members.join(path, name)
    if parts is None:
        raise members.missing(here)
    return [read_part(part, f"{here}[{place}]", assistant) for place, part in enumerate(parts)], False


def read_part(part: JsonObject, path: str, assistant: bool) -> Block:
    """One content part. A kind that is not known is carried whole, as content."""
    kind = members.required_text(part, "type", path)
    reader = _READERS.get(kind)
    if reader is None:
        return Opaque("responses", PART + kind, part, content=True)
    block = reader(part, path)
    if isinstance(block, Text) and kind != ("output_text" if assistant else "input_text"):
        block.note = {"part": {**(block.note or {}).get("part", {}), "type": kind}}
    return block


def read_citation(annotation: JsonObject) -> Citation:
    """An annotation of an output text. Only URL citations have offsets; the others name a file."""
    url, title = annotation.get("url"), annotation.get("title", annotation.get("filename"))
    start, end = annotation.get("start_index"), annotation.get("end_index")
    return Citation(
        url=url if isinstance(url, str) else None,
        title=title if isinstance(title, str) else None,
        start=start if type(start) is int else None,
        end=end if type(end) is int else None,
        raw=annotation,
    )


def write_citation(citation: Citation, text_length: int, *, own: bool) -> JsonObject | None:
    """The annotation for `citation`, None when Responses has none for it (a citation without a URL).

    `own`: it came from a Responses backend and goes back as it was. `text_length` in characters.
    """
    if own and citation.raw:
        return citation.raw
    if citation.url is None:
        return None
    return {
        "type": "url_citation",
        "url": citation.url,
        "title": citation.title or "",
        "start_index": citation.start or 0,
        "end_index": text_length if citation.end is None else citation.end,
    }


def data_uri(source: Source) -> str:
    """The data URI of a base64 source, spelt as it came where it came as one."""
    if source.note is not None:
        return f"{source.note['prefix']}{source.data}"
    return f"data:{source.media_type or 'application/octet-stream'};base64,{source.data}"


def _text_type(assistant: bool) -> str:
    return "output_text" if assistant else "input_text"


def _read_text(part: JsonObject, path: str) -> Text:
    annotations = members.objects(part, "annotations", path) or []
    text = members.required_text(part, "text", path)
    if not annotations and part.keys() <= _PLAIN_TEXT:
        return Text(text)
    return Text(
        text,
        citations=[read_citation(annotation) for annotation in annotations],
        cache=_read_cache(part, path),
        extra=members.rest(part, _TEXT_MEMBERS),
        note={"part": {"logprobs": part["logprobs"]}} if part.get("logprobs") is not None else None,
    )


def _read_refusal(part: JsonObject, path: str) -> Refusal:
    return Refusal(
        members.required_text(part, "refusal", path), extra=members.rest(part, ("type", "refusal"))
    )


def _read_image(part: JsonObject, path: str) -> Image:
    url = members.text(part, "image_url", path)
    file_id = members.text(part, "file_id", path)
    if url is not None:
        source = _source_of_url(url, members.join(path, "image_url"))
    elif file_id is not None:
        source = Source("file_id", file_id)
    else:
        raise members.missing(members.join(path, "image_url"))
    return Image(
        source,
        detail=members.text(part, "detail", path),
        cache=_read_cache(part, path),
        extra=members.rest(part, ("type", "image_url", "file_id", "detail", "prompt_cache_breakpoint")),
    )


def _read_file(part: JsonObject, path: str) -> Document:
    name = members.text(part, "filename", path)
    data, url = members.text(part, "file_data", path), members.text(part, "file_url", path)
    file_id = members.text(part, "file_id", path)
    if data is not None:
        source = _source_of_file_data(data, name, members.join(path, "file_data"))
    elif url is not None:
        source = _source_of_url(url, members.join(path, "file_url"))
    elif file_id is not None:
        source = Source("file_id", file_id)
    else:
        raise members.missing(members.join(path, "file_data"))
    handled = ("type", "filename", "file_data", "file_url", "file_id", "prompt_cache_breakpoint")
    return Document(source, name=name, cache=_read_cache(part, path), extra=members.rest(part, handled))


def _read_audio(part: JsonObject, path: str) -> Audio:
    audio = members.json_object(part, "input_audio", path)
    if audio is None:
        raise members.missing(members.join(path, "input_audio"))
    here = members.join(path, "input_audio")
    media_type = f"audio/{members.required_text(audio, 'format', here)}"
    return Audio(
        Source("base64", members.required_text(audio, "data", here), media_type),
        extra=members.rest(part, ("type", "input_audio")),
    )


def _read_cache(part: JsonObject, path: str) -> CacheMark | None:
    mark = members.json_object(part, "prompt_cache_breakpoint", path)
    if mark is None:
        return None
    here = members.join(path, "prompt_cache_breakpoint")
    return CacheMark(members.text(mark, "ttl", here), extra=members.rest(mark, ("ttl",)))


def _source_of_url(url: str, path: str) -> Source:
    if url[:5].lower() != "data:":
        return Source("url", url)
    source = _source_of_data_uri(url)
    if source is None:
        raise members.invalid(path, f"Invalid '{path}': expected a base64-encoded data URL or an http(s) URL.")
    return source


def _source_of_data_uri(uri: str) -> Source | None:
    match = _DATA_URI.match(uri)
    if match is None:
        return None
    stated = match["type"].lower()
    media_type = _MEDIA_ALIASES.get(stated, stated)
    source = Source("base64", uri[match.end() :], media_type)
    if match[0] != f"data:{media_type};base64,":
        source.note = {"prefix": match[0]}
    return source


def _source_of_file_data(data: str, name: str | None, path: str) -> Source:
    """File data is a data URI, or bare base64 of a file whose name tells its type."""
    if data[:5].lower() != "data:":
        return Source("base64", data, media_type_of(name), note={"prefix": ""})
    source = _source_of_url(data, path)
    stated, source.media_type = source.media_type, media_type_of(name, source.media_type)
    if source.media_type != stated and source.note is None:
        source.note = {"prefix": f"data:{stated};base64,"}
    return source


_READERS: dict[str, Callable[[JsonObject, str], Block]] = {
    "input_text": _read_text,
    "output_text": _read_text,
    "text": _read_text,
    "refusal": _read_refusal,
    "input_image": _read_image,
    "input_file": _read_file,
    "input_audio": _read_audio,
}


def write_text(block: Text, *, assistant: bool, own: bool) -> JsonObject:
    """An `input_text` or `output_text` part. `own`: the block came from this format."""
    part: JsonObject = {"type": _text_type(assistant), "text": block.text}
    if assistant:
        written = (write_citation(citation, len(block.text), own=own) for citation in block.citations)
        part["annotations"] = [annotation for annotation in written if annotation is not None]
    if own:
        part.update(block.extra)
        part.update((block.note or {}).get("part", {}))
    if not assistant:
        add_cache(part, block.cache)
    return part


def write_refusal(block: Refusal, *, own: bool) -> JsonObject:
    return {"type": "refusal", "refusal": block.text, **(block.extra if own else {})}


def write_image(block: Image, *, own: bool) -> JsonObject:
    """An `input_image` part. `detail` is optional on the wire but required by strict servers, so an image from
    another format is given OpenAI's default."""
    part: JsonObject = {"type": "input_image"}
    if block.source.kind == "file_id":
        part["file_id"] = block.source.data
    else:
        part["image_url"] = data_uri(block.source) if block.source.kind == "base64" else block.source.data
    if block.detail is not None or not own:
        part["detail"] = block.detail or "auto"
    return _with_extra(part, block.extra, block.cache, own)


def write_file(block: Document, *, own: bool) -> JsonObject:
    """An `input_file` part for a document whose source is bytes, a URL or a file id."""
    source = block.source
    part: JsonObject = {"type": "input_file"}
    if source.kind == "base64":
        part["file_data"] = data_uri(source)
    else:
        part["file_id" if source.kind == "file_id" else "file_url"] = source.data
    if source.kind == "base64" and not own:
        part["filename"] = file_name(block.name, suffix_of(source.media_type), "bin")
    elif block.name is not None:
        part["filename"] = block.name
    return _with_extra(part, block.extra, block.cache, own)


def write_audio(block: Audio, *, own: bool) -> JsonObject:
    audio = {"data": block.source.data, "format": block.source.media_type.removeprefix("audio/")}
    return _with_extra({"type": "input_audio", "input_audio": audio}, block.extra, block.cache, own)


def _with_extra(part: JsonObject, extra: JsonObject, cache: CacheMark | None, own: bool) -> JsonObject:
    if own:
        part.update(extra)
    add_cache(part, cache)
    return part


def add_cache(part: JsonObject, cache: CacheMark | None) -> None:
    """Puts a cache breakpoint on an input part. Lifetimes of other formats become the next longer of OpenAI's."""
    if cache is None:
        return
    mark: JsonObject = {"mode": "explicit"}
    if "mode" in cache.extra:
        mark = dict(cache.extra)
    if cache.ttl is not None:
        mark["ttl"] = _CACHE_LIFETIMES.get(cache.ttl, cache.ttl)
    part["prompt_cache_breakpoint"] = mark
