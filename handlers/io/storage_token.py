"""The managed identity at Azure Storage, whose tables and blobs take the same token."""

from __future__ import annotations

from email.utils import formatdate

from core.auth.tokens import Token
from core.ports import BackendRequest, Clock
from core.slotted import slotted
from handlers.io.identities import Outside, managed_identity
from handlers.io.key_auth import replace_headers
from handlers.io.renewing import Renewing

# https://learn.microsoft.com/rest/api/storageservices/authorize-with-azure-active-directory
AUDIENCE = "https://storage.azure.com/"


@slotted(frozen=True)
class StorageToken:
    """Puts the token into a request, and the date that Storage asks for with it."""

    tokens: Renewing[Token]
    clock: Clock

    async def authorize(self, request: BackendRequest) -> None:
        token = await self.tokens.current()
        date = formatdate(self.clock.time(), usegmt=True)
        replace_headers(request.headers, [("x-ms-date", date), ("authorization", f"Bearer {token.value}")])


def storage_token(outside: Outside) -> StorageToken:
    """The identity of the environment, or the one that AZURE_CLIENT_ID names."""
    fetch = managed_identity(outside, AUDIENCE, outside.environment.get("AZURE_CLIENT_ID", ""))
    return StorageToken(Renewing(fetch, outside.clock), outside.clock)
