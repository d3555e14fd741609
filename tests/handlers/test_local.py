"""The local door's server, beside what a real process shows (test_shutdown)."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from handlers.composition import compose
from handlers.local import Afterwards, Server
from tests.gateways import native_bench


def test_the_first_signal_drains_and_a_second_interrupt_cuts_off() -> None:
    gateway = native_bench("messages", []).gateway
    server = Server(_nothing, gateway, 5.0)
    server.signalled(signal.SIGTERM)
    assert not server.cut_off
    stop_at = gateway.stop_at
    assert stop_at is not None
    server.signalled(signal.SIGTERM)
    assert not server.cut_off and gateway.stop_at == stop_at
    server.signalled(signal.SIGINT)
    assert server.cut_off


def test_faults_are_obeyed_only_where_that_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "models.json"
    path.write_text('{"models":{"m":{"backend":"d"}},"backends":{"d":{"type":"demo"}}}', "utf-8")
    for value, enabled in (("1", True), ("", False), ("yes", False)):
        composition = compose({"SKYBRIDGE_FAULTS": value}, str(path), local=True)
        assert composition.gateway.faults_enabled is enabled


async def test_what_follows_answers_is_done_once_for_those_that_end_together() -> None:
    done: list[str] = []

    async def write() -> None:
        await asyncio.sleep(0)
        done.append("written")

    async def tell() -> None:
        done.append("told")

    afterwards = Afterwards()
    for step in (write, write, tell, write):
        afterwards.append(step)
    assert not done, "the answers have gone first"
    while len(done) < 2:
        await asyncio.sleep(0.001)
    afterwards.append(tell)
    await afterwards.finish()
    assert done == ["written", "told", "told"]
    await afterwards.finish()
    assert done == ["written", "told", "told"]


async def _nothing(scope: object, receive: object, send: object) -> None:
    raise AssertionError("nobody asks in these tests")
