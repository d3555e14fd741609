"""A client for Lambda's Runtime API: an address in, invocations out, answers back.

HTTP/1.1 by hand on asyncio's streams, because every HTTP library costs more start-up time than the whole loop
may take. It speaks to one server, on the same machine, that answers one request at a time.
https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html#runtimes-custom-response-streaming
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
import traceback
from collections.abc import Callable
from typing import Any

# The head of a next-invocation answer carries the client context, which may be some kilobytes long.
HEAD_LIMIT = 256 * 1024
STREAMED_HTTP = "application/vnd.awslambda.http-integration-response"
VERSION = "/2018-06-01/runtime"
EPOCH_TIME = time.time  # noqa: TID251 the platform gives its deadlines as dates

type Headers = dict[str, str]


class RuntimeApiFault(OSError):
    """The Runtime API said no, or broke off. `status` is None where no answer came.

    An OSError, because that is what ASGI's `send` raises once nobody can be reached any more.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Answer:
    """One answer of the Runtime API. Header names are lower case."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


class Invocation:
    """One event to answer. `deadline` is a reading of the event loop's clock, None where none was given."""

    __slots__ = ("deadline", "event", "function_arn", "id", "trace_id")

    def __init__(self, answer: Answer, deadline: float | None) -> None:
        self.id = answer.headers.get("lambda-runtime-aws-request-id", "")
        self.trace_id = answer.headers.get("lambda-runtime-trace-id")
        self.function_arn = answer.headers.get("lambda-runtime-invoked-function-arn", "")
        self.deadline = deadline
        self.event = answer.body


