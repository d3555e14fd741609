"""The small adapters: log lines, backend credentials, media, the lazy parts of the composition."""

from __future__ import annotations

import asyncio
import io
import json
import os
from contextlib import suppress
from pathlib import Path

import pytest

from core.errors import ClientFault, NotConfigured
from core.ports import BackendRequest, Exchange, TransportFault
from core.routing.registry import make_backend
from core.usage import UsageRecord
from handlers.composition import compose
from handlers.io.backend_auth import BackendAuthorizer
from handlers.io.log import JsonLog, write_record
from handlers.io.media import MOST_BYTES, MediaFetcher
from tests.scripted import Play, ScriptedTransport, VirtualClock


def request() -> BackendRequest:
    return BackendRequest("POST", "https://h/x", [], b"{}")


async def authorized(type_name: str, **options: str) -> dict[str, str]:
    clock = VirtualClock()
    variables = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret"}
    authorizer = BackendAuthorizer(variables, ScriptedTransport([], clock), clock)
    backend = make_backend("b", type_name, options)
    sent = request()
    await authorizer.authorize(backend, sent)
    again = request()
    await authorizer.authorize(backend, again)
    assert again.headers == sent.headers
    return dict(sent.headers)


async def test_each_scheme_adds_its_header() -> None:
    assert await authorized("demo") == {}
    assert await authorized("openai", api_key="k") == {"authorization": "Bearer k"}
    assert await authorized("openai", api_key="k", auth="api-key") == {"authorization": "Bearer k"}
    assert await authorized("anthropic", api_key="k") == {"x-api-key": "k"}
    assert await authorized("azure-openai", api_key="k") == {"api-key": "k"}
    assert await authorized("azure-openai", api_key="k", auth="bearer") == {"authorization": "Bearer k"}
    signed = await authorized("bedrock")
    assert signed["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKID/")
    assert await authorized("bedrock", api_key="t") == {"authorization": "Bearer t"}


async def test_a_missing_key_and_an_unknown_scheme_are_named() -> None:
    with pytest.raises(NotConfigured, match="OPENAI_API_KEY"):
        await authorized("openai")
    with pytest.raises(NotConfigured, match="auth 'magic' is not one of"):
        await authorized("openai", auth="magic")


def test_log_lines_are_json_and_have_a_threshold() -> None:
    stream = io.StringIO()
    log = JsonLog(VirtualClock(), "warning", stream)
    log.event("info", "quiet")
    log.event("error", "loud", reason="é", path=Path("x"))
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line) == {
        "time": "2023-11-14T22:30:00.000+00:00", "level": "error", "event": "loud", "reason": "é", "path": "x",
    }  # fmt: skip


def test_each_request_leaves_a_line() -> None:
    stream = io.StringIO()
    log = JsonLog(VirtualClock(), "info", stream)
    record = UsageRecord("r", "generate", "messages", 1.0, outcome="complete", first_byte_seconds=0.01234)
    write_record(log, record)
    line = json.loads(stream.getvalue())
    assert (line["level"], line["first_byte_ms"], line["request_id"]) == ("info", 12.3, "r")
    record.outcome = "failed"
    write_record(JsonLog(VirtualClock(), "error", stream), record)
    assert len(stream.getvalue().splitlines()) == 1


def test_a_log_that_cannot_be_written_fails_nobody() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    unread = os.fdopen(writer, "w")
    log = JsonLog(VirtualClock(), "info", unread)
    log.event("warning", "first")  # the pipe is broken
    with suppress(BrokenPipeError):
        unread.close()
    log.event("warning", "second")  # the stream is closed


def fetcher(*plays: Play, addresses: list[str] | None = None) -> tuple[MediaFetcher, ScriptedTransport]:
    clock = VirtualClock()
    transport = ScriptedTransport(plays, clock)

    async def resolve(host: str, port: int) -> list[str]:
        if host == "unknown":
            raise OSError("no such name")
        return ["93.184.216.34"] if addresses is None else addresses

    return MediaFetcher(transport, clock, resolve), transport


PNG = {"content-type": "image/PNG; x=y"}


