"""Backends that are reached with a cloud identity: within a cloud, across clouds, and at vendors that federate."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from azure.identity import ManagedIdentityCredential

from core.auth.sigv4 import SignedParts, parse_authorization, verify
from core.auth.tokens import UnreadableToken, read_token, read_web_identity_token, token_error
from core.errors import NotConfigured
from core.ports import BackendRequest
from core.routing.registry import Backend, make_backend
from handlers.io.backend_auth import BackendAuthorizer
from handlers.io.http_client import HttpTransport
from tests.backend_server import BackendServer
from tests.handlers.identity_services import ROLE, WEB_IDENTITY, IdentityServices
from tests.scripted import VirtualClock
from tests.served import served

AWS = {"AWS_ACCESS_KEY_ID": "AKIA1", "AWS_SECRET_ACCESS_KEY": "s3cret", "AWS_REGION": "eu-west-1"}
HELLO = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}


class Ground:
    """The fake services on a socket, an authorizer that uses them, a clock that tests move."""

    def __init__(self, services: IdentityServices, server: BackendServer, transport: HttpTransport) -> None:
        self.services = services
        self.server = server
        self.transport = transport
        self.clock = VirtualClock()
        services.now = self.clock.time()

    def authorizer(self, **environment: str) -> BackendAuthorizer:
        return BackendAuthorizer(environment, self.transport, self.clock)

    @property
    def azure(self) -> dict[str, str]:
        return {"IDENTITY_ENDPOINT": f"{self.server.url}/msi/token", "IDENTITY_HEADER": "identity-header"}

    @property
    def aws(self) -> dict[str, str]:
        return {**AWS, "AWS_ENDPOINT_URL_STS": self.server.url}


@pytest.fixture
async def ground() -> AsyncIterator[Ground]:
    services = IdentityServices()
    transport = HttpTransport(environment={})
    async with BackendServer(services) as server:
        yield Ground(services, server, transport)
        await transport.aclose()


def backend_of(type_name: str, **options: Any) -> Backend:
    return make_backend("b", type_name, {"base_url": "http://h", "auth": "federated", **options})


async def authorized(authorizer: BackendAuthorizer, backend: Backend, **headers: str) -> dict[str, str]:
    names = [(name.replace("_", "-"), value) for name, value in headers.items()]
    request = BackendRequest("POST", "http://h/v1/messages", names, b"{}")
    await authorizer.authorize(backend, request)
    return dict(request.headers)


async def test_a_thousand_requests_fetch_one_token_once(ground: Ground) -> None:
    backend = backend_of("azure-openai", auth="managed-identity", client_id="user-assigned")
    authorizer = ground.authorizer(**ground.azure)
    headers = await asyncio.gather(*(authorized(authorizer, backend) for _ in range(1000)))
    assert {item["authorization"] for item in headers} == {"Bearer managed-token-1"}
    assert ground.services.asked["managed"] == 1
    assert ground.services.forms["managed"] == {
        "api-version": "2019-08-01", "resource": "https://cognitiveservices.azure.com",
        "client_id": "user-assigned", "header": "identity-header",
    }  # fmt: skip


async def test_a_token_is_renewed_before_it_ends_and_nobody_waits(ground: Ground) -> None:
    backend = backend_of("azure-openai", auth="managed-identity", scope="https://ai.azure.com/.default")
    authorizer = ground.authorizer(**ground.azure)
    await authorized(authorizer, backend)
    assert ground.services.forms["managed"]["resource"] == "https://ai.azure.com"
    ground.clock.now += 3400.0  # 200 s before its end
    ground.services.now = ground.clock.time()
    assert (await authorized(authorizer, backend))["authorization"] == "Bearer managed-token-1"
    await authorized(authorizer, backend)
    while ground.services.asked["managed"] < 2:
        await asyncio.sleep(0)
    seen = set()
    for _ in range(500):
        seen.add((await authorized(authorizer, backend))["authorization"])
        if "Bearer managed-token-2" in seen:
            break
        await asyncio.sleep(0.001)
    assert "Bearer managed-token-2" in seen
    assert ground.services.asked["managed"] == 2


async def test_a_renewal_that_fails_leaves_the_token_until_its_end(ground: Ground) -> None:
    backend = backend_of("azure-openai", auth="managed-identity")
    authorizer = ground.authorizer(**ground.azure)
    await authorized(authorizer, backend)
    ground.services.broken.add("managed")
    ground.clock.now += 3400.0
    assert (await authorized(authorizer, backend))["authorization"] == "Bearer managed-token-1"
    while ground.services.asked["managed"] < 4:  # the first one, and three tries
        await asyncio.sleep(0.001)
    assert (await authorized(authorizer, backend))["authorization"] == "Bearer managed-token-1"
    ground.clock.now += 300.0
    with pytest.raises(NotConfigured, match=r"managed identity endpoint \(IDENTITY_ENDPOINT\) answered 500"):
        await authorized(authorizer, backend)


async def test_a_failing_identity_endpoint_is_a_503_that_names_it(ground: Ground, tmp_path: Path) -> None:
    document = {
        "backends": {"azure": {"type": "azure-openai", "base_url": ground.server.url, "auth": "managed-identity"}},
        "models": {"m": {"backend": "azure", "api_model": "gpt-5"}},
    }
    async with served(tmp_path, document, ground.azure) as gateway, httpx.AsyncClient(base_url=gateway.url) as http:
        ground.services.broken.add("managed")
        failed = await http.post("/v1/chat/completions", json=HELLO)
        assert failed.status_code == 503
        assert "IDENTITY_ENDPOINT" in failed.json()["error"]["message"]
        assert "identity-header" not in failed.text
        ground.services.broken.clear()
        ground.services.now = time.time()  # the served gateway has the machine's clock
        answers = await asyncio.gather(*(http.post("/v1/chat/completions", json=HELLO) for _ in range(50)))
        assert {answer.status_code for answer in answers} == {200}
    tokens = {item.headers.get("authorization") for item in ground.server.received if "/openai/" in item.target}
    assert len(tokens) == 1


async def test_no_managed_identity_here(ground: Ground) -> None:
    backend = backend_of("azure-openai", auth="managed-identity")
    with pytest.raises(NotConfigured, match="IDENTITY_ENDPOINT not set in environment"):
        await authorized(ground.authorizer(), backend)


async def test_from_aws_to_azure(ground: Ground) -> None:
    """GetWebIdentityToken, signed by the role, then Entra's token endpoint."""
    options = {"tenant_id": "tenant", "client_id": "app", "authority": ground.server.url}
    authorizer = ground.authorizer(**ground.aws)
    headers = await authorized(authorizer, backend_of("azure-openai", **options))
    assert headers["authorization"] == "Bearer entra-token-1"
    asked = ground.services.forms["GetWebIdentityToken"]
    assert asked["Audience.member.1"] == "api://AzureADTokenExchange"
    assert (asked["SigningAlgorithm"], asked["Version"]) == ("RS256", "2011-06-15")
    signed = ground.server.received[0]
    assert "/eu-west-1/sts/aws4_request" in signed.headers["authorization"]
    assert ground.server.received[1].target == "/tenant/oauth2/v2.0/token"
    assert ground.services.forms["entra"] == {
        "grant_type": "client_credentials", "client_id": "app",
        "scope": "https://cognitiveservices.azure.com/.default",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": "aws.jwt.token",
    }  # fmt: skip
    ground.services.broken.add("GetWebIdentityToken")
    with pytest.raises(NotConfigured, match="STS GetWebIdentityToken was refused: status 500"):
        await authorized(ground.authorizer(**ground.aws), backend_of("azure-foundry", **options))