class Connection:
    """One HTTP/1.1 connection. Raises OSError, EOFError or ValueError where the peer does not keep to it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def read_answer(self) -> Answer:
        """The next final answer; interim ones (1xx) are skipped."""
        status, headers = await self._read_head()
        while 100 <= status < 200:
            status, headers = await self._read_head()
        return Answer(status, headers, await self._read_body(status, headers))

    async def _read_head(self) -> tuple[int, Headers]:
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError as fault:
            raise ValueError(f"an answer's head is longer than {HEAD_LIMIT} bytes") from fault
        lines = head.decode("latin-1").split("\r\n")
        headers: Headers = {}
        for line in lines[1:-2]:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        return int(lines[0].partition(" ")[2][:3]), headers

    async def _read_body(self, status: int, headers: Headers) -> bytes:
        if status in (204, 304):
            return b""
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return await self._read_chunks()
        if "content-length" in headers:
            return await self.reader.readexactly(int(headers["content-length"]))
        headers["connection"] = "close"  # a body without a length ends with its connection
        return await self.reader.read()

    async def _read_chunks(self) -> bytes:
        chunks: list[bytes] = []
        while size := int((await self.reader.readline()).split(b";")[0], 16):
            chunks.append(await self.reader.readexactly(size))
            await self.reader.readline()
        while (await self.reader.readline()).strip():
            pass
        return b"".join(chunks)

    def close(self) -> None:
        """Drops the connection. Idempotent."""
        self.writer.close()


class RuntimeApi:
    """One poller's line to the Runtime API: keeps one connection, asks one thing at a time.

    `address` is AWS_LAMBDA_RUNTIME_API: `host:port`, or `host:port/prefix` where an emulator has one.
    `epoch_time` gives seconds since the epoch, which is what the platform's deadlines are given in.
    """

    def __init__(self, address: str, epoch_time: Callable[[], float] = EPOCH_TIME) -> None:
        self.authority, slash, prefix = address.partition("/")
        host, _, port = self.authority.rpartition(":")
        self.host, self.port = host.strip("[]"), int(port)
        self.base = f"{slash}{prefix.rstrip('/')}{VERSION}"
        self.epoch_time = epoch_time
        self._connection: Connection | None = None

    async def next(self, sent: Callable[[], None] | None = None) -> Invocation:
        """Waits for an invocation. `sent` is called once, when the question is on its way.

        Raises RuntimeApiFault: 403 when it is not this runtime's turn, no status when the platform has gone.
        """
        answer = await self.request("GET", "/invocation/next", sent=sent)
        while answer.status == 204:  # an emulator's "nothing yet"
            await asyncio.sleep(0.05)
            answer = await self.request("GET", "/invocation/next")
        if answer.status != 200:
            raise _refused("/invocation/next", answer)
        return Invocation(answer, self._deadline(answer.headers.get("lambda-runtime-deadline-ms", "")))

    def _deadline(self, milliseconds: str) -> float | None:
        if not milliseconds.isdigit():
            return None
        return asyncio.get_running_loop().time() + int(milliseconds) / 1000 - self.epoch_time()

    async def restore_next(self) -> None:
        """SnapStart: returns when the environment has been restored from its snapshot."""
        answer = await self.request("GET", "/restore/next")
        if answer.status != 200:
            raise _refused("/restore/next", answer)

    async def respond(self, invocation_id: str, body: bytes) -> None:
        """The buffered answer. Raises RuntimeApiFault (413 where it is too large)."""
        await self._post(f"/invocation/{invocation_id}/response", body, {"content-type": "application/json"})

    async def report(self, path: str, error: dict[str, Any]) -> None:
        """Posts an error document to `path`: /init/error, /restore/error or /invocation/{id}/error."""
        headers = {
            "content-type": "application/vnd.aws.lambda.error+json",
            "lambda-runtime-function-error-type": error["errorType"],
        }
        await self._post(path, json.dumps(error).encode(), headers)

    async def _post(self, path: str, body: bytes, headers: Headers) -> None:
        answer = await self.request("POST", path, headers, body)
        if answer.status not in (200, 202):
            raise _refused(path, answer)

    async def stream(self, invocation_id: str) -> ResponseStream:
        """Begins a streamed HTTP answer, on a connection of its own (it has to be closed afterwards)."""
        headers = {
            "content-type": STREAMED_HTTP,
            "lambda-runtime-function-response-mode": "streaming",
            "transfer-encoding": "chunked",
            "trailer": "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body",
        }
        path = f"/invocation/{invocation_id}/response"
        connection = await self._connect()
        connection.writer.write(self._head("POST", path, headers))
        return ResponseStream(path, connection)

    async def request(
        self,
        method: str,
        path: str,
        headers: Headers | None = None,
        body: bytes = b"",
        *,
        sent: Callable[[], None] | None = None,
    ) -> Answer:
        """One exchange, repeated once on a new connection where the kept one has been closed meanwhile."""
        reused = self._connection is not None
        message = self._head(method, path, {**(headers or {}), "content-length": str(len(body))}) + body
        try:
            return await self._exchange(message, sent)
        except (OSError, EOFError, ValueError) as fault:
            if not reused:
                raise RuntimeApiFault(f"{method} {path}: {fault!r}") from fault
        try:
            return await self._exchange(message, sent)
        except (OSError, EOFError, ValueError) as fault:
            raise RuntimeApiFault(f"{method} {path}: {fault!r}") from fault

    async def _exchange(self, message: bytes, sent: Callable[[], None] | None) -> Answer:
        connection, self._connection = self._connection, None
        try:
            if connection is None:
                connection = await self._connect()
            connection.writer.write(message)
            await connection.writer.drain()
            if sent is not None:
                sent()
            answer = await connection.read_answer()
            if answer.headers.get("connection", "").lower() != "close":
                self._connection, connection = connection, None
        finally:
            if connection is not None:
                connection.close()
        return answer

    async def _connect(self) -> Connection:
        return Connection(*await asyncio.open_connection(self.host, self.port, limit=HEAD_LIMIT))

    def _head(self, method: str, path: str, headers: Headers) -> bytes:
        fields = {"host": self.authority, **headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"{method} {self.base}{path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1")

    def close(self) -> None:
        """Drops the kept connection: the next request makes a new one. Idempotent."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class ResponseStream:
    """The body of a streamed answer: chunks, then finish. Raises RuntimeApiFault when nobody takes it."""

    def __init__(self, path: str, connection: Connection) -> None:
        self.path = path
        self._connection = connection

    async def write(self, *chunks: bytes) -> None:
        """Sends each of `chunks` (none may be empty) as one of its own; waits while the reader is slow."""
        framed = b"".join([b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks])
        try:
            self._connection.writer.write(framed)
            await self._connection.writer.drain()
        except OSError as fault:
            raise await self._why(fault) from fault

    async def finish(self, error: dict[str, Any] | None = None) -> None:
        """Ends the body, with the error in the trailers where there is one, and hears the verdict."""
        trailers = b""
        if error is not None:
            document = base64.b64encode(json.dumps(error).encode()).decode()
            trailers = (
                f"Lambda-Runtime-Function-Error-Type: {error['errorType']}\r\n"
                f"Lambda-Runtime-Function-Error-Body: {document}\r\n"
            ).encode("latin-1")
        try:
            self._connection.writer.write(b"0\r\n" + trailers + b"\r\n")
            await self._connection.writer.drain()
            answer = await self._connection.read_answer()
        except (OSError, EOFError, ValueError) as fault:
            raise await self._why(fault) from fault
        finally:
            self.close()
        if answer.status not in (200, 202):
            raise _refused(self.path, answer)

    async def _why(self, fault: Exception) -> RuntimeApiFault:
        """What the Runtime API had said before it stopped reading, as far as that can still be read."""
        try:
            async with asyncio.timeout(1):
                return _refused(self.path, await self._connection.read_answer())
        except (OSError, EOFError, ValueError):
            return RuntimeApiFault(f"POST {self.path}: {fault!r}")
        finally:
            self.close()

    def abort(self) -> None:
        """Drops the connection and what was not taken from it yet. Idempotent."""
        self._connection.writer.transport.abort()

    def close(self) -> None:
        """Drops the connection; a body that was not finished counts as truncated. Idempotent."""
        self._connection.close()


def error_document(fault: BaseException) -> dict[str, Any]:
    """An exception as the Runtime API takes it: errorMessage, errorType, stackTrace."""
    return {
        "errorMessage": str(fault),
        "errorType": error_type(fault),
        "stackTrace": traceback.format_tb(fault.__traceback__),
    }


def error_type(fault: BaseException) -> str:
    """The exception's class in the form that the Runtime API accepts: `(Runtime|Function).[A-Z][a-zA-Z]+`."""
    for kind, name in ERROR_TYPES.items():
        if isinstance(fault, kind):
            return name
    letters = "".join(filter(_is_letter, type(fault).__name__))
    return f"Function.{letters[:1].upper()}{letters[1:]}" if len(letters) > 1 else "Function.UnknownReason"


ERROR_TYPES: dict[type[BaseException], str] = {
    ImportError: "Runtime.ImportModuleError",
    SyntaxError: "Runtime.UserCodeSyntaxError",
}


def _is_letter(character: str) -> bool:
    return character.isascii() and character.isalpha()


def _refused(path: str, answer: Answer) -> RuntimeApiFault:
    reason = answer.body[:200].decode("utf-8", "replace")
    return RuntimeApiFault(f"{path}: the Runtime API answered {answer.status} {reason}", answer.status)
