"""`skybridge keys` and `skybridge usage`: what the store holds, made, changed and added up at a terminal."""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import sys
from calendar import timegm
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import gmtime, strftime, strptime
from typing import Any, Protocol

from core import bill
from core.configuration import ConfigurationError
from core.keys import SHOWN, Key, digest_of, new_secret, read_key
from core.limits import LIMITS, read_quota
from core.ports import Clock, Random, Store, StoreFault
from core.slotted import replace
from core.usage import in_usd
from handlers.callers import KEYS
from handlers.cli import LOCAL_STORE
from handlers.io.clock import SystemClock, SystemRandom
from handlers.io.http_client import HttpTransport
from handlers.stores import Machine, open_store

DAY = 86_400.0
# A rotated key goes on working for this long, so that its holders can change over.
OVERLAP_HOURS = 24.0


class Output(Protocol):
    """Where a command's text goes."""

    def write(self, text: str, /) -> object: ...


class Desk:
    """A store, the clock, and where to print."""

    def __init__(self, store: Store, clock: Clock, random: Random, output: Output) -> None:
        self.store = store
        self.clock = clock
        self.random = random
        self.output = output

    def print(self, text: str) -> None:
        self.output.write(text + "\n")


type Command = Callable[[argparse.Namespace, Desk], Awaitable[int]]


def add_commands(commands: Any) -> list[argparse.ArgumentParser]:
    """Adds `keys` and `usage` to the command line's subparsers; gives those that take --env."""
    keys = commands.add_parser("keys", help="make, list, change, rotate and revoke keys")
    actions = keys.add_subparsers(dest="action", required=True)
    create = actions.add_parser("create", help="make a key; it is shown this once")
    create.add_argument("--owner", default="", help="whom its limits and bills belong to")
    _add_terms(create)
    listing = actions.add_parser("list", help="list the keys")
    listing.add_argument("--json", action="store_true")
    update = actions.add_parser("update", help="change a key")
    update.add_argument("--owner")
    _add_terms(update)
    rotate = actions.add_parser("rotate", help="a new key with the terms and the budget of an old one")
    rotate.add_argument("--overlap-hours", type=float, default=OVERLAP_HOURS, help="the old one's rest (%(default)s)")
    revoke = actions.add_parser("revoke", help="end a key; it is refused everywhere within 30 s")
    for action in (update, rotate, revoke):
        action.add_argument("key", help="its id, or its beginning as `list` shows it")
    usage = commands.add_parser("usage", help="add up what was used")
    usage.add_argument("--by", default="day,model", help=f"groups, of {', '.join(bill.GROUPS)} (default: %(default)s)")
    usage.add_argument("--days", type=int, default=7, help="so many days up to today, UTC (default: %(default)s)")
    shape = usage.add_mutually_exclusive_group()
    shape.add_argument("--csv", action="store_true")
    shape.add_argument("--json", action="store_true")
    usage.add_argument("--purge", action="store_true", help="first drop what is past its retention")
    for command in (create, listing, update, rotate, revoke, usage):
        command.add_argument("--store", help="the store (default: SKYBRIDGE_STORE, or a SQLite file of this folder)")
    return [create, listing, update, rotate, revoke, usage]


def _add_terms(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--label", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--expires", metavar="YYYY-MM-DD", help="when it ends (UTC); `never` takes the end away")
    parser.add_argument("--model", action="append", metavar="PATTERN", help="a model that it may use (default: all)")
    parser.add_argument(
        "--limit", action="append", default=[], metavar="NAME=NUMBER", help=f"one of {', '.join(LIMITS)}"
    )


def run(options: argparse.Namespace, variables: Mapping[str, str], output: Output | None = None) -> int:
    """Runs one command against the store. Raises ConfigurationError for what cannot be done."""
    reference = options.store or variables.get("SKYBRIDGE_STORE") or LOCAL_STORE
    command = _KEY_ACTIONS[options.action] if options.command == "keys" else _usage

    async def work() -> int:
        transport, clock, random = HttpTransport(), SystemClock(), SystemRandom()
        store = open_store(reference, Machine(variables, transport, clock, random))
        try:
            await store.prepare()
            return await command(options, Desk(store, clock, random, output or sys.stdout))
        except StoreFault as fault:
            raise ConfigurationError("", str(fault)) from fault
        finally:
            await store.close()
            await transport.aclose()

    return asyncio.run(work())


async def _create(options: argparse.Namespace, desk: Desk) -> int:
    key = Key("key_" + desk.random.token(12), "", "", options.owner, desk.clock.time())
    return await _issue(_with_terms(key, options), desk)


async def _issue(key: Key, desk: Desk) -> int:
    secret = new_secret(desk.random)
    issued = replace(key, digest=digest_of(secret), prefix=secret[:SHOWN])
    await desk.store.write(KEYS, {issued.digest: issued.document()})
    desk.print(secret)
    desk.print(f"This is {issued.id}. The key is shown this once; the store keeps a digest of it.")
    return 0


async def _list(options: argparse.Namespace, desk: Desk) -> int:
    keys = sorted(await _all(desk), key=lambda key: (key.created, key.prefix))
    now = desk.clock.time()
    if options.json:
        desk.print(json.dumps([{**key.document(), "state": key.state(now)} for key in keys], indent=2))
        return 0
    rows = [("id", "key", "owner", "state", "expires", "models", "limits", "labels")]
    rows += [
        (
            key.id, f"{key.prefix}…", key.owner, key.state(now), _date(key.expires), " ".join(key.models) or "all",
            " ".join(f"{name}={_shown(name, value)}" for name, value in key.quota.items()),
            " ".join(f"{name}={value}" for name, value in key.labels.items()),
        )
        for key in keys
    ]  # fmt: skip
    _print_table(rows, desk)
    return 0


