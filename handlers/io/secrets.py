"""core.ports.Secrets: values by reference from AWS Secrets Manager, SSM Parameter Store and Azure Key Vault.

    aws-secret://NAME-OR-ARN, aws-secret://NAME#MEMBER (a member of a JSON secret)
    aws-ssm://PATH (with or without its leading slash where it has no other)
    azure-keyvault://VAULT/NAME, azure-keyvault://VAULT/NAME/VERSION

A value is fetched once for all who ask, again every five minutes, and used on while the service cannot be asked.
Messages name the reference, never the value.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from core.auth.tokens import Token
from core.errors import NotConfigured
from core.ports import Clock, Random, StoreFault, Transport
from core.slotted import slotted
from handlers.io.authenticators import SigV4
from handlers.io.aws_credentials import environment_credentials
from handlers.io.clock import SystemClock, SystemRandom
from handlers.io.configuration_files import SECRET_SCHEMES
from handlers.io.http_client import HttpTransport
from handlers.io.identities import Outside, managed_identity
from handlers.io.renewing import Renewing
from handlers.io.store_http import Answer, Call, CloudClient

KEY_VAULT_AUDIENCE = "https://vault.azure.net"
# https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret/get-secret
_KEY_VAULT_VERSION = "7.4"
_SECONDS = 5.0


@slotted(frozen=True)
class _Value:
    """A secret as it was fetched; it is read again after a while because nobody says when it changes."""

    text: str
    expires_at: float | None = None


class CloudSecrets:
    """Resolves references with the process's own cloud identity."""

    def __init__(self, variables: Mapping[str, str], transport: Transport, clock: Clock, random: Random) -> None:
        self._variables = variables
        self._transport = transport
        self._clock = clock
        self._random = random
        self._known: dict[str, Renewing[_Value]] = {}
        self._vault_tokens: Renewing[Token] | None = None
        self._fetchers: Mapping[str, Callable[[str], Awaitable[str]]] = {
            "aws-secret": self._secret,
            "aws-ssm": self._parameter,
            "azure-keyvault": self._vault_secret,
        }

    async def resolve(self, reference: str) -> str:
        """The value. Raises NotConfigured that names the reference."""
        known = self._known.get(reference)
        if known is None:
            known = self._known[reference] = Renewing(lambda: self._fetch(reference), self._clock, in_background=True)
        return (await known.current()).text

    async def _fetch(self, reference: str) -> _Value:
        scheme, _, place = reference.partition("://")
        try:
            return _Value(await self._fetchers[scheme](place))
        except (StoreFault, NotConfigured) as fault:
            raise NotConfigured(f"{reference}: {fault}") from None
        except (LookupError, TypeError, ValueError):
            raise NotConfigured(f"{reference}: the answer holds no such value") from None

    async def _secret(self, place: str) -> str:
        """https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html"""
        name, _, member = place.partition("#")
        found = await self._aws("secretsmanager", "secretsmanager.GetSecretValue", {"SecretId": name}, name)
        text = found["SecretString"]
        return _text(json.loads(text)[member]) if member else _text(text)

    async def _parameter(self, place: str) -> str:
        """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html"""
        name = place if place.startswith(("/", "arn:")) or "/" not in place else f"/{place}"
        members = {"Name": name, "WithDecryption": True}
        found = await self._aws("ssm", "AmazonSSM.GetParameter", members, name)
        return _text(found["Parameter"]["Value"])

    async def _aws(self, service: str, target: str, members: Mapping[str, Any], name: str) -> Any:
        variables = self._variables
        region = variables.get("AWS_REGION") or variables.get("AWS_DEFAULT_REGION") or "us-east-1"
        if name.startswith("arn:"):
            region = name.split(":")[3]
        override = variables.get(_ENDPOINTS[service]) or variables.get("AWS_ENDPOINT_URL")
        endpoint = (override or f"https://{service}.{region}.amazonaws.com").rstrip("/")
        credentials = environment_credentials(variables, self._transport, self._clock)
        client = self._client(SigV4(credentials, region, service, self._clock).authorize)
        headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target)]
        answer = await client.send(Call("POST", f"{endpoint}/", headers, json.dumps(members).encode()))
        if answer.status != 200:
            raise NotConfigured(f"{target} answered {_error_of(answer)}")
        return json.loads(answer.body)

    async def _vault_secret(self, place: str) -> str:
        vault, _, name = place.partition("/")
        host = vault if "." in vault else f"{vault}.vault.azure.net"
        if self._vault_tokens is None:
            outside = Outside(self._variables, self._transport, self._clock)
            source = managed_identity(outside, KEY_VAULT_AUDIENCE, self._variables.get("AZURE_CLIENT_ID", ""))
            self._vault_tokens = Renewing(source, self._clock)
        tokens = self._vault_tokens

        async def authorize(request: Any) -> None:
            request.headers.append(("authorization", f"Bearer {(await tokens.current()).value}"))

        url = f"https://{host}/secrets/{name}?api-version={_KEY_VAULT_VERSION}"
        answer = await self._client(authorize).send(Call("GET", url, [("accept", "application/json")]))
        if answer.status != 200:
            raise NotConfigured(f"Key Vault answered {answer.status}")
        return _text(json.loads(answer.body)["value"])

    def _client(self, authorize: Callable[[Any], Awaitable[None]]) -> CloudClient:
        return CloudClient("no answer", self._transport, self._clock, self._random, authorize, _is_throttled, _SECONDS)


