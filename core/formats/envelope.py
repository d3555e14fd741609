"""Carries one vendor's opaque reasoning state through another format's slot, and takes it out again unchanged.

The envelope is text: a prefix that no vendor uses, then URL-safe base64 of compact JSON with sorted keys, so the
same state is the same bytes on every turn. It is not encrypted: what is inside came from the client's own answer.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # a pass-through looks for envelopes and never loads the neutral conversation
    from core.conversation import Reasoning

PREFIX = "skybridge1."


def seal(reasoning: Reasoning) -> str:
    """The envelope of `reasoning`: everything that its issuer needs to take it back."""
    origin = reasoning.origin
    members = {
        "vendor": origin.vendor if origin else "",
        "model": origin.model if origin else "",
        "texts": reasoning.texts,
        "form": reasoning.form,
        "signature": reasoning.signature,
        "redacted": reasoning.redacted,
        "encrypted": reasoning.encrypted,
        "id": reasoning.id,
        "extra": reasoning.extra,
    }
    return _closed({key: value for key, value in members.items() if value})


def unseal(value: str) -> Reasoning | None:
    """The reasoning inside an envelope, None when `value` is not one (or was damaged on its way)."""
    members = _opened(value)
    if members is None or not _is_sound(members):
        return None
    from core.conversation import Origin, Reasoning  # noqa: PLC0415  # see above

    return Reasoning(
        texts=list(members.get("texts", [])),
        form=members.get("form", "raw"),
        signature=members.get("signature"),
        redacted=members.get("redacted"),
        encrypted=members.get("encrypted"),
        id=members.get("id"),
        origin=Origin(members.get("vendor", ""), members.get("model", "")),
        extra=dict(members.get("extra", {})),
    )


def seal_summary(summary: str) -> str:
    """The envelope of a conversation's summary, which stands for its past in a slot for encrypted text."""
    return _closed({"summary": summary})


def unseal_summary(value: str) -> str | None:
    """The summary inside an envelope, None when `value` is not one."""
    members = _opened(value)
    summary = None if members is None else members.get("summary")
    return summary if isinstance(summary, str) else None


def _closed(members: dict[str, Any]) -> str:
    text = json.dumps(members, separators=(",", ":"), sort_keys=True)
    return PREFIX + base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _opened(value: str) -> dict[str, Any] | None:
    if not value.startswith(PREFIX):
        return None
    encoded = value[len(PREFIX) :]
    try:
        members = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return None
    return members if isinstance(members, dict) else None


def _is_sound(members: dict[str, Any]) -> bool:
    # Anybody can write an envelope: what is inside must have the types that `seal` gives it.
    texts = members.get("texts", [])
    strings = ("vendor", "model", "signature", "redacted", "encrypted", "id")
    return (
        isinstance(texts, list)
        and all(isinstance(text, str) for text in texts)
        and all(isinstance(members.get(name, ""), str) for name in strings)
        and members.get("form", "raw") in ("summary", "raw")
        and isinstance(members.get("extra", {}), dict)
    )


def is_sealed(value: str) -> bool:
    """Whether `value` is (meant to be) an envelope."""
    return value.startswith(PREFIX)
