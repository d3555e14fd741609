"""Gemini's streams: decoded at every cut, encoded for clients, both ways the same."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.conversation import Answer, Citation, Origin, Reasoning, Refusal, Text, ToolCall
from core.errors import UpstreamFault
from core.events import Event, Failed, Finished, PartEnded, Started, answer_of, events_of
from core.formats.generate_content import StreamDecoder, StreamEncoder, read_response
from core.formats.generate_content.response import joined as joined_blocks
from tests.core.formats.generate_content_cases import reply, target_of
from tests.core.formats.test_generate_content_response import FOREIGN
from tests.wire.fixtures import fixture, fixture_parameters
from tests.wire.stream_checks import (
    assert_same_at_every_cut,
    assert_truncations_fail,
    assert_well_formed,
    decode,
)

SIGNATURE = "CoYBAdHtims="
GOOGLE = Origin("google")
STREAMS = fixture_parameters("streams", "generate_content", ".sse")


def decoder() -> StreamDecoder:
    made: StreamDecoder = StreamDecoder(target_of(stream=True))
    return made


def decoded(name: str) -> list[Event]:
    return decode(decoder(), [fixture("streams", f"generate_content/made-{name}.sse")])


def blocks(name: str) -> list[Any]:
    return [event.block for event in decoded(name) if isinstance(event, PartEnded)]


@pytest.mark.parametrize("data", STREAMS)
def test_every_cut_gives_the_same(data: bytes) -> None:
    assert_well_formed(decode(decoder(), [data]))
    assert_same_at_every_cut(decoder, data)
    assert_truncations_fail(decoder, data, b'"finishReason":"STOP"')


def test_thoughts_text_and_calls() -> None:
    thought, text, paris, rome, now, signed = blocks("thoughts-and-calls")
    assert thought == Reasoning(["Both cities."], "summary", origin=GOOGLE)
    assert text == Text("I look.", origin=GOOGLE)
    assert (paris.name, paris.arguments, paris.signature) == ("weather", '{"city": "Paris"}', SIGNATURE)
    assert rome.signature is None and rome.id != paris.id
    assert now == ToolCall("own", "now")
    assert signed == Text("", signature=SIGNATURE, origin=GOOGLE)
    last = decoded("thoughts-and-calls")[-1]
    assert isinstance(last, Finished)
    assert last.stop.reason == "tool_use"
    assert last.usage.output_tokens == 50
    assert last.extra == {"safetyRatings": [{"category": "HARM_CATEGORY_HARASSMENT", "probability": "NEGLIGIBLE"}]}


def test_a_signature_ends_its_text_and_usage_may_follow_the_end() -> None:
    assert blocks("signed-text") == [Text("a", signature=SIGNATURE, origin=GOOGLE), Text("b", origin=GOOGLE)]
    last = decoded("signed-text")[-1]
    assert isinstance(last, Finished) and last.usage.output_tokens == 50


def test_citations_and_the_vendors_own_tools() -> None:
    assert blocks("grounded")[0].citations == [Citation("https://a.example", "A", "Größe", 0, 5)]
    assert [type(block).__name__ for block in blocks("code-and-image")] == [
        "ServerToolCall",
        "ServerToolResult",
        "Image",
        "Text",
    ]


def test_a_blocked_prompt_ends_the_stream() -> None:
    first, last = decoded("blocked")
    assert isinstance(first, Started)
    assert isinstance(last, Finished) and last.stop.raw == "SAFETY"


def test_errors_in_the_stream() -> None:
    for name, kind in (("error", "overloaded"), ("malformed-call", "upstream")):
        last = decoded(name)[-1]
        assert isinstance(last, Failed) and last.error.kind == kind


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"data: nonsense\n\n",
        b"data: [5]\n\n",
        b'data: {"candidates":[{"content":{"parts":[{"text":5}]}}]}\n\n',
        b'data: {"candidates":[{"content":{"parts":[{"text":"a"}]}}]}\n\n',
        b'data: {"candidates":[{"finishReason":"STOP"}]}\n\ndata: {"error":{"code":500,"message":"late"}}\n\n',
    ],
)
def test_broken_streams_fail(data: bytes) -> None:
    stream = decoder()
    events = stream.feed(data) + stream.close()
    assert isinstance(events[-1], Failed)
    assert sum(isinstance(event, Failed) for event in events) == 1
    assert stream.feed(data) == []
    assert stream.close() == []


def test_nothing_comes_after_the_end() -> None:
    stream = decoder()
    whole = fixture("streams", "generate_content/made-text.sse")
    assert isinstance(stream.feed(whole + whole)[-1], Finished)
    assert stream.feed(whole) == [] and stream.close() == []


def test_foreign_state_from_another_gateway_is_opened() -> None:
    """A backend may be a gateway of this kind itself: what it sealed comes out as it went in."""
    encrypted = Reasoning(["a"], "summary", encrypted="e", id="r", origin=Origin("openai"))
    signed = Reasoning(["b"], signature="EqoB", origin=Origin("anthropic"))
    encoder = StreamEncoder(reply())
    source = Answer("1", "m", [encrypted, signed, Text("c")], FOREIGN.stop, FOREIGN.usage)
    data = b"".join(encoder.emit(event) for event in events_of(source))
    found = [event.block for event in decode(decoder(), [data]) if isinstance(event, PartEnded)]
    assert encrypted in found and any(isinstance(block, Reasoning) and block.signature == "EqoB" for block in found)


def test_a_stream_says_what_the_whole_answer_says() -> None:
    encoder = StreamEncoder(reply())
    data = b"".join(encoder.emit(event) for event in events_of(FOREIGN)) + encoder.close()
    chunks = [json.loads(line.removeprefix("data: ")) for line in data.decode().split("\n\n") if line]
    assert {chunk["responseId"] for chunk in chunks} == {"msg_1"}
    last = chunks[-1]["candidates"][0]
    assert last["groundingMetadata"]["groundingChunks"] == [{"web": {"uri": "https://a"}}]
    texts = [part for chunk in chunks for part in chunk["candidates"][0]["content"]["parts"]]
    assert "".join(part["text"] for part in texts if "text" in part and not part.get("thought")) == "Hellono"


def test_pieces_of_a_summary_are_apart() -> None:
    encoder = StreamEncoder(reply())
    source = Answer("", "m", [Reasoning(["a", "b"], origin=Origin("x")), Refusal("no")])
    data = b"".join(encoder.emit(event) for event in events_of(source)).decode()
    assert '"text":"a","thought":true' in data
    assert '"text":"\\n\\nb","thought":true' in data
    assert f'"responseId":"resp_{"x" * 20}"' in data


@pytest.mark.parametrize("data", STREAMS)
def test_what_is_encoded_is_decoded_again(data: bytes) -> None:
    events = decode(decoder(), [data])
    try:
        answer = answer_of(events)
    except UpstreamFault as fault:
        assert b'"error"' in StreamEncoder(reply()).emit(Failed(fault))
        return
    encoder = StreamEncoder(reply())
    again = b"".join(encoder.emit(event) for event in events) + encoder.close()
    there = answer_of(decode(decoder(), [again]))
    assert [type(block) for block in there.content] == [type(block) for block in answer.content]
    assert there.stop.reason == answer.stop.reason
    assert there.usage.total_tokens == answer.usage.total_tokens


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "a", "STOP", "SAFETY"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *["candidates", "content", "parts", "text", "thought", "functionCall", "name", "finishReason"],
                    *["usageMetadata", "promptFeedback", "blockReason", "groundingMetadata", "groundingChunks"],
                    *["error", "details"],
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None)
@given(chunks=st.lists(JSON, max_size=3), parts=JSON)
def test_a_decoder_never_raises(chunks: list[Any], parts: Any) -> None:
    body = {"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]}
    data = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in [*chunks, body])
    assert_well_formed(decode(decoder(), [data]))
    with suppress(UpstreamFault):
        read_response(body, target_of())


def test_neighbours_are_joined() -> None:
    assert joined_blocks([Reasoning(["a"]), Reasoning(["b"], signature="s"), Reasoning(["c"])]) == [
        Reasoning(["ab"], signature="s"),
        Reasoning(["c"]),
    ]
    assert joined_blocks([Text(""), Reasoning(), Reasoning(signature="s")]) == [Reasoning(signature="s")]
