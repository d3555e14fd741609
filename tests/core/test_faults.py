"""Faults on request."""

from __future__ import annotations

import json

import pytest

from core.faults import Fault, read_faults
from core.formats import load_wire
from tests.gateways import Bench, body_of, native_bench, path_of
from tests.samples import PATHS, answer_body, request_body, stream_frames
from tests.scripted import Play

FORMATS = sorted(PATHS)
JSON = {"content-type": "application/json"}


def test_the_grammar() -> None:
    assert read_faults(" 429@1, cut@after=120 ,slow@2s,, silence@after=3@2, slow@250ms@1") == [
        Fault("status", 429, 1),
        Fault("cut", after=120),
        Fault("slow", seconds=2.0),
        Fault("silence", attempt=2, after=3),
        Fault("slow", attempt=1, seconds=0.25),
    ]


@pytest.mark.parametrize(
    "header", ["200", "300@1", "boom", "429@first", "cut@after=", "slow@2h", "@", "cut@after=-1", "٤٢٩"]
)
def test_a_wrong_header_is_a_400_that_says_why(header: str) -> None:
    with pytest.raises(Exception, match="x-skybridge-fault") as wrong:
        read_faults(header)
    assert getattr(wrong.value, "status", None) == 400


def faulty(format_name: str, plays: list[Play], **options: object) -> Bench:
    bench = native_bench(format_name, plays, **options)  # type: ignore[arg-type]
    bench.gateway.faults_enabled = True
    return bench


async def test_it_is_refused_unless_it_was_turned_on() -> None:
    bench = native_bench("messages", [])
    response = await bench.post("/v1/messages", request_body("messages"), x_skybridge_fault="429@1")
    assert response.status == 400
    assert "SKYBRIDGE_FAULTS=1" in json.loads(await body_of(response))["error"]["message"]


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("fault", ["429@1", "503@1", "refuse@1", "reset@1", "empty@1", "garbage@1", "cut@1"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_fault_of_the_first_attempt_is_mended_by_the_second(format_name: str, fault: str, stream: bool) -> None:
    frames = stream_frames(format_name)
    good = Play(chunks=frames) if stream else Play(headers=JSON, chunks=[answer_body(format_name)])
    bench = faulty(format_name, [good, good] if fault not in ("429@1", "503@1", "refuse@1") else [good])
    response = await bench.post(path_of(format_name), request_body(format_name, stream=stream), x_skybridge_fault=fault)
    assert await body_of(response) == (b"".join(frames) if stream else answer_body(format_name))
    assert response.header("x-skybridge-attempts") == "2"
    assert bench.transport.open == 0


@pytest.mark.parametrize("format_name", FORMATS)
async def test_a_cut_in_the_middle_is_an_error_event(format_name: str) -> None:
    frames = stream_frames(format_name)
    whole = b"".join(frames)
    place = len(b"".join(frames[:-4])) + 3
    bench = faulty(format_name, [Play(chunks=[whole[:40], whole[40:]])])
    body = request_body(format_name, stream=True)
    response = await bench.post(path_of(format_name), body, x_skybridge_fault=f"cut@after={place}")
    got = await body_of(response)
    assert got.startswith(b"".join(frames[:-4])) and b"injected" in got
    assert bench.records[0].outcome == "cut"


async def test_slow_waits_before_the_head() -> None:
    bench = faulty("messages", [Play(chunks=stream_frames("messages"))])
    before = bench.clock.now
    response = await bench.post("/v1/messages", request_body("messages", stream=True), x_skybridge_fault="slow@2.5s")
    assert bench.clock.now - before == pytest.approx(2.5)
    assert await body_of(response) == b"".join(stream_frames("messages"))


async def test_silence_meets_the_timeout() -> None:
    frames = stream_frames("messages")
    bench = faulty("messages", [Play(chunks=frames), Play(chunks=frames)], first_byte_timeout=3)
    response = await bench.post("/v1/messages", request_body("messages", stream=True), x_skybridge_fault="silence@1")
    assert await body_of(response) == b"".join(frames)
    assert response.header("x-skybridge-attempts") == "2"


async def test_silence_in_the_middle_is_pinged_and_then_ended() -> None:
    frames = stream_frames("messages")
    place = len(b"".join(frames[:3]))
    bench = faulty("messages", [Play(chunks=frames)], idle_timeout=40)
    body = request_body("messages", stream=True)
    response = await bench.post("/v1/messages", body, x_skybridge_fault=f"silence@after={place}")
    got = await body_of(response)
    assert got.count(load_wire("messages").PING) == 2
    assert b"fell silent" in got


@pytest.mark.parametrize("format_name", FORMATS)
async def test_an_error_frame_first_is_mended_by_the_second(format_name: str) -> None:
    frames = stream_frames(format_name)
    bench = faulty(format_name, [Play(chunks=frames), Play(chunks=frames)])
    body = request_body(format_name, stream=True)
    response = await bench.post(path_of(format_name), body, x_skybridge_fault="error-frame@1")
    assert await body_of(response) == b"".join(frames)


async def test_an_error_frame_in_the_middle_ends_the_stream() -> None:
    frames = stream_frames("messages")
    place = len(b"".join(frames[:3])) + 5
    bench = faulty("messages", [Play(chunks=[bytes([byte]) for byte in b"".join(frames)])])
    body = request_body("messages", stream=True)
    response = await bench.post("/v1/messages", body, x_skybridge_fault=f"error-frame@after={place}")
    got = await body_of(response)
    assert b"Injected fault" in got
    assert bench.records[0].outcome == "cut"


async def test_a_backend_that_is_silent_by_itself_stays_so() -> None:
    frames = stream_frames("messages")
    bench = faulty("messages", [Play(chunks=[*frames[:3], 3.0, *frames[3:]])])
    body = request_body("messages", stream=True)
    response = await bench.post("/v1/messages", body, x_skybridge_fault="cut@after=1000000")
    assert await body_of(response) == b"".join(frames)


async def test_a_fault_beyond_the_end_of_the_body_is_none() -> None:
    frames = stream_frames("messages")
    for fault in ("cut@after=1000000", "error-frame@after=1000000"):
        bench = faulty("messages", [Play(chunks=frames)])
        response = await bench.post("/v1/messages", request_body("messages", stream=True), x_skybridge_fault=fault)
        assert await body_of(response) == b"".join(frames)
