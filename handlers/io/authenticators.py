"""AWS signatures as a `core.ports.Authenticator`. Keys and tokens are in handlers.io.key_auth."""

from __future__ import annotations

from typing import Protocol

from core.auth.credentials import Credentials
from core.auth.sigv4 import Scope, SignedParts, amz_date, sign
from core.errors import NotConfigured
from core.ports import BackendRequest, Clock
from core.slotted import slotted
from handlers.io.http_url import read_url
from handlers.io.key_auth import present, replace_headers


class AwsCredentialSource(Protocol):
    """Gives AWS credentials that hold now; raises NotConfigured."""

    async def current(self) -> Credentials: ...


@slotted(frozen=True)
class SigV4:
    """An AWS signature. `service` is the signing name (`bedrock` for bedrock-runtime)."""

    credentials: AwsCredentialSource
    region: str | None
    service: str
    clock: Clock

    async def authorize(self, request: BackendRequest) -> None:
        """Signs the request as it is now: nothing may change it after. Raises NotConfigured."""
        region = present(self.region, "AWS_REGION")
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
        replace_headers(request.headers, added)
