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

MISSING_KEY = (
    "No API key was sent. Send the gateway's key as `Authorization: Bearer`, `x-api-key`, `api-key` or "
    "`x-goog-api-key`."
)
WRONG_KEY = "The API key is not valid for this gateway."


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


def presented_keys(headers: Mapping[str, str], query_key: str | None = None) -> list[str]:
    """Every key that a request carries. SDKs may send two (Claude Code does); one valid one is enough."""
    keys = [headers[name].strip() for name in _KEY_HEADERS if headers.get(name)]
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        keys.append(value.strip())
    if query_key:
        keys.append(query_key)
    return keys


def check(rules: AccessRules, request: Request, now: float) -> None:
    """Lets the request pass or raises Refused. Comparison takes the same time wherever keys differ.

    `now` is in epoch seconds: AWS's SDKs sign with the key as their secret instead of sending it.
    """
    if rules.open or _signed(rules, request, now):
        return
    presented = presented_keys(request.headers, query_key(request))
    if not presented:
        raise Refused("authentication", MISSING_KEY)
    valid = False
    for key in presented:
        encoded = key.encode("utf-8", "surrogateescape")
        for known in rules.keys:
            valid |= hmac.compare_digest(encoded, known.encode())
    if not valid:
        raise Refused("authentication", WRONG_KEY)


def _signed(rules: AccessRules, request: Request, now: float) -> bool:
    """Whether the request is signed with one of the keys. Raises Refused for a signature that does not match."""
    if not request.headers.get("authorization", "").startswith("AWS4-HMAC-SHA256"):
        return False
    from core.auth.sigv4 import signing_secret  # noqa: PLC0415  # AWS SDKs only

    return signing_secret(request, rules.keys, now) is not None


def query_key(request: Request) -> str | None:
    """Gemini's clients may send the key as `?key=`."""
    if "key=" not in request.query:
        return None
    from urllib.parse import parse_qsl  # noqa: PLC0415  # few clients do

    return dict(parse_qsl(request.query)).get("key")


def caller_of(headers: Mapping[str, str]) -> str:
    """Whose request it is, for shares and records: a short digest of the key, never the key itself."""
    keys = presented_keys(headers)
    return _digest(keys[0]) if keys else "anonymous"


@lru_cache(maxsize=1024)
def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:12]
