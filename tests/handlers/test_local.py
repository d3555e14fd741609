"""The local door's server, beside what a real process shows (test_shutdown)."""

from __future__ import annotations

import signal
from pathlib import Path

from handlers.composition import compose
from handlers.local import Server, server_config
from tests.gateways import native_bench


def test_the_first_signal_drains_and_a_second_interrupt_cuts_off() -> None:
    gateway = native_bench("messages", []).gateway
    server = Server(server_config(_nothing, "127.0.0.1", 0), gateway, 5.0)
    server.handle_exit(signal.SIGTERM, None)
    assert server.should_exit and not server.force_exit
    stop_at = gateway.stop_at
    assert stop_at is not None
    server.handle_exit(signal.SIGTERM, None)
    assert not server.force_exit and gateway.stop_at == stop_at
    server.handle_exit(signal.SIGINT, None)
    assert server.force_exit


def test_faults_are_obeyed_only_where_that_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "models.json"
    path.write_text('{"models":{"m":{"backend":"d"}},"backends":{"d":{"type":"demo"}}}', "utf-8")
    for value, enabled in (("1", True), ("", False), ("yes", False)):
        composition = compose({"SKYBRIDGE_FAULTS": value}, str(path), local=True)
        assert composition.gateway.faults_enabled is enabled


async def _nothing(scope: object, receive: object, send: object) -> None:
    raise AssertionError("nobody asks in these tests")
