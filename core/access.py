"""Who may call: the pure decision about a request's credential.

The key comes in whichever header the client's SDK sends. Nothing here reads `Host` or a forwarded header.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from functools import lru_cache

from core.errors import Refused
from core.http import Request
from core.slotted import field, slotted

_KEY_HEADERS = ("x-api-key", "api-key", "x-goog-api-key")
_KEY_NAMES = frozenset(_KEY_HEADERS)

MISSING_KEY = (
    "No API key was sent. Send the gateway's key as `Authorization: Bearer`, `x-api-key`, `api-key` or "
    "`x-goog-api-key`."
)
WRONG_KEY = "The API key is not valid for this gateway."
OTHER_SITE = (
    "A web page of another site may not use this gateway as long as it asks for no key. Set SERVICE_API_KEY and send "
    "that key."
)


@slotted
class AccessRules:
    """The keys that are let in. With none, everyone is: a door allows that only where nobody else can reach it.

    `stored`: there are keys in a store too, so nobody is let in without one.
    """

    keys: Sequence[str] = field(default_factory=tuple)
    stored: bool = False

    @property
    def open(self) -> bool:
        return not self.keys and not self.stored


def service_keys(text: str) -> tuple[str, ...]:
    """The keys of a setting: several are separated by commas, so that an old and a new one may overlap."""
    return tuple(key.strip() for key in text.split(",") if key.strip())


@slotted(frozen=True)
class Caller:
    """Whose request it is. `id` is what its counters and records are kept under: a key's id, a principal's name, or
    a digest of the one service key. `shown` is how messages call it. `models` are patterns of the names that it may
    ask for, () for all; `quota` its own limits (core.limits). `admin`: it holds a key that may manage the others."""

    id: str
    kind: str = "service"
    shown: str = ""
    owner: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    models: tuple[str, ...] = ()
    quota: Mapping[str, int] = field(default_factory=dict)
    admin: bool = False


# Callers that may do what the operator may: who holds the service key, and everybody where a gateway without keys
# serves one machine only.
_OPERATORS = frozenset({"service", "anonymous"})


def is_admin(caller: Caller) -> bool:
    """Whether the caller may manage keys and see what others used."""
    return caller.admin or caller.kind in _OPERATORS


def presented_keys(request: Request) -> list[str]:
    """Every key that a request carries. SDKs may send two (Claude Code does); one valid one is enough."""
    headers = request.headers
    keys: list[str] = []
    if not _KEY_NAMES.isdisjoint(headers):
        keys.extend(headers[name].strip() for name in _KEY_HEADERS if headers.get(name))
    if "authorization" in headers:
        scheme, _, value = headers["authorization"].partition(" ")
        value = value.strip()
        if value and scheme.lower() == "bearer":
            keys.append(value)
    if "key=" in request.query:
        keys.extend(_query_keys(request.query))
    return keys


def service_caller(rules: AccessRules, request: Request, presented: Sequence[str], now: float) -> Caller:
    """Who holds one of the gateway's own keys, or needs none; `presented` are the keys that the request carries.
    Raises Refused. Comparison takes the same time wherever keys differ.

    Who it is follows from the key that is valid, whatever else is sent. `now` is in epoch seconds: AWS's SDKs sign with
    the key as their secret instead of sending it.
    """
    if rules.open:
        refuse_other_sites(request)
        return anonymous(presented)
    valid = _signed_with(rules, request, now)
    if valid is None:
        if not presented:
            raise Refused("authentication", MISSING_KEY)
        for key in presented:
            encoded = key.encode("utf-8", "surrogateescape")
            for known in rules.keys:
                if hmac.compare_digest(encoded, known.encode()):
                    valid = known
    if valid is None:
        raise Refused("authentication", WRONG_KEY)
    return _service_caller(valid)


@lru_cache(maxsize=64)
def _service_caller(key: str) -> Caller:
    return Caller(_digest(key), "service", "the service key")


def anonymous(presented: Sequence[str]) -> Caller:
    """Whoever comes where no key is asked for; told apart by a key that they send all the same."""
    return Caller(_digest(presented[0]) if presented else "anonymous", "anonymous")


def refuse_other_sites(request: Request, *, local: bool = True) -> None:
    """Raises Refused for what a browser sends on behalf of another site's page: where no key is asked for, a page would
    only need to reach the gateway. `local`: only this machine's own pages may, whatever name leads to the gateway.

    https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site == "cross-site" or (local and origin is not None and _is_elsewhere(origin)):
        raise Refused("permission", OTHER_SITE)


def _is_elsewhere(origin: str) -> bool:
    """Whether a page came from another machine's web server."""
    scheme, _, place = origin.partition("://")
    host = "[::1]" if place.startswith("[::1]") else place.partition(":")[0]
    named = host in ("localhost", "[::1]") or host.endswith(".localhost")
    numbered = host.startswith("127.") and host.replace(".", "").isdigit()
    return scheme in ("http", "https") and not named and not numbered


def _signed_with(rules: AccessRules, request: Request, now: float) -> str | None:
    """The key that the request is signed with, if it is signed. Raises Refused for a signature that does not match."""
    headers = request.headers
    if "authorization" not in headers or not headers["authorization"].startswith("AWS4-HMAC-SHA256"):
        return None
    from core.auth.sigv4 import signing_secret  # noqa: PLC0415  # AWS SDKs only

    return signing_secret(request, rules.keys, now)


def _query_keys(query: str) -> list[str]:
    """Gemini's clients may send the key as `?key=`."""
    from urllib.parse import parse_qsl  # noqa: PLC0415  # few clients do

    return [value for name, value in parse_qsl(query) if name == "key"]


@lru_cache(maxsize=1024)
def _digest(key: str) -> str:
    """Whose request it is, for counters and records: never the key itself."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:12]
