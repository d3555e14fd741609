"""Takes a request's own credential out of what a backend said about it: some quote the key that they refuse."""

from __future__ import annotations

from core.http import HeaderList

_CREDENTIALS = frozenset({"authorization", "x-api-key", "api-key", "x-goog-api-key", "x-amz-security-token"})
# Shorter ones are placeholders of servers that ask for no key, and may be words of the message.
_SHORTEST = 8


def without_credentials(body: bytes, headers: HeaderList) -> bytes:
    """`body` with every credential of `headers` replaced by stars."""
    for name, value in headers:
        if name in _CREDENTIALS:
            credential = value.removeprefix("Bearer ").encode()
            if len(credential) >= _SHORTEST and credential in body:
                body = body.replace(credential, b"***")
    return body
