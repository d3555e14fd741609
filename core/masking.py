"""Masks what a kept request or answer must not hold: credentials always, personal data on request.

By shape, so it finds what looks like one; it is a guard for logs, not a proof.
"""

from __future__ import annotations

import re
from typing import Any, Final

MASK: Final = "***"

# Keys as the field's vendors shape them, bearer tokens, JSON Web Tokens, AWS's key ids, and what an address carries:
# signatures of AWS, Google and Azure, and a password.
_SECRETS: Final = re.compile(
    r"\b(?:sk|pk|rk|dapi|ghp|gho|xox[abp]|AIza)[-_]?[A-Za-z0-9_-]{16,}"
    r"|(?i:\bbearer\s+)[A-Za-z0-9._~+/-]{8,}=*"
    r"|(?<![\w-])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"
    r"|(?i:\bx-(?:amz|goog)-(?:signature|security-token)=)[^&\s\"'<>]+|[?&]sig=[^&\s\"'<>]+"
    r"|\b(?:AccountKey|SharedAccessKey)=[\w+/=]+|(?<=://)[^/\s:@\"]+:[^/\s@\"]+(?=@)"
)
# E-mail addresses (whose first part has a bound, or long dotted texts would take minutes), phone numbers with a
# country's prefix, payment cards, IBANs, US social security numbers, and addresses of the Internet Protocol (the sixth
# version's in full, or shortened with at least three groups told).
_PERSONAL: Final = re.compile(
    r"\b[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+\b"
    r"|(?<![\w+])\+\d[\d ()/-]{7,}\d\b"
    r"|\b(?:\d[ -]?){13,19}\b"
    r"|\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b"
    r"|\b\d{3}-\d{2}-\d{4}\b"
    r"|(?<![\w.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?!\w|\.\w)"
    r"|(?<![\w:])(?:[0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}(?![\w:])"
    r"|(?<![\w:])(?:[0-9A-Fa-f]{1,4}:){2,6}:(?:[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{1,4}){0,4})?(?![\w:])"
)
# Members whose values are credentials whatever they look like.
_SECRET_MEMBERS: Final = re.compile(
    r"(?i)^(?:authorization|cookie|password|.*secret|.*(?:api|access|private|account)[_-]?key|.*[_-]token"
    r"|(?:access|auth|id|refresh)?token)$"
)


def masked(value: Any, *, personal: bool = False) -> Any:
    """A JSON value with every credential replaced by stars, and with `personal` what tells people apart too."""
    if isinstance(value, str):
        text = _SECRETS.sub(MASK, value)
        return _PERSONAL.sub(MASK, text) if personal else text
    if isinstance(value, dict):
        return {
            key: MASK if isinstance(item, str) and _SECRET_MEMBERS.match(key) else masked(item, personal=personal)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [masked(item, personal=personal) for item in value]
    return value
