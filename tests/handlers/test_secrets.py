"""Secrets by reference: AWS's from moto's server, Key Vault's from a script."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ResourceNotFoundError
from azure.keyvault.secrets import SecretClient

from core.access import AccessRules
from core.errors import NotConfigured
from core.ports import BackendRequest
from core.routing.registry import make_backend
from handlers.composition import compose
from handlers.io.backend_auth import BackendAuthorizer
from handlers.io.clock import SystemClock, SystemRandom
from handlers.io.http_client import HttpTransport
from handlers.io.secrets import CloudSecrets, resolve_all
from handlers.service_key import ServiceKey
from tests.backend_server import BackendServer, Received, Script
from tests.gateways import RecordingLog
from tests.scripted import FixedRandom, Play, ScriptedTransport, VirtualClock
from tests.stores.real_stores import moto
from tests.stores.test_keyless_tables import certificate

VALUE = "made-secret-value"
BASE = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "s", "AWS_REGION": "us-east-1"}


@pytest.fixture(scope="module")
def aws() -> Iterator[dict[str, str]]:
    """An environment in which Secrets Manager and SSM hold one value in every form."""
    with moto() as endpoint:
        keys = {
            "endpoint_url": endpoint, "region_name": "us-east-1", "aws_access_key_id": "a",
            "aws_secret_access_key": "s",
        }  # fmt: skip
        manager, ssm = boto3.client("secretsmanager", **keys), boto3.client("ssm", **keys)
        arn = manager.create_secret(Name="plain", SecretString=VALUE)["ARN"]
        manager.create_secret(Name="json/one", SecretString=json.dumps({"key": VALUE, "none": None, "on": True}))
        manager.create_secret(Name="bytes", SecretBinary=b"x")
        ssm.put_parameter(Name="/team/key", Value=VALUE, Type="SecureString")
        ssm.put_parameter(Name="flat", Value=VALUE, Type="String")
        yield {**BASE, "AWS_ENDPOINT_URL": endpoint, "ARN": arn}


@pytest.mark.parametrize(
    "reference",
    ["aws-secret://plain", "aws-secret://{ARN}", "aws-secret://json/one#key", "aws-ssm:///team/key",
     "aws-ssm://team/key", "aws-ssm://flat"],
)  # fmt: skip
def test_a_value_from_aws(aws: dict[str, str], reference: str) -> None:
    place = reference.format(**aws)
    document = {"backends": {"b": {"base_url": place, "api_key": "aws-ssm://stays"}}, "list": [1, "x"]}
    resolved = resolve_all(document, aws, frozenset({"api_key"}))
    assert resolved == {"backends": {"b": {"base_url": VALUE, "api_key": "aws-ssm://stays"}}, "list": [1, "x"]}


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("aws-secret://absent", "ResourceNotFoundException"),
        ("aws-ssm://absent", "ParameterNotFound"),
        ("aws-secret://json/one#other", "holds no such value"),
        ("aws-secret://plain#member", "holds no such value"),
        ("aws-secret://json/one#none", "holds no such value"),
        ("aws-secret://json/one#on", "holds no such value"),
        ("aws-secret://bytes", "holds no such value"),
        ("aws-secret://arn:aws", "holds no such value"),
    ],
)
def test_an_error_names_the_reference_and_never_the_value(aws: dict[str, str], reference: str, reason: str) -> None:
    with pytest.raises(NotConfigured, match=reason) as caught:
        resolve_all([reference], aws)
    assert reference in caught.value.message and VALUE not in caught.value.message


def test_what_holds_no_reference_is_left_alone() -> None:
    document = {"a": ["b"]}
    assert resolve_all(document, {}) is document


def scripted(*plays: Play) -> tuple[CloudSecrets, ScriptedTransport]:
    clock = VirtualClock()
    transport = ScriptedTransport(plays, clock)
    variables = {"IDENTITY_ENDPOINT": "http://127.0.0.1/msi", "IDENTITY_HEADER": "h", **BASE}
    return CloudSecrets(variables, transport, clock, FixedRandom()), transport


def answer(body: Any, status: int = 200) -> Play:
    return Play(status, {}, [json.dumps(body).encode()])


TOKEN = {"access_token": "made-token", "expires_on": "1800000000"}


async def test_a_value_from_key_vault() -> None:
    secrets, transport = scripted(answer(TOKEN), answer({"value": VALUE}), answer({"value": VALUE}))
    assert await secrets.resolve("azure-keyvault://team/openai") == VALUE
    assert await secrets.resolve("azure-keyvault://kv.vault.azure.cn/openai/v1") == VALUE
    identity, first, second = transport.requests
    assert "resource=https%3A%2F%2Fvault.azure.net" in identity.url
    assert first.url == "https://team.vault.azure.net/secrets/openai?api-version=7.4"
    assert ("authorization", "Bearer made-token") in first.headers
    assert second.url.startswith("https://kv.vault.azure.cn/secrets/openai/v1?")


async def test_a_vault_that_refuses() -> None:
    secrets, _ = scripted(answer(TOKEN), answer({"error": VALUE}, 403))
    with pytest.raises(NotConfigured) as caught:
        await secrets.resolve("azure-keyvault://team/openai")
    assert caught.value.message == "azure-keyvault://team/openai: Key Vault answered 403"


async def test_throttling_passes_and_odd_errors_are_told() -> None:
    throttled, odd = answer({"__type": "ThrottlingException"}, 400), Play(400, {}, [b"[]"])
    secrets, _ = scripted(throttled, odd)
    with pytest.raises(NotConfigured, match="answered status 400"):
        await secrets.resolve("aws-ssm://x")


async def test_a_value_is_fetched_once_and_read_again_later() -> None:
    values = [answer({"SecretString": f"v{number}"}) for number in (1, 2)]
    secrets, transport = scripted(*values)
    for _ in range(3):
        assert await secrets.resolve("aws-secret://x") == "v1"
    transport.clock.now += 301
    assert await secrets.resolve("aws-secret://x") == "v1"  # nobody waits for the renewal
    task = next(iter(secrets._known.values()))._task
    assert task is not None
    await task
    assert await secrets.resolve("aws-secret://x") == "v2"


@pytest.mark.parametrize("reference", ["aws-secret://rotated#key", "aws-ssm:///rotated"])
async def test_a_value_that_was_changed_is_followed(aws: dict[str, str], reference: str) -> None:
    """By moto's server, with a clock that the test moves."""
    keys = {"endpoint_url": aws["AWS_ENDPOINT_URL"], "region_name": "us-east-1", "aws_access_key_id": "a",
            "aws_secret_access_key": "s"}  # fmt: skip
    manager, ssm = boto3.client("secretsmanager", **keys), boto3.client("ssm", **keys)

    def put(value: str) -> None:
        if reference.startswith("aws-ssm"):
            ssm.put_parameter(Name="/rotated", Value=value, Type="SecureString", Overwrite=True)
        elif value == "first":
            manager.create_secret(Name="rotated", SecretString=json.dumps({"key": value}))
        else:
            manager.put_secret_value(SecretId="rotated", SecretString=json.dumps({"key": value}))

    transport, clock = HttpTransport(environment={}), VirtualClock()
    secrets = CloudSecrets(aws, transport, clock, FixedRandom())
    await asyncio.to_thread(put, "first")
    assert await secrets.resolve(reference) == "first"
    await asyncio.to_thread(put, "second")
    clock.now += 299
    assert await secrets.resolve(reference) == "first", "it is cached"
    clock.now += 2
    async with asyncio.timeout(10):
        while await secrets.resolve(reference) != "second":
            await asyncio.sleep(0.01)
    await transport.aclose()


