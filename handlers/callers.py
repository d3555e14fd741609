"""Who is calling: the service key, a key of the store, a principal of the platform, or a token of an issuer.

A stored key is looked up once in 30 seconds: so long may a revoked one still pass in a process that has just seen it.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Protocol

from core.access import (
    MISSING_KEY,
    WRONG_KEY,
    AccessRules,
    Caller,
    anonymous,
    presented_keys,
    refuse_other_sites,
    service_caller,
)
from core.errors import NotConfigured, Refused
from core.http import Request
from core.keys import PREFIX, Key, check_usable, digest_of, is_the_key, read_key
from core.ports import Clock, Log, Store, StoreFault
from core.slotted import replace

# How long a looked-up key (or that there is none) is believed.
FRESH_SECONDS = 30.0
# How long a known key is believed while the store cannot be asked.
STALE_SECONDS = 300.0
# So long a store that has not answered is not asked for a key that is known: each question may take two seconds.
AWAY_SECONDS = 5.0
CACHED_KEYS = 10_000

KEYS = "keys"

type Held = tuple[Key, Caller]


class TokenVerifier(Protocol):
    """Checks tokens of an OIDC issuer."""

    async def caller(self, token: str) -> Caller:
        """Whose token it is. Raises Refused."""
        ...


class KeyCache:
    """The keys of a store, by digest, each with its holder and the time when it was looked up."""

    def __init__(self, store: Store, clock: Clock, log: Log) -> None:
        self._store = store
        self._clock = clock
        self._log = log
        self._known: OrderedDict[str, tuple[float, Held | None]] = OrderedDict()
        self._away_until = 0.0

    async def find(self, secret: str) -> Held | None:
        """The key that `secret` is, and its holder: the same object as long as it is believed. Raises NotConfigured
        (503) when the store cannot say and nothing is known."""
        digest = digest_of(secret)
        now = self._clock.time()
        known = self._known.get(digest)
        if known is not None and now - known[0] < (STALE_SECONDS if now < self._away_until else FRESH_SECONDS):
            return known[1]
        try:
            document = await self._store.read(KEYS, digest)
        except StoreFault as fault:
            self._away_until = now + AWAY_SECONDS
            self._log.event("warning", "store_fault", during="key lookup", error=str(fault), metric="store_faults")
            if known is not None and now - known[0] < STALE_SECONDS:
                return known[1]
            raise NotConfigured("The gateway cannot look up keys now; try again in a moment.") from fault
        key = read_key(digest, document) if document is not None else None
        held = None if key is None else (key, key.caller())
        self._known[digest] = (now, held)
        self._known.move_to_end(digest)
        if len(self._known) > CACHED_KEYS:
            self._known.popitem(last=False)
        return held if key is not None and is_the_key(secret, key) else None

    def forget(self) -> None:
        """Keys have changed: each is looked up anew."""
        self._known.clear()


class Callers:
    """Tells whose request it is. `platform`: what in front has authenticated the caller, `lambda` or another (App
    Service); "" where nothing has. `admins`: patterns of the ids and names of those principals and token holders that
    are administrators."""

    def __init__(
        self, keys: KeyCache | None, clock: Clock, *, platform: str = "", tokens: TokenVerifier | None = None,
        admins: Sequence[str] = (),
    ) -> None:
        self._keys = keys
        self._clock = clock
        self._platform = platform
        self._tokens = tokens
        self._admins = admins

    async def identify(self, request: Request, rules: AccessRules) -> Caller:
        """Whose request it is. Raises Refused, or NotConfigured where a key cannot be looked up."""
        if self._platform:
            refuse_other_sites(request, local=False)
            principal = _principal(request, self._platform)
            if principal is not None:
                return self._with_rights(principal)
        presented = presented_keys(request)
        refused: Refused | None = None
        for secret in presented:
            try:
                caller = await self._of_secret(secret)
            except Refused as fault:
                refused = fault  # a key that is sent beside it may be valid
                continue
            if caller is not None:
                return caller
        if refused is not None and not rules.keys:
            raise refused
        try:
            return self._of_rules(request, rules, presented)
        except Refused as fault:
            raise (refused or fault) from None

    def _of_rules(self, request: Request, rules: AccessRules, presented: Sequence[str]) -> Caller:
        """Who holds no key of the store's and no token. Raises Refused."""
        if rules.open:
            if self._platform:
                return replace(anonymous(presented), kind="platform")
            return service_caller(rules, request, presented, 0.0)
        if self._platform and not presented and not rules.keys:
            return Caller("platform", "platform")  # it has let the request pass and does not say whose it is
        if not rules.keys:
            raise Refused("authentication", WRONG_KEY if presented else MISSING_KEY)
        return service_caller(rules, request, presented, self._clock.time())

    def forget_keys(self) -> None:
        """Keys of the store have changed by way of this process, which need not wait to see it."""
        if self._keys is not None:
            self._keys.forget()

    async def _of_secret(self, secret: str) -> Caller | None:
        """The holder of a stored key or a token; None for a text that is neither by its form."""
        if self._keys is not None and secret.startswith(PREFIX):
            held = await self._keys.find(secret)
            if held is None:
                raise Refused("authentication", WRONG_KEY)
            key, caller = held
            check_usable(key, self._clock.time())
            return caller
        if self._tokens is not None and secret.count(".") == 2 and secret.startswith("eyJ"):
            return self._with_rights(await self._tokens.caller(secret))
        return None

    def _with_rights(self, caller: Caller) -> Caller:
        """The caller, as an administrator where it is named as one."""
        names = (caller.id, caller.owner)
        if any(fnmatchcase(name, pattern) for pattern in self._admins for name in names):
            return replace(caller, admin=True)
        return caller


def _principal(request: Request, platform: str) -> Caller | None:
    """The identity that the platform vouches for: an IAM principal, or Entra's behind App Service authentication,
    which drops these headers from a client's request and sets them itself. Nothing before a Lambda function does.

    https://learn.microsoft.com/azure/app-service/configure-authentication-user-identities
    """
    if arn := request.principal:
        # Who may assume a role names the session as they like: limits that hold are the role's, as an owner.
        return Caller(arn, "iam", arn, arn.rpartition("/")[0] if ":assumed-role/" in arn else arn)
    encoded = request.headers.get("x-ms-client-principal")
    if not encoded or platform == "lambda":
        return None
    claims = _claims(encoded)
    name = claims.get("name") or request.headers.get("x-ms-client-principal-name") or claims.get("id") or ""
    identity = claims.get("id") or request.headers.get("x-ms-client-principal-id") or name
    if not identity:
        raise Refused("authentication", "The platform's x-ms-client-principal header names nobody.")
    return Caller(identity, "entra", name or identity, name or identity)


# What the claims are called that Entra puts into the header, in both its token versions.
_CLAIMS = {
    "http://schemas.microsoft.com/identity/claims/objectidentifier": "id",
    "oid": "id",
    "preferred_username": "name",
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress": "name",
    "appid": "name",
    "azp": "name",
}


def _claims(encoded: str) -> Mapping[str, str]:
    try:
        document: Any = json.loads(base64.b64decode(encoded + "=" * (-len(encoded) % 4)))
        rows = document["claims"]
        found: dict[str, str] = {}
        for row in rows:
            name = _CLAIMS.get(row["typ"])
            if name is not None:
                found.setdefault(name, str(row["val"]))
    except (binascii.Error, ValueError, KeyError, TypeError):
        raise Refused("authentication", "The platform's x-ms-client-principal header cannot be read.") from None
    return found
