"""Lambda on loopback: the Runtime API for a real runtime process, and the fronts that call functions.

What it keeps to, so that a runtime that works here works there:
- /invocation/next blocks; a question out of turn is 403 InvalidStateTransition; up to `concurrency` polls wait
  at once; an unknown invocation is 400 InvalidRequestID; a buffered answer over 6 MiB is 413.
- A streamed answer goes on to the caller as it comes; its prelude becomes status and headers; error trailers,
  a timeout or the end of the process in the middle truncate it. A timeout kills the process.
- SnapStart: /restore/next blocks until `restore()`.
Fronts: a function URL (payload 2.0), Invoke and InvokeWithResponseStream (Amazon's event stream frames).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import json
import os
import signal
import struct
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

BUFFERED_LIMIT = 6 * 1024 * 1024
ARN = "arn:aws:lambda:us-east-1:123456789012:function:skybridge"
RUNTIME = "/2018-06-01/runtime"
INVOKE = "/2015-03-31/functions/skybridge/invocations"
INVOKE_STREAM = "/2021-11-15/functions/skybridge/response-streaming-invocations"
STREAM_LIMIT = 2**20


@dataclass
class Invocation:
    """One event and what the runtime has said to it. `chunks` holds bytes, then one End."""

    id: str
    event: bytes
    deadline: float
    chunks: asyncio.Queue[bytes | End] = field(default_factory=asyncio.Queue)
    content_type: str = ""
    streamed: bool = False
    answered: bool = False
    ended: bool = False


@dataclass
class End:
    """How an answer ended: `error` is None for a good end, else its type and document."""

    error: str | None = None
    document: dict[str, Any] = field(default_factory=dict)


@dataclass
class HttpRequest:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class LambdaEmulator:
    """One function, one execution environment at a time. Use `run` to have it all."""

    def __init__(
        self,
        *,
        timeout: float = 10,
        concurrency: int = 1,
        snap_start: bool = False,
        folder: Path | None = None,
    ) -> None:
        self.folder = folder
        self.timeout = timeout
        self.concurrency = concurrency
        self.snap_start = snap_start
        self.journal: list[tuple[str, str]] = []
        self.polled = asyncio.Condition()
        self.reading = asyncio.Event()  # not set: nobody takes what is streamed
        self.reading.set()
        self.init_error: dict[str, Any] | None = None
        self.restore_error: dict[str, Any] | None = None
        self.process: asyncio.subprocess.Process | None = None
        self.hosted: asyncio.Future[int] | None = None
        self.runtime: Any = None
        self.output = bytearray()
        self._queue: deque[Invocation] = deque()
        self._waiting: deque[asyncio.Future[Invocation]] = deque()
        self._running: dict[str, Invocation] = {}
        self._restored = asyncio.Event()
        self.snapshot = asyncio.Event()
        self._numbers = count(1)
        self._servers: list[asyncio.Server] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._timers: list[asyncio.TimerHandle] = []

    # The environment's life

    @contextlib.asynccontextmanager
    async def run(self, *command: str, **environment: str) -> AsyncIterator[LambdaEmulator]:
        """Starts the servers and the runtime process `command`; ends both."""
        await self.listen()
        try:
            await self.spawn(*command, **environment)
            yield self
        finally:
            await self.close()

    async def listen(self) -> None:
        for handler in (self._serve_runtime, self._serve_front):
            server = await asyncio.start_server(handler, "127.0.0.1", 0, limit=STREAM_LIMIT)
            self._servers.append(server)
        addresses = [server.sockets[0].getsockname()[1] for server in self._servers]
        self.runtime_address = f"127.0.0.1:{addresses[0]}"
        self.front_port: int = addresses[1]

    @contextlib.asynccontextmanager
    async def host(self, runtime: Callable[[str], Awaitable[int]]) -> AsyncIterator[LambdaEmulator]:
        """Serves a runtime that lives in this process: `runtime` gets the Runtime API's address."""
        await self.listen()
        task = asyncio.ensure_future(runtime(self.runtime_address))
        self.hosted = task
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.wait([task])
            await self.close()

    async def spawn(self, *command: str, **environment: str) -> None:
        """Starts the runtime process, with the environment that Lambda gives."""
        given = {
            "AWS_LAMBDA_RUNTIME_API": self.runtime_address,
            "AWS_LAMBDA_FUNCTION_NAME": "skybridge",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start" if self.snap_start else "on-demand",
            "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
        }
        if self.concurrency > 1:
            given["AWS_LAMBDA_MAX_CONCURRENCY"] = str(self.concurrency)
        self.spawned = time.perf_counter()
        self.process = await asyncio.create_subprocess_exec(
            *command,
            cwd=self.folder,
            env={**os.environ, **given, **environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self._tasks = [asyncio.create_task(self._watch(self.process))]

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while data := await process.stdout.read(65536):
            self.output += data
        code = await process.wait()
        self._note("exit", str(code))
        self._waiting.clear()
        for invocation in list(self._running.values()):
            self._end(invocation, End("Runtime.ExitError", {"errorMessage": f"exited with {code}"}))
        async with self.polled:
            self.polled.notify_all()

    async def exited(self) -> int:
        """Waits for the end of the runtime process, and all that it printed."""
        await asyncio.gather(*self._tasks)
        assert self.process is not None and self.process.returncode is not None
        return self.process.returncode

    async def ready(self, polls: int = 1) -> None:
        """Waits until the runtime has asked for `polls` invocations at once (or is gone)."""
        async with self.polled:
            await self.polled.wait_for(lambda: self._polls() >= polls or self._gone())
        assert not self._gone(), f"the runtime is gone: {self.output.decode()}"

    def _polls(self) -> int:
        return sum(not poll.done() for poll in self._waiting)

    def _gone(self) -> bool:
        hosted = self.hosted is not None and self.hosted.done()
        return hosted or (self.process is not None and self.process.returncode is not None)

    def restore(self) -> None:
        """SnapStart: the snapshot has been taken and brought back."""
        self._restored.set()

    def terminate(self) -> None:
        """What Lambda sends before it ends an environment."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)

    async def close(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
        await asyncio.gather(*self._tasks)
        for timer in self._timers:
            timer.cancel()
        for server in self._servers:
            server.close()
            server.close_clients()

    def _note(self, what: str, detail: str = "") -> None:
        self.journal.append((what, detail))

    # Invocations

    def invoke(self, event: object) -> Invocation:
        """Hands `event` to the runtime, or queues it until it asks. The answer comes in `chunks`."""
        number = next(self._numbers)
        deadline = time.time() + self.timeout
        invocation = Invocation(f"request-{number}", json.dumps(event).encode(), deadline)
        while self._waiting:
            poll = self._waiting.popleft()
            if not poll.done():
                poll.set_result(invocation)
                break
        else:
            self._queue.append(invocation)
        loop = asyncio.get_running_loop()
        self._timers.append(loop.call_later(self.timeout, self._time_out, invocation))
        return invocation

    async def answer(self, event: object) -> tuple[bytes, End]:
        """The whole answer to `event` and how it ended."""
        invocation = self.invoke(event)
        chunks = []
        while isinstance(chunk := await invocation.chunks.get(), bytes):
            chunks.append(chunk)
        return b"".join(chunks), chunk

    def _time_out(self, invocation: Invocation) -> None:
        """Ends an invocation that was not answered, or whose runtime has not come back for the next."""
        if not invocation.ended or invocation.id in self._running:
            self._note("timeout", invocation.id)
            self._end(invocation, End("Sandbox.Timedout", {"errorMessage": "Task timed out"}))
            if self.process is not None and self.process.returncode is None:
                self.process.kill()

    def _end(self, invocation: Invocation, end: End) -> None:
        if not invocation.ended:
            invocation.ended = True
            invocation.chunks.put_nowait(end)

    # The Runtime API

    async def _serve_runtime(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while (head := await _read_head(reader)) is not None:
                await self._answer_runtime(head, reader, writer)
                await writer.drain()
        writer.close()

    async def _answer_runtime(
        self, request: HttpRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        path = request.path.removeprefix(RUNTIME)
        match [request.method, *path.strip("/").split("/")]:
            case ["GET", "invocation", "next"]:
                await self._next(reader, writer)
            case ["GET", "restore", "next"]:
                self._note("restore/next")
                self.snapshot.set()
                await self._restored.wait()
                writer.write(_answer(200, b""))
            case ["POST", "init" | "restore" as phase, "error"]:
                document = json.loads(await _read_body(request, reader))
                self._note(f"{phase}/error", request.headers.get("lambda-runtime-function-error-type", ""))
                setattr(self, f"{phase}_error", document)
                writer.write(_answer(202, b'{"status":"OK"}'))
            case ["POST", "invocation", identifier, ("response" | "error") as kind]:
                writer.write(await self._take(request, reader, identifier, kind))
            case _:
                writer.write(_answer(404, b'{"errorType":"NotFound"}'))

    async def _next(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        unanswered = [held for held in self._running.values() if not held.answered]
        if self._polls() + len(unanswered) >= self.concurrency:
            self._note("refused", "next")
            writer.write(_error(403, "InvalidStateTransition", "an invocation is still unanswered"))
            return
        for held in [held for held in self._running.values() if held.answered]:
            del self._running[held.id]
        self._note("next")
        if self._queue:
            invocation = self._queue.popleft()
        else:
            poll: asyncio.Future[Invocation] = asyncio.get_running_loop().create_future()
            self._waiting.append(poll)
            async with self.polled:
                self.polled.notify_all()
            gone = asyncio.ensure_future(reader.read(1))
            await asyncio.wait([poll, gone], return_when=asyncio.FIRST_COMPLETED)
            gone.cancel()
            await asyncio.wait([gone])
            if not poll.done():
                poll.cancel()
                return
            invocation = poll.result()
        self._running[invocation.id] = invocation
        headers = {
            "lambda-runtime-aws-request-id": invocation.id,
            "lambda-runtime-deadline-ms": str(int(invocation.deadline * 1000)),
            "lambda-runtime-invoked-function-arn": ARN,
            "lambda-runtime-trace-id": xray_header(invocation.id),
            "content-type": "application/json",
        }
        writer.write(_answer(200, invocation.event, headers))

    async def _take(
        self, request: HttpRequest, reader: asyncio.StreamReader, identifier: str, kind: str
    ) -> bytes:
        invocation = self._running.get(identifier)
        if invocation is None or invocation.answered:
            await _read_body(request, reader)
            self._note("refused", kind)
            return _error(400, "InvalidRequestID", f"no invocation {identifier} is waiting for an answer")
        if invocation.ended:
            return _error(410, "Gone", "the invocation has timed out")
        invocation.content_type = request.headers.get("content-type", "")
        if kind == "error":
            document = json.loads(await _read_body(request, reader))
            end = End(request.headers.get("lambda-runtime-function-error-type", "Unhandled"), document)
            answer = _answer(202, b'{"status":"OK"}')
        elif request.headers.get("lambda-runtime-function-response-mode") == "streaming":
            invocation.streamed = True
            answer, end = await self._take_stream(reader, invocation)
        else:
            answer, end = self._take_buffered(await _read_body(request, reader), invocation)
        self._note(kind, identifier)
        invocation.answered = True
        self._end(invocation, end)
        return answer

    def _take_buffered(self, body: bytes, invocation: Invocation) -> tuple[bytes, End]:
        if len(body) > BUFFERED_LIMIT:
            end = End("Function.ResponseSizeTooLarge", {"errorMessage": "Response payload size exceeded"})
            return _error(413, "RequestEntityTooLarge", "Exceeded maximum allowed payload size"), end
        invocation.chunks.put_nowait(body)
        return _answer(202, b'{"status":"OK"}'), End()

    async def _take_stream(self, reader: asyncio.StreamReader, invocation: Invocation) -> tuple[bytes, End]:
        try:
            async for chunk in _chunks(reader):
                invocation.chunks.put_nowait(chunk)
                await self.reading.wait()
            trailers = await _read_fields(reader)
        except (asyncio.IncompleteReadError, ConnectionError):
            end = End("Runtime.TruncatedResponse", {"errorMessage": "the response was cut off"})
            return _error(400, "TruncatedHTTPRequest", "the body ended early"), end
        error = trailers.get("lambda-runtime-function-error-type")
        if error is None:
            return _answer(202, b'{"status":"OK"}'), End()
        document = json.loads(base64.b64decode(trailers["lambda-runtime-function-error-body"]))
        return _answer(202, b'{"status":"OK"}'), End(error, document)

    # The fronts

    async def _serve_front(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while (request := await _read_head(reader)) is not None:
                request.body = await _read_body(request, reader)
                front = {INVOKE: self._front_invoke, INVOKE_STREAM: self._front_stream}.get(request.path)
                await (front or self._front_url)(request, writer)
                await writer.drain()
                if writer.is_closing():
                    break
        writer.close()

    async def _front_invoke(self, request: HttpRequest, writer: asyncio.StreamWriter) -> None:
        body, end = await self.answer(json.loads(request.body))
        if end.error is None:
            writer.write(_answer(200, body))
        else:
            error = json.dumps(end.document).encode()
            writer.write(_answer(200, error, {"x-amz-function-error": "Unhandled"}))

    async def _front_stream(self, request: HttpRequest, writer: asyncio.StreamWriter) -> None:
        invocation = self.invoke(json.loads(request.body))
        chunk = await invocation.chunks.get()
        media = "application/vnd.amazon.eventstream"
        head = f"HTTP/1.1 200 OK\r\ncontent-type: {media}\r\ntransfer-encoding: chunked\r\n\r\n"
        writer.write(head.encode())
        while isinstance(chunk, bytes):
            frame = event_frame("PayloadChunk", "application/octet-stream", chunk)
            writer.write(b"%x\r\n%b\r\n" % (len(frame), frame))
            chunk = await invocation.chunks.get()
        complete = {}
        if chunk.error is not None:
            complete = {"ErrorCode": chunk.error, "ErrorDetails": json.dumps(chunk.document)}
        frame = event_frame("InvokeComplete", "application/json", json.dumps(complete).encode())
        writer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(frame), frame))

    async def _front_url(self, request: HttpRequest, writer: asyncio.StreamWriter) -> None:
        invocation = self.invoke(payload_2(request))
        buffer = b""
        while b"\0" * 8 not in buffer:
            chunk = await invocation.chunks.get()
            if not isinstance(chunk, bytes):
                writer.write(_answer(502, b'{"Message":"Internal Server Error"}'))
                return
            buffer += chunk
            if not invocation.streamed:
                buffer = _as_stream(buffer)
        first, _, rest = buffer.partition(b"\0" * 8)
        prelude = json.loads(first)
        lines = [f"HTTP/1.1 {prelude['statusCode']} Status", "transfer-encoding: chunked"]
        headers = {**prelude.get("headers", {})}
        headers.pop("content-length", None)
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines += [f"set-cookie: {value}" for value in prelude.get("cookies", [])]
        bodiless = request.method == "HEAD" or prelude["statusCode"] in (204, 304)
        if bodiless:
            lines.remove("transfer-encoding: chunked")
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        await self._forward(invocation, rest, writer, bodiless)

    async def _forward(
        self, invocation: Invocation, first: bytes, writer: asyncio.StreamWriter, bodiless: bool
    ) -> None:
        chunk: bytes | End = first
        while isinstance(chunk, bytes):
            if chunk and not bodiless:
                writer.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
                await writer.drain()
            chunk = await invocation.chunks.get()
        self._note("client-end", invocation.id)
        if chunk.error is not None:
            writer.close()
        elif not bodiless:
            writer.write(b"0\r\n\r\n")


def payload_2(request: HttpRequest, domain: str = "abc123.lambda-url.us-east-1.on.aws") -> dict[str, Any]:
    """A request as a function URL hands it to its function."""
    path, _, query = request.path.partition("?")
    headers = {name: value for name, value in request.headers.items() if name != "cookie"}
    headers |= {"host": domain, "x-forwarded-for": "192.0.2.1", "x-forwarded-proto": "https"}
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers,
        "requestContext": {
            "domainName": domain,
            "http": {"method": request.method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1"},
            "stage": "$default",
        },
        "isBase64Encoded": False,
    }
    if "cookie" in request.headers:
        event["cookies"] = request.headers["cookie"].split("; ")
    if request.body:
        media = request.headers.get("content-type", "")
        binary = not (media.startswith(("text/", "application/json")))
        event["isBase64Encoded"] = binary
        event["body"] = base64.b64encode(request.body).decode() if binary else request.body.decode()
    return event


def _as_stream(answer: bytes) -> bytes:
    """A buffered JSON answer in the form of a streamed one, as a function URL without streaming reads it."""
    members = json.loads(answer)
    text = members.pop("body", "")
    body = base64.b64decode(text) if members.pop("isBase64Encoded", False) else text.encode()
    return json.dumps(members).encode() + b"\0" * 8 + body


def xray_header(invocation_id: str) -> str:
    """X-Ray's header of an invocation, as Lambda makes it where tracing is passed through."""
    number = int(invocation_id.rpartition("-")[2])
    return f"Root=1-5759e988-{number:024x};Parent={number:016x};Sampled=0;Lineage=1:made:0"


def event_frame(event_type: str, content_type: str, payload: bytes) -> bytes:
    """One frame of application/vnd.amazon.eventstream."""
    headers = {":message-type": "event", ":event-type": event_type, ":content-type": content_type}
    fields = b""
    for name, value in headers.items():
        fields += bytes([len(name)]) + name.encode() + struct.pack("!BH", 7, len(value)) + value.encode()
    prelude = struct.pack("!II", 16 + len(fields) + len(payload), len(fields))
    message = prelude + struct.pack("!I", binascii.crc32(prelude)) + fields + payload
    return message + struct.pack("!I", binascii.crc32(message))


# HTTP/1.1, as far as loopback needs it


async def _read_head(reader: asyncio.StreamReader) -> HttpRequest | None:
    line = await reader.readline()
    if not line:
        return None
    method, path, _ = line.decode("latin-1").split(" ", 2)
    return HttpRequest(method, path, await _read_fields(reader), b"")


async def _read_fields(reader: asyncio.StreamReader) -> dict[str, str]:
    fields = {}
    while (line := await reader.readline()) not in (b"\r\n", b""):
        name, _, value = line.decode("latin-1").partition(":")
        fields[name.lower()] = value.strip()
    return fields


async def _read_body(request: HttpRequest, reader: asyncio.StreamReader) -> bytes:
    if request.headers.get("transfer-encoding") == "chunked":
        body = b"".join([chunk async for chunk in _chunks(reader)])
        await _read_fields(reader)
        return body
    return await reader.readexactly(int(request.headers.get("content-length", 0)))


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while True:
        line = await reader.readline()
        if not line:
            raise asyncio.IncompleteReadError(b"", 1)
        size = int(line, 16)
        if size == 0:
            return
        yield await reader.readexactly(size)
        await reader.readexactly(2)


def _answer(status: int, body: bytes, headers: dict[str, str] | None = None) -> bytes:
    fields = {"content-type": "application/json", **(headers or {}), "content-length": str(len(body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} Status\r\n{lines}\r\n".encode("latin-1") + body


def _error(status: int, kind: str, message: str) -> bytes:
    return _answer(status, json.dumps({"errorType": kind, "errorMessage": message}).encode())