class VaultCredential:
    """What azure-identity is to Key Vault's SDK."""

    def get_token(self, *scopes: str, **_: object) -> AccessToken:
        assert scopes == ("https://vault.azure.net/.default",)
        return AccessToken("made-token", 4_000_000_000)

    def close(self) -> None:
        """Nothing."""


def vault_answer(request: Received) -> Script:
    """Key Vault, as far as its own SDK looks: a challenge, a secret, its versions, an error."""
    path = request.target.partition("?")[0].rstrip("/")
    if request.headers.get("authorization") != "Bearer made-token":
        challenge = 'Bearer authorization="https://login.microsoftonline.com/t", resource="https://vault.azure.net"'
        return Script([b"{}"], 401, {"www-authenticate": challenge, "content-type": "application/json"})
    values = {"/secrets/openai": VALUE, "/secrets/openai/v1": f"{VALUE}-old"}
    if path not in values:
        error = {"error": {"code": "SecretNotFound", "message": f"A secret with (name/id) {VALUE} was not found"}}
        return Script([json.dumps(error).encode()], 404, {"content-type": "application/json"})
    version = path.removeprefix("/secrets/openai").strip("/") or "v2"
    body = {
        "value": values[path], "id": f"https://{request.headers['host']}/secrets/openai/{version}",
        "attributes": {"enabled": True},
    }  # fmt: skip
    return Script([json.dumps(body).encode()], headers={"content-type": "application/json"})


