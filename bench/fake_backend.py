"""A backend that is not the bottleneck: answers Chat Completions, Messages, Responses and embeddings from memory.

    python -m bench.fake_backend [--port 0]

Prints `listening PORT`. What it answers is chosen by the request: its path gives the format, `"stream": true` the
streamed form, and a model named `bench-CHUNKS-DELAY-SIZE` (so that it passes through any gateway) how many content
chunks of SIZE characters are sent, DELAY milliseconds apart; what opens a stream comes with the first. The query
(`?chunks=&delay=&size=`), headers of the names `x-bench-chunks` and so on, and the environment (BENCH_CHUNKS, ...) do
the same, in this order of precedence. With no delay each chunk is a write of its own, as fast as the reader takes them.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_MODEL = re.compile(rb'"model"\s*:\s*"(?:[^"]*/)?bench-(\d+)-(\d+)-(\d+)"')
_STREAM = re.compile(rb'"stream"\s*:\s*true')
_LENGTH = re.compile(rb"(?i)\r\ncontent-length:[ \t]*(\d+)")
_KNOB = {
    name: re.compile(rb"(?i)(?:[?&]%s=|\r\nx-bench-%s:[ \t]*)(\d+)" % (name.encode(), name.encode()))
    for name in ("chunks", "delay", "size")
}


@dataclass(frozen=True)
class Knobs:
    """How much is answered: `chunks` pieces of `size` characters, `delay` milliseconds apart."""

    chunks: int
    delay: int
    size: int


DEFAULT = Knobs(*(int(os.environ.get(f"BENCH_{name}", value)) for name, value in
                  (("CHUNKS", "8"), ("DELAY", "0"), ("SIZE", "16"))))  # fmt: skip


def data(value: object) -> bytes:
    """One SSE frame without an event name."""
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"


def event(value: dict[str, object]) -> bytes:
    """One SSE frame whose event name is the value's type."""
    return b"event: " + str(value["type"]).encode() + b"\n" + data(value)


# Chat Completions: https://platform.openai.com/docs/api-reference/chat

_USAGE = {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}


def chat_whole(knobs: Knobs) -> bytes:
    message = {"role": "assistant", "content": "x" * (knobs.size * knobs.chunks), "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return json.dumps({"id": "chatcmpl-bench", "object": "chat.completion", "created": 1, "model": "bench",
                       "choices": [choice], "usage": _USAGE}).encode()  # fmt: skip