async def test_media_are_fetched_from_the_checked_address() -> None:
    media, transport = fetcher(
        Play(302, {"location": "/other"}), Play(200, PNG, [b"ab", b"cd"])
    )
    assert await media.fetch("https://h/a.png") == ("image/png", b"abcd")
    assert [item.url for item in transport.requests] == ["https://h/a.png", "https://h/other"]
    assert transport.requests[0].connect_address == "93.184.216.34"
    assert transport.open == 0


@pytest.mark.parametrize("url", ["http://h/a", "file:///etc/passwd", "https://", "https://u:p@h/", "https://h:99999/"])
async def test_only_plain_https_is_fetched(url: str) -> None:
    media, transport = fetcher()
    with pytest.raises(ClientFault, match="cannot be fetched"):
        await media.fetch(url)
    assert transport.requests == []


async def test_a_url_is_named_without_what_may_be_a_credential() -> None:
    media, _ = fetcher(Play(403))
    with pytest.raises(ClientFault, match="URL https://h/a.png cannot be fetched"):
        await media.fetch("https://h/a.png?X-Amz-Signature=0a1b#c")
    with pytest.raises(ClientFault, match="URL https://h/a cannot be fetched"):
        await media.fetch("https://u:p@h/a")


PRIVATE = ["127.0.0.1", "10.0.0.1", "192.168.1.1", "169.254.169.254", "::1", "fe80::1%eth0", "fd00::1", "0.0.0.0"]


@pytest.mark.parametrize("address", PRIVATE)
async def test_private_addresses_are_refused(address: str) -> None:
    media, transport = fetcher(addresses=["93.184.216.34", address])
    with pytest.raises(ClientFault, match="not a public one"):
        await media.fetch("https://h/a")
    assert transport.requests == []


async def test_a_redirect_is_checked_again() -> None:
    media, _ = fetcher(Play(302, {"location": "http://169.254.169.254/latest"}))
    with pytest.raises(ClientFault, match="only plain https"):
        await media.fetch("https://h/a")
    media, _ = fetcher(*[Play(302, {"location": "/again"})] * 4)
    with pytest.raises(ClientFault, match="too many redirects"):
        await media.fetch("https://h/a")


FAILING = [
    (Play(404, {}), "answered 404"),
    (Play(302, {}), "answered 302"),
    (Play(200, PNG, [b"x" * (MOST_BYTES + 1)]), "larger than"),
    (Play(200, PNG, [b"x", 60.0]), "not complete within"),
    (Play(head_delay=60.0), "no answer within"),
    (Play(connect=TransportFault("connect", "refused by the host")), "refused by the host"),
]


@pytest.mark.parametrize(("play", "said"), FAILING)
async def test_what_cannot_be_fetched_says_why(play: Play, said: str) -> None:
    media, transport = fetcher(play)
    with pytest.raises(ClientFault, match=said) as caught:
        await media.fetch("https://h/" + "a" * 300)
    assert transport.open == 0
    assert len(caught.value.message) < 400
    media, _ = fetcher(addresses=[])
    with pytest.raises(ClientFault, match="not a public one"):
        await media.fetch("https://h/")
    with pytest.raises(ClientFault, match="cannot be resolved"):
        await media.fetch("https://unknown/")


async def test_lazy_parts_are_made_once(tmp_path: Path) -> None:
    path = tmp_path / "models.json"
    path.write_text('{"backends": {"d": {"type": "demo"}}, "models": {"m": {"backend": "d"}}}', "utf-8")
    composition = compose({"SKYBRIDGE_DEMO_PACE": "0"}, str(path), local=True)
    ports = composition.gateway.ports
    body = b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"}]}'
    for _ in range(2):
        exchange: Exchange = await ports.transports["demo"].send(
            BackendRequest("POST", "demo://demo/v1/messages", [], body)
        )
        head = await exchange.head(1.0)
        assert head is not None and head.status == 200
        exchange.close()
        with pytest.raises(ClientFault, match="only plain https"):
            await ports.media.fetch("http://h/")
    await composition.http.aclose()


async def test_lines_of_one_turn_are_written_together() -> None:
    stream = io.StringIO()
    log = JsonLog(VirtualClock(), "info", stream)
    log.event("info", "first")
    log.event("info", "second")
    assert stream.getvalue() == ""
    log.event("warning", "at once")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["first", "second", "at once"]
    log.flush()
    await asyncio.sleep(0)
    assert len(stream.getvalue().splitlines()) == 3
