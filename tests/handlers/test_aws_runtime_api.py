"""The Runtime API's client against peers that answer in ways that HTTP/1.1 allows, and in some that it does not."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import pytest

from handlers.aws_runtime_api import HEAD_LIMIT, Answer, RuntimeApi, RuntimeApiFault, error_document, error_type

CLOSE = b"<close>"


class Peer:
    """Answers each request of each connection with the next of `answers`; keeps what was asked."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while self.answers:
                head = await reader.readuntil(b"\r\n\r\n")
                self.requests.append(head)
                answer = self.answers.pop(0)
                if b"transfer-encoding" not in head:
                    fields = head.decode().lower().split("content-length: ")
                    self.requests[-1] += await reader.readexactly(int(fields[1].split("\r\n")[0]))
                elif answer.endswith(CLOSE):
                    await reader.read(10)
                else:
                    self.requests[-1] += await reader.readuntil(b"0\r\n") + await reader.readuntil(b"\r\n")
                writer.write(answer.removesuffix(CLOSE))
                await writer.drain()
                if answer.endswith(CLOSE):
                    break
        writer.close()


@contextlib.asynccontextmanager
async def connected(peer: Peer, prefix: str = "") -> AsyncIterator[RuntimeApi]:
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    api = RuntimeApi(f"127.0.0.1:{server.sockets[0].getsockname()[1]}{prefix}", lambda: 1000.0)
    try:
        yield api
    finally:
        api.close()
        server.close()
        server.close_clients()


OK = b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n"
NEXT = (
    b"HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: 7\r\nLambda-Runtime-Deadline-Ms: 1003500\r\n"
    b"Lambda-Runtime-Trace-Id: Root=1\r\nLambda-Runtime-Invoked-Function-Arn: arn\r\nContent-Length: 2\r\n\r\n{}"
)


async def test_an_invocation_has_its_deadline_in_the_loops_own_time() -> None:
    async with connected(Peer(NEXT)) as api:
        now = asyncio.get_running_loop().time()
        invocation = await api.next()
        assert invocation.deadline is not None
        assert 3.5 <= invocation.deadline - now < 4.5
        assert (invocation.id, invocation.trace_id, invocation.function_arn, invocation.event) == (
            "7",
            "Root=1",
            "arn",
            b"{}",
        )


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nX: y\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nhello" + CLOSE,
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\na: b\r\n\r\n"
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
    ],
)
async def test_bodies_of_every_framing(answer: bytes) -> None:
    async with connected(Peer(answer, OK)) as api:
        got = await api.request("GET", "/x")
        assert (got.status, got.body) == (200, b"hello")


async def test_one_connection_serves_many_requests_until_the_peer_closes_it() -> None:
    peer = Peer(OK, OK, b"HTTP/1.1 202 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n" + CLOSE, OK)
    async with connected(peer) as api:
        for _ in range(3):
            await api.respond("7", b"null")
        assert peer.connections == 1
        await api.respond("7", b"null")
        assert peer.connections == 2


async def test_a_connection_that_was_closed_meanwhile_is_made_anew() -> None:
    peer = Peer(OK + CLOSE, OK)
    async with connected(peer) as api:
        await api.respond("7", b"null")
        await api.respond("8", b"null")
        assert [b"/invocation/8/" in request for request in peer.requests] == [False, True]


async def test_a_peer_that_closes_twice_has_gone() -> None:
    async with connected(Peer(OK, CLOSE, CLOSE)) as api:
        await api.respond("7", b"null")
        with pytest.raises(RuntimeApiFault, match="POST /invocation/8/response") as caught:
            await api.respond("8", b"null")
        assert caught.value.status is None


@pytest.mark.parametrize(
    "answer",
    [
        CLOSE,
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello" + CLOSE,
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 two OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * HEAD_LIMIT + b"\r\n\r\n",
    ],
)
async def test_an_answer_that_is_none_is_a_fault(answer: bytes) -> None:
    async with connected(Peer(answer)) as api:
        with pytest.raises(RuntimeApiFault, match="GET /invocation/next"):
            await api.next()


async def test_nobody_there_is_a_fault() -> None:
    async with connected(Peer()) as api:
        pass
    with pytest.raises(RuntimeApiFault):
        await api.next()


