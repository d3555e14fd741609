"""What options of the command line may say, for all of its commands."""

from __future__ import annotations

import argparse
from math import inf, nan

# Where `keys` and `usage` keep things in a folder without SKYBRIDGE_STORE.
LOCAL_STORE = "sqlite:.skybridge/skybridge.db"

_LAST_PORT = 65_535


def port(text: str) -> int:
    """An option that is a TCP port. Raises ArgumentTypeError."""
    if not text.isdecimal() or int(text) > _LAST_PORT:
        raise argparse.ArgumentTypeError(f"expected a port from 0 to {_LAST_PORT}; got {text!r}")
    return int(text)


def duration(text: str) -> float:
    """An option that is a time. Raises ArgumentTypeError for anything but a number from 0 on."""
    try:
        value = float(text)
    except ValueError:
        value = nan
    if not 0 <= value < inf:
        raise argparse.ArgumentTypeError(f"expected a number from 0 on; got {text!r}")
    return value
