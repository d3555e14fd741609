"""What a backend says of its failure, without what is not the client's: credentials, and whose account it is.

Some backends quote the key that they refuse, or name the organization whose limit is reached. The request's own
credentials are found exactly, those of others (a proxy's upstream) and accounts by their vendors' shapes.
"""

from __future__ import annotations

import json
import re
from functools import cache

from core.errors import GatewayError
from core.http import HeaderList

_STARS = "***"
_CREDENTIALS = frozenset({"authorization", "x-api-key", "api-key", "x-goog-api-key", "x-amz-security-token"})
# Shorter ones are placeholders of servers that ask for no key, and may be words of the message.
_SHORTEST = 8


@cache
def _shapes() -> re.Pattern[str]:
    """Compiled when a backend first fails. What is to be seen of a match is in its groups."""
    identifier = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
    return re.compile(
        r"\bsk-[A-Za-z0-9_*-]{12,}"
        r"|\bdapi[0-9a-f]{16,}|\bAIza[\w-]{30,}|\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b"
        r"|(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"
        # In addresses: signatures of AWS, Google and Azure, and a password.
        r"|((?i:\bx-(?:amz|goog)-(?:signature|security-token)=)|[?&]sig=|\b(?:AccountKey|SharedAccessKey)=)[^&\s\"'<>]+"
        r"|(://)[^/\s:@\"]+:[^/\s@\"]+(?=@)"
        r"|(\b[Bb]earer )[\w.~+/-]{16,}=*"
        # Whose account: OpenAI's, AWS's (in ARNs and in words), Azure's, Anthropic's.
        r"|(\borg-|\bproj_)[A-Za-z0-9]{8,}"
        r"|(\barn:aws[\w-]*:[\w-]*:[\w-]*:)\d{12}(?=:)"
        r"|((?i:\baccount)\W{1,3}(?:(?i:id|number)\W{1,3})?)\d{12}\b"
        rf"|((?i:/?\b(?:subscription|tenant|organization|workspace)s?)\W{{1,3}}(?:(?i:id)\W{{1,3}})?){identifier}"
    )


def _credentials(headers: HeaderList) -> list[str]:
    found = [value.removeprefix("Bearer ") for name, value in headers if name in _CREDENTIALS]
    return [value for value in found if len(value) >= _SHORTEST]


def without_secrets(text: str, headers: HeaderList) -> str:
    """`text` with stars for every credential, those of `headers` (the request's) above all, and every account."""
    for credential in _credentials(headers):
        text = text.replace(credential, _STARS).replace(json.dumps(credential)[1:-1], _STARS)
    return _shapes().sub(lambda found: (found[found.lastindex] if found.lastindex else "") + _STARS, text)


def redacted(body: bytes, headers: HeaderList) -> bytes:
    """The same for an error's body; one that holds none is the same bytes."""
    return without_secrets(body.decode("utf-8", "surrogateescape"), headers).encode("utf-8", "surrogateescape")


def redact(error: GatewayError, headers: HeaderList) -> None:
    """The same for the message of an error that came in an answer, in place."""
    error.message = without_secrets(error.message, headers)
    error.args = (error.message,)


def redacted_frames(frames: bytes, headers: HeaderList, binary: bool) -> bytes:
    """The same for whole frames of a stream, among them an error. `binary`: AWS's, which carry checksums."""
    if not binary:
        return redacted(frames, headers)
    from core.framing import eventstream  # noqa: PLC0415  # AWS's streams only, when they fail

    try:
        found = eventstream.frames_of(frames)
    except eventstream.CorruptFrame:
        return frames
    told = [(frame, redacted(frame.payload, headers)) for frame in found]
    if all(frame.payload == payload for frame, payload in told):
        return frames
    return b"".join(eventstream.encode(frame.headers, payload) for frame, payload in told)
