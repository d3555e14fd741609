"""Pipes and the renaming of models."""

from __future__ import annotations

import json

import pytest

from core.formats import load_wire
from core.formats.contract import Observation
from core.framing import frame_buffer
from core.relay import LARGEST_HELD_FRAME, PassThroughPipe, Renamer
from tests.samples import stream_frames


def pipe(renamer: Renamer | None = None) -> PassThroughPipe:
    wire = load_wire("messages")
    return PassThroughPipe(wire, frame_buffer(wire.STREAM_CONTENT_TYPE), renamer)


def test_only_whole_frames_pass() -> None:
    frames = stream_frames("messages")
    under_test = pipe()
    assert under_test.feed(frames[0][:-1]) == b""
    assert not under_test.alive
    assert under_test.feed(frames[0][-1:] + frames[1][:5]) == frames[0]
    assert under_test.alive and not under_test.started
    assert under_test.close() == b""


def test_a_huge_frame_is_not_held() -> None:
    under_test = pipe()
    assert under_test.feed(b"data: " + b"x" * LARGEST_HELD_FRAME) != b""


def test_an_unfinished_last_frame_is_renamed_too() -> None:
    frames = stream_frames("messages", "served")
    under_test = pipe(Renamer("asked"))
    out = under_test.feed(b"".join(frames)[:-1])
    out += under_test.close()
    assert out == b"".join(frames).replace(b"served", b"asked")[:-1]
    assert under_test.finished


def test_an_error_in_an_unfinished_last_frame_is_one() -> None:
    frames = stream_frames("messages")
    under_test = pipe()
    under_test.feed(frames[0])
    error = b'event: error\ndata: {"type": "error", "error": {"type": "api_error", "message": "broke"}}'
    assert under_test.feed(error) == b""
    assert under_test.close() == error + b"\n\n"
    assert under_test.error is not None and not under_test.alive and not under_test.finished


@pytest.mark.parametrize("spacing", ['"model":"served"', '"model" :  "served"', '"model": "serve\\u0064"'])
def test_the_served_name_is_found_however_it_is_written(spacing: str) -> None:
    frame = f'data: {{"tools": [{{"model": "other"}}], {spacing}}}\n\n'.encode()
    renamed = Renamer("asked").frames(frame, Observation(model="served"))
    assert b'"asked"' in renamed and b'"other"' in renamed and b"serve" not in renamed


def test_nothing_is_renamed_before_the_name_is_known() -> None:
    renamer = Renamer("asked")
    frame = b'data: {"model": "served"}\n\n'
    assert renamer.frames(frame, Observation()) == frame
    assert renamer.frames(frame, Observation(model="quite other")) == frame


@pytest.mark.parametrize(
    "body",
    [
        b'{"id": "1", "n": -1.5e3, "a": null, "model": "served", "model2": {"model": "served"}}',
        b'{"usage": {"model": "served"}, "model": "served"}',
        b'{"id": "\\"model\\":", "model": "serv\\u0065d"}',
        b'{"provider": {"model": "other"}, "model" : "served" }',
    ],
)
@pytest.mark.parametrize("observed", ["served", "quite other", None])
def test_the_objects_own_name_is_replaced_in_a_whole_answer(body: bytes, observed: str | None) -> None:
    """Whether the observer has told the name or not, and wherever the member stands."""
    renamed = Renamer("asked").whole(body, observed)
    assert json.loads(renamed) == {**json.loads(body), "model": "asked"}
    place = body.rindex(b'"model"') if b"model2" not in body else body.index(b'"model"')
    assert renamed[:place] == body[:place]


@pytest.mark.parametrize("body", [b"not json", b"[]", b'{"a":1}', b'{"model":7}'])
def test_whole_answers_without_a_name_are_left_alone(body: bytes) -> None:
    assert Renamer("asked").whole(body) == body