async def test_from_azure_to_aws(ground: Ground) -> None:
    """The managed identity's token for an app registration, then AssumeRoleWithWebIdentity; requests are signed."""
    role = "arn:aws:iam::123456789012:role/from-azure"
    environment = {**ground.azure, "AWS_ENDPOINT_URL_STS": ground.server.url, "AZURE_CLIENT_ID": "user-assigned"}
    backend = backend_of("bedrock", role_arn=role, audience="api://skybridge", region="us-west-2")
    authorizer = ground.authorizer(**environment)
    headers = await asyncio.gather(*(authorized(authorizer, backend) for _ in range(20)))
    assert headers[0]["x-amz-security-token"] == "session-token"
    assert "ASIAFEDERATED" in headers[0]["authorization"] and "/us-west-2/bedrock/" in headers[0]["authorization"]
    assert ground.services.forms["managed"]["resource"] == "api://skybridge"
    assert ground.services.forms["managed"]["client_id"] == "user-assigned"
    assumed = ground.services.forms["AssumeRoleWithWebIdentity"]
    assert (assumed["RoleArn"], assumed["WebIdentityToken"]) == (role, "managed-token-1")
    assert ground.services.asked == {"managed": 1, "AssumeRoleWithWebIdentity": 1}


async def test_to_anthropic(ground: Ground) -> None:
    environment = {
        **ground.aws, "ANTHROPIC_FEDERATION_RULE_ID": "rule", "ANTHROPIC_ORGANIZATION_ID": "org",
        "ANTHROPIC_SERVICE_ACCOUNT_ID": "account",
    }  # fmt: skip
    backend = backend_of("anthropic", base_url=ground.server.url)
    headers = await authorized(ground.authorizer(**environment), backend, anthropic_beta="some-beta")
    assert headers["authorization"] == "Bearer anthropic-token-1"
    assert headers["anthropic-beta"] == "some-beta,oauth-2025-04-20"
    assert ground.services.forms["anthropic"] == {
        "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": "aws.jwt.token",
        "federation_rule_id": "rule", "organization_id": "org", "service_account_id": "account",
    }  # fmt: skip


