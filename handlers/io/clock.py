"""The machine's clock and randomness, as core.ports.Clock and core.ports.Random."""

from __future__ import annotations

import asyncio
import os
import string
import time

_ALPHABET = (string.ascii_letters + string.digits).encode()
# A random byte becomes byte % 62; the 8 values above the last whole multiple of 62 are thrown away, so that
# every character is equally likely.
_LAST_WHOLE = 256 - 256 % len(_ALPHABET)
_TO_ALPHABET = bytes(_ALPHABET[value % len(_ALPHABET)] for value in range(256))
_REJECTED = bytes(range(_LAST_WHOLE, 256))


class SystemClock:
    """core.ports.Clock from the operating system and the running event loop."""

    # The functions themselves: a request asks a dozen times.
    monotonic = staticmethod(time.monotonic)  # noqa: TID251 - this is the Clock port
    time = staticmethod(time.time)  # noqa: TID251 - this is the Clock port

    async def sleep(self, seconds: float) -> None:
        """Lets other tasks run for `seconds`."""
        await asyncio.sleep(seconds)


class SystemRandom:
    """core.ports.Random from the operating system's generator.

    `ahead`: how many bytes are fetched at once. More than a token's worth saves a system call for each, but what
    was fetched must not outlive the process's image: copies of a snapshot would give the same tokens.
    """

    def __init__(self, ahead: int = 0) -> None:
        self._ahead = ahead
        self._letters = b""

    def token(self, length: int) -> str:
        """`length` characters of [A-Za-z0-9], unguessable."""
        letters = self._letters
        while len(letters) < length:
            letters += os.urandom(max(self._ahead, length + 8)).translate(_TO_ALPHABET, _REJECTED)
        self._letters = letters[length:] if self._ahead else b""
        return letters[:length].decode("ascii")

    def uniform(self) -> float:
        """A float in [0, 1), of 53 random bits."""
        return (int.from_bytes(os.urandom(7)) >> 3) * 2.0**-53
