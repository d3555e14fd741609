"""Bearer tokens: the value, and the documents that token endpoints answer (all parsing, no I/O)."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from time import strptime
from typing import Any

from core.slotted import field, slotted

# Where an endpoint does not say how long its token holds.
DEFAULT_LIFETIME = 300.0
_MOST_OF_A_MESSAGE = 300


@slotted(frozen=True)
class Token:
    """A bearer token. `expires_at` is in seconds since the epoch."""

    value: str = field(repr=False)
    expires_at: float | None = None


class UnreadableToken(ValueError):
    """A token document lacks what it must hold. The message never quotes the document."""


def read_token(document: bytes, now: float) -> Token:
    """The answer of an OAuth token endpoint (RFC 6749, 5.1) or of a managed identity's, whose `expires_on` is a text
    of epoch seconds. `now` is in epoch seconds. Raises UnreadableToken.

    https://learn.microsoft.com/en-us/azure/app-service/overview-managed-identity#rest-endpoint-reference
    """
    members = _members(document)
    value = members.get("access_token")
    if not isinstance(value, str) or not value:
        raise UnreadableToken("access_token is missing")
    until = _seconds(members.get("expires_on"))
    if until is None:
        lifetime = _seconds(members.get("expires_in"))
        until = now + (DEFAULT_LIFETIME if lifetime is None else lifetime)
    return Token(value, until)


def _members(document: bytes) -> Mapping[str, Any]:
    try:
        members = json.loads(document)
    except ValueError:
        raise UnreadableToken("the answer is not JSON") from None
    if not isinstance(members, dict):
        raise UnreadableToken("the answer is not a JSON object")
    return members


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def read_web_identity_token(document: bytes) -> Token:
    """The answer of STS GetWebIdentityToken, XML. Raises UnreadableToken.

    https://docs.aws.amazon.com/STS/latest/APIReference/API_GetWebIdentityToken.html
    """
    text = document.decode("utf-8", "replace")
    found = re.search(r"<WebIdentityToken>\s*([^<\s]+)\s*</WebIdentityToken>", text)
    if found is None:
        raise UnreadableToken("WebIdentityToken is missing")
    expiry = re.search(r"<Expiration>\s*(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)", text)
    from calendar import timegm  # noqa: PLC0415  # for STS's tokens only; `strptime` loads it anyway

    until = float(timegm(strptime(expiry[1], "%Y-%m-%dT%H:%M:%S"))) if expiry is not None else None
    return Token(html.unescape(found[1]), until)


def token_error(document: bytes, *secrets: str) -> str:
    """What a token endpoint says about its refusal, in a line, without any of `secrets`; "" when it says nothing."""
    try:
        members = _members(document)
    except UnreadableToken:
        return ""
    nested = members.get("error")
    parts: list[object] = [members.get("error_description") or members.get("message")]
    if isinstance(nested, dict):
        parts = [nested.get("type"), nested.get("message")]
    else:
        parts.insert(0, nested)
    text = ": ".join(part for part in parts if isinstance(part, str))
    for secret in secrets:
        text = text.replace(secret, "***") if secret else text
    return " ".join(text.split())[:_MOST_OF_A_MESSAGE]