async def test_no_invocation_yet_is_asked_again() -> None:
    peer = Peer(b"HTTP/1.1 204 No Content\r\n\r\n", NEXT)
    sent: list[int] = []
    async with connected(peer) as api:
        assert (await api.next(lambda: sent.append(1))).id == "7"
    assert sent == [1]


async def test_an_emulator_may_have_a_path() -> None:
    peer = Peer(NEXT.replace(b"1003500", b"soon"))
    async with connected(peer, "/.rt/function/") as api:
        assert (await api.next()).deadline is None
    assert peer.requests[0].startswith(b"GET /.rt/function/2018-06-01/runtime/invocation/next HTTP/1.1\r\nhost: 127.")


def test_the_address_may_be_of_version_6() -> None:
    api = RuntimeApi("[::1]:9001")
    assert (api.host, api.port, api.base) == ("::1", 9001, "/2018-06-01/runtime")


@pytest.mark.parametrize(
    ("ask", "path"),
    [
        (lambda api: api.next(), "/invocation/next"),
        (lambda api: api.restore_next(), "/restore/next"),
        (lambda api: api.respond("7", b""), "/invocation/7/response"),
        (lambda api: api.report("/init/error", error_document(ValueError())), "/init/error"),
    ],
)
async def test_a_refusal_is_a_fault_with_its_status(ask: object, path: str) -> None:
    refusal = b'HTTP/1.1 403 Forbidden\r\ncontent-length: 25\r\n\r\n"InvalidStateTransition"  '
    async with connected(Peer(refusal)) as api:
        with pytest.raises(RuntimeApiFault, match=f"^{path}: the Runtime API answered 403 ") as caught:
            await ask(api)  # type: ignore[operator]
        assert caught.value.status == 403


async def test_an_error_is_posted_with_its_type() -> None:
    peer = Peer(OK)
    async with connected(peer) as api:
        await api.report("/init/error", error_document(ImportError("no such thing")))
    head, _, body = peer.requests[0].partition(b"\r\n\r\n")
    assert b"lambda-runtime-function-error-type: Runtime.ImportModuleError" in head
    assert json.loads(body)["errorMessage"] == "no such thing"


async def test_a_stream_is_chunks_and_has_a_connection_of_its_own() -> None:
    peer = Peer(OK)
    async with connected(peer) as api:
        stream = await api.stream("7")
        await stream.write(b"one", b"two2")
        await stream.finish()
    head, _, body = peer.requests[0].partition(b"\r\n\r\n")
    assert body == b"3\r\none\r\n4\r\ntwo2\r\n0\r\n\r\n"
    assert b"lambda-runtime-function-response-mode: streaming" in head
    assert b"content-type: application/vnd.awslambda.http-integration-response" in head


REFUSED = b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig"


async def test_a_stream_that_is_refused_at_its_end_is_a_fault() -> None:
    async with connected(Peer(REFUSED)) as api:
        stream = await api.stream("7")
        with pytest.raises(RuntimeApiFault, match="413 big"):
            await stream.finish()


async def test_a_stream_that_is_refused_early_tells_why() -> None:
    async with connected(Peer(REFUSED + CLOSE)) as api:
        stream = await api.stream("7")
        with pytest.raises(RuntimeApiFault):
            for _ in range(100):
                await stream.write(b"x" * 100_000)


async def test_a_stream_whose_peer_goes_is_a_fault() -> None:
    async with connected(Peer(CLOSE)) as api:
        stream = await api.stream("7")
        await stream.write(b"x")
        with pytest.raises(RuntimeApiFault, match="POST /invocation/7/response"):
            await stream.finish()


class Strange_Error9(Exception):
    """A name that the Runtime API would not take."""


class X9(Exception):
    """One with too few letters."""


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        (ModuleNotFoundError(), "Runtime.ImportModuleError"),
        (IndentationError(), "Runtime.UserCodeSyntaxError"),
        (KeyError(), "Function.KeyError"),
        (Strange_Error9(), "Function.StrangeError"),
        (X9(), "Function.UnknownReason"),
    ],
)
def test_error_types_are_of_the_form_that_is_taken(fault: Exception, name: str) -> None:
    assert error_type(fault) == name


def test_an_answer_is_what_it_was_made_of() -> None:
    answer = Answer(200, {"a": "b"}, b"c")
    assert (answer.status, answer.headers, answer.body) == (200, {"a": "b"}, b"c")
