"""The credentials that backends take, each as a `core.ports.Authenticator`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from core.auth.credentials import Credentials
from core.auth.sigv4 import Scope, SignedParts, amz_date, sign
from core.errors import NotConfigured
from core.http import HeaderList
from core.ports import BackendRequest, Clock
from handlers.io.http_url import read_url


class AwsCredentialSource(Protocol):
    """Gives AWS credentials that hold now; raises NotConfigured."""

    async def current(self) -> Credentials: ...


@dataclass(slots=True, frozen=True)
class HeaderKey:
    """A key in a header of its own: `x-api-key`, `api-key`, `x-goog-api-key`.

    `variable` names the environment variable (or option) that holds the key, for the operator.
    """

    name: str
    value: str | None
    variable: str = "api_key"

    async def authorize(self, request: BackendRequest) -> None:
        """Sets the header. Raises NotConfigured when there is no key."""
        _replace(request.headers, [(self.name, _present(self.value, self.variable))])


@dataclass(slots=True, frozen=True)
class Bearer:
    """A key or token as `authorization: Bearer`."""

    value: str | None
    variable: str = "api_key"

    async def authorize(self, request: BackendRequest) -> None:
        """Sets the header. Raises NotConfigured when there is no token."""
        _replace(request.headers, [("authorization", f"Bearer {_present(self.value, self.variable)}")])


@dataclass(slots=True, frozen=True)
class SigV4:
    """An AWS signature. `service` is the signing name (`bedrock` for bedrock-runtime)."""

    credentials: AwsCredentialSource
    region: str | None
    service: str
    clock: Clock

    async def authorize(self, request: BackendRequest) -> None:
        """Signs the request as it is now: nothing may change it after. Raises NotConfigured."""
        region = _present(self.region, "AWS_REGION")
        credentials = await self.credentials.current()
        try:
            target = read_url(request.url)
        except ValueError as fault:
            raise NotConfigured(f"the backend's base_url is wrong: {fault}") from None
        headers = [(name, value) for name, value in request.headers if name != "authorization"]
        if not any(name == "host" for name, _ in headers):
            headers.append(("host", target.authority))  # what the transport will send
        path, _, query = target.path.partition("?")
        parts = SignedParts(request.method, path, query, headers, request.body)
        added = sign(parts, credentials, Scope(amz_date(self.clock.time()), region, self.service))
        _replace(request.headers, added)


def _present(value: str | None, variable: str) -> str:
    if not value or not value.strip():
        raise NotConfigured(f"{variable} is not set")
    return value.strip()


def _replace(headers: HeaderList, added: HeaderList) -> None:
    names = {name for name, _ in added}
    headers[:] = [header for header in headers if header[0] not in names] + added
