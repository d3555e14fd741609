"""infra/audit.py against an advisory service on loopback: what is known fails, what cannot be asked is told."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "infra" / "audit.py"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (ROOT / ".venv-audit").exists(), reason="no .venv-audit: make test-all sets it up"),
]

# https://google.github.io/osv.dev/post-v1-query/: an answer without `vulns` knows of none.
MADE = {
    "id": "MADE-2026-1",
    "affected": [{
        "package": {"name": "starlette", "ecosystem": "PyPI"},
        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.0"}]}],
    }],
}  # fmt: skip


@contextmanager
def advisories(vulnerable: str = "") -> Iterator[str]:
    """A service in OSV's form that knows a vulnerability of one package, or of none."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            answer: dict[str, Any] = {"vulns": [MADE]} if asked["package"]["name"] == vulnerable else {}
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def audit(url: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *options, "-s", "osv", "--osv-url", url]
    return subprocess.run(command, capture_output=True, text=True, env={"NO_PROXY": "127.0.0.1"})


def test_nothing_known_is_well() -> None:
    with advisories() as url:
        done = audit(url)
    assert (done.returncode, done.stdout[:26]) == (0, "pip-audit: nothing known of"[:26]), done.stdout + done.stderr


@pytest.mark.parametrize("options", [(), ("--where-reachable",)], ids=["strict", "where reachable"])
def test_what_is_known_fails(options: tuple[str, ...]) -> None:
    with advisories("starlette") as url:
        done = audit(url, *options)
    assert done.returncode == 1
    assert "VULNERABLE starlette" in done.stdout and "MADE-2026-1" in done.stdout


@pytest.mark.parametrize(("options", "word", "code"), [((), "FAILED", 1), (("--where-reachable",), "SKIPPED", 0)])
def test_a_service_out_of_reach_is_told(options: tuple[str, ...], word: str, code: int) -> None:
    done = audit("http://127.0.0.1:9/v1/query", *options)
    assert (done.returncode, done.stdout.partition(":")[0]) == (code, f"{word} pip-audit"), done.stdout + done.stderr
