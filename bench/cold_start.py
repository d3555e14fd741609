"""Cold starts on Lambda, against a bare awslambdaric handler in the same run.

    python -m bench.cold_start --runs 15 [--package dist/aws] [--json]

Builds the package (or takes the one that is named), spawns each subject in turn, and gives per subject the medians
of: `next` (spawn to the question for the first invocation), `first byte` (spawn to the first byte of the answer's
body: for the gateway the first streamed byte of POST /v1/messages, on the demo backend and on one over HTTP, there
also with the keys, limits and usage of a DynamoDB table, and then over TLS; for the bare handler its echo), and
resident memory at both moments. The subjects alternate, so that a noisy moment meets all of them.

The peer is a Runtime API of a few lines on a blocking socket: what it takes itself is in all figures alike.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import select
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

from bench.certificates import make_certificate
from bench.store_stand_in import SECRET, StoreStandIn, requests_of

ROOT = Path(__file__).resolve().parents[1]
# The Python that the virtual environment was made from: what a function needs has to be in its package.
PYTHON = str(getattr(sys, "_base_executable", sys.executable))
PATIENCE = 20.0
QUIET = subprocess.DEVNULL
KEY = "sk-bench-0123456789"
# What the figures are given in: milliseconds and MiB.
SCALES = {"next": 1000.0, "first_byte": 1000.0, "next_rss": 1 / 1024, "first_byte_rss": 1 / 1024}
BARE_HANDLER = "def handler(event, context):\n    return event\n"
# The trivial application shows what the door and its event loop take alone.
DOOR_ONLY = """
import gc
gc.disable()
from handlers.deferred import defer
defer()
import os, sys
from handlers.aws_streaming import run
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"x"})
sys.exit(run(lambda: app, os.environ))
"""


@dataclass(slots=True)
class Subject:
    """What is started: a command in a folder with an environment."""

    name: str
    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str]
    key: str = KEY


@dataclass(slots=True)
class Start:
    """One cold start. Seconds since the spawn, and resident KiB."""

    next: float
    first_byte: float
    next_rss: int
    first_byte_rss: int


def event(path: str, body: Mapping[str, Any], key: str = KEY) -> bytes:
    """A POST as a function URL hands it to its function."""
    headers = {"host": "abc.lambda-url.us-east-1.on.aws", "x-api-key": key, "content-type": "application/json"}
    http = {"method": "POST", "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1"}
    document = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {**headers, "anthropic-version": "2023-06-01"},
        "requestContext": {"domainName": headers["host"], "http": http, "stage": "$default"},
        "isBase64Encoded": False,
        "body": json.dumps(body),
    }
    return json.dumps(document).encode()


QUESTION = {"model": "demo", "max_tokens": 64, "stream": True, "messages": [{"role": "user", "content": "Hello"}]}


FRAMES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("message_start", {"message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [],
                                   "stop_reason": None, "usage": {"input_tokens": 1, "output_tokens": 1}}}),
    ("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}),
    ("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": "Hello"}}),
    ("content_block_stop", {"index": 0}),
    ("message_delta", {"delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}),
    ("message_stop", {}),
)


class Backend:
    """Answers everything with one short stream of Messages, from a thread; over TLS where it is given a context."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        body = "".join(f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n" for name, data in FRAMES)
        head = f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {len(body)}\r\n\r\n"
        self._answer = (head + body).encode()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._tls = tls
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{self._listener.getsockname()[1]}"
        Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            plain, _ = self._listener.accept()
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with plain if self._tls is None else self._tls.wrap_socket(plain, server_side=True) as connection:
                if next(requests_of(connection), None) is not None:
                    connection.sendall(self._answer)


