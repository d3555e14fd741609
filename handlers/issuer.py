"""Tokens of one configured OIDC issuer, as callers. Its keys are fetched once an hour, and for a key not yet known."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from core.access import Caller
from core.auth.jwt import BadToken, Expected, PublicKey, read_keys, read_token, verify
from core.errors import NotConfigured, Refused
from core.ports import BackendRequest, Clock, Transport
from handlers.io.documents import fetch_document

KEYS_SECONDS = 3600.0
# A token with an unknown key id may be of a new key, or made up: the issuer is asked this seldom.
UNKNOWN_SECONDS = 60.0


class Issuer:
    """handlers.callers.TokenVerifier for tokens that `url` issues for `audience`."""

    def __init__(self, url: str, audience: str, transport: Transport, clock: Clock) -> None:
        self._url = url
        self._audience = audience
        self._transport = transport
        self._clock = clock
        self._keys: Mapping[str, PublicKey] = {}
        self._fetched_at: float | None = None

    async def caller(self, token: str) -> Caller:
        """Whose token it is. Raises Refused (401); NotConfigured (503) where the issuer's keys cannot be had."""
        try:
            read = read_token(token)
            key = await self._key(read.key_id)
            verify(read, key, Expected(self._url, self._audience, self._clock.time()))
        except BadToken as fault:
            raise Refused("authentication", f"The token is not valid for this gateway: {fault}.") from None
        subject = read.claims.get("sub")
        if not isinstance(subject, str) or not subject:
            raise Refused("authentication", "The token names no subject.")
        name = next((str(read.claims[each]) for each in ("email", "azp", "appid") if each in read.claims), subject)
        return Caller(subject, "oidc", name, name)

    async def _key(self, key_id: str) -> PublicKey:
        now = self._clock.time()
        age = KEYS_SECONDS if self._fetched_at is None else now - self._fetched_at
        if age >= KEYS_SECONDS or (key_id not in self._keys and age >= UNKNOWN_SECONDS):
            discovery = await self._get(f"{self._url}/.well-known/openid-configuration")
            self._keys = read_keys(await self._get(str(discovery.get("jwks_uri", ""))))
            self._fetched_at = now
        key = self._keys.get(key_id)
        if key is None:
            raise BadToken("it is signed with a key that the issuer does not publish")
        return key

    async def _get(self, url: str) -> Any:
        request = BackendRequest("GET", url, [("accept", "application/json")], b"")
        status, body = await fetch_document(self._transport, request, "the issuer of SKYBRIDGE_OIDC_ISSUER")
        try:
            document = json.loads(body)
        except ValueError:
            document = None
        if status != 200 or not isinstance(document, dict):
            raise NotConfigured(f"the issuer of SKYBRIDGE_OIDC_ISSUER answered {status} without a document")
        return document
