"""Tokens from cloud identities: a managed identity of Azure's, and what other services give for one's token.

Nothing here holds a secret of its own. Each `*_token` function fetches once; `Renewing` keeps what it gave.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from core.auth.tokens import Token, UnreadableToken, read_token, read_web_identity_token, token_error
from core.errors import NotConfigured
from core.ports import BackendRequest, Clock, Transport
from core.slotted import slotted
from handlers.io.documents import fetch_document
from handlers.io.http_url import read_url
from handlers.io.key_auth import replace_headers
from handlers.io.renewing import Renewing

if TYPE_CHECKING:
    from handlers.io.authenticators import AwsCredentialSource

type TokenSource = Callable[[], Awaitable[Token]]

# Azure OpenAI's scope; Foundry's is https://ai.azure.com/.default.
AZURE_SCOPE = "https://cognitiveservices.azure.com/.default"
ENTRA_AUDIENCE = "api://AzureADTokenExchange"
_IDENTITY_VERSION = "2019-08-01"
_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_EXCHANGE_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt"
# A token of AWS's own is made for one exchange.
_WEB_IDENTITY_SECONDS = 300


@slotted(frozen=True)
class BearerToken:
    """core.ports.Authenticator: a token that is renewed. `extra` headers are added beside it, `merged` ones join a
    header's list of values."""

    tokens: Renewing[Token]
    merged: tuple[tuple[str, str], ...] = ()

    async def authorize(self, request: BackendRequest) -> None:
        """Sets the header. Raises NotConfigured when no token can be had."""
        token = await self.tokens.current()
        added = [("authorization", f"Bearer {token.value}")]
        for name, value in self.merged:
            present = [text for header, text in request.headers if header == name]
            added.append((name, ",".join([*present, value])))
        replace_headers(request.headers, added)


@slotted(frozen=True)
class Outside:
    """What fetching a token needs."""

    environment: Mapping[str, str]
    transport: Transport
    clock: Clock


def managed_identity(outside: Outside, resource: str, client_id: str = "") -> TokenSource:
    """Tokens of the function's managed identity for `resource` (an audience, or a scope with `/.default`).

    https://learn.microsoft.com/en-us/azure/app-service/overview-managed-identity#rest-endpoint-reference
    """
    what = "the managed identity endpoint (IDENTITY_ENDPOINT)"

    async def fetch() -> Token:
        endpoint = outside.environment.get("IDENTITY_ENDPOINT")
        header = outside.environment.get("IDENTITY_HEADER")
        if not endpoint or not header:
            raise NotConfigured("IDENTITY_ENDPOINT not set in environment: there is no managed identity here")
        query = {"api-version": _IDENTITY_VERSION, "resource": resource.removesuffix("/.default")}
        if client_id:
            query["client_id"] = client_id
        request = BackendRequest("GET", f"{endpoint}?{urlencode(query)}", [("x-identity-header", header)], b"")
        return _read(outside, what, await fetch_document(outside.transport, request, what), header)

    return fetch


def aws_web_identity(outside: Outside, credentials: AwsCredentialSource, audience: str) -> TokenSource:
    """Tokens that say which AWS role this is, for `audience`. Only the regional endpoints of STS give them.

    https://docs.aws.amazon.com/STS/latest/APIReference/API_GetWebIdentityToken.html
    """
    environment = outside.environment
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "us-east-1"
    override = environment.get("AWS_ENDPOINT_URL_STS") or environment.get("AWS_ENDPOINT_URL")
    endpoint = (override or f"https://sts.{region}.amazonaws.com").rstrip("/") + "/"
    what = "STS GetWebIdentityToken"
    from core.auth.credentials import web_identity_error  # noqa: PLC0415  # who is on Azure signs nothing
    from core.auth.sigv4 import Scope, SignedParts, amz_date, sign  # noqa: PLC0415

    async def fetch() -> Token:
        form = {
            "Action": "GetWebIdentityToken", "Version": "2011-06-15", "Audience.member.1": audience,
            "SigningAlgorithm": "RS256", "DurationSeconds": str(_WEB_IDENTITY_SECONDS),
        }  # fmt: skip
        body = urlencode(form).encode()
        target = read_url(endpoint)
        headers = [("content-type", "application/x-www-form-urlencoded"), ("host", target.authority)]
        parts = SignedParts("POST", target.path, "", headers, body)
        scope = Scope(amz_date(outside.clock.time()), region, "sts")
        headers.extend(sign(parts, await credentials.current(), scope))
        request = BackendRequest("POST", endpoint, headers, body)
        status, document = await fetch_document(outside.transport, request, what)
        if status != 200:
            raise NotConfigured(f"{what} was refused: {web_identity_error(document) or f'status {status}'}")
        try:
            return read_web_identity_token(document)
        except UnreadableToken as fault:
            raise NotConfigured(f"{what} gave no usable token: {fault}") from None

    return fetch


