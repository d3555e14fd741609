"""The reader of recordings, on a cassette of our own."""

from __future__ import annotations

from pathlib import Path

from tests.wire import recordings

CASSETTE = """
interactions:
- request_sample: grpc
- request:
    headers: {Content-Type: [!!binary YXBwbGljYXRpb24vanNvbg==], X-Two: [a, b]}
    method: POST
    parsed_body: {model: m, text: "ü"}
    uri: https://h/v1/messages
  response:
    body: {string: !!binary H4sIAAAAAAAC/6tWSs7PU7JSMKwFADBhc6QKAAAA}
    headers: {content-type: text/event-stream; charset=utf-8}
    status: {code: 200, message: OK}
- request: {body: '{"a": 1}', headers: {}, uri: 'https://h/other'}
  response: {body: {string: plain}, headers: {}, status: {code: 400}}
- request: {body: {a: 1}, headers: {}, uri: 'https://h/other'}
  response: {parsed_body: {b: 2}, headers: {}, status: {code: 200}}
- request: {body: null, headers: {}, uri: 'https://h/other'}
  response: {body: {string: ""}, headers: {}, status: {code: 204}}
"""


def test_cassettes_are_read_in_every_form(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "made.yaml"
    path.parent.mkdir()
    path.write_text(CASSETTE)
    first, second, third, fourth = recordings._pairs_of(path, tmp_path)
    assert first.name == "folder/made#1"
    assert first.request_headers == {"content-type": "application/json", "x-two": "a, b"}
    assert first.request_json == {"model": "m", "text": "ü"}
    assert first.response_json == {"con": 1}
    assert first.streamed
    assert (second.request_body, second.response_body, second.status) == (b'{"a": 1}', b"plain", 400)
    assert not second.streamed
    assert (third.request_json, third.response_json) == ({"a": 1}, {"b": 2})
    assert (fourth.request_body, fourth.response_body) == (b"", b"")


@recordings.needs_recordings
def test_the_recordings_are_there() -> None:
    pairs = recordings.recorded_pairs("pydantic-ai-cassettes", "api.anthropic.com/v1/messages")
    assert len(pairs) > 140
    assert len({pair.name for pair in pairs}) == len(pairs)
    assert recordings.recorded_file("README.md").startswith(b"# Recordings")


def test_no_recordings_give_one_skipped_case() -> None:
    assert recordings.recorded_pairs("no such folder") == []
    [case] = recordings.parameters([])
    assert case.id == "absent"
