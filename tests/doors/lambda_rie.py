"""Amazon's own Runtime Interface Emulator, as it lies in the wheel of aws-sam-cli."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[2]
INVOCATIONS = "/2015-03-31/functions/function/invocations"
ATTEMPTS = 200


def emulator_path() -> Path | None:
    """The emulator's program; None where .venv-aws is not set up."""
    found = ROOT.glob(".venv-aws/lib/python*/site-packages/samcli/local/rapid/aws-lambda-rie-x86_64")
    return next(found, None)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class Rie:
    """A function under the emulator. `invoke` starts the runtime the first time."""

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str]) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        program = emulator_path()
        assert program is not None
        given = {"AWS_LAMBDA_FUNCTION_NAME": "skybridge", "AWS_LAMBDA_FUNCTION_TIMEOUT": "10"}
        self.process = subprocess.Popen(
            [
                str(program),
                "--runtime-api-address",
                f"127.0.0.1:{free_port()}",
                "--runtime-interface-emulator-address",
                self.address,
                *command,
            ],
            cwd=folder,
            env={"PATH": os.environ["PATH"], **given, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def invoke(self, event: dict[str, Any]) -> httpx.Response:
        """The function's answer, whatever it is: the emulator's status is always 200."""
        transport = httpx.HTTPTransport(retries=ATTEMPTS)  # it is not listening yet when it has just been started
        with httpx.Client(transport=transport, timeout=15, trust_env=False) as client:
            return client.post(f"http://{self.address}{INVOCATIONS}", json=event)

    def end(self) -> str:
        """Ends the emulator and its runtime; what both have printed."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            output, _ = self.process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            output, _ = self.process.communicate()
        return output.decode(errors="replace")


@contextlib.contextmanager
def rie(command: list[str], folder: Path, **environment: str) -> Iterator[Rie]:
    emulator = Rie(command, folder, environment)
    try:
        yield emulator
    finally:
        emulator.end()
