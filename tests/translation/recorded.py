"""The recorded answers of each format, and a choice of diverse ones for the matrix of pairs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.wire.recordings import FOLDER, PRESENT, Recorded, recorded_pairs

FORMATS = ("chat_completions", "responses", "messages", "converse", "generate_content", "invoke")
MOST = 25
_CHAT_STREAMS = (
    "calls-three-at-once",
    "refusal",
    "reasoning-two-blocks",
    "parallel-calls-interleaved",
    "reasoning-content",
)
_WIRE = Path(__file__).resolve().parents[1] / "wire"
_KIND = re.compile(rb'"type"\s*:\s*"([a-z_.]+)"')


@dataclass(frozen=True)
class Exchange:
    """One answer and the request that it answered, in a backend's format; `request` is None where only the answer
    was kept."""

    name: str
    format: str
    model: str
    streamed: bool
    body: bytes
    request: dict[str, Any] | None = None


@cache
def exchanges(format_name: str) -> tuple[Exchange, ...]:
    """Every whole and successful answer in `format_name`, recorded or made."""
    return tuple(sorted(_FINDERS[format_name](), key=lambda exchange: exchange.name))


@cache
def diverse(format_name: str) -> tuple[Exchange, ...]:
    """At most MOST exchanges that differ in what they hold, the smallest of each kind."""
    kinds: dict[tuple[Any, ...], Exchange] = {}
    for exchange in sorted(exchanges(format_name), key=lambda one: (len(one.body), one.name)):
        kinds.setdefault(_signature(exchange), exchange)
    streamed = [one for one in kinds.values() if one.streamed][: MOST // 2]
    whole = [one for one in kinds.values() if not one.streamed][: MOST - len(streamed)]
    return (*whole, *streamed)


def _signature(exchange: Exchange) -> tuple[Any, ...]:
    names = frozenset(_KIND.findall(exchange.body))
    keys = ("reasoningText", "redactedContent", "toolUse", "citationsContent", "functionCall", "thought", "refusal")
    present = tuple(key for key in keys if f'"{key}":'.encode() in exchange.body.replace(b" ", b""))
    cached = bool(re.search(rb'cache[A-Za-z_]*[tT]okens"\s*:\s*[1-9]', exchange.body))
    calls = min(2, exchange.body.count(b'"name"'))
    ends = frozenset(re.findall(rb'"(?:stop_?[rR]eason|finish_?[rR]eason|status)"\s*:\s*"([a-zA-Z_]+)"', exchange.body))
    return exchange.streamed, names, present, cached, calls, ends


def _openai(url_end: str, format_name: str) -> Iterator[Exchange]:
    for pair in recorded_pairs("pydantic-ai-cassettes", url_end):
        if pair.status == 200 and urlsplit(pair.url).path.endswith(url_end) and pair.request_body:
            request = pair.request_json
            yield Exchange(pair.name, format_name, request["model"], pair.streamed, pair.response_body, request)


def _chat_completions() -> Iterator[Exchange]:
    for exchange in _openai("/chat/completions", "chat_completions"):
        if b'"choices"' in exchange.body:
            yield exchange
    yield from _made("chat_completions", "gpt-4.1", _CHAT_STREAMS)


def _responses() -> Iterator[Exchange]:
    for exchange in _openai("/responses", "responses"):
        if b'"status": "queued"' not in exchange.body:  # a background run, whose answer is fetched elsewhere
            yield exchange
    yield from _made("responses", "gpt-5", ("incomplete", "interleaved", "refusal", "text"))


def _messages() -> Iterator[Exchange]:
    for folder in ("pydantic-ai-cassettes", "openllmetry-anthropic"):
        for pair in recorded_pairs(folder, "/v1/messages"):
            if pair.status == 200 and urlsplit(pair.url).path == "/v1/messages":
                request = pair.request_json
                yield Exchange(pair.name, "messages", request["model"], pair.streamed, pair.response_body, request)
    if PRESENT:
        for path in sorted((FOLDER / "anthropic-sdk-sse").glob("*.txt")):
            yield Exchange(f"sdk/{path.stem}", "messages", "claude-sonnet-4-5", True, path.read_bytes())


def _bedrock(url_part: str) -> Iterator[Recorded]:
    for folder in ("pydantic-ai-cassettes", "otel-botocore-bedrock", "openllmetry-bedrock"):
        for pair in recorded_pairs(folder, url_part):
            if pair.status == 200 and _is_whole(pair):
                yield pair


def _is_whole(pair: Recorded) -> bool:
    # Two cassettes hold a body that was cut short before it was recorded.
    try:
        return isinstance(pair.request_json, dict)
    except ValueError:
        return False


def _converse() -> Iterator[Exchange]:
    for pair in _bedrock("/converse"):
        yield Exchange(pair.name, "converse", _path_model(pair), pair.streamed, pair.response_body, pair.request_json)


def _invoke() -> Iterator[Exchange]:
    for pair in _bedrock("/invoke"):
        model = _path_model(pair)
        if "claude" in model and "anthropic_version" in pair.request_json:
            yield Exchange(pair.name, "invoke", model, pair.streamed, pair.response_body, pair.request_json)


def _path_model(pair: Recorded) -> str:
    return unquote(pair.url.split("/model/")[1].split("/")[0])


def _made(format_name: str, model: str, names: tuple[str, ...]) -> Iterator[Exchange]:
    for name in names:
        body = (_WIRE / "streams" / format_name / f"made-{name}.sse").read_bytes()
        yield Exchange(f"made-{name}", format_name, model, True, body)


def _generate_content() -> Iterator[Exchange]:
    for pair in recorded_pairs("pydantic-ai-cassettes", ":generateContent"):
        model = pair.url.split("/models/")[1].split(":")[0]
        yield Exchange(pair.name, "generate_content", model, False, pair.response_body, pair.request_json)
    for path in sorted((_WIRE / "responses" / "generate_content").glob("made-*.json")):
        yield Exchange(path.stem, "generate_content", "gemini-3-pro", False, path.read_bytes())
    for path in sorted((_WIRE / "streams" / "generate_content").glob("made-*.sse")):
        if path.stem not in ("made-error", "made-malformed-call"):
            yield Exchange(f"{path.stem}-stream", "generate_content", "gemini-3-pro", True, path.read_bytes())


_FINDERS = {
    "chat_completions": _chat_completions,
    "responses": _responses,
    "messages": _messages,
    "converse": _converse,
    "generate_content": _generate_content,
    "invoke": _invoke,
}
