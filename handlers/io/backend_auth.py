"""Picks each backend's credential by its auth scheme and keeps the authenticators that were made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from core.errors import NotConfigured
from core.ports import Authenticator, BackendRequest, Clock, Secrets, Transport
from core.routing.registry import Backend
from core.slotted import replace
from handlers.io.configuration_files import SECRET_SCHEMES
from handlers.io.key_auth import Bearer, HeaderKey

if TYPE_CHECKING:
    from handlers.io.federation import Federation


class BackendAuthorizer:
    """Adds the credential of a backend to its requests."""

    def __init__(self, variables: Mapping[str, str], transport: Transport, clock: Clock) -> None:
        self._variables = variables
        self._transport = transport
        self._clock = clock
        self._made: dict[str, Authenticator] = {}
        self._secrets: Secrets | None = None
        self._schemes: dict[str, Callable[[Backend], Authenticator]] = {
            "none": lambda backend: _Open(),
            "bearer": self._bearer,
            "api-key": self._api_key,
            "iam": self._signature,
            "managed-identity": lambda backend: self._federation().managed_identity(backend),
            "federated": lambda backend: self._federation().federated(backend),
        }

    def prepare(self, backend: Backend) -> None:
        """Loads what the credential of `backend` takes. What is wrong with it is told to the first request."""
        with suppress(NotConfigured):
            self._authenticator(backend)

    async def authorize(self, backend: Backend, request: BackendRequest) -> None:
        """Changes `request.headers` in place. Raises NotConfigured when the credential is missing."""
        authenticator = self._made.get(backend.name) or self._authenticator(backend)
        if not request.parts:
            await authenticator.authorize(request)
            return
        for part in request.parts:
            await authenticator.authorize(part)

    def _authenticator(self, backend: Backend) -> Authenticator:
        authenticator = self._made.get(backend.name)
        if authenticator is None:
            make = self._schemes.get(backend.auth)
            if make is None:
                known = ", ".join(self._schemes)
                raise NotConfigured(f"backend {backend.name}: auth '{backend.auth}' is not one of {known}")
            if backend.api_key.startswith(SECRET_SCHEMES):
                authenticator = _SecretKey(backend, make, self._cloud_secrets())
            else:
                authenticator = make(backend)
            self._made[backend.name] = authenticator
        return authenticator

    def _cloud_secrets(self) -> Secrets:
        from handlers.io.clock import SystemRandom  # noqa: PLC0415  # where a key is a reference
        from handlers.io.secrets import CloudSecrets  # noqa: PLC0415

        if self._secrets is None:
            self._secrets = CloudSecrets(self._variables, self._transport, self._clock, SystemRandom())
        return self._secrets

    def _bearer(self, backend: Backend) -> Authenticator:
        if not backend.api_key and backend.provider.key_optional:
            return _Open()
        return Bearer(backend.api_key, _variable(backend))

    def _api_key(self, backend: Backend) -> Authenticator:
        header = backend.provider.key_header
        if header == "authorization":
            return Bearer(backend.api_key, _variable(backend))
        return HeaderKey(header, backend.api_key, _variable(backend))

    def _signature(self, backend: Backend) -> Authenticator:
        from handlers.io.authenticators import SigV4  # noqa: PLC0415  # AWS only
        from handlers.io.aws_credentials import environment_credentials  # noqa: PLC0415  # AWS only

        credentials = environment_credentials(self._variables, self._transport, self._clock)
        return SigV4(credentials, backend.region, backend.signing_service, self._clock)

    def _federation(self) -> Federation:
        from handlers.io.federation import Federation  # noqa: PLC0415  # where no key will do

        return Federation(self._variables, self._transport, self._clock)


class _SecretKey:
    """A backend whose key is a reference: looked up when it is used, so that it may change."""

    def __init__(self, backend: Backend, make: Callable[[Backend], Authenticator], secrets: Secrets) -> None:
        self._backend = backend
        self._make = make
        self._secrets = secrets

    async def authorize(self, request: BackendRequest) -> None:
        key = await self._secrets.resolve(self._backend.api_key)
        await self._make(replace(self._backend, api_key=key)).authorize(request)


class _Open:
    """A backend that asks for no credential."""

    async def authorize(self, request: BackendRequest) -> None:
        return None


def _variable(backend: Backend) -> str:
    return backend.provider.key_variable or f"backends.{backend.name}.api_key"
