"""The built package: what is in it, that it is the same each time, and that Amazon's emulator runs it."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.doors.lambda_clients import url_client
from tests.doors.lambda_emulator import LambdaEmulator
from tests.doors.lambda_rie import emulator_path, rie
from tests.handlers.test_aws_events import load

ROOT = Path(__file__).resolve().parents[2]
KEY = {"SERVICE_API_KEY": "sk-test-0123456789"}
AUTHORIZED = {"authorization": f"Bearer {KEY['SERVICE_API_KEY']}", "content-type": "application/json"}
QUESTION = {"model": "demo", "messages": [{"role": "user", "content": "How do you do?"}]}

pytestmark = pytest.mark.doors
needs_rie = pytest.mark.skipif(emulator_path() is None, reason="no .venv-aws: make test sets it up")


def load_build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("aws_build", ROOT / "infra" / "aws" / "build.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


build = load_build()


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package with the packages that are installed here: no index is asked."""
    target = tmp_path_factory.mktemp("package") / "aws"
    build.build(ROOT, target, "x86_64", installed=True)
    return target


@pytest.fixture(scope="module")
def python() -> str:
    """A Python 3.13 with nothing installed: what the package needs has to be in the package."""
    return str(sys._base_executable)  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """awslambdaric and what it needs in a folder of their own, as the managed runtime has them."""
    folder = tmp_path_factory.mktemp("runtime")
    spec = importlib.util.find_spec("awslambdaric")
    assert spec is not None and spec.origin is not None
    packages = Path(spec.origin).parents[1]
    for pattern in ("awslambdaric", "runtime_client*.so", "snapshot_restore_py.py", "simplejson"):
        for found in packages.glob(pattern):
            (folder / found.name).symlink_to(found)
    return folder


# What is in it


def test_the_package_has_the_gateway_and_none_of_the_rest(package: Path) -> None:
    names = {path.relative_to(package).as_posix() for path in package.rglob("*")}
    assert {"core/gateway.py", "handlers/aws_streaming.py", "handlers/aws_buffered.py", "models.json"} <= names
    assert {"mangum/adapter.py", "pydantic/main.py", "fastapi/applications.py"} <= names
    top = {name.partition("/")[0] for name in names}
    assert not top & {"tests", "bench", "boto3", "botocore", "uvicorn", "azure", "click", "rich", "httpx", "pip"}
    assert not {f"handlers/{name}" for name in build.LEFT_OUT} & names
    assert not [name for name in names if "/tests/" in name or name.endswith((".pyi", "RECORD", "entry.txt"))]


def test_every_source_is_compiled_and_its_date_is_not_asked_for(package: Path) -> None:
    sources = list(package.rglob("*.py"))
    assert len(sources) > 100
    for source in sources:
        compiled = Path(importlib.util.cache_from_source(str(source)))
        assert int.from_bytes(compiled.read_bytes()[4:8], "little") == 0b01, source  # PEP 552: hash, unchecked


def test_the_wrapper_can_be_run_and_is_not_called_bootstrap(package: Path) -> None:
    assert os.access(package / "streaming-wrapper", os.X_OK)
    assert not (package / "bootstrap").exists()
    assert (package / "streaming-wrapper").read_text().splitlines()[1:] == ['exec "$1" -m handlers.aws_streaming']


@pytest.mark.parametrize(
    "statement",
    [
        "from fastapi import FastAPI; FastAPI().openapi()",
        "import handlers.aws_streaming, handlers.aws_buffered, handlers.asgi, handlers.composition",
    ],
)
def test_what_was_pruned_is_not_missed(statement: str, package: Path, python: str) -> None:
    environment = {"PATH": os.environ["PATH"]}
    subprocess.run([python, "-c", statement], cwd=package, env=environment, check=True, capture_output=True)


