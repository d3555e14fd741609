"""`sam local start-api` as docs/deploy-aws.md says it, with a container engine of Debian's and a stand-in image."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.doors.lambda_image import NAME, write_image

ROOT = Path(__file__).resolve().parents[2]
SAM = ROOT / ".venv-aws" / "bin" / "sam"
KEY = {"authorization": "Bearer sk-local-change-me-0123"}
QUESTION = {"model": "demo", "messages": [{"role": "user", "content": "Hello from a container"}]}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),  # the first test waits for sam's build, the image and the container engine too
    pytest.mark.doors,
    pytest.mark.skipif(shutil.which("dockerd") is None, reason="no dockerd: make test-all installs docker.io"),
    pytest.mark.skipif(os.getuid() != 0, reason="starting a container engine of one's own takes root"),
    pytest.mark.skipif(not SAM.exists(), reason="no .venv-aws: make test sets it up"),
]


@contextmanager
def engine(folder: Path) -> Iterator[str]:
    """A container engine with everything in `folder`; gives its address."""
    address = f"unix://{folder}/docker.sock"
    command = ["dockerd", "--data-root", str(folder / "data"), "--exec-root", str(folder / "exec")]
    command += ["--pidfile", str(folder / "pid"), "-H", address]
    with open(folder / "dockerd.log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            wait_until(process, lambda: docker(address, "version").returncode == 0)
            yield address
        finally:
            process.terminate()
            process.wait(30)


def docker(address: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = [str(shutil.which("docker")), "-H", address, *arguments]
    return subprocess.run(command, capture_output=True)


def wait_until(process: subprocess.Popen[bytes], ready: object, seconds: float = 90.0) -> None:
    assert callable(ready)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert process.poll() is None, "it ended"
        if ready():
            return
        time.sleep(0.2)
    raise AssertionError("it does not get ready")


def environment(**more: str) -> dict[str, str]:
    interpreter = Path(os.path.realpath(ROOT / ".venv" / "bin" / "python")).parent
    given = {"SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "us-east-1", "ARCHITECTURE": "x86_64"}
    return {**os.environ, "PATH": f"{interpreter}:{os.environ['PATH']}", **given, **more}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("local")
    # All of it: sam serves every front, whatever the template's conditions say.
    build = [str(SAM), "build", "--parallel", "--build-dir", str(folder / "build")]
    build += ["--parameter-overrides", "Architecture=x86_64"]
    subprocess.run(build, cwd=ROOT, env=environment(), check=True, capture_output=True)
    write_image(folder / "image.tar")
    with engine(folder) as address, socket.socket() as probe:
        assert docker(address, "import", str(folder / "image.tar"), NAME).returncode == 0
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        command = [str(SAM), "local", "start-api", "--template", str(folder / "build" / "template.yaml")]
        command += ["--skip-pull-image", "--host", "127.0.0.1", "--port", str(port)]
        command += ["--env-vars", str(ROOT / "infra" / "aws" / "local.json")]
        command += ["--parameter-overrides", "Architecture=x86_64"]
        with open(folder / "sam.log", "wb") as log:
            given = environment(DOCKER_HOST=address)
            process = subprocess.Popen(command, cwd=ROOT, env=given, stdout=log, stderr=log)
            try:
                wait_until(process, lambda: answers(f"http://127.0.0.1:{port}/health"))
                yield f"http://127.0.0.1:{port}"
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(60)
                sys.stdout.write((folder / "sam.log").read_text()[-3000:])


def answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False, timeout=60).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
@pytest.mark.parametrize("stream", [False, True])
def test_sam_local_serves_the_gateway(path: str, stream: bool, api: str) -> None:
    asked = {**QUESTION, "max_tokens": 100, "stream": stream}
    response = httpx.post(api + path, json=asked, headers=KEY, trust_env=False, timeout=60)
    assert response.status_code == 200, response.text
    assert "container" in response.text
    assert response.headers["content-type"].startswith("text/event-stream" if stream else "application/json")


def test_sam_local_asks_for_the_key(api: str) -> None:
    response = httpx.post(f"{api}/v1/chat/completions", json=QUESTION, trust_env=False, timeout=60)
    assert response.status_code == 401


@pytest.mark.parametrize("path", ["/", "/docs", "/openapi.json"])
def test_sam_local_serves_the_pages(path: str, api: str) -> None:
    headers = {"accept": "text/html"}
    page = httpx.get(api + path, headers=headers, trust_env=False, timeout=60)
    assert page.status_code == 200 and page.headers["x-content-type-options"] == "nosniff"
    head = httpx.head(api + path, headers=headers, trust_env=False, timeout=60)
    assert (head.status_code, head.content) == (200, b"")


def test_sam_local_serves_files_byte_for_byte(api: str) -> None:
    found = httpx.get(f"{api}/console/app.js", trust_env=False, timeout=60)
    assert found.content == (ROOT / "handlers" / "console" / "app.js").read_bytes()
