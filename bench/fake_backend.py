"""A backend that is not the bottleneck: answers every wire format, and embeddings, from memory.

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
import os
import re

from bench.answers import FORMATS, Format, Knobs

_MODEL = re.compile(rb'"model"\s*:\s*"(?:[^"]*/)?bench-(\d+)-(\d+)-(\d+)"')
_STREAM = re.compile(rb'"stream"\s*:\s*true')
_LENGTH = re.compile(rb"(?i)\r\ncontent-length:[ \t]*(\d+)")
_KNOB = {
    name: re.compile(rb"(?i)(?:[?&]%s=|\r\nx-bench-%s:[ \t]*)(\d+)" % (name.encode(), name.encode()))
    for name in ("chunks", "delay", "size")
}


DEFAULT = Knobs(*(int(os.environ.get(f"BENCH_{name}", value)) for name, value in
                  (("CHUNKS", "8"), ("DELAY", "0"), ("SIZE", "16"))))  # fmt: skip


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
    b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n"
)
# Gemini's and Bedrock's paths name the model.
_PATH_MODEL = re.compile(rb"bench-(\d+)-(\d+)-(\d+)")
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
        if form.stream is None or not (form.always or _STREAM.search(body)):
            self._transport.write(self._answers.whole(form, knobs))
            return
        self._frames, self._next = self._answers.stream(form, knobs), 0
        self._delay, self._opening = knobs.delay / 1000, form.opening
        self._transport.write(_STREAM_HEAD % form.content_type)
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
    model = _MODEL.search(body) or _PATH_MODEL.search(head, 0, head.find(b"\r\n"))
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
