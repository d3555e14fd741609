"""Finds AWS credentials where AWS's SDKs look for them, and keeps them fresh.

The order is the SDKs' own: environment variables, web identity, the shared credentials file, the container
endpoint (ECS, EKS Pod Identity, and Lambda with SnapStart). An instance's metadata service is not asked.
https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence

from core.auth.credentials import (
    Credentials,
    UnreadableCredentials,
    from_container,
    from_environment,
    from_profile,
    from_web_identity,
    web_identity_error,
)
from core.errors import NotConfigured
from core.ports import BackendRequest, Clock, Transport
from core.slotted import slotted
from handlers.io.documents import fetch_document
from handlers.io.renewing import Renewing

type Source = Callable[[], Awaitable[Credentials | None]]

# Besides loopback, the only addresses that may be asked without TLS: ECS and EKS.
_CONTAINER_HOSTS = frozenset({"169.254.170.2", "169.254.170.23", "fd00:ec2::23"})
_LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
_RELATIVE_HOST = "http://169.254.170.2"


class CredentialProvider(Renewing[Credentials]):
    """Credentials from the first of `sources` that has some, cached, renewed by one caller at a time.

    `looked_for` is what the operator is told when no source has any; `in_background`: see Renewing.
    """

    def __init__(
        self, sources: Sequence[Source], clock: Clock, looked_for: str, *, in_background: bool = False
    ) -> None:
        super().__init__(self._first_found, clock, in_background=in_background)
        self._sources = sources
        self._looked_for = looked_for

    async def _first_found(self) -> Credentials:
        for source in self._sources:
            credentials = await source()
            if credentials is not None:
                return credentials
        raise NotConfigured(self._looked_for)


@slotted(frozen=True)
class WebIdentity:
    """A role to assume with a token of another identity provider. `token` is asked anew at each renewal."""

    role_arn: str
    token: Callable[[], Awaitable[str]]
    session_name: str = "skybridge"
    endpoint: str = "https://sts.amazonaws.com"


def environment_credentials(environment: Mapping[str, str], transport: Transport, clock: Clock) -> CredentialProvider:
    """The provider of a process: everything that `environment` points to."""
    profile = environment.get("AWS_PROFILE") or "default"
    path = os.path.expanduser(environment.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials")

    async def variables() -> Credentials | None:
        return from_environment(environment)

    async def web_identity() -> Credentials | None:
        identity = web_identity_of(environment)
        return None if identity is None else await assume_role(transport, identity)

    async def shared_file() -> Credentials | None:
        if not os.path.isfile(path):
            return None
        with open(path, encoding="utf-8", errors="replace") as file:
            return from_profile(file.read(), profile)

    async def container() -> Credentials | None:
        return await container_credentials(transport, environment)

    return CredentialProvider(
        (variables, web_identity, shared_file, container),
        clock,
        "no AWS credentials: looked for AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, for "
        "AWS_WEB_IDENTITY_TOKEN_FILE with AWS_ROLE_ARN, for the profile "
        f"{profile!r} in the shared credentials file, and for AWS_CONTAINER_CREDENTIALS_FULL_URI "
        "or AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    )


def web_identity_of(environment: Mapping[str, str]) -> WebIdentity | None:
    """The role that AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN name together; None unless both are set."""
    token_file, role_arn = environment.get("AWS_WEB_IDENTITY_TOKEN_FILE"), environment.get("AWS_ROLE_ARN")
    if not token_file or not role_arn:
        return None

    async def token() -> str:
        return _text_of(token_file, "AWS_WEB_IDENTITY_TOKEN_FILE")

    name = environment.get("AWS_ROLE_SESSION_NAME") or "skybridge"
    return WebIdentity(role_arn, token, name, sts_endpoint(environment))


def sts_endpoint(environment: Mapping[str, str]) -> str:
    """STS in the environment's own region: AWS_ENDPOINT_URL_STS or AWS_ENDPOINT_URL override it."""
    override = environment.get("AWS_ENDPOINT_URL_STS") or environment.get("AWS_ENDPOINT_URL")
    if override:
        return override
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
    if not region:
        return "https://sts.amazonaws.com"
    return f"https://sts.{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}"


async def assume_role(transport: Transport, identity: WebIdentity) -> Credentials:
    """Credentials of the role of `identity`. Raises NotConfigured with STS's own words when it refuses."""
    from urllib.parse import urlencode  # noqa: PLC0415  # a Lambda function has its credentials in the environment

    form = {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": identity.role_arn,
        "RoleSessionName": identity.session_name,
        "WebIdentityToken": await identity.token(),
    }
    body = urlencode(form).encode()
    headers = [("content-type", "application/x-www-form-urlencoded"), ("content-length", str(len(body)))]
    request = BackendRequest("POST", identity.endpoint.rstrip("/") + "/", headers, body)
    status, answer = await fetch_document(transport, request, "STS AssumeRoleWithWebIdentity")
    if status != 200:
        reason = web_identity_error(answer) or f"status {status}"
        raise NotConfigured(f"STS did not let AWS_ROLE_ARN be assumed: {reason}")
    return _read(from_web_identity, answer, "STS AssumeRoleWithWebIdentity")


async def container_credentials(transport: Transport, environment: Mapping[str, str]) -> Credentials | None:
    """What the container's endpoint gives; None when the environment names none. Raises NotConfigured."""
    relative = environment.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
    url = _RELATIVE_HOST + relative if relative else environment.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    if not url:
        return None
    if not relative:
        _check_container_url(url)
    headers = [("accept", "application/json")]
    token = _container_token(environment)
    if token:
        headers.append(("authorization", token))
    request = BackendRequest("GET", url, headers, b"")
    status, answer = await fetch_document(transport, request, "the container's endpoint")
    if status != 200:
        raise NotConfigured(f"the container's credential endpoint answered {status}")
    return _read(from_container, answer, "the container's endpoint")


def _check_container_url(url: str) -> None:
    from urllib.parse import urlsplit  # noqa: PLC0415  # as above

    parts = urlsplit(url)
    if parts.scheme == "https" or parts.hostname in _CONTAINER_HOSTS | _LOOPBACK_HOSTS:
        return
    raise NotConfigured("AWS_CONTAINER_CREDENTIALS_FULL_URI must be https, or a loopback or container address")


def _container_token(environment: Mapping[str, str]) -> str | None:
    path = environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
    if path:
        token: str | None = _text_of(path, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
    else:
        token = environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN")
    if token and any(character in token for character in "\r\n"):
        raise NotConfigured("the container's authorization token must be one line")
    return token


def _text_of(path: str, variable: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read().strip()
    except (OSError, UnicodeDecodeError):
        raise NotConfigured(f"the file that {variable} names cannot be read") from None
    if not text:
        raise NotConfigured(f"the file that {variable} names is empty")
    return text


def _read(parse: Callable[[bytes], Credentials], document: bytes, what: str) -> Credentials:
    try:
        return parse(document)
    except UnreadableCredentials as fault:
        raise NotConfigured(f"{what} gave no usable credentials: {fault}") from None
