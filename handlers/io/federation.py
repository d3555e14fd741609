"""Which identity a backend's `auth: managed-identity` or `auth: federated` stands for: settings to authenticators.

The table at the end has a row for each type of backend. A value that is not configured is taken from the variable
that the vendor's own SDK reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from core.auth.credentials import Credentials
from core.auth.tokens import Token
from core.errors import NotConfigured
from core.ports import Authenticator, Clock, Transport
from core.routing.registry import Backend
from core.slotted import slotted
from handlers.io.authenticators import SigV4
from handlers.io.aws_credentials import (
    CredentialProvider,
    WebIdentity,
    assume_role,
    environment_credentials,
    sts_endpoint,
)
from handlers.io.identities import (
    AZURE_SCOPE,
    ENTRA_AUDIENCE,
    BearerToken,
    EntraApplication,
    Outside,
    TokenSource,
    anthropic_token,
    aws_web_identity,
    entra_token,
    managed_identity,
    openai_token,
)
from handlers.io.renewing import Renewing

# Anthropic takes a bearer token on its API only with this beta.
_ANTHROPIC_OAUTH_BETA = ("anthropic-beta", "oauth-2025-04-20")
_OPENAI_EXCHANGE = "https://auth.openai.com/oauth/token"
_SCOPES = {"azure-foundry": "https://ai.azure.com/.default"}


@slotted(frozen=True)
class Federation:
    """Makes authenticators; `transport` and `clock` are for fetching tokens."""

    environment: Mapping[str, str]
    transport: Transport
    clock: Clock

    @property
    def _outside(self) -> Outside:
        return Outside(self.environment, self.transport, self.clock)

    def managed_identity(self, backend: Backend) -> Authenticator:
        """`auth: managed-identity`: options `scope` and `client_id` (of a user-assigned identity)."""
        source = managed_identity(self._outside, self._scope(backend), self._client_id(backend))
        return self._bearer(source)

    def federated(self, backend: Backend) -> Authenticator:
        """`auth: federated`. Raises NotConfigured that names what is absent."""
        make = _FEDERATED.get(backend.provider.name)
        if make is None:
            known = ", ".join(_FEDERATED)
            raise NotConfigured(f"backend {backend.name}: auth 'federated' is for backends of type {known}")
        return make(self, backend)

    def entra(self, backend: Backend) -> Authenticator:
        """AWS to Azure: options tenant_id, client_id, scope, audience."""
        application = EntraApplication(
            self._value(backend, "tenant_id", "AZURE_TENANT_ID"),
            self._value(backend, "client_id", "AZURE_CLIENT_ID"),
            self._scope(backend),
            self._optional(backend, "authority", "AZURE_AUTHORITY_HOST") or "https://login.microsoftonline.com",
        )
        return self._bearer(entra_token(self._outside, self._identity(backend, ENTRA_AUDIENCE), application))

    def aws_role(self, backend: Backend) -> Authenticator:
        """Azure to AWS: options role_arn, audience (of the app registration), identity_client_id."""
        role_arn = self._value(backend, "role_arn", "AWS_ROLE_ARN")
        audience = self._value(backend, "audience", "AZURE_FEDERATION_AUDIENCE")
        fetch = self._identity(backend, audience)
        endpoint = sts_endpoint({"AWS_REGION": backend.region, **self.environment})

        async def token() -> str:
            return (await fetch()).value

        identity = WebIdentity(role_arn, token, endpoint=endpoint)

        async def role() -> Credentials | None:
            return await assume_role(self.transport, identity)

        refused = f"the role {role_arn} could not be assumed"
        credentials = CredentialProvider((role,), self.clock, refused, in_background=True)
        return SigV4(credentials, backend.region, backend.signing_service, self.clock)

    def anthropic(self, backend: Backend) -> Authenticator:
        """To Anthropic: options federation_rule_id, organization_id, service_account_id, workspace_id, audience."""
        members = {
            "federation_rule_id": self._value(backend, "federation_rule_id", "ANTHROPIC_FEDERATION_RULE_ID"),
            "organization_id": self._value(backend, "organization_id", "ANTHROPIC_ORGANIZATION_ID"),
        }
        for name in ("service_account_id", "workspace_id"):
            value = self._optional(backend, name, f"ANTHROPIC_{name.upper()}")
            if value:
                members[name] = value
        identity = self._identity(backend, "https://api.anthropic.com")
        source = anthropic_token(self._outside, identity, backend.base_url, members)
        return self._bearer(source, _ANTHROPIC_OAUTH_BETA)

    def openai(self, backend: Backend) -> Authenticator:
        """To OpenAI: options identity_provider_id, service_account_id, audience."""
        members = {
            name: self._value(backend, name, f"OPENAI_{name.upper()}")
            for name in ("identity_provider_id", "service_account_id")
        }
        url = self._optional(backend, "token_url", "OPENAI_TOKEN_URL") or _OPENAI_EXCHANGE
        identity = self._identity(backend, "https://api.openai.com/v1")
        return self._bearer(openai_token(self._outside, identity, url, members))

    def _bearer(self, source: TokenSource, *merged: tuple[str, str]) -> Authenticator:
        return BearerToken(Renewing(source, self.clock, in_background=True), merged)

    def _identity(self, backend: Backend, audience: str) -> TokenSource:
        """Who this process is, as a token for `audience`: a file's, the managed identity's, or the AWS role's."""
        audience = str(backend.options.get("audience") or audience)
        path = backend.options.get("token_file")
        if path:
            return _file_token(Path(str(path)))
        if self.environment.get("IDENTITY_ENDPOINT"):
            own = self._optional(backend, "identity_client_id", "AZURE_CLIENT_ID")  # of a user-assigned one
            return managed_identity(self._outside, audience, own)
        credentials = environment_credentials(self.environment, self.transport, self.clock)
        return aws_web_identity(self._outside, credentials, audience)

    def _scope(self, backend: Backend) -> str:
        return str(backend.options.get("scope") or _SCOPES.get(backend.provider.name, AZURE_SCOPE))

    def _client_id(self, backend: Backend) -> str:
        return self._optional(backend, "client_id", "AZURE_CLIENT_ID")

    def _optional(self, backend: Backend, option: str, variable: str) -> str:
        return str(backend.options.get(option) or self.environment.get(variable) or "")

    def _value(self, backend: Backend, option: str, variable: str) -> str:
        value = self._optional(backend, option, variable)
        if not value:
            raise NotConfigured(
                f"backend {backend.name}: auth 'federated' needs {option} ({variable} not set in environment)"
            )
        return value


def _file_token(path: Path) -> TokenSource:
    async def read() -> Token:
        try:
            return Token(path.read_text("utf-8").strip())
        except (OSError, UnicodeDecodeError):
            raise NotConfigured(f"the token_file {path.name} cannot be read") from None

    return read


_FEDERATED: dict[str, Callable[[Federation, Backend], Authenticator]] = {
    "azure-openai": Federation.entra,
    "azure-openai-classic": Federation.entra,
    "azure-foundry": Federation.entra,
    "bedrock": Federation.aws_role,
    "bedrock-mantle": Federation.aws_role,
    "anthropic": Federation.anthropic,
    "openai": Federation.openai,
}
