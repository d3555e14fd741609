"""SnapStart with the whole gateway: what a snapshot holds, and what it must not."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from handlers.composition import compose
from tests.backend_server import BackendServer, Script
from tests.doors.lambda_clients import url_client
from tests.doors.lambda_emulator import LambdaEmulator
from tests.samples import answer_body, request_body, stream_frames

pytestmark = pytest.mark.doors

KEY = "sk-test-0123456789"
DOOR = (sys.executable, "-m", "handlers.aws_streaming")


def write_models(path: Path, url: str) -> None:
    backend = {"type": "anthropic", "base_url": url, "api_key": "k"}
    path.write_text(json.dumps({"backends": {"a": backend}, "models": {"m": {"backend": "a", "api_model": "m"}}}))


def tcp_sockets(pid: int) -> int:
    """How many TCP sockets a process holds."""
    tables = (Path(f"/proc/{pid}/net/{name}").read_text().splitlines() for name in ("tcp", "tcp6"))
    known = {f"socket:[{line.split()[9]}]" for table in tables for line in table}
    links = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            links.append(os.readlink(entry))
        except FileNotFoundError:  # it was closed meanwhile
            continue
    return sum(link in known for link in links)


async def test_a_snapshot_holds_no_connection_and_nothing_of_it_is_used_after_the_restore(tmp_path: Path) -> None:
    """Between the snapshot and the restore the configuration changes: the restored gateway knows the new one."""
    models = tmp_path / "models.json"
    emulator = LambdaEmulator(snap_start=True)
    async with BackendServer([]) as before, BackendServer([Script(stream_frames("messages"))] * 2) as after:
        write_models(models, before.url)
        environment = {"SERVICE_API_KEY": KEY, "MODEL_CONFIG_PATH": str(models)}
        async with emulator.run(*DOOR, **environment), url_client(emulator) as client:
            await emulator.snapshot.wait()
            assert emulator.process is not None
            assert tcp_sockets(emulator.process.pid) == 1, "the question for the restore, and no other connection"
            write_models(models, after.url)
            emulator.restore()
            await emulator.ready()
            body = request_body("messages", stream=True)
            answers = [
                await client.post("/v1/messages", content=body, headers={"x-api-key": KEY}) for _ in range(2)
            ]
            assert all("message_stop" in answer.text for answer in answers)
            assert len({answer.headers["x-request-id"] for answer in answers}) == 2
            assert not before.received and len(after.received) == 2


async def test_credentials_are_those_of_the_restored_environment(tmp_path: Path) -> None:
    """What a role lends is asked for after the restore, never taken into a snapshot that may lie for days."""
    lent = {"AccessKeyId": "AKIDMADE", "SecretAccessKey": "s", "Token": "t", "Expiration": "2099-01-01T00:00:00Z"}
    json_type = {"content-type": "application/json"}
    emulator = LambdaEmulator(snap_start=True)
    credentials = BackendServer([Script([json.dumps(lent).encode()], headers=json_type)])
    async with credentials, BackendServer([Script([answer_body("messages")], headers=json_type)]) as backend:
        row = {"type": "bedrock", "base_url": backend.url, "region": "us-east-1"}
        model = {"backend": "a", "api_model": "anthropic.claude-sonnet-4-5-20250929-v1:0"}
        models = tmp_path / "models.json"
        models.write_text(json.dumps({"backends": {"a": row}, "models": {"m": model}}))
        environment = {"SERVICE_API_KEY": KEY, "MODEL_CONFIG_PATH": str(models), "AWS_REGION": "us-east-1"}
        environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = credentials.url + "/lent"
        async with emulator.run(*DOOR, **environment), url_client(emulator) as client:
            await emulator.snapshot.wait()
            assert not credentials.received
            emulator.restore()
            await emulator.ready()
            answer = await client.post("/v1/messages", content=request_body("messages"), headers={"x-api-key": KEY})
            assert answer.status_code == 200, answer.text
            assert len(credentials.received) == 1
            assert "AKIDMADE" in backend.received[0].headers["authorization"]


def test_no_randomness_is_held_where_a_snapshot_could_copy_it(tmp_path: Path) -> None:
    """Two copies of one image, each asked for a token, must not give the same one."""
    write_models(tmp_path / "models.json", "http://127.0.0.1:9")
    variables = {"SERVICE_API_KEY": KEY, "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9"}
    random = compose(variables, str(tmp_path / "models.json")).gateway.ports.random
    random.token(24)
    image = dict(vars(random))
    first = random.token(24)
    vars(random).update(image)
    assert random.token(24) != first
