"""Tokens of one configured OIDC issuer, as callers. Its keys are fetched once an hour, and for a key not yet known."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from core.access import Caller
from core.auth.jwt import BadToken, Expected, Key, Token, read_keys, read_token, verify
from core.errors import NotConfigured, Refused
from core.ports import BackendRequest, Clock, Transport
from handlers.io.documents import fetch_document

KEYS_SECONDS = 3600.0
# A token with an unknown key id may be of a new key, or made up: the issuer is asked this seldom.
UNKNOWN_SECONDS = 60.0
# A token that was found valid is believed so long, but not beyond its end: clients send the same one many times, and
# verifying it takes milliseconds.
VERIFIED_SECONDS = 60.0
VERIFIED_TOKENS = 1000


class Issuer:
    """handlers.callers.TokenVerifier for tokens that `url` issues for `audience`."""

    def __init__(self, url: str, audience: str, transport: Transport, clock: Clock) -> None:
        self._url = url
        self._audience = audience
        self._transport = transport
        self._clock = clock
        self._keys: Mapping[str, Key] = {}
        self._fetched_at: float | None = None
        self._fetch: asyncio.Task[None] | None = None
        self._fault: NotConfigured | BadToken | None = None
        self._verified: OrderedDict[bytes, tuple[float, Caller]] = OrderedDict()

    async def caller(self, token: str) -> Caller:
        """Whose token it is. Raises Refused (401); NotConfigured (503) where the issuer's keys cannot be had."""
        now, digest = self._clock.time(), sha256(token.encode("utf-8", "surrogateescape")).digest()
        known = self._verified.get(digest)
        if known is not None and now < known[0]:
            return known[1]
        try:
            read = read_token(token)
            key = await self._key(read.key_id)
            verify(read, key, Expected(self._url, self._audience, now))
        except BadToken as fault:
            raise Refused("authentication", f"The token is not valid for this gateway: {fault}.") from None
        caller = _caller(read)
        self._verified[digest] = min(now + VERIFIED_SECONDS, read.claims["exp"]), caller
        if len(self._verified) > VERIFIED_TOKENS:
            self._verified.popitem(last=False)
        return caller

    async def _key(self, key_id: str) -> Key:
        now = self._clock.time()
        age = KEYS_SECONDS if self._fetched_at is None else now - self._fetched_at
        unknown = self._fault is None and self._known(key_id) is None
        if age >= KEYS_SECONDS or (unknown and age >= UNKNOWN_SECONDS):
            await self._fetch_once(now)
        key = self._known(key_id)
        if key is None:
            if self._fault is not None:
                raise NotConfigured(str(self._fault)) from self._fault
            raise BadToken("it is signed with a key that the issuer does not publish")
        return key

    def _known(self, key_id: str) -> Key | None:
        """A token may leave out which key it is signed with where there is one (OpenID Connect Core, 10.1)."""
        if not key_id and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(key_id)

    async def _fetch_once(self, now: float) -> None:
        """All who need keys at the same time wait for one fetch, which goes on where one of them leaves."""
        loop = asyncio.get_running_loop()
        if self._fetch is None or self._fetch.done() or self._fetch.get_loop() is not loop:
            self._fetch = loop.create_task(self._fetch_keys(now))
        await asyncio.wait((self._fetch,))
        self._fetch.result()

    async def _fetch_keys(self, now: float) -> None:
        """An issuer that does not answer is asked again in a minute where there are keys, which go on until then."""
        self._fault = None
        try:
            discovery = await self._get(f"{self._url.rstrip('/')}/.well-known/openid-configuration")
            self._keys = read_keys(await self._get(str(discovery.get("jwks_uri", ""))))
        except (NotConfigured, BadToken) as fault:
            self._fault = fault
            self._fetched_at = now - KEYS_SECONDS + UNKNOWN_SECONDS if self._keys else None
            return
        self._fetched_at = now

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


def _caller(token: Token) -> Caller:
    subject = token.claims.get("sub")
    if not isinstance(subject, str) or not subject:
        raise Refused("authentication", "The token names no subject.")
    claims = dict(token.claims)
    if claims.get("email_verified") in (False, "false"):
        claims.pop("email", None)  # anybody may have written it
    name = next((str(claims[each]) for each in ("email", "azp", "appid") if each in claims), subject)
    return Caller(subject, "oidc", name, name)
