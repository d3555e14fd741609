"""Whole answers of generateContent, both ways. https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable
from hashlib import sha256

from core.conversation import (
    Answer,
    Audio,
    Block,
    Citation,
    Document,
    Image,
    JsonObject,
    Opaque,
    Reasoning,
    Refusal,
    ServerToolCall,
    ServerToolResult,
    Text,
    ToolCall,
    Video,
)
from core.errors import ClientFault, UpstreamFault, upstream_fault
from core.formats.contract import Reply, Target
from core.formats.generate_content.parts import MINTED, read_part, write_call, write_media, write_reasoning
from core.formats.generate_content.signatures import GOOGLE
from core.formats.generate_content.usage import read_block, read_stop, read_usage, write_stop, write_usage
from core.formats.generate_content.wire import candidate_parts, chunk_error, first_candidate
from core.slotted import replace
from core.stop import Stop


def read_response(body: JsonObject, target: Target) -> Answer:
    """The answer in a backend's body.

    Raises UpstreamFault for an answer that is none: an error object, no candidate, a malformed function call.
    """
    fault = chunk_error(body)
    if fault is not None:
        raise fault
    candidate = first_candidate(body)
    response_id = text_of(body.get("responseId"))
    blocks = joined(read_parts(candidate_parts(body), id_source(response_id, body)))
    calls = any(isinstance(block, ToolCall) for block in blocks)
    stop = read_stop(candidate, has_calls=calls) or read_block(body)
    if stop is None or stop.reason == "error":
        raise broken_answer(stop)
    add_citations(blocks, candidate)
    return Answer(
        response_id,
        text_of(body.get("modelVersion")) or target.model,
        blocks,
        stop,
        read_usage(body.get("usageMetadata")),
        format="generate_content",
        extra=extra_of(candidate),
    )


def broken_answer(stop: Stop | None) -> UpstreamFault:
    """The fault of an answer that ended without a proper finish reason."""
    if stop is None:
        return upstream_fault("upstream", "The model's answer has no finish reason.", 502)
    because = f": {stop.explanation}" if stop.explanation else "."
    return upstream_fault("upstream", f"The model ended its answer with {stop.raw}{because}", 502)


def id_source(response_id: str, answer: JsonObject) -> Callable[[], str]:
    """Ids for calls that came without one: no two alike, in this answer or in another of the conversation. An answer
    without an id of its own is told by its (first chunk's) content, in which the count of the prompt's tokens grows:
    clients drop calls whose id they have seen."""
    digest = sha256((response_id or json.dumps(answer)).encode("utf-8", "replace")).hexdigest()[:12]
    numbers = itertools.count(1)
    return lambda: f"{MINTED}{digest}_{next(numbers)}"


def read_parts(parts: Iterable[JsonObject], mint: Callable[[], str]) -> list[Block]:
    """The blocks of a backend's parts. Raises UpstreamFault where a part is broken."""
    try:
        blocks = [block for part in parts for block in read_part(part, "parts", mint)]
    except ClientFault as fault:
        raise upstream_fault("upstream", f"The backend's answer is broken. {fault.message}", 502) from fault
    for block in blocks:
        if isinstance(block, Text):
            # Whether a text is signed is known at its end only.
            block.origin = GOOGLE
    return blocks


def joined(blocks: list[Block]) -> list[Block]:
    """Neighbouring pieces of text, or of thought, as one block. A signature ends its block; one on an empty
    piece belongs to the block before it."""
    result: list[Block] = []
    for block in blocks:
        last = result[-1] if result else None
        if isinstance(block, Text) and isinstance(last, Text) and not last.signature:
            last.text += block.text
            last.signature = block.signature
        elif isinstance(block, Reasoning) and isinstance(last, Reasoning) and not last.signature:
            last.texts = ["".join([*last.texts, *block.texts])] if last.texts or block.texts else []
            last.signature = block.signature
        elif not (isinstance(block, Text) and not block.text and not block.signature):
            result.append(block)
    return result


def add_citations(blocks: list[Block], candidate: JsonObject) -> None:
    """Puts the sources of a grounded answer on its first text; the segments count bytes of UTF-8."""
    first = next((block for block in blocks if isinstance(block, Text)), None)
    if first is not None:
        first.citations.extend(citations_of(candidate, first.text))


def citations_of(candidate: JsonObject, text: str) -> list[Citation]:
    """The citations in `groundingMetadata` and `citationMetadata`, their places as characters of `text`."""
    encoded = text.encode("utf-8", "replace")
    found = _recited(candidate.get("citationMetadata"), encoded)
    grounding = candidate.get("groundingMetadata")
    if not isinstance(grounding, dict):
        return found
    chunks = _objects(grounding.get("groundingChunks"))
    for support in _objects(grounding.get("groundingSupports")):
        segment = support.get("segment")
        segment = segment if isinstance(segment, dict) else {}
        indices = support.get("groundingChunkIndices")
        for index in indices if isinstance(indices, list) else []:
            if isinstance(index, int) and 0 <= index < len(chunks):
                found.append(_citation(chunks[index], segment, encoded))
    return found


def _recited(metadata: object, encoded: bytes) -> list[Citation]:
    """The sources that the answer repeats; Vertex calls the list `citations`.

    https://ai.google.dev/api/generate-content#citationmetadata
    """
    if not isinstance(metadata, dict):
        return []
    sources = _objects(metadata.get("citationSources")) or _objects(metadata.get("citations"))
    return [
        Citation(
            url=text_of(source.get("uri")) or None, title=text_of(source.get("title")) or None,
            start=_characters(encoded, source.get("startIndex", 0)), end=_characters(encoded, source.get("endIndex")),
        )
        for source in sources
        if source.get("uri")
    ]  # fmt: skip


def _citation(chunk: JsonObject, segment: JsonObject, encoded: bytes) -> Citation:
    source = chunk.get("web") or chunk.get("retrievedContext")
    source = source if isinstance(source, dict) else {}
    return Citation(
        url=text_of(source.get("uri")) or None,
        title=text_of(source.get("title")) or None,
        cited_text=text_of(segment.get("text")) or None,
        start=_characters(encoded, segment.get("startIndex", 0)),
        end=_characters(encoded, segment.get("endIndex")),
    )


def _characters(encoded: bytes, place: object) -> int | None:
    if not isinstance(place, int) or isinstance(place, bool) or place < 0:
        return None
    return len(encoded[:place].decode("utf-8", "ignore"))


def extra_of(candidate: JsonObject) -> JsonObject:
    """What a candidate says that has no neutral member."""
    names = ("safetyRatings", "citationMetadata", "groundingMetadata", "avgLogprobs", "logprobsResult")
    return {name: candidate[name] for name in names if candidate.get(name)}


def _objects(value: object) -> list[JsonObject]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def text_of(value: object) -> str:
    """The string, "" for anything else."""
    return value if isinstance(value, str) else ""


# --- writing ---------------------------------------------------------------------------------------------


def write_response(answer: Answer, reply: Reply) -> JsonObject:
    """The body that a Gemini client gets for `answer`."""
    own = answer.format == "generate_content"
    parts = [part for block in answer.content for part in write_part(block, own=own)]
    candidate: JsonObject = {"content": {"role": "model", "parts": parts}}
    candidate.update(write_stop(answer.stop, own=own))
    candidate["index"] = 0
    candidate.update(answer.extra if own else grounding_of(answer.content))
    return {
        "candidates": [candidate],
        "usageMetadata": write_usage(answer.usage),
        "modelVersion": reply.model,
        "responseId": answer.id or f"resp_{reply.id_suffix}",
    }


def write_part(block: Block, *, own: bool) -> list[JsonObject]:
    """The parts of one block of an answer; none for what another vendor's own tool did."""
    match block:
        case Text():
            signature = {"thoughtSignature": block.signature} if block.signature else {}
            return [{"text": block.text, **signature, **(block.extra if own else {})}]
        case Reasoning():
            return [write_reasoning(block)]
        case ToolCall():
            return [write_call(replace(block, id=_shown_id(block)), own=own)]
        case Refusal():
            return [{"text": block.text}]
        case Image() | Document() | Audio() | Video() if block.source.kind in ("base64", "url"):
            return [write_media(block)]
        case ServerToolCall() | ServerToolResult() | Opaque() if block.format == "generate_content":
            return [block.raw]
        case _:
            return []


def _shown_id(call: ToolCall) -> str:
    """Clients pair parallel calls with their results by id, so a minted one is shown as well."""
    return call.id.replace(MINTED, "call_", 1)


def grounding_of(blocks: Iterable[Block]) -> JsonObject:
    """`groundingMetadata` with the citations that have an address; nothing where there are none. The segments count
    bytes of the whole answer's text, which is what clients apply them to: a stream has no parts to count in.

    https://ai.google.dev/gemini-api/docs/google-search
    """
    chunks: dict[tuple[str, str | None], int] = {}
    supports: list[JsonObject] = []
    begin = 0
    for block in blocks:
        if not isinstance(block, Text):
            continue
        for citation in block.citations:
            if citation.url:
                place = chunks.setdefault((citation.url, citation.title), len(chunks))
                segment = _segment(block.text, begin, citation)
                if supports and supports[-1]["segment"] == segment:
                    supports[-1]["groundingChunkIndices"].append(place)
                else:
                    supports.append({"segment": segment, "groundingChunkIndices": [place]})
        begin += _length(block.text)
    if not supports:
        return {}
    web = [{"web": {"uri": uri, **({"title": title} if title else {})}} for uri, title in chunks]
    return {"groundingMetadata": {"groundingChunks": web, "groundingSupports": supports}}


def _segment(text: str, begin: int, citation: Citation) -> JsonObject:
    start, end = citation.start or 0, citation.end or len(text)
    first = begin + _length(text[:start])
    return {"startIndex": first, "endIndex": first + _length(text[start:end]), "text": text[start:end]}


def _length(text: str) -> int:
    """In bytes of UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
