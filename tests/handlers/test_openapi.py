"""The OpenAPI document: valid, complete, and true. schemathesis asks everything in it over real HTTP."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_spec_validator import validate

from core.route_list import listed_routes
from tests.chat_backends import document, remembering
from tests.served import served

KEY = {"x-api-key": "service-key-1"}
CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance",
    "unsupported_method",
)  # fmt: skip
# A backend of the dedicated endpoints that needs no network.
CONFIGURATION = document()
CONFIGURATION["backends"]["databricks"] = {"type": "databricks", "base_url": "demo://databricks", "api_key": "upstream"}
CONFIGURATION["limits"] = {"max_body_bytes": 200_000}


async def described(tmp_path: Path) -> dict[str, Any]:
    async with served(tmp_path, document()) as gateway, httpx.AsyncClient(base_url=gateway.url) as client:
        found: dict[str, Any] = (await client.get("/openapi.json")).json()
        return found


async def test_the_document_is_valid_and_has_every_endpoint(tmp_path: Path) -> None:
    found = await described(tmp_path)
    validate(found)
    described_operations = {(method.upper(), path) for path, each in found["paths"].items() for method in each}
    assert {(method, path) for method, path, _ in listed_routes()} <= described_operations
    for path in ("/api/v1/chat", "/api/v1/chat/stream", "/api/v1/compare", "/api/v1/compare/stream", "/api/v1/chain"):
        operation = found["paths"][path]["post"]
        assert {"200", "400", "401", "403", "404", "413", "429", "500", "503"} <= set(operation["responses"])
        assert "422" not in operation["responses"] and operation["requestBody"]["required"]
    assert set(found["paths"]["/api/v1/sessions/{session_id}"]) == {"get", "patch", "delete"}
    names = [operation["operationId"] for each in found["paths"].values() for operation in each.values()]
    assert len(set(names)) == len(names)
    assert found["paths"]["/health"]["get"]["security"] == [] and found["security"]


async def test_every_reference_leads_somewhere(tmp_path: Path) -> None:
    found = await described(tmp_path)
    references = set(re.findall(r"'\$ref': '#/components/(\w+)/([^']+)'", str(found)))
    assert references
    for section, name in references:
        assert name in found["components"][section], name


async def test_the_page_needs_no_script_and_nothing_from_elsewhere(tmp_path: Path) -> None:
    async with served(tmp_path, document(), {"SERVICE_API_KEY": "k"}) as gateway:
        async with httpx.AsyncClient(base_url=gateway.url) as client:
            page = await client.get("/docs")
            head = await client.head("/docs")
            links = re.findall(r'href="([^"#]+)"', page.text)
            statuses = {link: (await client.get(f"/{link}")).status_code for link in set(links)}
            closed = await client.get("/api/v1/models")
    assert page.status_code == 200 and "script" not in re.sub(r"<code>.*?</code>", "", page.text, flags=re.DOTALL)
    assert "unsafe" not in page.headers["content-security-policy"] and "style=" not in page.text
    assert set(statuses.values()) == {200} and not any("//" in link for link in links)
    assert "/api/v1/chat/stream" in page.text and "/v1/messages" in page.text
    assert head.status_code == 200 and head.content == b"" and closed.status_code == 401


async def schemathesis(url: str, paths: str, phases: str, examples: int) -> tuple[int, str]:
    """Its exit code and what it says."""
    program = Path(sys.executable).with_name("schemathesis")
    arguments = [
        "run", f"{url}/openapi.json", "--header", f"x-api-key: {KEY['x-api-key']}", "--checks", ",".join(CHECKS),
        "--phases", phases, "--max-examples", str(examples), "--seed", "1", "--no-shrink",
        "--include-path-regex", paths, "--continue-on-failure", "--warnings", "off", "--suppress-health-check", "all",
    ]  # fmt: skip
    environment = {**os.environ, "NO_COLOR": "1"}
    process = await asyncio.create_subprocess_exec(
        str(program), *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=environment
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


async def test_the_api_does_what_the_document_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with remembering(tmp_path, CONFIGURATION) as gateway:
        code, said = await schemathesis(gateway.url, r"^/(api/v1/|docs|openapi|health|ready|metrics|$)", "fuzzing", 6)
    assert code == 0, said[-6000:]


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_every_endpoint_does_what_the_document_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with remembering(tmp_path, CONFIGURATION) as gateway:
        # The health page of a backend that is away, as this one is, says so with a 503.
        code, said = await schemathesis(gateway.url, r"^/(?!v1/databricks/health)", "examples,coverage,fuzzing", 5)
    assert code == 0, said[-6000:]