class RuntimeApi:
    """A Runtime API that has one invocation to give."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE)
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"

    def await_next(self) -> socket.socket:
        """The connection on which the process has asked for its first invocation."""
        connection, _ = self._listener.accept()
        connection.settimeout(PATIENCE)
        head = read_until(connection, b"", b"\r\n\r\n")
        if b"/invocation/next " not in head:
            raise SystemExit(f"the runtime did not ask for an invocation:\n{head.decode('latin-1')}")
        return connection

    def give(self, connection: socket.socket, key: str) -> None:
        """Hands the invocation over."""
        question = event("/v1/messages", QUESTION, key)
        deadline = int(time.time() * 1000) + 60_000
        head = (
            "HTTP/1.1 200 OK\r\nlambda-runtime-aws-request-id: 1-2-3\r\n"
            f"lambda-runtime-deadline-ms: {deadline}\r\nlambda-runtime-invoked-function-arn: arn:aws:lambda:x\r\n"
            f"content-type: application/json\r\ncontent-length: {len(question)}\r\n\r\n"
        )
        connection.sendall(head.encode() + question)

    def await_answer(self, kept: socket.socket) -> socket.socket:
        """Returns when the answer's first byte is here: on the kept connection, or for a stream on its own."""
        # Not a loop that looks again and again: the stand-ins' threads need the interpreter.
        ready, _, _ = select.select((self._listener, kept), (), (), PATIENCE)
        connection = self._listener.accept()[0] if self._listener in ready else kept
        connection.settimeout(PATIENCE)
        head = read_until(connection, b"", b"\r\n\r\n")
        if b"/invocation/1-2-3/response " not in head:
            raise SystemExit(f"the runtime did not answer:\n{head.decode('latin-1')}")
        end = b"\0" * 8 if b"chunked" in head else b"{"
        begun = read_until(connection, head.partition(b"\r\n\r\n")[2], end, more=5 if end != b"{" else 0)
        if b'"statusCode"' in begun and b'"statusCode":200' not in begun.replace(b" ", b""):
            raise SystemExit(f"the gateway refused:\n{begun.decode('latin-1')}")
        return connection

    def close(self) -> None:
        self._listener.close()


def read_until(connection: socket.socket, data: bytes, end: bytes, more: int = 0) -> bytes:
    """Reads on from `data` until `end`, and `more` bytes after it, have come."""
    while (found := data.find(end)) < 0 or len(data) < found + len(end) + more:
        got = connection.recv(65536)
        if not got:
            raise SystemExit(f"the runtime broke off after {data!r}")
        data += got
    return data


