"""The translation matrix: what each row of the format specification means for a request, an answer, a stream or an
error, as data in `matrix/`. All of it is made by hand, expected values too.

requests/<client format>/<case>.json   `request` (with `headers`), and per target ("<format> <model> [<backend type>]")
                                       the members of the body, its headers, the warnings, or the refused member
answers/<backend format>/<case>.json   `answer` or `stream`, and per client what its official SDK reads of it
                                       (`reading`), members of the body, and text that stands in the bytes or not
errors/<backend format>/<case>.json    `status`, `headers`, `body`, and per client what it is told

A member whose expected value is null is absent.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from core.conversation import Conversation
from core.errors import GatewayError
from core.formats import load_format, load_wire
from core.formats.contract import Call, Reply, Target
from core.framing.eventstream import encode
from core.models.resolve import facts_for
from core.translated import TranslationPipe
from core.translation.pipeline import Translated, translate_request
from tests.translation.judges import JUDGES

_ROOT = Path(__file__).parent / "matrix"
_PROVIDERS = {
    "messages": "anthropic",
    "converse": "bedrock",
    "invoke": "bedrock",
    "chat_completions": "openai",
    "responses": "openai",
    "generate_content": "gemini",
}
_ASKS: dict[str, dict[str, Any]] = {
    "messages": {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "x"}]},
    "converse": {"messages": [{"role": "user", "content": [{"text": "x"}]}]},
    "chat_completions": {
        "model": "m",
        "messages": [{"role": "user", "content": "x"}],
        "stream_options": {"include_usage": True},
    },
    "responses": {"model": "m", "input": "x", "store": False},
    "generate_content": {"contents": [{"role": "user", "parts": [{"text": "x"}]}]},
}


def _cases(kind: str) -> list[Any]:
    """One parameter per case and expectation: its own format, the name of the other side, and the two values."""
    parameters = []
    for path in sorted((_ROOT / kind).glob("*/*.json")):
        case = json.loads(path.read_text(encoding="utf-8"))
        for other, expected in case["expect"].items():
            name = f"{path.parent.name}-{path.stem}-{other}"
            parameters.append(pytest.param(path.parent.name, other, case, expected, id=name))
    assert parameters or kind
    return parameters


def _target(words: str, *, stream: bool = False) -> tuple[str, Target]:
    format_name, model, *provider = words.split()
    where = provider[0] if provider else _PROVIDERS[format_name]
    return format_name, Target(model, "b", where, facts_for(model), stream)


def _translated(
    client: str, case: dict[str, Any], words: str, *, stream: bool = False
) -> tuple[Conversation, Target, Translated]:
    asked = case.get("requests", {}).get(client) or case.get("request") or _ASKS[client]
    call = Call(asked.get("model", "m"), stream, case.get("headers", {}) if "request" in case else {})
    conversation = load_format(client).read_request(asked, call)
    format_name, target = _target(words, stream=stream)
    return conversation, target, translate_request(conversation, format_name, target)


def _assert_members(actual: dict[str, Any], expected: dict[str, Any]) -> None:
    assert {name: actual.get(name) for name in expected} == expected


@pytest.mark.parametrize(("client", "words", "case", "expected"), _cases("requests"))
def test_requests(client: str, words: str, case: dict[str, Any], expected: dict[str, Any]) -> None:
    if "refused" in expected:
        with pytest.raises(GatewayError) as refused:
            _translated(client, case, words)
        assert (refused.value.status, refused.value.param) == (400, expected["refused"])
        return
    _, _, translated = _translated(client, case, words)
    written = translated.written
    _assert_members(json.loads(json.dumps(written.body)), expected.get("body", {}))
    _assert_members(written.headers, expected.get("headers", {}))
    if "dropped" in expected:
        assert sorted({item.path for item in written.dropped}) == sorted(expected["dropped"])


def _stream_bytes(format_name: str, events: list[Any]) -> bytes:
    """Events as their format frames them: [type, payload] for Converse, data lines with `event:` where a type is."""
    if format_name == "converse":
        return b"".join(_frame(kind, payload) for kind, payload in events)
    frames = []
    for event in events:
        named = format_name in ("messages", "responses") and isinstance(event, dict)
        data = event if isinstance(event, str) else json.dumps(event)
        frames.append((f"event: {event['type']}\n" if named else "") + f"data: {data}\n\n")
    return "".join(frames).encode()


def _frame(kind: str, payload: Any) -> bytes:
    sort = "exception" if kind.endswith("Exception") else "event"
    headers = {f":{sort}-type": kind, ":content-type": "application/json", ":message-type": sort}
    return encode(headers, json.dumps(payload).encode())


@pytest.mark.parametrize(("backend", "client", "case", "expected"), _cases("answers"))
def test_answers(backend: str, client: str, case: dict[str, Any], expected: dict[str, Any]) -> None:
    streamed = "stream" in case
    words = f"{backend} {case['model']}"
    conversation, target, translated = _translated(client, case, words, stream=streamed)
    reply = Reply(conversation.model, "S" * 20, 1_700_000_000, conversation, "req_1")
    if streamed:
        decoder = load_format(backend).StreamDecoder(target)
        pipe = TranslationPipe(decoder, translated.restore, load_format(client).StreamEncoder(reply))
        data = pipe.feed(_stream_bytes(backend, case["stream"]))
        data += b"" if pipe.finished else pipe.close()
        if "error" in expected:
            assert pipe.error is not None and pipe.error.kind == expected["error"]
    else:
        answer = translated.restore.answer(load_format(backend).read_response(case["answer"], target))
        body = load_format(client).write_response(answer, reply)
        _assert_members(body, expected.get("body", {}))
        data = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    if "reading" in expected:
        judge = JUDGES[client]
        reading = asdict((judge.stream if streamed else judge.whole)(data, True))
        _assert_members(json.loads(json.dumps(reading)), expected["reading"])
    for text in expected.get("contains", []):
        assert text.encode() in data
    for text in expected.get("lacks", []):
        assert text.encode() not in data


@pytest.mark.parametrize(("backend", "client", "case", "expected"), _cases("errors"))
def test_errors(backend: str, client: str, case: dict[str, Any], expected: dict[str, Any]) -> None:
    body = case["body"] if isinstance(case["body"], str) else json.dumps(case["body"])
    fault = load_wire(backend).read_error(case["status"], case.get("headers", {}), body.encode())
    assert fault.retryable is case["retryable"]
    told = load_wire(client).write_error(fault, "req_1")
    assert told.status == expected["status"]
    _assert_members(json.loads(told.body), expected["body"])
    headers = dict(told.headers)
    _assert_members(headers, expected.get("headers", {}))