async def _update(options: argparse.Namespace, desk: Desk) -> int:
    for key in await _find(options.key, desk):
        changed = _with_terms(key, options)
        if options.owner is not None:
            changed = replace(changed, owner=options.owner)
        await desk.store.write(KEYS, {key.digest: changed.document()})
    desk.print("Changed. Every instance follows within 30 s.")
    return 0


async def _rotate(options: argparse.Namespace, desk: Desk) -> int:
    """The new key has the old one's id, so limits and budget are one for both."""
    now = desk.clock.time()
    old = [key for key in await _find(options.key, desk) if key.state(now) == "active"]
    if not old:
        raise ConfigurationError("", f"{options.key} is not active any more: make a new key")
    ends = now + options.overlap_hours * 3600
    for key in old:
        until = ends if key.expires is None else min(key.expires, ends)
        await desk.store.write(KEYS, {key.digest: replace(key, expires=until).document()})
    desk.print(f"The old key ends at {_date(ends)}.")
    return await _issue(replace(old[-1], created=now), desk)


async def _revoke(options: argparse.Namespace, desk: Desk) -> int:
    now = desk.clock.time()
    for key in await _find(options.key, desk):
        if key.revoked is None:
            await desk.store.write(KEYS, {key.digest: replace(key, revoked=now).document()})
    desk.print("Revoked. Every instance refuses it within 30 s.")
    return 0


async def _usage(options: argparse.Namespace, desk: Desk) -> int:
    try:
        by = bill.read_groups(options.by)
    except ValueError as error:
        raise ConfigurationError("--by", str(error)) from error
    now = desk.clock.time()
    if options.purge:
        await desk.store.purge(now)
    days = [bill.day_of(now - DAY * back) for back in reversed(range(max(1, options.days)))]
    rows = [row for day in days for row in (await desk.store.read_all(bill.folder_of(day))).values()]
    sums = [{**each, "cost": in_usd(each["cost"])} for each in bill.summarize(rows, by)]
    if options.json:
        desk.print(json.dumps(sums, indent=2))
        return 0
    titles = [*by, *(name for name in _COLUMNS)]
    table = [titles, *([str(each[name]) for name in titles] for each in sums)]
    if options.csv:
        csv.writer(desk.output).writerows(["cost_usd" if name == "cost" else name for name in row] for row in table)
    else:
        _print_table([[_TITLES.get(name, name) for name in titles], *table[1:]], desk)
    return 0


_COLUMNS = (
    "requests", "failed", "input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens",
    "output_tokens", "cost", "unpriced",
)  # fmt: skip
_TITLES = {
    "input_tokens": "input", "cache_read_tokens": "read", "cache_write_5m_tokens": "write 5m",
    "cache_write_1h_tokens": "write 1h", "output_tokens": "output", "cost": "USD",
}  # fmt: skip

_KEY_ACTIONS: Mapping[str, Command] = {
    "create": _create, "list": _list, "update": _update, "rotate": _rotate, "revoke": _revoke,
}  # fmt: skip


async def _all(desk: Desk) -> list[Key]:
    return [read_key(digest, document) for digest, document in (await desk.store.read_all(KEYS)).items()]


async def _find(name: str, desk: Desk) -> list[Key]:
    """The keys of that id (two while one replaces the other), or the one that begins so. Oldest first."""
    keys = sorted(await _all(desk), key=lambda key: key.created)
    found = [key for key in keys if key.id == name] or [key for key in keys if key.prefix == name.rstrip("…")]
    if not found:
        raise ConfigurationError("", f"there is no key {name}; `skybridge keys list` shows them")
    return found


def _with_terms(key: Key, options: argparse.Namespace) -> Key:
    quota = dict(key.quota)
    for name, value in _pairs("--limit", options.limit):
        try:
            quota |= read_quota({name: value}, "--limit")
        except ValueError as error:
            raise ConfigurationError("", str(error)) from error
    return replace(
        key,
        labels={**key.labels, **dict(_pairs("--label", options.label))},
        expires=key.expires if options.expires is None else _read_date(options.expires),
        models=key.models if options.model is None else tuple(options.model),
        quota=quota,
    )


def _pairs(option: str, texts: Sequence[str]) -> list[tuple[str, str]]:
    pairs = []
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise ConfigurationError(option, f"expected NAME=VALUE; got {text!r}")
        pairs.append((name, value))
    return pairs


def _read_date(text: str) -> float | None:
    if text == "never":
        return None
    try:
        return float(timegm(strptime(text, "%Y-%m-%d")))
    except ValueError:
        raise ConfigurationError("--expires", f"expected YYYY-MM-DD or `never`; got {text!r}") from None


def _date(epoch: float | None) -> str:
    return "never" if epoch is None else strftime("%Y-%m-%d %H:%M", gmtime(epoch))


def _shown(name: str, value: int) -> str:
    return in_usd(value) if LIMITS[name].unit == "usd" else str(value)


def _print_table(rows: Sequence[Sequence[str]], desk: Desk) -> None:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        desk.print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