def test_the_zip_is_small_keeps_the_run_bit_and_is_the_same_each_time(package: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first.zip", tmp_path / "second.zip"
    build.write_zip(package, first)
    for path in package.rglob("*"):
        os.utime(path)
    build.write_zip(package, second)
    assert first.read_bytes() == second.read_bytes()
    assert first.stat().st_size < build.ZIP_LIMIT
    with zipfile.ZipFile(first) as packed:
        modes = {entry.filename: entry.external_attr >> 16 for entry in packed.infolist()}
    assert modes.pop("streaming-wrapper") == 0o100755
    assert set(modes.values()) == {0o100644}


def test_the_size_table_is_sorted_and_whole(package: Path) -> None:
    rows = build.size_table(package)
    sizes = [size for _, size in rows]
    assert sizes == sorted(sizes, reverse=True)
    assert sum(sizes) == sum(path.stat().st_size for path in package.rglob("*") if path.is_file())


def test_a_source_that_does_not_compile_stops_the_build(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "broken.py").write_text("def (:\n")
    with pytest.raises(SystemExit, match="does not compile"):
        build.compile_all(tmp_path)
    assert "broken.py" in capsys.readouterr().out


def test_the_requirements_are_pinned_as_in_the_deployable() -> None:
    whole = (ROOT / "requirements.txt").read_text().splitlines()
    for line in (ROOT / "requirements-aws.txt").read_text().splitlines():
        assert line.startswith("#") or line in whole


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
def test_sam_build_is_told_where_to_build() -> None:
    command = ["make", "--no-print-directory", "--dry-run", "--makefile", "infra/aws/Makefile"]
    command += ["build-BufferedFunction", "ARCHITECTURE=x86_64"]
    environment = {**os.environ, "ARTIFACTS_DIR": "/artifacts"}
    printed = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
    assert printed.strip().endswith('infra/aws/build.py --architecture x86_64 --target "/artifacts" --no-zip')


# Amazon's emulator


def chat(event: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A question to the demo backend in the form of `event`."""
    headers = {**AUTHORIZED, "host": "example.org"}
    return event | {
        "rawPath": "/v1/chat/completions",
        "path": "/v1/chat/completions",
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "body": json.dumps(QUESTION | changes),
        "isBase64Encoded": False,
    }


@needs_rie
@pytest.mark.parametrize("door", ["streaming", "buffered"])
def test_the_emulator_of_amazon_runs_the_package(door: str, package: Path, runtime: Path, python: str) -> None:
    if door == "streaming":
        command = [str(package / "streaming-wrapper"), python, "/var/runtime/bootstrap.py"]
        environment = {"LAMBDA_TASK_ROOT": str(package), **KEY}
    else:
        command = [python, "-m", "awslambdaric", "handlers.aws_buffered.handler"]
        environment = {"PYTHONPATH": str(runtime), **KEY}
    with rie(command, package, **environment) as function:
        for event in (load("http-api"), load("rest-api"), load("load-balancer-multi-value")):
            answer = function.invoke(chat(event, stream=False)).json()
            assert answer["statusCode"] == 200, answer
            assert json.loads(answer["body"])["object"] == "chat.completion"
        streamed = function.invoke(chat(load("http-api"), stream=True)).json()
        assert (streamed["statusCode"], streamed["isBase64Encoded"]) == (200, False)
        assert streamed["body"].endswith("data: [DONE]\n\n")
        stranger = chat(load("http-api")) | {"headers": {"authorization": "Bearer sk-other"}}
        refused = function.invoke(stranger).json()
        assert refused["statusCode"] == 401
        output = function.end()
    assert "Task timed out" not in output


@needs_rie
def test_the_emulator_of_amazon_takes_the_stream_of_a_function_url(package: Path, python: str) -> None:
    command = [str(package / "streaming-wrapper"), python, "/var/runtime/bootstrap.py"]
    with rie(command, package, LAMBDA_TASK_ROOT=str(package), **KEY) as function:
        answer = function.invoke(chat(load("function-url"), stream=True))
    prelude, _, body = answer.content.partition(b"\0" * 8)
    assert json.loads(prelude)["statusCode"] == 200
    assert json.loads(prelude)["headers"]["content-type"].startswith("text/event-stream")
    assert body.endswith(b"data: [DONE]\n\n")


@needs_rie
@pytest.mark.parametrize("door", ["streaming", "buffered"])
def test_the_emulator_of_amazon_is_told_of_an_init_error(
    door: str, package: Path, runtime: Path, python: str
) -> None:
    if door == "streaming":
        command = [str(package / "streaming-wrapper"), python, "/var/runtime/bootstrap.py"]
        environment = {"LAMBDA_TASK_ROOT": str(package)}
    else:
        command = [python, "-m", "awslambdaric", "handlers.aws_buffered.handler"]
        environment = {"PYTHONPATH": str(runtime)}
    with rie(command, package, **environment) as function:
        answer = function.invoke(load("http-api")).json()
    assert answer["errorType"] in ("Function.NotConfigured", "NotConfigured")
    assert "SERVICE_API_KEY" in answer["errorMessage"]


# The project's own emulator


async def test_real_awslambdaric_runs_unchanged_on_the_emulator(package: Path, runtime: Path, python: str) -> None:
    emulator = LambdaEmulator(folder=package)
    command = (python, "-m", "awslambdaric", "handlers.aws_buffered.handler")
    async with emulator.run(*command, PYTHONPATH=str(runtime), **KEY), url_client(emulator) as client:
        for _ in range(2):
            response = await client.post("/v1/chat/completions", json=QUESTION, headers=AUTHORIZED)
            assert (response.status_code, response.json()["object"]) == (200, "chat.completion")
        body, end = await emulator.answer(load("queue"))
        assert (body, end.error) == (b"", "Unhandled")
        await emulator.ready()
        journal = [what for what, _ in emulator.journal if what != "client-end"]
        assert journal == ["next", "response", "next", "response", "next", "error", "next"]


async def test_the_package_streams_on_the_emulator(package: Path, python: str) -> None:
    emulator = LambdaEmulator(folder=package)
    command = (str(package / "streaming-wrapper"), python, "/var/runtime/bootstrap.py")
    given = {"LAMBDA_TASK_ROOT": str(package), **KEY}
    async with emulator.run(*command, **given), url_client(emulator) as client:
        question = {**QUESTION, "stream": True}
        async with client.stream("POST", "/v1/chat/completions", json=question, headers=AUTHORIZED) as response:
            parts = [part async for part in response.aiter_raw()]
        assert len(parts) > 3
        assert b"".join(parts).endswith(b"data: [DONE]\n\n")


def test_the_console_is_in_it(package: Path):
    folder = Path("handlers", "console")
    assert _names(package / folder) == _names(ROOT / folder)


def _names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
