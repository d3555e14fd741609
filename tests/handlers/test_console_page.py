"""The page and its files over HTTP: types, caching, compression, headers."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import re
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from core.errors import ClientFault
from handlers.aws_buffered import make_handler
from handlers.composition import compose
from handlers.console_page import CONTENT_SECURITY_POLICY, FOLDER, packed, read_site, router
from tests.handlers.test_aws_buffered import Context as LambdaContext
from tests.handlers.test_aws_events import load
from tests.leaks import secret
from tests.served import served

SOURCES = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.is_file())


@pytest.fixture
def client() -> TestClient:
    app = FastAPI()
    app.include_router(router)
    return TestClient(app, raise_server_exceptions=True, headers={"accept-encoding": "identity"})


def test_the_page_has_a_strict_policy_and_names_files_of_one_version(client: TestClient):
    answer = client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert policy == CONTENT_SECURITY_POLICY
    assert policy == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-cache"
    named = re.findall(r'(?:href|src)="(console/[^"]+)"', answer.text)
    assert [address.split("/")[2] for address in named] == ["mark.svg", "theme-boot.js", "console.css", "console.js"]
    assert "current" not in answer.text
    for address in named:
        found = client.get(f"/{address}")
        assert found.status_code == 200, address
        assert found.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert not re.search(r"<script>|<style|style=| on\w+=|https?://", answer.text)


@pytest.mark.parametrize("name", [name for name in SOURCES if name != "index.html"])
def test_a_file_is_what_is_in_the_folder(client: TestClient, name: str):
    answer = client.get(f"/console/{name}")
    assert answer.content == (FOLDER / name).read_bytes()
    kinds = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
    assert answer.headers["content-type"] == f"{kinds[Path(name).suffix]}; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    again = client.get(f"/console/{name}", headers={"if-none-match": f'"other", W/{answer.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == answer.headers["etag"]


@pytest.mark.parametrize(
    ("accepted", "packs"),
    [("gzip, br", True), ("br, GZIP;q=0.5", True), ("*", True), ("gzip;q=0", False), ("gzip; q=0.0", False),
     ("br", False), ("", False)],
)  # fmt: skip
def test_a_file_is_compressed_for_those_who_take_it(accepted: str, packs: bool):
    app = FastAPI()
    app.include_router(router)
    client = TestClient(app)
    with client.stream("GET", "/console/base.css", headers={"accept-encoding": accepted}) as answer:
        body = b"".join(answer.iter_raw())
    assert (answer.headers.get("content-encoding") == "gzip") is packs
    assert "accept-encoding" in answer.headers["vary"]
    assert (gzip.decompress(body) if packs else body) == (FOLDER / "base.css").read_bytes()
    answers = [client.get("/console/base.css", headers={"accept-encoding": each}) for each in ("gzip", "br")]
    tags = {answer.headers["etag"] for answer in answers}
    assert len(tags) == 2  # what differs byte for byte has another tag


def test_another_release_gets_these_files_but_keeps_them_for_no_year(client: TestClient):
    answer = client.get("/console/v-000000000000/console.js")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "path",
    ["/console/nothing.js", "/console/index.html", "/console/../console_page.py", "/console/%2e%2e/console_page.py",
     "/console/v-1/../../cli.py", "/console/", "/console/v-1/", "/console/views"],
)  # fmt: skip
def test_nothing_else_is_served(client: TestClient, path: str):
    try:
        answer = client.get(path)
    except ClientFault as fault:
        assert fault.status == 404
    else:
        assert answer.status_code == 404


def test_the_version_changes_with_any_file(tmp_path: Path):
    versions = set()
    for number, name in enumerate(("views/playground.js", "data.css", "index.html", "mark.svg")):
        folder = shutil.copytree(FOLDER, tmp_path / str(number))
        (folder / "notes.txt").write_text("not for browsers")
        with (folder / name).open("a") as file:
            file.write("\n")
            file.write("/* changed */" if name.endswith("css") else "// changed")
        site = read_site(folder)
        versions.add(site.version)
        assert f'src="console/{site.version}/console.js"' in site.files["index.html"].plain.decode()
        assert "notes.txt" not in site.files
    assert len(versions | {read_site().version}) == 5


def test_styles_and_modules_go_out_as_one_file_each():
    styles = read_site().files["console.css"].plain.decode()
    script = read_site().files["console.js"].plain.decode()
    for name in SOURCES:
        text = (FOLDER / name).read_text("utf-8")
        if name.endswith(".js") and name != "theme-boot.js":
            assert script.count(f"// {name}\n") == 1, name
        elif name.endswith(".css"):
            assert (text in styles) is (name != "docs.css"), name


def test_everything_together_is_small():
    files = read_site().files
    asked_for = ("index.html", "mark.svg", "theme-boot.js", "console.css", "console.js")
    assert sum(len(packed(files[name].plain)) for name in asked_for) < 75_000


def test_modules_import_only_each_other_and_parse_no_html():
    for name in SOURCES:
        if not name.endswith(".js"):
            continue
        text = (FOLDER / name).read_text("utf-8")
        for one, other in re.findall(r'^import .* from "([^"]+)";|import\("([^"]+)"\)', text, re.MULTILINE):
            assert (FOLDER / name).parent.joinpath(one or other).resolve().is_file(), (name, one, other)
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", text), name
        assert len(text.splitlines()) <= 400, name


async def test_the_gateway_serves_it_to_browsers_and_answers_head(tmp_path: Path):
    document = {"backends": {"demo": {"type": "demo"}}, "models": {"demo": {"backend": "demo"}}}
    async with served(tmp_path, document) as gateway, httpx.AsyncClient(base_url=gateway.url) as client:
        page = await client.get("/", headers={"accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert page.headers["content-encoding"] == "gzip"
        assert page.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
        assert "x-request-id" in page.headers
        head = await client.head("/", headers={"accept": "text/html"})
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["etag"] == page.headers["etag"]
        known = await client.get("/", headers={"accept": "text/html", "if-none-match": page.headers["etag"]})
        assert (known.status_code, known.content) == (304, b"")
        short = await client.get("/", headers={"accept": "application/json"})
        assert short.headers["content-type"] == "application/json"
        module = await client.head("/console/console.js")
        assert (module.status_code, module.content) == (200, b"")
        assert module.headers["content-type"] == "text/javascript; charset=utf-8"
        missing = await client.get("/console/../handlers/cli.py")
        assert missing.status_code == 404
        nowhere = await client.get("/console/nothing.js")
        assert nowhere.json()["error"]["code"] == "NOT_FOUND"


@pytest.mark.parametrize("sam_local", [False, True])
async def test_a_buffered_lambda_gives_the_same_bytes(
    sam_local: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Compressed, except where `sam local` would hand out the base64 of it."""
    monkeypatch.setenv("AWS_SAM_LOCAL", "true" if sam_local else "")
    models = tmp_path / "models.json"
    models.write_text(json.dumps({"backends": {"demo": {"type": "demo"}}, "models": {"demo": {"backend": "demo"}}}))
    composition = compose({"SERVICE_API_KEY": secret("gateway"), "LOG_LEVEL": "error"}, str(models))
    event = load("http-api")
    event["requestContext"]["http"].update(method="GET", path="/")
    event.update(rawPath="/", rawQueryString="", body="", isBase64Encoded=False)
    event["headers"] = {"accept": "text/html", "accept-encoding": "gzip", "host": "gateway.example"}

    def invoke() -> dict[str, Any]:
        handler = make_handler(composition.app)
        answer: dict[str, Any] = handler(event, LambdaContext())
        asyncio.get_event_loop().close()
        asyncio.set_event_loop(None)
        return answer

    answer = await asyncio.to_thread(invoke)
    assert (answer["statusCode"], answer["isBase64Encoded"]) == (200, not sam_local)
    assert answer["headers"]["content-security-policy"] == CONTENT_SECURITY_POLICY
    body = answer["body"].encode() if sam_local else gzip.decompress(base64.b64decode(answer["body"]))
    assert body == read_site().files["index.html"].plain
