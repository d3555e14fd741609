"""AWS credentials: the value, and the documents that they come in (all parsing, no I/O)."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from time import strptime

from core.slotted import field, slotted

_EXPIRY = r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(?:Z|\+00:00)"


@slotted(frozen=True)
class Credentials:
    """An access key pair. `expires_at` is in seconds since the epoch, None when it does not expire."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    expires_at: float | None = None


class UnreadableCredentials(ValueError):
    """A credential document lacks what it must hold. The message never quotes the document."""


def from_environment(environment: Mapping[str, str]) -> Credentials | None:
    """AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN; None unless both of the first are set."""
    key_id = environment.get("AWS_ACCESS_KEY_ID", "").strip()
    secret = environment.get("AWS_SECRET_ACCESS_KEY", "").strip()
    if not key_id or not secret:
        return None
    return Credentials(key_id, secret, environment.get("AWS_SESSION_TOKEN", "").strip() or None)


def from_container(document: bytes) -> Credentials:
    """The answer of a container credential endpoint (ECS, EKS Pod Identity, Lambda SnapStart).

    https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
    Raises UnreadableCredentials.
    """
    try:
        members = json.loads(document)
    except ValueError:
        raise UnreadableCredentials("the container's answer is not JSON") from None
    if not isinstance(members, dict):
        raise UnreadableCredentials("the container's answer is not a JSON object")
    return _from_members(members, "Token")


def from_web_identity(document: bytes) -> Credentials:
    """The answer of STS AssumeRoleWithWebIdentity, which is XML of four leaves under `Credentials`.

    https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
    Raises UnreadableCredentials.
    """
    text = document.decode("utf-8", "replace")
    names = ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")
    found = {name: re.search(rf"<{name}>\s*([^<]*?)\s*</{name}>", text) for name in names}
    members = {name: html.unescape(match[1]) for name, match in found.items() if match is not None}
    return _from_members(members, "SessionToken")


def _from_members(members: Mapping[str, object], token_name: str) -> Credentials:
    key_id, secret = members.get("AccessKeyId"), members.get("SecretAccessKey")
    token, expiration = members.get(token_name), members.get("Expiration")
    if not (isinstance(key_id, str) and key_id and isinstance(secret, str) and secret):
        raise UnreadableCredentials("AccessKeyId or SecretAccessKey is missing")
    if not isinstance(token, str | None) or not isinstance(expiration, str | None):
        raise UnreadableCredentials(f"{token_name} or Expiration is not a text")
    return Credentials(key_id, secret, token or None, _epoch(expiration) if expiration else None)


def _epoch(text: str) -> float:
    match = re.fullmatch(_EXPIRY, text)
    if match is None:
        raise UnreadableCredentials("Expiration is not a UTC date and time")
    from calendar import timegm  # noqa: PLC0415  # keys in the environment have no end; `strptime` loads it anyway

    try:
        return float(timegm(strptime(match[1], "%Y-%m-%dT%H:%M:%S")))
    except ValueError:
        raise UnreadableCredentials("Expiration is not a UTC date and time") from None


def web_identity_error(document: bytes) -> str:
    """The code and message of an STS error, for the log and the operator; "" when there is none."""
    text = document.decode("utf-8", "replace")
    found = [re.search(rf"<{name}>([^<]*)</{name}>", text) for name in ("Code", "Message")]
    return ": ".join(html.unescape(match[1]) for match in found if match is not None)


def from_profile(text: str, profile: str) -> Credentials | None:
    """The static keys of `profile` in a shared credentials file; None when it has none.

    https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html
    """
    values: dict[str, str] = {}
    section = ""
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1].strip()
        elif section == profile and line and line[0] not in "#;" and "=" in line:
            name, _, value = line.partition("=")
            values[name.strip().lower()] = value.strip()
    key_id, secret = values.get("aws_access_key_id"), values.get("aws_secret_access_key")
    if not key_id or not secret:
        return None
    return Credentials(key_id, secret, values.get("aws_session_token") or None)
