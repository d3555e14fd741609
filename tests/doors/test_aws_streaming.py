"""The streaming loop on the emulator: what the client sees, what the Runtime API hears, and in which order."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import httpx
import pytest

from handlers.aws_invocation import Receive, Scope, Send
from handlers.aws_response import MEGABYTE
from handlers.aws_streaming import EXIT_AFTER_RESTORE, EXIT_BEFORE_SNAPSHOT, NEXT_PAUSES, Runtime
from tests.doors import lambda_apps as apps
from tests.doors.lambda_clients import Gate, hosted, spawned, url_client
from tests.doors.lambda_emulator import INVOKE, LambdaEmulator, xray_header
from tests.handlers.test_aws_events import load

pytestmark = pytest.mark.doors


def lines(emulator: LambdaEmulator) -> list[dict[str, Any]]:
    """What the process has logged."""
    return [json.loads(line) for line in emulator.output.decode().splitlines()]


# In a process of its own


async def test_the_first_byte_is_at_the_client_before_the_last_is_sent() -> None:
    async with Gate() as gate, spawned("gated") as emulator, url_client(emulator) as client:
        async with client.stream("GET", "/", headers=gate.headers) as response:
            parts = response.aiter_raw()
            assert await anext(parts) == b"data: first\n\n"
            word, let_go = await gate.arrival()
            assert word == "sent"  # the app stands before its last part, and waits for this test
            let_go()
            assert b"".join([part async for part in parts]) == b"data: last\n\n"
        assert response.headers["content-type"] == "text/event-stream"
        assert response.status_code == 200


async def test_work_after_the_answer_holds_up_the_next_poll_and_not_the_client() -> None:
    async with Gate() as gate, spawned("leftover") as emulator, url_client(emulator) as client:
        await emulator.ready()
        response = await client.get("/", headers=gate.headers)
        assert response.text == "answered"
        word, let_go = await gate.arrival()
        assert word == "after"
        assert [what for what, _ in emulator.journal] == ["next", "response", "client-end"]
        let_go()
        word, let_go = await gate.arrival()  # after one that failed
        assert word == "told"
        assert [what for what, _ in emulator.journal] == ["next", "response", "client-end"]
        let_go()
        await emulator.ready()
        assert [what for what, _ in emulator.journal] == ["next", "response", "client-end", "next"]
        emulator.terminate()
        assert await emulator.exited() == 0
        [line] = lines(emulator)
        assert (line["event"], line["errorMessage"]) == ("work after the answer failed", "left over and broken")
        assert line["request_id"] == "request-1"


async def test_work_after_the_answer_ends_before_the_platform_ends_it() -> None:
    async with spawned("leftover", timeout=1.5) as emulator, url_client(emulator) as client:
        await emulator.ready()  # starting is not part of what the time is for
        assert (await client.get("/hang")).text == "answered"
        await emulator.ready()
        assert ("exit", "-9") not in emulator.journal
        emulator.terminate()
        assert await emulator.exited() == 0
        assert "DeadlineExceeded" in emulator.output.decode()


@pytest.mark.parametrize(
    ("path", "type_", "message"),
    [
        ("/at-once", "Function.KeyError", "'broken on purpose'"),
        ("/started", "Function.KeyError", "'broken on purpose'"),
        ("/silent", "Function.IncompleteAnswer", "the app returned without having ended its answer"),
    ],
)
async def test_an_app_that_fails_before_its_first_byte_is_an_error_of_the_invocation(
    path: str, type_: str, message: str
) -> None:
    async with hosted(lambda: apps.breaks) as emulator, url_client(emulator) as client:
        event = load("function-url") | {"rawPath": path}
        body, end = await emulator.answer(event)
        assert (body, end.error, end.document["errorMessage"]) == (b"", type_, message)
        assert (await client.get(path)).status_code == 502


async def test_an_app_that_fails_in_the_middle_sends_the_error_in_the_trailers() -> None:
    async with hosted(lambda: apps.breaks) as emulator, url_client(emulator) as client:
        body, end = await emulator.answer(load("function-url") | {"rawPath": "/middle"})
        assert body.endswith(b"\0" * 8 + b"some ")
        assert end.error == "Function.KeyError"
        assert any("lambda_apps.py" in line for line in end.document["stackTrace"])
        with pytest.raises(httpx.RemoteProtocolError):  # the client's body is cut off, not ended
            await client.get("/middle")


async def test_an_answer_that_is_late_is_ended_before_the_platform_ends_it() -> None:
    async with hosted(lambda: apps.breaks, timeout=1) as emulator:
        _, end = await emulator.answer(load("function-url") | {"rawPath": "/hang"})
        assert (end.error, end.document["errorMessage"]) == (
            "Function.DeadlineExceeded",
            "the answer was not over in time",
        )
        await emulator.ready()
        assert [what for what, _ in emulator.journal] == ["next", "response", "next"]


async def test_work_after_an_answer_that_nobody_reads_is_done_before_the_platform_ends_it() -> None:
    done = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def work() -> None:
            done.set()

        scope["extensions"]["skybridge.after"].append(work)
        await apps.start(send)
        while True:
            await apps.body(send, b"x" * 65_536, more=True)

    async with hosted(lambda: app, timeout=1.5) as emulator:
        emulator.reading.clear()
        await emulator.ready()
        emulator.invoke(load("function-url"))
        await done.wait()
        assert [what for what, _ in emulator.journal] == ["next"]  # no timeout, and nothing that nobody took
        emulator.reading.set()


async def test_a_process_that_ends_in_the_middle_truncates() -> None:
    async with Gate() as gate, spawned("breaks") as emulator, url_client(emulator) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            async with client.stream("GET", "/exit", headers=gate.headers) as response:
                _, let_go = await gate.arrival()
                let_go()
                async for _ in response.aiter_raw():
                    pass
        assert await emulator.exited() == 3


async def test_sigterm_lets_the_invocation_under_way_end() -> None:
    async with Gate() as gate, spawned("gated") as emulator, url_client(emulator) as client:
        async with client.stream("GET", "/", headers=gate.headers) as response:
            _, let_go = await gate.arrival()
            emulator.terminate()
            let_go()
            assert await response.aread() == b"data: first\n\ndata: last\n\n"
        assert await emulator.exited() == 0


async def test_eight_invocations_are_answered_at_once_by_one_process() -> None:
    async with Gate() as gate, spawned("gated", concurrency=8) as emulator, url_client(emulator) as client:
        await emulator.ready(8)
        requests = [asyncio.create_task(client.get("/", headers=gate.headers)) for _ in range(8)]
        arrivals = [await gate.arrival() for _ in range(8)]  # all eight stand before their last part
        for _, let_go in reversed(arrivals):
            let_go()
        answers = await asyncio.gather(*requests)
        assert {answer.text for answer in answers} == {"data: first\n\ndata: last\n\n"}
        await emulator.ready(8)
        emulator.terminate()
        assert await emulator.exited() == 0


async def test_a_poller_that_is_turned_away_lets_the_answers_of_others_end() -> None:
    """The platform takes one question at a time here, though it has been told to give two invocations at once."""
    gone, done = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def work() -> None:
            done.set()

        scope["extensions"]["skybridge.after"].append(work)
        await apps.start(send)
        await apps.body(send, b"first ", more=True)
        await gone.wait()
        await apps.body(send, b"last")

    async with hosted(lambda: app, {"AWS_LAMBDA_MAX_CONCURRENCY": "2"}) as emulator:
        answer = asyncio.create_task(emulator.answer(load("function-url")))
        while emulator.journal.count(("refused", "next")) < len(NEXT_PAUSES) + 1:
            await asyncio.sleep(0.01)
        assert emulator.runtime is not None and not done.is_set()
        gone.set()
        body, end = await answer
        assert (body.endswith(b"first last"), end.error) == (True, None)
        assert emulator.hosted is not None and await emulator.hosted == 1
        assert done.is_set()


@pytest.mark.parametrize(
    ("app", "type_", "message"),
    [
        ("no-configuration", "Function.RuntimeError", "SKYBRIDGE_KEYS is not set"),
        ("no-module", "Runtime.ImportModuleError", "No module named 'not_in_the_package'"),
    ],
)
async def test_an_app_that_cannot_be_made_is_an_init_error(app: str, type_: str, message: str) -> None:
    async with spawned(app) as emulator:
        assert await emulator.exited() == 1
        assert emulator.journal == [("init/error", type_), ("exit", "1")]
        assert emulator.init_error is not None
        assert emulator.init_error["errorMessage"] == message
        [line] = lines(emulator)
        assert line["event"] == "reported to /init/error"


async def test_a_mode_that_does_not_exist_is_an_init_error() -> None:
    async with hosted(lambda: apps.echo, {"SKYBRIDGE_RESPONSE_MODE": "steaming"}) as emulator:
        assert emulator.hosted is not None
        assert await emulator.hosted == 1
        assert emulator.init_error is not None
        assert "'steaming': expected auto, streaming or buffered" in emulator.init_error["errorMessage"]


# In this process


async def test_an_app_is_given_all_of_the_request() -> None:
    environment: dict[str, str] = {}
    async with hosted(lambda: apps.echo, environment) as emulator, url_client(emulator) as client:
        response = await client.post(
            "/a%2Fb%20c?x=1&x=2", content=b"\x00\xff", headers={"cookie": "a=1; b=2", "x-skybridge": "1"}
        )
        assert response.status_code == 201
        seen = response.json()
        headers = seen.pop("headers")
        assert ["cookie", "a=1; b=2"] in headers
        assert ["x-skybridge", "1"] in headers
        assert 7 < seen.pop("seconds") < 8.6  # ten, less the margin
        assert seen == {
            "method": "POST",
            "path": "/a/b c",
            "raw_path": "/a%2Fb%20c",
            "query": "x=1&x=2",
            "body": "\x00\xff",
            "client": ["192.0.2.1", 0],
            "platform": "lambda-streaming",
            "request_id": "request-1",
            "trace": None,
        }
        assert response.headers["x-many"] == "one, two"
        assert response.headers.get_list("set-cookie") == ["a=1", "b=2; Path=/"]
        assert "connection" not in response.headers


async def test_the_trace_id_is_in_the_environment_of_one_and_the_scope_of_many() -> None:
    seen: list[str | None] = []

    async def app(scope: apps.Scope, receive: apps.Receive, send: apps.Send) -> None:
        seen.append(scope["extensions"]["skybridge.trace_id"])
        seen.append(emulator.runtime._environment.get("_X_AMZN_TRACE_ID"))
        await apps.start(send)
        await apps.body(send, b"x")

    async with hosted(lambda: app) as emulator:
        await emulator.answer(load("function-url"))
    async with hosted(lambda: app, {"_X_AMZN_TRACE_ID": "stale"}, concurrency=2) as emulator:
        await emulator.answer(load("function-url"))
    trace = xray_header("request-1")
    assert seen == [trace, trace, trace, None]


@pytest.mark.parametrize("path", ["/200/0", "/204/0", "/304/0", "/200/1"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_every_stream_has_a_byte_and_ends(method: str, path: str) -> None:
    async with hosted(lambda: apps.plain) as emulator, url_client(emulator) as client:
        response = await client.request(method, path)
        assert response.status_code == int(path.split("/")[1])
        event = load("function-url") | {"rawPath": path}
        body, end = await emulator.answer(event)
        prelude, _, rest = body.partition(b"\0" * 8)
        assert (rest, end.error) == (b"x" if path == "/200/1" else b"\n", None)
        assert ("content-length" in json.loads(prelude)["headers"]) is (path == "/200/1")


async def test_the_prelude_and_its_end_are_chunks_of_their_own() -> None:
    async with hosted(lambda: apps.plain) as emulator:
        invocation = emulator.invoke(load("function-url") | {"rawPath": "/200/5"})
        chunks = [await invocation.chunks.get() for _ in range(3)]
        assert json.loads(chunks[0])["statusCode"] == 200  # type: ignore[arg-type]
        assert chunks[1:] == [b"\0" * 8, b"xxxxx"]
        assert invocation.content_type == "application/vnd.awslambda.http-integration-response"


async def test_an_empty_part_sends_the_head() -> None:
    opened = asyncio.Event()

    async def app(scope: apps.Scope, receive: apps.Receive, send: apps.Send) -> None:
        await apps.start(send)
        await apps.body(send, b"", more=True)
        await opened.wait()
        await apps.body(send, b"", more=True)
        await apps.body(send, b"late")

    async with (
        hosted(lambda: app) as emulator,
        url_client(emulator) as client,
        client.stream("GET", "/") as response,
    ):
        assert response.status_code == 200
        opened.set()
        assert await response.aread() == b"late"


async def test_a_body_of_many_megabytes_goes_both_ways() -> None:
    data = bytes(range(256)) * 4096 * 6
    async with hosted(lambda: apps.binary) as emulator, url_client(emulator) as client:
        response = await client.post("/?application/octet-stream", content=data)
        assert response.content == data


async def test_after_the_answer_receive_tells_and_send_refuses() -> None:
    async with Gate() as gate, hosted(lambda: apps.disconnected) as emulator, url_client(emulator) as client:
        assert (await client.get("/", headers=gate.headers)).text == "over"
        word, let_go = await gate.arrival()
        assert word == "http.disconnect the answer has already ended"
        let_go()


@pytest.mark.parametrize(
    "messages",
    [
        [{"type": "http.response.body", "body": b"x"}],
        [{"type": "http.response.start", "status": 200}, {"type": "http.response.start", "status": 200}],
        [{"type": "websocket.accept"}],
    ],
)
async def test_an_app_that_does_not_keep_to_asgi_fails(messages: list[dict[str, Any]]) -> None:
    async def app(scope: apps.Scope, receive: apps.Receive, send: apps.Send) -> None:
        for message in messages:
            await send(message)

    async with hosted(lambda: app) as emulator:
        _, end = await emulator.answer(load("function-url"))
        assert end.error == "Function.RuntimeError"
        assert end.document["errorMessage"] == f"unexpected ASGI message {messages[-1]['type']!r}"


@pytest.mark.parametrize(
    ("event", "error", "answer"),
    [
        (load("queue"), "Function.UnsupportedEvent", b""),
        (load("schedule"), "Function.UnsupportedEvent", b""),
        (load("stream-completion"), None, b"null"),
    ],
)
async def test_events_that_are_no_request_are_answered_clearly(
    event: dict[str, Any], error: str | None, answer: bytes
) -> None:
    async with hosted(lambda: apps.echo) as emulator:
        body, end = await emulator.answer(event)
        assert (body, end.error) == (answer, error)
        await emulator.ready()


# Fronts that do not stream

BUFFERED: dict[str, tuple[str, dict[str, str]]] = {
    "http-api": ("http-api", {}),
    "http-api-payload-1": ("http-api-payload-1", {}),
    "rest-api": ("rest-api", {}),
    "load-balancer": ("load-balancer", {}),
    "sam-local": ("function-url", {"AWS_SAM_LOCAL": "true"}),
    "by-setting": ("function-url", {"SKYBRIDGE_RESPONSE_MODE": "buffered"}),
}


@pytest.mark.parametrize("name", BUFFERED)
async def test_a_front_that_does_not_stream_gets_one_object(name: str) -> None:
    event, environment = BUFFERED[name]
    async with hosted(lambda: apps.echo, environment) as emulator:
        body, end = await emulator.answer(load(event))
        answer = json.loads(body)
        assert (answer["statusCode"], answer["isBase64Encoded"], end.error) == (201, False, None)
        assert json.loads(answer["body"])["platform"] == "lambda-buffered"


async def test_a_rest_api_streams_where_it_was_set_to() -> None:
    async with hosted(lambda: apps.echo, {"SKYBRIDGE_RESPONSE_MODE": "streaming"}) as emulator:
        body, _ = await emulator.answer(load("rest-api"))
        prelude, _, rest = body.partition(b"\0" * 8)
        assert json.loads(prelude)["multiValueHeaders"]["set-cookie"] == ["a=1", "b=2; Path=/"]
        assert json.loads(rest)["platform"] == "lambda-streaming"


@pytest.mark.parametrize("path", ["/at-once", "/middle", "/silent"])
async def test_a_buffered_answer_that_fails_is_an_error_of_the_invocation(path: str) -> None:
    async with hosted(lambda: apps.breaks) as emulator:
        body, end = await emulator.answer(load("rest-api") | {"path": path})
        assert body == b""
        assert end.error in ("Function.KeyError", "Function.IncompleteAnswer")


async def test_a_buffered_answer_that_is_too_large_says_so() -> None:
    async with hosted(lambda: apps.plain) as emulator:
        body, end = await emulator.answer(load("rest-api") | {"path": f"/200/{6 * MEGABYTE}"})
        answer = json.loads(body)
        assert (answer["statusCode"], end.error) == (413, None)
        assert json.loads(answer["body"])["error"]["type"] == "response_too_large"


async def test_a_malformed_event_is_a_400_that_names_its_part() -> None:
    async with hosted(lambda: apps.echo) as emulator:
        body, end = await emulator.answer(load("function-url") | {"body": 5})
        answer = json.loads(body)
        assert (answer["statusCode"], end.error) == (400, None)
        assert json.loads(answer["body"])["error"]["message"].endswith("body: expected a string")


@pytest.mark.parametrize(("event", "error"), [(b"{", "JSONDecodeError"), (b"[" * 100_000, "RecursionError")])
async def test_an_event_that_cannot_be_read_is_an_error_of_the_invocation(event: bytes, error: str) -> None:
    async with hosted(lambda: apps.echo) as emulator:
        await emulator.ready()
        invocation = emulator.invoke({})
        invocation.event = event
        assert (await invocation.chunks.get()).error == f"Function.{error}"  # type: ignore[union-attr]
        await emulator.ready()  # and the loop goes on


async def test_invoke_reads_a_buffered_answer() -> None:
    async with hosted(lambda: apps.echo) as emulator, url_client(emulator) as client:
        response = await client.post(INVOKE, json=load("http-api"))
        assert response.json()["statusCode"] == 201
        response = await client.post(INVOKE, json=load("queue"))
        assert response.headers["x-amz-function-error"] == "Unhandled"


# SnapStart


async def test_after_a_restore_the_app_is_made_anew() -> None:
    async with spawned("restored", snap_start=True) as emulator:
        await emulator.snapshot.wait()
        emulator.restore()
        body, _ = await emulator.answer(load("function-url"))
        assert body.endswith(b"\0" * 8 + b"2")
        assert [what for what, _ in emulator.journal][:2] == ["restore/next", "next"]


async def test_an_app_that_cannot_be_made_anew_is_a_restore_error() -> None:
    async with spawned("restored", "--fail-restored", snap_start=True) as emulator:
        emulator.restore()
        assert await emulator.exited() == EXIT_AFTER_RESTORE
        assert ("restore/error", "Runtime.AfterRestoreError") in emulator.journal
        assert emulator.restore_error is not None
        assert emulator.restore_error["errorMessage"] == "no network after the restore"


class Hooks:
    """The registry of snapshot_restore_py, as the managed runtime has it."""

    def __init__(self, *before: Any) -> None:
        self.calls: list[str] = []
        self.before = [(self.calls.append, (word,), {}) for word in ("first", "second")] + [*before]

    def get_before_snapshot(self) -> list[Any]:
        return self.before

    def get_after_restore(self) -> list[Any]:
        return [(self.calls.append, (word,), {}) for word in ("third", "fourth")]


async def test_registered_hooks_run_around_the_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    hooks = Hooks()
    monkeypatch.setitem(sys.modules, "snapshot_restore_py", hooks)
    async with hosted(lambda: apps.echo, snap_start=True) as emulator:
        emulator.restore()
        await emulator.ready()
        assert hooks.calls == ["second", "first", "third", "fourth"]


async def test_a_hook_that_fails_before_the_snapshot_is_an_init_error(monkeypatch: pytest.MonkeyPatch) -> None:
    hooks = Hooks((json.loads, ("nonsense",), {}))
    monkeypatch.setitem(sys.modules, "snapshot_restore_py", hooks)
    async with hosted(lambda: apps.echo, snap_start=True) as emulator:
        assert emulator.hosted is not None
        assert await emulator.hosted == EXIT_BEFORE_SNAPSHOT
        assert emulator.journal == [("init/error", "Runtime.BeforeSnapshotError")]


# The loop's own life


async def test_warm_runs_once_and_before_the_first_invocation_is_answered() -> None:
    async with hosted(apps.Warm) as emulator:
        for _ in range(2):
            body, _ = await emulator.answer(load("function-url"))
            assert body.endswith(b"\0" * 8 + b"1")


async def test_warm_runs_before_the_question_where_environments_are_made_in_advance() -> None:
    app = apps.Warm()
    given = {"AWS_LAMBDA_INITIALIZATION_TYPE": "provisioned-concurrency"}
    async with hosted(lambda: app, given) as emulator:
        await emulator.ready()
        assert app.warmed == 1
        body, _ = await emulator.answer(load("function-url"))
        assert body.endswith(b"\0" * 8 + b"1")


async def test_a_runtime_that_asks_out_of_turn_ends() -> None:
    async with hosted(lambda: apps.echo, {"AWS_LAMBDA_MAX_CONCURRENCY": "2"}) as emulator:
        assert emulator.hosted is not None
        assert await emulator.hosted == 1
        assert ("refused", "next") in emulator.journal


async def test_a_runtime_whose_platform_has_gone_ends() -> None:
    async with hosted(lambda: apps.echo) as emulator:
        await emulator.ready()
        for server in emulator._servers:
            server.close()
            server.close_clients()
        assert emulator.hosted is not None
        assert await emulator.hosted == 1


async def test_stop_ends_an_idle_runtime() -> None:
    async with hosted(lambda: apps.echo, concurrency=2) as emulator:
        await emulator.ready(2)
        emulator.runtime.stop()
        assert emulator.hosted is not None
        assert await emulator.hosted == 0


async def test_an_init_error_that_nobody_takes_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    async with hosted(lambda: apps.echo) as emulator:
        address = emulator.runtime_address
    assert await Runtime(apps.no_configuration, {"AWS_LAMBDA_RUNTIME_API": address}).serve() == 1
    events = [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]
    assert events == ["reported to /init/error", "the Runtime API did not take the report"]


@pytest.mark.parametrize("front", ["function-url", "rest-api"])
async def test_an_answer_that_nobody_takes_is_logged(front: str, capsys: pytest.CaptureFixture[str]) -> None:
    async def app(scope: apps.Scope, receive: apps.Receive, send: apps.Send) -> None:
        for server in emulator._servers:
            server.close()
            server.close_clients()
        await apps.start(send)
        await apps.body(send, b"to nobody")

    async with hosted(lambda: app) as emulator:
        emulator.invoke(load(front))
        assert emulator.hosted is not None
        assert await emulator.hosted == 1
    events = [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]
    assert events == ["the app failed", "the runtime loop ended"]


async def test_an_error_that_nobody_takes_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    async def app(scope: apps.Scope, receive: apps.Receive, send: apps.Send) -> None:
        for server in emulator._servers:
            server.close()
            server.close_clients()
        raise ValueError("broken, and alone")

    async with hosted(lambda: app) as emulator:
        emulator.invoke(load("function-url"))
        assert emulator.hosted is not None
        assert await emulator.hosted == 1
    events = [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]
    assert events == ["the app failed", "invocation not answered", "the runtime loop ended"]


@pytest.mark.parametrize("fails", [False, True])
async def test_the_app_writes_what_it_holds_before_the_process_ends(
    fails: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    app = apps.Warm()
    finished: list[str] = []

    async def finish() -> None:
        finished.append("finished")
        if fails:
            raise RuntimeError("made to fail")

    app.finish = finish
    async with hosted(lambda: app, concurrency=2) as emulator:
        await emulator.ready(2)
        emulator.runtime.stop()
        assert emulator.hosted is not None
        assert await emulator.hosted == 0
    assert finished == ["finished"]
    events = [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]
    assert events == (["the last work failed"] if fails else [])