@slotted(frozen=True)
class EntraApplication:
    """An app registration with a federated credential, and what its tokens are for."""

    tenant_id: str
    client_id: str
    scope: str = AZURE_SCOPE
    authority: str = "https://login.microsoftonline.com"


def entra_token(outside: Outside, assertion: TokenSource, application: EntraApplication) -> TokenSource:
    """Entra's token for the application that trusts whoever made the assertion.

    https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-client-creds-grant-flow
    """
    url = f"{application.authority.rstrip('/')}/{application.tenant_id}/oauth2/v2.0/token"
    what = f"Entra's token endpoint for tenant {application.tenant_id}"

    async def fetch() -> Token:
        proof = (await assertion()).value
        form = {
            "grant_type": "client_credentials", "client_id": application.client_id, "scope": application.scope,
            "client_assertion_type": _ASSERTION_TYPE, "client_assertion": proof,
        }  # fmt: skip
        headers = [("content-type", "application/x-www-form-urlencoded"), ("accept", "application/json")]
        request = BackendRequest("POST", url, headers, urlencode(form).encode())
        return _read(outside, what, await fetch_document(outside.transport, request, what), proof)

    return fetch


def anthropic_token(
    outside: Outside, assertion: TokenSource, base_url: str, members: Mapping[str, str]
) -> TokenSource:
    """Anthropic's token for an identity token; `members` hold federation_rule_id, organization_id and, where the
    rule asks for them, service_account_id and workspace_id."""
    what = "Anthropic's token endpoint"

    async def fetch() -> Token:
        proof = (await assertion()).value
        body = {"grant_type": _JWT_BEARER, "assertion": proof, **members}
        headers = [("content-type", "application/json"), ("anthropic-beta", "oidc-federation-2026-04-01")]
        request = BackendRequest("POST", f"{base_url}/v1/oauth/token", headers, json.dumps(body).encode())
        return _read(outside, what, await fetch_document(outside.transport, request, what), proof)

    return fetch


def openai_token(outside: Outside, assertion: TokenSource, url: str, members: Mapping[str, str]) -> TokenSource:
    """OpenAI's token for an identity token (RFC 8693); `members` hold identity_provider_id and
    service_account_id."""
    what = "OpenAI's token endpoint"

    async def fetch() -> Token:
        proof = (await assertion()).value
        body = {"grant_type": _EXCHANGE_GRANT, "subject_token": proof, "subject_token_type": _JWT_TYPE, **members}
        headers = [("content-type", "application/json"), ("accept", "application/json")]
        request = BackendRequest("POST", url, headers, json.dumps(body).encode())
        return _read(outside, what, await fetch_document(outside.transport, request, what), proof)

    return fetch


def _read(outside: Outside, what: str, answer: tuple[int, bytes], secret: str) -> Token:
    status, document = answer
    if status != 200:
        reason = token_error(document, secret)
        raise NotConfigured(f"{what} answered {status}{f': {reason}' if reason else ''}")
    try:
        return read_token(document, outside.clock.time())
    except UnreadableToken as fault:
        raise NotConfigured(f"{what} gave no usable token: {fault}") from None