async def test_to_openai_with_a_token_file(ground: Ground, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("kubernetes.jwt\n", "utf-8")
    options = {
        "identity_provider_id": "idp", "service_account_id": "account", "token_file": str(path),
        "token_url": f"{ground.server.url}/oauth/token",
    }  # fmt: skip
    headers = await authorized(ground.authorizer(), backend_of("openai", **options))
    assert headers["authorization"] == "Bearer openai-token-1"
    assert ground.services.forms["openai"]["subject_token"] == "kubernetes.jwt"
    path.unlink()
    with pytest.raises(NotConfigured, match="token_file token cannot be read"):
        await authorized(ground.authorizer(), backend_of("openai", **options))


@pytest.mark.parametrize(
    ("backend", "said"),
    [
        (backend_of("azure-openai"), r"needs tenant_id \(AZURE_TENANT_ID not set"),
        (backend_of("bedrock"), r"needs role_arn \(AWS_ROLE_ARN not set"),
        (backend_of("openai"), r"needs identity_provider_id \(OPENAI_IDENTITY_PROVIDER_ID not set"),
        (backend_of("gemini"), "is for backends of type azure-openai"),
    ],
)
async def test_what_is_absent_is_named(ground: Ground, backend: Backend, said: str) -> None:
    with pytest.raises(NotConfigured, match=said):
        await authorized(ground.authorizer(), backend)


@pytest.mark.parametrize("document", [b"", b"[]", b"{}", b'{"access_token": 3}', b'{"access_token": ""}'])
def test_tokens_that_cannot_be_read(document: bytes) -> None:
    with pytest.raises(UnreadableToken):
        read_token(document, 0.0)


def test_how_long_a_token_holds() -> None:
    assert read_token(b'{"access_token":"a","expires_on":"77"}', 5.0).expires_at == 77.0
    assert read_token(b'{"access_token":"a","expires_in":10}', 5.0).expires_at == 15.0
    assert read_token(b'{"access_token":"a","expires_on":"soon","expires_in":true}', 5.0).expires_at == 305.0
    assert "a" not in repr(read_token(b'{"access_token":"aaa"}', 5.0)).replace("expires_at", "").replace("Token", "")
    assert read_web_identity_token(WEB_IDENTITY.encode()).expires_at == 1767323045.0
    assert read_web_identity_token(b"<WebIdentityToken>x</WebIdentityToken>").expires_at is None
    with pytest.raises(UnreadableToken):
        read_web_identity_token(ROLE.encode())


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (b'{"error":"invalid_client","error_description":"AADSTS7  secret-jwt"}', "invalid_client: AADSTS7 ***"),
        (b'{"error":{"type":"authentication_error","message":"no"}}', "authentication_error: no"),
        (b'{"message":"plain"}', "plain"),
        (b"<html>", ""),
    ],
)
def test_what_a_refusal_says(document: bytes, said: str) -> None:
    assert token_error(document, "secret-jwt", "") == said


async def test_answers_that_hold_no_token(ground: Ground) -> None:
    ground.services.empty = True
    options = {"tenant_id": "t", "client_id": "c", "authority": ground.server.url}
    with pytest.raises(NotConfigured, match="STS GetWebIdentityToken gave no usable token"):
        await authorized(ground.authorizer(**ground.aws), backend_of("azure-openai", **options))
    with pytest.raises(NotConfigured, match="gave no usable token: access_token is missing"):
        await authorized(ground.authorizer(**ground.azure), backend_of("azure-openai", auth="managed-identity"))


async def test_the_signature_to_sts_verifies(ground: Ground) -> None:
    options = {"tenant_id": "t", "client_id": "c", "authority": ground.server.url}
    await authorized(ground.authorizer(**ground.aws), backend_of("azure-openai", **options))
    received = ground.server.received[0]
    claim = parse_authorization(received.headers["authorization"])
    assert claim is not None
    parts = SignedParts("POST", "/", "", list(received.headers.items()), received.body)
    verify(parts, claim, "s3cret", ground.clock.time(), "sts")


async def test_the_fakes_are_what_the_vendors_sdks_expect(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3 and azure-identity ask and read the same services."""

    def ask() -> tuple[str, str, str]:
        sts = boto3.client(
            "sts", region_name="eu-west-1", endpoint_url=ground.server.url, aws_access_key_id="AKIA1",
            aws_secret_access_key="s3cret",
        )  # fmt: skip
        jwt = sts.get_web_identity_token(Audience=["api://AzureADTokenExchange"], SigningAlgorithm="RS256")
        role = sts.assume_role_with_web_identity(RoleArn="arn:aws:iam::123456789012:role/r", RoleSessionName="test",
                                                 WebIdentityToken="t" * 20)  # fmt: skip
        sts.close()
        with ManagedIdentityCredential() as identity:
            token = identity.get_token("https://cognitiveservices.azure.com/.default").token
        return jwt["WebIdentityToken"], role["Credentials"]["AccessKeyId"], token

    for name, value in ground.azure.items():
        monkeypatch.setenv(name, value)
    ground.services.now = time.time()  # azure-identity has the machine's clock
    assert await asyncio.to_thread(ask) == ("aws.jwt.token", "ASIAFEDERATED", "managed-token-1")
    assert ground.services.forms["managed"]["header"] == "identity-header"