def chat_stream(knobs: Knobs) -> Iterator[bytes]:
    def chunk(delta: dict[str, object], reason: str | None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return data({"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1, "model": "bench",
                     "choices": [choice]})  # fmt: skip

    piece = chunk({"content": "x" * knobs.size}, None)
    yield chunk({"role": "assistant", "content": ""}, None)
    for _ in range(knobs.chunks):
        yield piece
    yield chunk({}, "stop")
    yield data({"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1, "model": "bench",
                "choices": [], "usage": _USAGE})  # fmt: skip
    yield b"data: [DONE]\n\n"


# Messages: https://docs.anthropic.com/en/api/messages


def messages_whole(knobs: Knobs) -> bytes:
    return json.dumps({"id": "msg_bench", "type": "message", "role": "assistant", "model": "bench",
                       "content": [{"type": "text", "text": "x" * (knobs.size * knobs.chunks)}],
                       "stop_reason": "end_turn", "stop_sequence": None,
                       "usage": {"input_tokens": 9, "output_tokens": 12}}).encode()  # fmt: skip


def messages_stream(knobs: Knobs) -> Iterator[bytes]:
    yield event({"type": "message_start", "message": {
        "id": "msg_bench", "type": "message", "role": "assistant", "model": "bench", "content": [],
        "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 9, "output_tokens": 1}}})  # fmt: skip
    yield event({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
    piece = event({"type": "content_block_delta", "index": 0,
                   "delta": {"type": "text_delta", "text": "x" * knobs.size}})  # fmt: skip
    for _ in range(knobs.chunks):
        yield piece
    yield event({"type": "content_block_stop", "index": 0})
    yield event({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None},
                 "usage": {"output_tokens": 12}})  # fmt: skip
    yield event({"type": "message_stop"})


# Responses: https://platform.openai.com/docs/api-reference/responses


def _response(status: str, text: str | None) -> dict[str, object]:
    content = [] if text is None else [{"type": "output_text", "text": text, "annotations": []}]
    item = {"id": "msg_bench", "type": "message", "role": "assistant", "status": status, "content": content}
    usage = {"input_tokens": 9, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 12,
             "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 21}  # fmt: skip
    return {"id": "resp_bench", "object": "response", "created_at": 1, "model": "bench", "status": status,
            "error": None, "output": [] if text is None else [item],
            "usage": None if text is None else usage}  # fmt: skip


def responses_whole(knobs: Knobs) -> bytes:
    return json.dumps(_response("completed", "x" * (knobs.size * knobs.chunks))).encode()


def responses_stream(knobs: Knobs) -> Iterator[bytes]:
    text = "x" * (knobs.size * knobs.chunks)
    done = _response("completed", text)
    item = {"id": "msg_bench", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    part = {"type": "output_text", "text": "", "annotations": []}
    place = {"item_id": "msg_bench", "output_index": 0, "content_index": 0}
    steps: list[dict[str, object]] = [
        {"type": "response.created", "response": _response("in_progress", None)},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.content_part.added", **place, "part": part},
    ]
    steps += [{"type": "response.output_text.delta", **place, "delta": "x" * knobs.size}] * knobs.chunks
    steps += [
        {"type": "response.output_text.done", **place, "text": text},
        {"type": "response.content_part.done", **place, "part": {**part, "text": text}},
        {"type": "response.output_item.done", "output_index": 0, "item": done["output"][0]},  # type: ignore[index]
        {"type": "response.completed", "response": done},
    ]
    for number, step in enumerate(steps):
        yield event({**step, "sequence_number": number})


def embeddings_whole(knobs: Knobs) -> bytes:
    vector = {"object": "embedding", "index": 0, "embedding": [0.1] * (knobs.size * knobs.chunks)}
    return json.dumps({"object": "list", "data": [vector], "model": "bench",
                       "usage": {"prompt_tokens": 9, "total_tokens": 9}}).encode()  # fmt: skip


@dataclass(frozen=True)
class Format:
    """How one endpoint answers; `stream` is None where it never streams, `opening` frames precede its content."""

    path: bytes
    whole: Callable[[Knobs], bytes]
    stream: Callable[[Knobs], Iterator[bytes]] | None
    opening: int = 0


FORMATS = (
    Format(b"/chat/completions", chat_whole, chat_stream, 1),
    Format(b"/messages", messages_whole, messages_stream, 2),
    Format(b"/responses", responses_whole, responses_stream, 3),
    Format(b"/embeddings", embeddings_whole, None),
)


class Answers:
    """Finished answers: a whole one as bytes, a streamed one as a list of chunk-coded frames."""

    def __init__(self) -> None:
        self._wholes: dict[tuple[bytes, Knobs], bytes] = {}
        self._streams: dict[tuple[bytes, Knobs], list[bytes]] = {}

    def whole(self, form: Format, knobs: Knobs) -> bytes:
        key = (form.path, knobs)
        if key not in self._wholes:
            body = form.whole(knobs)
            self._wholes[key] = (
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body
            )
        return self._wholes[key]

    def stream(self, form: Format, knobs: Knobs) -> list[bytes]:
        key = (form.path, knobs)
        if key not in self._streams:
            assert form.stream is not None
            frames = [b"%x\r\n%s\r\n" % (len(frame), frame) for frame in form.stream(knobs)]
            self._streams[key] = [*frames, b"0\r\n\r\n"]
        return self._streams[key]


_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"


class Backend(asyncio.Protocol):
    """One connection."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._buffer = b""
        self._transport: asyncio.Transport
        self._frames: list[bytes] = []
        self._next = 0
        self._delay = 0.0
        self._opening = 0
        self._full = False
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        length = _LENGTH.search(self._buffer, 0, end)
        total = end + 4 + (int(length[1]) if length else 0)
        if len(self._buffer) >= total:
            request, self._buffer = self._buffer[:total], self._buffer[total:]
            self._answer(request[:end], request[end + 4 :])

    def _answer(self, head: bytes, body: bytes) -> None:
        path = head.split(b" ", 2)[1].split(b"?")[0]
        form = next((form for form in FORMATS if path.endswith(form.path)), None)
        if form is None:
            self._transport.write(_NOT_FOUND)
            return
        knobs = read_knobs(head, body)
        if form.stream is None or not _STREAM.search(body):
            self._transport.write(self._answers.whole(form, knobs))
            return
        self._frames, self._next = self._answers.stream(form, knobs), 0
        self._delay, self._opening = knobs.delay / 1000, form.opening
        self._transport.write(_STREAM_HEAD)
        self._step()

    def _step(self) -> None:
        """Writes the next frame, and comes back for the one after it."""
        if self._full or self._transport.is_closing():
            return
        self._transport.write(self._frames[self._next])
        self._next += 1
        if self._next == len(self._frames):
            return
        if self._delay and self._next > self._opening:
            self._loop.call_later(self._delay, self._step)
        else:
            self._loop.call_soon(self._step)

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        if self._next < len(self._frames):
            self._step()


def read_knobs(head: bytes, body: bytes) -> Knobs:
    """The request's wishes, over the environment's."""
    model = _MODEL.search(body)
    if model:
        return Knobs(int(model[1]), int(model[2]), int(model[3]))
    found = {name: pattern.search(head) for name, pattern in _KNOB.items()}
    return Knobs(*(int(match[1]) if match else getattr(DEFAULT, name) for name, match in found.items()))


async def main(port: int) -> None:
    """Serves until it is stopped."""
    answers = Answers()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Backend(answers), "127.0.0.1", port, backlog=1024)
    print("listening", server.sockets[0].getsockname()[1], flush=True)
    gc.freeze()
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    try:
        import uvloop

        uvloop.run(main(parser.parse_args().port))
    except ImportError:
        asyncio.run(main(parser.parse_args().port))
    except KeyboardInterrupt:
        pass
