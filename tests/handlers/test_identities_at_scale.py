"""Every kind of identity, the same three promises: a thousand requests at once fetch one token once; one that is
about to end is renewed before it does; an endpoint that fails is a 503 that names it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

from core.routing.registry import Backend
from handlers.io.http_client import HttpTransport
from tests.backend_server import JSON, BackendServer, Received, Script
from tests.handlers.identity_services import IdentityServices
from tests.handlers.test_identities import Ground, authorized, backend_of
from tests.leaks import MARK, secret
from tests.served import served

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"


class AllServices(IdentityServices):
    """The container's endpoint too, whose credentials have an end, as the role's have here."""

    def _service_of(self, received: Received) -> str:
        return "container" if received.target == "/container" else super()._service_of(received)

    def _give(self, service: str) -> Script:
        ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.now + self.lifetime))
        key = f"ASIA{service[:9].upper()}{self.asked[service]:03}"
        if service == "container":
            given = {"AccessKeyId": key, "SecretAccessKey": "s3cret", "Token": "t", "Expiration": ends}
            return Script([json.dumps(given).encode()], headers=JSON)
        made = super()._give(service)
        if service == "AssumeRoleWithWebIdentity":
            text = made.chunks[0].decode().replace("2099-01-02T03:04:05Z", ends).replace("ASIAFEDERATED", key)
            return Script([text.encode()], headers=made.headers)
        return made


@pytest.fixture
async def ground() -> AsyncIterator[Ground]:
    services = AllServices()
    transport = HttpTransport(environment={})
    async with BackendServer(services) as server:
        yield Ground(services, server, transport)
        await transport.aclose()


def kinds(ground: Ground, folder: Path) -> dict[str, tuple[dict[str, Any], dict[str, str], list[str], str]]:
    """By name: the backend, the environment, the services that are asked, and the words for the last of them."""
    url = ground.server.url
    token = folder / "token"
    token.write_text(f"jwt-{MARK}", "utf-8")
    entra = {"tenant_id": "tenant", "client_id": "app", "authority": url}
    role = {"role_arn": "arn:aws:iam::123456789012:role/r", "audience": "api://aws", "region": "us-east-1"}
    azure = {**ground.azure, "AWS_ENDPOINT_URL_STS": url}
    anthropic = {"federation_rule_id": "rule", "organization_id": "org"}
    openai = {"identity_provider_id": "idp", "service_account_id": "account", "token_url": f"{url}/oauth/token"}
    web = {"AWS_WEB_IDENTITY_TOKEN_FILE": str(token), "AWS_ROLE_ARN": role["role_arn"], "AWS_REGION": "us-east-1",
           "AWS_ENDPOINT_URL_STS": url}  # fmt: skip
    container = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{url}/container", "AWS_REGION": "us-east-1"}
    assume, prove = "AssumeRoleWithWebIdentity", "GetWebIdentityToken"
    return {
        "managed identity": ({"type": "azure-openai", "auth": "managed-identity"}, azure, ["managed"],
                             "managed identity endpoint (IDENTITY_ENDPOINT)"),
        "AWS to Azure": ({"type": "azure-openai", **entra}, ground.aws, [prove, "entra"], "Entra's token endpoint"),
        "AWS to Foundry": ({"type": "azure-foundry", **entra}, ground.aws, ["entra", prove], "GetWebIdentityToken"),
        "Azure to AWS": ({"type": "bedrock", **role}, azure, ["managed", assume], "STS did not let"),
        "Azure to AWS, unknown there": ({"type": "bedrock", **role}, azure, [assume, "managed"], "IDENTITY_ENDPOINT"),
        "to Anthropic": ({"type": "anthropic", **anthropic}, ground.aws, [prove, "anthropic"], "Anthropic's token"),
        "to OpenAI": ({"type": "openai", **openai}, ground.aws, [prove, "openai"], "OpenAI's token endpoint"),
        "web identity": ({"type": "bedrock", "auth": "iam", "region": "us-east-1"}, web, [assume], "STS did not let"),
        "container": ({"type": "bedrock", "auth": "iam", "region": "us-east-1"}, container, ["container"],
                      "container's credential endpoint"),
    }  # fmt: skip


KINDS = [
    "managed identity", "AWS to Azure", "AWS to Foundry", "Azure to AWS", "Azure to AWS, unknown there", "to Anthropic",
    "to OpenAI", "web identity", "container",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
async def test_a_thousand_at_once_and_the_renewal(ground: Ground, tmp_path: Path, kind: str) -> None:
    options, environment, services, _ = kinds(ground, tmp_path)[kind]
    backend: Backend = backend_of(options["type"], **{"base_url": ground.server.url, **without_type(options)})
    authorizer = ground.authorizer(**{**environment, "HOME": str(tmp_path)})
    headers = await asyncio.gather(*(authorized(authorizer, backend) for _ in range(1000)))
    first = {credential_of(item) for item in headers}
    assert len(first) == 1
    assert {name: ground.services.asked[name] for name in services} == dict.fromkeys(services, 1)
    # Before its end, but after the time of its renewal: what holds is used on until there is a new one.
    ground.clock.now += 3400.0
    ground.services.now = ground.clock.time()
    seen = set()
    for _ in range(2000):
        seen.add(credential_of(await authorized(authorizer, backend)))
        if seen - first:
            break
        await asyncio.sleep(0.001)
    assert len(seen - first) == 1
    assert {name: ground.services.asked[name] for name in services} == dict.fromkeys(services, 2)


def without_type(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name != "type"}


def credential_of(headers: dict[str, str]) -> str:
    """The token, or the id of the key that signed."""
    return headers["authorization"].partition("/")[0]


@pytest.mark.parametrize("kind", KINDS)
async def test_one_that_fails_is_a_503_that_names_it(ground: Ground, tmp_path: Path, kind: str) -> None:
    options, environment, services, named = kinds(ground, tmp_path)[kind]
    backend = {"auth": "federated", "base_url": ground.server.url, **options}
    document = {"backends": {"b": backend}, "models": {"m": {"backend": "b", "api_model": CLAUDE}}}
    variables = {**environment, "HOME": str(tmp_path), "SERVICE_API_KEY": secret("service")}
    ground.services.broken.add(services[-1])
    headers = {"authorization": f"Bearer {secret('service')}"}
    async with served(tmp_path, document, variables) as gateway, httpx.AsyncClient(base_url=gateway.url) as http:
        for stream in (False, True):
            body = {"model": "m", "stream": stream, "messages": [{"role": "user", "content": "x"}]}
            failed = await http.post("/v1/chat/completions", json=body, headers=headers)
            assert failed.status_code == 503, failed.text
            assert named in failed.json()["error"]["message"]
            assert MARK not in failed.text
        asked = [received.target for received in ground.server.received]
        assert not any(target.startswith(("/model", "/openai", "/v1/r")) for target in asked)


async def test_boto3_reads_the_same_services(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground.services.now = time.time()
    monkeypatch.setenv("HOME", str(tmp_path))
    for kind, started in (("container", "ASIACONTAINER"), ("web identity", "ASIAASSUMEROL")):
        environment = kinds(ground, tmp_path)[kind][1]
        with monkeypatch.context() as patched:
            for name, value in environment.items():
                patched.setenv(name, value)
            found = await asyncio.to_thread(lambda: boto3.Session().get_credentials().get_frozen_credentials())
        assert found.access_key.startswith(started) and found.secret_key == "s3cret"
