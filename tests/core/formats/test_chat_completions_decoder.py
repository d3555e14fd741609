"""Chat Completions streams of many servers, each quirk a fixture with the events that it must give."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from core.events import Failed, Finished, answer_of
from core.formats.chat_completions.stream_decoder import StreamDecoder
from core.formats.chat_completions.wire import StreamObserver
from core.framing.sse import FrameBuffer
from tests.core.formats.chat_completions_cases import plain_events, target
from tests.wire.recordings import Recorded, parameters, recorded_pairs
from tests.wire.stream_checks import (
    assert_same_at_every_cut,
    assert_truncations_fail,
    assert_well_formed,
    decode,
    joined,
)

FOLDER = Path(__file__).parents[2] / "wire" / "streams" / "chat_completions"
STREAMS = sorted(FOLDER.glob("made-*.sse"))
RECORDED = [pair for pair in recorded_pairs("pydantic-ai-cassettes", "chat/completions") if pair.streamed]


def decoder() -> StreamDecoder:
    return StreamDecoder(target(vendor="deepseek"))


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.stem)
def test_made_streams(path: Path) -> None:
    data = path.read_bytes()
    events = decode(decoder(), [data])
    assert_well_formed(events)
    golden = path.with_suffix(".json")
    found = plain_events(joined(events))
    if os.environ.get("WRITE_GOLDEN"):
        golden.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    assert found == json.loads(golden.read_text())
    assert isinstance(events[-1], Failed) is path.stem.startswith("made-fails-")


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.stem)
def test_made_streams_at_every_cut(path: Path) -> None:
    assert_same_at_every_cut(decoder, path.read_bytes())


@pytest.mark.parametrize("path", [path for path in STREAMS if "fails" not in path.stem], ids=lambda path: path.stem)
def test_no_truncation_looks_finished(path: Path) -> None:
    data = path.read_bytes()
    markers = [b'"finish_reason":"', b'"finish_reason": "']
    marker = next((marker for marker in markers if marker in data), b"")
    assert_truncations_fail(decoder, data, b"" if path.stem == "made-finish-empty-word" else marker)


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.stem)
def test_the_observer_sees_what_the_decoder_sees(path: Path) -> None:
    events = decode(decoder(), [path.read_bytes()])
    observer = StreamObserver()
    buffer = FrameBuffer()
    for byte in path.read_bytes():
        observer.feed(buffer.feed(bytes([byte])))
    last = events[-1]
    if isinstance(last, Finished):
        assert observer.finished
        assert observer.started
        assert observer.error is None
        assert observer.observation.usage == last.usage
        assert observer.observation.model == "made-1"
        assert observer.observation.response_id == "chatcmpl-made"
    elif "error" in path.stem:
        assert observer.error is not None
        assert observer.error.kind == last.error.kind
    if path.stem != "made-fails-call-without-name":  # which shows at the end only
        assert observer.started is any(type(event).__name__ == "PartStarted" for event in events)


@pytest.mark.parametrize("pair", parameters(RECORDED))
def test_recorded_streams(pair: Recorded) -> None:
    data = pair.response_body
    events = decode(decoder(), [data])
    assert_well_formed(events)
    assert isinstance(events[-1], Finished)
    assert answer_of(events).usage.total_tokens == events[-1].usage.raw["total_tokens"]
    assert_same_at_every_cut(decoder, data)
    assert_truncations_fail(decoder, data, b'"finish_reason":"')


def test_nothing_comes_after_the_end() -> None:
    text = (FOLDER / "made-text.sse").read_bytes()
    one = decoder()
    assert isinstance(one.feed(text)[-1], Finished)
    assert one.feed(text) == []
    assert one.close() == []


@pytest.mark.parametrize("frame", [b"data: 7\n\n", b"data: []\n\n", b"data: null\n\n", b"data:  \n\n"])
def test_frames_that_are_no_chunks_are_passed_over(frame: bytes) -> None:
    text = (FOLDER / "made-text.sse").read_bytes()
    assert joined(decode(decoder(), [frame, text])) == joined(decode(decoder(), [text]))


@pytest.mark.parametrize(
    "chunk",
    [
        {"choices": 7},
        {"choices": [7]},
        {"choices": [{"delta": 7}]},
        {"choices": [{"delta": {"content": 7, "tool_calls": 7, "reasoning_details": [7]}}]},
        {"choices": [{"delta": {"content": [7, {"type": "x"}], "tool_calls": [{"function": 7}]}}]},
        {"choices": [{"delta": {"audio": 7, "annotations": [{}], "function_call": 7}}]},
        {"choices": [{"delta": {"reasoning_details": [{"type": "x"}, {"type": "reasoning.encrypted"}]}}]},
        {"choices": [{"delta": {"content": "", "extra_content": {"google": 7}}, "finish_reason": 7}]},
        {"usage": 7, "id": 7, "model": 7, "created": "x", "service_tier": 7},
        {"usage": {"prompt_tokens": "x", "prompt_tokens_details": 7}, "choices": []},
    ],
)
def test_members_of_wrong_types_raise_nothing(chunk: dict) -> None:
    data = b"data: " + json.dumps(chunk).encode() + b"\n\n"
    events = decode(decoder(), [data])
    assert isinstance(events[-1], Failed)
    observer = StreamObserver()
    observer.feed(data)
    assert not observer.finished
