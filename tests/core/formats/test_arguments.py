"""The arguments of a tool's call, between the formats that have them as text and those that have an object."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.formats.arguments import compact_text, read_arguments, spaced_text
from core.http import Request
from core.json_edit import Exact, dump, load, read_object, with_numbers
from tests.gateways import body_of
from tests.scripted import Play
from tests.translation.pairs import bench_of, request_of

NUMBERS = [
    "1.50", "1e5", "-0", "-0.0", "0.10", "12345678901234567890123", "3.14159265358979323846264338327950288",
    "1E-7", "-1.0e+2",
]  # fmt: skip
TEXTS = [f'{{"a":{number},"b":[{number},{{"c":{number}}}]}}' for number in NUMBERS]


@pytest.mark.parametrize("text", TEXTS)
def test_numbers_keep_their_digits_from_text_to_object(text: str) -> None:
    assert dump(read_arguments(text)).decode() == text


@pytest.mark.parametrize("text", [text for text in TEXTS if "-0," not in text])
def test_numbers_keep_their_digits_from_object_to_text(text: str) -> None:
    assert compact_text(load(text)) == text
    assert compact_text(read_object(text.encode()).values) == text
    assert spaced_text(load(f" {text}\n")).replace(" ", "") == text


def test_a_number_of_many_digits_is_a_float_to_everybody_else() -> None:
    value = load("0.30")
    assert isinstance(value, Exact) and value == 0.3 and json.dumps(value) == "0.3"
    assert type(load("0.3")) is float


NO_OBJECTS = [
    "[1]", '"x"', "7", "{", '{"a": 1}}', '{"a": 1e999}', '{"a": NaN}', "[" * 100_000, '{"a":' + "1" * 5_000 + "}",
]  # fmt: skip


@pytest.mark.parametrize("text", NO_OBJECTS)
def test_what_is_no_object_is_wrapped(text: str) -> None:
    assert read_arguments(text) == {"_raw": text}


@pytest.mark.parametrize("text", [' \n{"a": 1}', '{"a": 1}\n ', '\t{"a": 1} '])
def test_blanks_around_an_object_are_nothing(text: str) -> None:
    assert read_arguments(text) == {"a": 1}


@pytest.mark.parametrize("text", ["", " \n"])
def test_no_arguments_are_an_empty_object(text: str) -> None:
    assert read_arguments(text) == {}


def test_a_text_that_looks_like_a_mark_is_left_alone() -> None:
    body = {"a": "\x00number:x", "b": "see \x00number:1.50"}
    assert json.loads(dump(body)) == body
    assert with_numbers("plain") == "plain"


def test_half_a_surrogate_beside_a_number() -> None:
    assert dump({"t": "\ud800", **read_arguments('{"a":1.50}')}) == b'{"t":"\\ud800","a":1.50}'


_NUMBER = st.floats(allow_nan=False, allow_infinity=False) | st.integers()


@given(st.dictionaries(st.text(), st.recursive(_NUMBER, st.lists)))
def test_any_object_comes_back(value: Any) -> None:
    text = json.dumps(value)
    assert json.loads(dump(read_arguments(text))) == value
    assert json.loads(compact_text(load(text))) == value


ARGUMENTS = '{"price":1.50,"count":12345678901234567890,"rate":1e-7,"half":0.5}'
HISTORY: dict[str, dict[str, Any]] = {
    "chat_completions": {
        "model": "m",
        "messages": [
            {"role": "user", "content": "x"},
            {
                "role": "assistant",
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": ARGUMENTS}}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "r"},
        ],
    },
    "messages": {
        "model": "m",
        "max_tokens": 9,
        "messages": [
            {"role": "user", "content": "x"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "f", "input": "ARGUMENTS"}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "r"}]},
        ],
    },
}
BACKENDS = ("chat_completions", "responses", "messages", "converse", "generate_content")
PAIRS = [(client, backend) for client in HISTORY for backend in BACKENDS if client != backend]


@pytest.mark.parametrize(("client", "backend"), PAIRS)
async def test_numbers_of_the_history_reach_the_backend(client: str, backend: str) -> None:
    bench = bench_of(backend, Play(status=500, headers={}, chunks=[b"{}"]))
    path, body = request_of(client, False, HISTORY[client])
    body = body.replace(b'"ARGUMENTS"', ARGUMENTS.encode())
    await body_of(await bench.gateway.handle(Request("POST", path, "", {}, body)))
    sent = bench.transport.requests[0].body.decode().replace('\\"', '"').replace(": ", ":").replace(", ", ",")
    assert ARGUMENTS in sent


GIVEN: dict[str, dict[str, Any]] = {
    "messages": {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "c", "stop_reason": "tool_use",
        "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": "ARGUMENTS"}],
        "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1},
    },
    "generate_content": {
        "candidates": [
            {"content": {"role": "model", "parts": [{"functionCall": {"name": "f", "args": "ARGUMENTS"}}]},
             "finishReason": "STOP"},
        ],
    },
    "chat_completions": {
        "id": "c", "object": "chat.completion", "created": 1, "model": "g", "choices": [
            {"index": 0, "finish_reason": "tool_calls", "message": {
                "role": "assistant", "content": None,
                "tool_calls": [{"id": "t1", "type": "function", "function": {"name": "f", "arguments": ARGUMENTS}}],
            }},
        ],
    },
}  # fmt: skip
ANSWERS = [(client, backend) for backend in GIVEN for client in BACKENDS if client != backend]


@pytest.mark.parametrize(("client", "backend"), ANSWERS)
async def test_numbers_of_an_answer_reach_the_client(client: str, backend: str) -> None:
    answer = json.dumps(GIVEN[backend]).replace('"ARGUMENTS"', ARGUMENTS)
    bench = bench_of(backend, Play(headers={"content-type": "application/json"}, chunks=[answer.encode()]))
    path, body = request_of(client, False)
    told = (await body_of(await bench.gateway.handle(Request("POST", path, "", {}, body)))).decode()
    assert ARGUMENTS in told.replace('\\"', '"').replace(": ", ":").replace(", ", ",")