async def test_what_key_vaults_own_sdk_reads_we_read(tmp_path: Path) -> None:
    """One vault over https for both, so that it is no vault of our imagination."""
    cert, key = certificate(tmp_path)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(cert, key)

    def read_by_sdk(vault: str) -> list[str]:
        client = SecretClient(
            vault, VaultCredential(), verify_challenge_resource=False, connection_verify=str(cert), retry_total=0
        )  # fmt: skip
        with client:
            found = [client.get_secret("openai").value, client.get_secret("openai", "v1").value]
            with pytest.raises(ResourceNotFoundError):
                client.get_secret("absent")
        return [value or "" for value in found]

    token = Script([json.dumps(TOKEN).encode()], headers={"content-type": "application/json"})
    async with BackendServer(vault_answer, tls=serving) as vault, BackendServer([token]) as identity:
        by_sdk = await asyncio.to_thread(read_by_sdk, vault.url)
        transport = HttpTransport(environment={}, tls=ssl.create_default_context(cafile=cert))
        variables = {"IDENTITY_ENDPOINT": f"{identity.url}/msi", "IDENTITY_HEADER": "h"}
        secrets = CloudSecrets(variables, transport, SystemClock(), SystemRandom())
        place = f"azure-keyvault://{vault.url.removeprefix('https://')}"
        assert [await secrets.resolve(f"{place}/openai{version}") for version in ("", "/v1")] == by_sdk
        with pytest.raises(NotConfigured) as caught:
            await secrets.resolve(f"{place}/absent")
        assert caught.value.message == f"{place}/absent: Key Vault answered 404"
        await transport.aclose()
    assert by_sdk == [VALUE, f"{VALUE}-old"]


async def test_a_backends_key_follows_its_secret(aws: dict[str, str]) -> None:
    transport = HttpTransport(environment={})
    authorizer = BackendAuthorizer(aws, transport, SystemClock())
    for name, type_name, header in (("a", "anthropic", "x-api-key"), ("o", "openai", "authorization")):
        backend = make_backend(name, type_name, {"api_key": "aws-secret://json/one#key"})
        for _ in range(2):
            request = BackendRequest("POST", "https://b/", [], b"")
            await authorizer.authorize(backend, request)
            assert dict(request.headers)[header].endswith(VALUE)
    await transport.aclose()
    assert len(SystemRandom().token(3)) == 3


class ChangingSecret:
    """A secret whose value, or failure, a test sets."""

    value: str | NotConfigured = "one"

    async def resolve(self, reference: str) -> str:
        assert reference == "aws-ssm:///service"
        if isinstance(self.value, NotConfigured):
            raise self.value
        return self.value


async def test_the_service_key_follows_its_secret() -> None:
    clock, log, secret, rules = VirtualClock(), RecordingLog(), ChangingSecret(), AccessRules(("at the start",))
    following = ServiceKey("aws-ssm:///service", secret, rules, clock, log)
    for value, keys in (("one", ("one",)), ("two, one", ("two", "one")), ("", ("two", "one"))):
        secret.value = value
        await following.flush()
        assert rules.keys == keys
    secret.value = NotConfigured("aws-ssm:///service: no answer")
    await following.flush()
    secret.value = "three"
    await following.flush()
    assert rules.keys == ("two", "one"), "it is not asked for again at once"
    clock.now += 30
    await following.flush()
    assert rules.keys == ("three",)
    assert [(event, fields["error"]) for _, event, fields in log.lines] == [
        ("service_key_not_renewed", "aws-ssm:///service: no answer")
    ]


async def test_a_gateway_lets_in_who_has_the_new_key(aws: dict[str, str], tmp_path: Path) -> None:
    ssm = boto3.client(
        "ssm", endpoint_url=aws["AWS_ENDPOINT_URL"], region_name="us-east-1", aws_access_key_id="a",
        aws_secret_access_key="s",
    )  # fmt: skip

    def put(value: str) -> None:
        ssm.put_parameter(Name="/service", Value=value, Type="SecureString", Overwrite=True)

    await asyncio.to_thread(put, "old-key")
    path = tmp_path / "models.json"
    path.write_text(json.dumps({"backends": {"d": {"type": "demo"}}, "models": {"m": {"backend": "d"}}}), "utf-8")
    composition = compose({**aws, "SERVICE_API_KEY": "aws-ssm:///service"}, str(path))
    await asyncio.to_thread(put, "new-key")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(composition.app), base_url="http://g") as client:
        statuses = [
            (await client.get("/v1/models", headers={"x-api-key": key})).status_code
            for key in ("old-key", "new-key", "old-key")
        ]
    assert statuses == [200, 200, 401]
    await composition.http.aclose()


async def test_the_gateway_starts_with_references(aws: dict[str, str], tmp_path: Path) -> None:
    """In the loop of a door that is starting: the configuration's, and the variables'."""
    path = tmp_path / "models.json"
    backend = {"type": "openai-compatible", "base_url": "http://127.0.0.1/v1", "headers": {"x-team": "aws-ssm://flat"}}
    path.write_text(json.dumps({"backends": {"b": backend}, "models": {"m": {"backend": "b"}}}), "utf-8")
    composition = compose({**aws, "SERVICE_API_KEY": "aws-ssm://flat"}, str(path))
    assert composition.gateway.rules.keys == (VALUE,)
    assert composition.gateway.configuration.registry.backends["b"].headers == {"x-team": VALUE}
    await composition.http.aclose()