def resident(pid: int) -> int:
    """KiB that the process has in memory."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def start(subject: Subject) -> Start:
    """Spawns the subject, asks it one question, and ends it."""
    api = RuntimeApi()
    given = {
        "PATH": os.environ.get("PATH", ""),
        "AWS_LAMBDA_RUNTIME_API": api.address,
        "AWS_LAMBDA_FUNCTION_NAME": "skybridge",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "LAMBDA_TASK_ROOT": str(subject.folder),
        "AWS_REGION": "us-east-1",
        **subject.environment,
    }
    began = time.perf_counter()
    process = subprocess.Popen(subject.command, cwd=subject.folder, env=given, stdout=QUIET, stderr=QUIET)
    connection = answer = None
    try:
        connection = api.await_next()
        asked = time.perf_counter() - began
        asked_rss = resident(process.pid)
        # What reading the memory took is no part of the start.
        began += time.perf_counter() - began - asked
        api.give(connection, subject.key)
        answer = api.await_answer(connection)
        answered = time.perf_counter() - began
        return Start(asked, answered, asked_rss, resident(process.pid))
    finally:
        process.kill()
        process.wait()
        for opened in (connection, answer):
            if opened is not None:
                opened.close()
        api.close()


def build_package(target: Path) -> None:
    """The package as it is deployed, with the packages that are installed here."""
    command = [sys.executable, str(ROOT / "infra" / "aws" / "build.py"), "--installed", "--no-zip"]
    subprocess.run([*command, "--target", str(target)], check=True, stdout=QUIET)


def make_runtime(folder: Path) -> None:
    """awslambdaric and what it needs in a folder, as the managed runtime has them, and a bare handler."""
    found = importlib.util.find_spec("awslambdaric")
    if found is None or found.origin is None:
        raise SystemExit("awslambdaric is not installed: pip install -r requirements-test.txt")
    packages = Path(found.origin).parents[1]
    for pattern in ("awslambdaric", "runtime_client*.so", "snapshot_restore_py.py", "simplejson"):
        for path in packages.glob(pattern):
            (folder / path.name).symlink_to(path)
    (folder / "bare.py").write_text(BARE_HANDLER)


def write_models(path: Path, url: str, api_model: str = "m", more: Sequence[str] = ()) -> None:
    """A configuration, as a package has it, whose model is on the backend at `url`; with a backend and a model of each
    of the types `more` beside it."""
    backends = {kind: {"type": kind, "base_url": url, "api_key": "k"} for kind in ("anthropic", *more)}
    models = {kind: {"backend": kind, "api_model": "m"} for kind in more}
    models["demo"] = {"backend": "anthropic", "api_model": api_model}
    path.write_text(json.dumps({"backends": backends, "models": models}))


def accounted(models: Path, backend: Backend, store: StoreStandIn) -> dict[str, str]:
    """The variables of a gateway with keys, limits and usage, and a configuration with backends of three formats."""
    write_models(models, backend.url, "claude-sonnet-4-5", ("openai", "gemini"))
    return {**store.environment, "MODEL_CONFIG_PATH": str(models)}


def subjects(package: Path, runtime: Path) -> list[Subject]:
    """What is compared; the first is the measure of the others."""
    gateway = {"SERVICE_API_KEY": KEY, "SKYBRIDGE_DEMO_PACE": "0"}
    wrapper = ["/bin/sh", str(package / "streaming-wrapper"), PYTHON, "/var/runtime/bootstrap.py"]
    trusted, tls = make_certificate(runtime)
    models, backend = runtime / "models.json", Backend()
    write_models(models, backend.url)
    plain = accounted(runtime / "three-formats.json", backend, StoreStandIn())
    secured = accounted(runtime / "three-formats-tls.json", Backend(tls), StoreStandIn(tls))
    bare = [PYTHON, "-m", "awslambdaric", "bare.handler"]
    return [
        Subject("bare awslambdaric", bare, runtime, {}),
        Subject("door, trivial app", [PYTHON, "-c", DOOR_ONLY], package, {}),
        Subject("gateway, demo", wrapper, package, gateway),
        Subject("gateway, HTTP backend", wrapper, package, {**gateway, "MODEL_CONFIG_PATH": str(models)}),
        Subject("gateway, keys and limits", wrapper, package, {**gateway, **plain}, SECRET),
        Subject("the same over TLS", wrapper, package, {**gateway, **secured, "SSL_CERT_FILE": str(trusted)}, SECRET),
    ]


def measure(compared: Sequence[Subject], runs: int) -> dict[str, list[Start]]:
    """`runs` starts of each, in turn, after one that fills the file cache."""
    starts: dict[str, list[Start]] = {subject.name: [] for subject in compared}
    for number in range(runs + 1):
        for subject in compared:
            result = start(subject)
            if number:
                starts[subject.name].append(result)
    return starts


def summary(starts: Mapping[str, Sequence[Start]]) -> list[dict[str, Any]]:
    """Medians per subject, and how many times the first subject's they are."""
    rows: list[dict[str, Any]] = []
    for name, results in starts.items():
        row: dict[str, Any] = {"name": name}
        for field, scale in SCALES.items():
            row[field] = statistics.median(getattr(result, field) for result in results) * scale
        first = rows[0] if rows else row
        row["next_times"] = row["next"] / first["next"]
        row["first_byte_times"] = row["first_byte"] / first["first_byte"]
        rows.append(row)
    return rows


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The summary as text."""
    lines = [f"{'':26}{'next, ms':>10}{'times':>8}{'first byte, ms':>16}{'times':>8}{'RSS, MB':>10}{'then':>8}"]
    lines += [
        f"{row['name']:26}{row['next']:>10.1f}{row['next_times']:>8.2f}{row['first_byte']:>16.1f}"
        f"{row['first_byte_times']:>8.2f}{row['next_rss']:>10.1f}{row['first_byte_rss']:>8.1f}"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures cold starts on Lambda.")
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--package", type=Path, help="a built package; one is built when this is left out")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        package = options.package or Path(folder) / "package"
        if options.package is None:
            build_package(package)
        runtime = Path(folder) / "runtime"
        runtime.mkdir()
        make_runtime(runtime)
        rows = summary(measure(subjects(package.resolve(), runtime), options.runs))
    sys.stdout.write(json.dumps(rows) + "\n" if options.json else table(rows))


if __name__ == "__main__":
    main()
