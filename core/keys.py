"""The gateway's own keys as values: made, stored as a digest, checked."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from core.access import Caller
from core.errors import NotConfigured, Refused
from core.ports import Random
from core.slotted import field, slotted

PREFIX = "sk-sky-"
# So much of a key is kept in the clear, for people to recognise it by.
SHOWN = len(PREFIX) + 6
_LENGTH = 43  # of 62 letters: 256 bits


@slotted
class Key:
    """A key's record. `id` stays when the key is rotated, so that its budget does. Times are epoch seconds; `digest`
    is of the whole key, which nobody keeps. `name` is for people; with `admin` it may manage the other keys."""

    id: str
    digest: str
    prefix: str
    owner: str
    created: float
    labels: dict[str, str] = field(default_factory=dict)
    expires: float | None = None
    revoked: float | None = None
    models: tuple[str, ...] = ()
    quota: dict[str, int] = field(default_factory=dict)
    name: str = ""
    admin: bool = False

    def document(self) -> dict[str, Any]:
        """As a store keeps it, under `digest`."""
        return {
            "id": self.id, "prefix": self.prefix, "owner": self.owner, "labels": self.labels, "created": self.created,
            "expires": self.expires, "revoked": self.revoked, "models": list(self.models), "quota": self.quota,
            "name": self.name, "admin": self.admin,
        }  # fmt: skip

    def state(self, now: float) -> str:
        """active, expired or revoked."""
        if self.revoked is not None and self.revoked <= now:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else "active"

    def caller(self) -> Caller:
        """The key's holder."""
        shown = f"key {self.prefix}…"
        return Caller(self.id, "key", shown, self.owner, self.labels, self.models, self.quota, self.admin)


def new_secret(random: Random) -> str:
    """A key's text, which is shown once."""
    return PREFIX + random.token(_LENGTH)


@lru_cache(maxsize=1024)
def digest_of(secret: str) -> str:
    """What is kept of a key. Its 256 random bits need no salt and no slow hash."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def read_key(digest: str, document: Mapping[str, Any]) -> Key:
    """The key that a store keeps under `digest`. Raises NotConfigured for what this program has not written."""
    try:
        return Key(
            document["id"], digest, document["prefix"], document["owner"], document["created"],
            dict(document["labels"]), document["expires"], document["revoked"], tuple(document["models"]),
            dict(document["quota"]), document.get("name", ""), document.get("admin", False),
        )  # fmt: skip
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise NotConfigured(f"What the store keeps under keys/{digest[:12]}… is not a key.") from error


def is_the_key(secret: str, key: Key) -> bool:
    """Compares in a time that tells nothing about where they differ."""
    return hmac.compare_digest(digest_of(secret), key.digest)


def check_usable(key: Key, now: float) -> None:
    """Raises Refused for a key that is revoked or has expired."""
    state = key.state(now)
    if state != "active":
        raise Refused("authentication", f"The API key {key.prefix}… {'is' if state == 'revoked' else 'has'} {state}.")


def check_model(caller: Caller, model: str) -> None:
    """Raises Refused (403) for a model that the caller may not ask for."""
    if caller.models and not any(fnmatchcase(model, pattern) for pattern in caller.models):
        allowed = ", ".join(caller.models)
        raise Refused("permission", f"This key may not use the model '{model}'. It may use: {allowed}.", param="model")