_ENDPOINTS = {"secretsmanager": "AWS_ENDPOINT_URL_SECRETS_MANAGER", "ssm": "AWS_ENDPOINT_URL_SSM"}


def _text(value: Any) -> str:
    """Raises TypeError for what is no text, and no number that stands for one."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError
    return str(value)


def _error_of(answer: Answer) -> str:
    """The name of AWS's error; its message may quote the request."""
    try:
        name = str(json.loads(answer.body)["__type"]).rpartition("#")[2]
    except (ValueError, KeyError, TypeError):
        name = ""
    return name or f"status {answer.status}"


def _is_throttled(answer: Answer) -> bool:
    return answer.status == 429 or "Throttling" in _error_of(answer)


def is_reference(value: object) -> bool:
    """Whether a configuration's value stands for a secret elsewhere."""
    return isinstance(value, str) and value.startswith(SECRET_SCHEMES)


def resolve_all(value: Any, variables: Mapping[str, str], keep: frozenset[str] = frozenset()) -> Any:
    """`value` with every reference in it resolved, in nested lists and objects too; members named in `keep` stay
    (they are resolved when they are used, and so can change). Waits: for the start of a process. Raises NotConfigured.
    """
    found = sorted(set(_references(value, keep)))
    if not found:
        return value

    async def work() -> list[str]:
        transport = HttpTransport()
        secrets = CloudSecrets(variables, transport, SystemClock(), SystemRandom())
        try:
            return await asyncio.gather(*map(secrets.resolve, found))
        finally:
            await transport.aclose()

    # In a thread: a door may start its application inside an event loop.
    with ThreadPoolExecutor(1, "skybridge-secrets") as thread:
        texts = thread.submit(asyncio.run, work()).result()
    return _replaced(value, dict(zip(found, texts, strict=True)), keep)


def _references(value: Any, keep: frozenset[str]) -> list[str]:
    if is_reference(value):
        return [value]
    if isinstance(value, Mapping):
        return [each for key, item in value.items() if key not in keep for each in _references(item, keep)]
    if isinstance(value, list):
        return [each for item in value for each in _references(item, keep)]
    return []


def _replaced(value: Any, values: Mapping[str, str], keep: frozenset[str]) -> Any:
    if isinstance(value, str):
        return values.get(value, value)
    if isinstance(value, Mapping):
        return {key: item if key in keep else _replaced(item, values, keep) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, values, keep) for item in value]
    return value
