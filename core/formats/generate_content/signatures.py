"""Thought signatures: base64 in a part, Gemini's own as they are, another vendor's state in an envelope.

google-genai decodes the member and writes it back in URL-safe base64, so a signature is brought into one spelling
before anything compares or forwards it. https://ai.google.dev/gemini-api/docs/thought-signatures
"""

from __future__ import annotations

import base64
import binascii

from core.conversation import Origin, Reasoning
from core.formats import envelope

GOOGLE = Origin("google")


def canonical(signature: str) -> str:
    """The signature in standard base64 with its padding, as Gemini gives it."""
    plain = signature.replace("-", "+").replace("_", "/").rstrip("=")
    return plain + "=" * (-len(plain) % 4)


def unsealed(signature: str) -> Reasoning | None:
    """The foreign reasoning that a signature carries, None where it is Gemini's own."""
    try:
        text = base64.b64decode(canonical(signature), validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        return None
    return envelope.unseal(text)


def sealed(reasoning: Reasoning) -> str:
    """Foreign reasoning as a signature that every client's base64 decoder takes."""
    return base64.b64encode(envelope.seal(reasoning).encode()).decode()
