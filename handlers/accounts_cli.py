"""`skybridge keys` and `skybridge usage`: what the store holds, made, changed and added up at a terminal."""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import sys
from calendar import timegm
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from io import TextIOWrapper
from time import gmtime, strftime, strptime
from typing import Any, Protocol

from core.configuration import ConfigurationError
from core.errors import ClientFault
from core.key_terms import LONGEST_OVERLAP, OVERLAP_SECONDS
from core.keys import Key
from core.limits import LIMITS, read_quota
from core.ports import StoreFault
from core.slotted import replace
from core.usage import in_usd
from core.usage_report import DEFAULT_DAYS, DEFAULT_GROUPS, GROUPS, PARTS, Report, UsageQuery, is_group, read_groups
from handlers.cli_options import LOCAL_STORE, duration
from handlers.io.clock import SystemClock, SystemRandom
from handlers.io.http_client import HttpTransport
from handlers.io.log import JsonLog, put
from handlers.key_desk import KeyDesk, KeyEnded, NoSuchKey
from handlers.stores import Machine, open_store
from handlers.usage_reading import read_usage

OVERLAP_HOURS = OVERLAP_SECONDS / 3600


class Output(Protocol):
    """Where a command's text goes."""

    def write(self, text: str, /) -> object: ...


class Desk:
    """The keys of a store, and where to print."""

    def __init__(self, keys: KeyDesk, output: Output) -> None:
        self.keys = keys
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
    rotate.add_argument("--overlap-hours", type=duration, default=OVERLAP_HOURS, help="of the old one (%(default)s)")
    revoke = actions.add_parser("revoke", help="end a key; it is refused everywhere within 30 s")
    for action in (update, rotate, revoke):
        action.add_argument("key", help="its id, or its beginning as `list` shows it")
    usage = commands.add_parser("usage", help="add up what was used")
    usage.add_argument("--by", default=DEFAULT_GROUPS, help=f"groups, of {', '.join(GROUPS)}, label:NAME (%(default)s)")
    usage.add_argument("--days", type=int, default=DEFAULT_DAYS, help="so many days up to today, UTC (%(default)s)")
    usage.add_argument("--where", action="append", default=[], metavar="GROUP=VALUE", help="only what has that value")
    shape = usage.add_mutually_exclusive_group()
    shape.add_argument("--csv", action="store_true")
    shape.add_argument("--json", action="store_true")
    usage.add_argument("--purge", action="store_true", help="first drop what is past its retention")
    for command in (create, listing, update, rotate, revoke, usage):
        command.add_argument("--store", help="the store (default: SKYBRIDGE_STORE, or a SQLite file of this folder)")
    return [create, listing, update, rotate, revoke, usage]


def _add_terms(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", help="what people call it")
    parser.add_argument(
        "--admin", action=argparse.BooleanOptionalAction, help="whether it may manage keys and see everybody's usage"
    )
    parser.add_argument("--label", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--expires", metavar="YYYY-MM-DD", help="when it ends (UTC); `never` takes the end away")
    parser.add_argument("--model", action="append", metavar="PATTERN", help="a model that it may use (default: all)")
    parser.add_argument(
        "--limit", action="append", default=[], metavar="NAME=NUMBER", help=f"one of {', '.join(LIMITS)}"
    )


def run(options: argparse.Namespace, variables: Mapping[str, str], output: Output | None = None) -> int:
    """Runs one command against the store. Raises ConfigurationError for what cannot be done."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names are clients' own, and not every terminal has UTF-8
    reference = options.store or variables.get("SKYBRIDGE_STORE") or LOCAL_STORE
    command = _KEY_ACTIONS[options.action] if options.command == "keys" else _usage

    async def work() -> int:
        transport, clock, random = HttpTransport(), SystemClock(), SystemRandom()
        store = open_store(reference, Machine(variables, transport, clock, random))
        try:
            await store.prepare()
            log = JsonLog(clock, variables.get("LOG_LEVEL") or "info")
            keys = KeyDesk(store, clock, random, log, "the command line")
            return await command(options, Desk(keys, output or sys.stdout))
        except StoreFault as fault:
            raise ConfigurationError("", str(fault)) from fault
        except KeyEnded as fault:
            raise ConfigurationError("", str(fault)) from fault
        except NoSuchKey as fault:
            raise ConfigurationError("", f"{fault}; `skybridge keys list` shows them") from fault
        finally:
            await store.close()
            await transport.aclose()

    return asyncio.run(work())


async def _create(options: argparse.Namespace, desk: Desk) -> int:
    made = replace(desk.keys.blank(), owner=options.owner)
    return _show(*await desk.keys.issue(_with_terms(made, options)), desk)


def _show(secret: str, key: Key, desk: Desk) -> int:
    desk.print(secret)
    desk.print(f"This is {key.id}. The key is shown this once; the store keeps a digest of it.")
    return 0


async def _list(options: argparse.Namespace, desk: Desk) -> int:
    keys = await desk.keys.all()
    now = desk.keys.clock.time()
    if options.json:
        desk.print(json.dumps([{**key.document(), "state": key.state(now)} for key in keys], indent=2))
        return 0
    rows = [("id", "key", "owner", "name", "state", "expires", "models", "limits", "labels")]
    rows += [
        (
            key.id, f"{key.prefix}…", key.owner, key.name + (" (admin)" if key.admin else ""), key.state(now),
            _date(key.expires), " ".join(key.models) or "all",
            " ".join(f"{name}={_shown(name, value)}" for name, value in key.quota.items()),
            " ".join(f"{name}={value}" for name, value in key.labels.items()),
        )
        for key in keys
    ]  # fmt: skip
    _print_table(rows, desk)
    return 0


async def _update(options: argparse.Namespace, desk: Desk) -> int:
    before = await desk.keys.find(options.key)
    changed = [_with_terms(key, options) for key in before]
    if options.owner is not None:
        changed = [replace(key, owner=options.owner) for key in changed]
    await desk.keys.change(before, changed)
    desk.print("Changed. Every instance follows within 30 s.")
    return 0


async def _rotate(options: argparse.Namespace, desk: Desk) -> int:
    overlap = options.overlap_hours * 3600
    if overlap > LONGEST_OVERLAP:
        most = f"{LONGEST_OVERLAP / 3600:g}"
        raise ConfigurationError("--overlap-hours", f"expected at most {most}; got {options.overlap_hours:g}")
    secret, key = await desk.keys.rotate(options.key, overlap)
    desk.print(f"The old key ends at {_date(key.created + overlap)}.")
    return _show(secret, key, desk)


async def _revoke(options: argparse.Namespace, desk: Desk) -> int:
    await desk.keys.revoke(options.key)
    desk.print("Revoked. Every instance refuses it within 30 s.")
    return 0


async def _usage(options: argparse.Namespace, desk: Desk) -> int:
    where = dict(_where(options.where))
    if options.days < 1:
        raise ConfigurationError("--days", f"expected a number from 1 on; got {options.days}")
    if len(where) < len(options.where):
        raise ConfigurationError("--where", "each group may be given once")
    try:
        query = UsageQuery(read_groups(options.by), options.days, where)
    except ValueError as error:
        raise ConfigurationError("--by", str(error)) from error
    now = desk.keys.clock.time()
    if options.purge:
        while await desk.keys.store.purge(now):
            pass
    try:
        report = (await read_usage(desk.keys.store, Report(query), now)).report
    except ClientFault as fault:  # more groups than fit into memory
        raise ConfigurationError("--by", fault.message) from fault
    if report.damaged:
        put(sys.stderr, f"skybridge: {report.damaged} damaged records are left out\n")
    rows = report.rows()
    if options.json:
        desk.print(json.dumps(rows, indent=2))
        return 0
    titles = [*query.by, *(_CSV_COLUMNS if options.csv else _COLUMNS)]
    table = [[_cell(row, name) for name in titles] for row in rows]
    if options.csv:
        table = [[_plain(cell) for cell in cells] for cells in table]
        csv.writer(desk.output).writerows([[_CSV_TITLES.get(name, name) for name in titles], *table])
    else:
        _print_table([[_TITLES.get(name, name) for name in titles], *table], desk)
    return 0


def _where(texts: Sequence[str]) -> Iterator[tuple[str, str]]:
    for name, value in _pairs("--where", texts):
        if not is_group(name):
            raise ConfigurationError("--where", f"{name} is none of {', '.join(GROUPS)}, label:NAME")
        yield name, value


def _cell(row: Mapping[str, Any], name: str) -> str:
    """One value of a report's row; `cost_parts.input` is a member of a member."""
    first, _, second = name.partition(".")
    value = row[first].get(second, "0") if second else row[first]
    return "" if value is None else str(value)


def _plain(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula: what clients call things is theirs to choose."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


_TOKENS = (
    "input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens",
    "reasoning_tokens",
)  # fmt: skip
_COLUMNS = (
    "requests", "failed", "failovers", *_TOKENS, "cost", "compute_cost", "unpriced", "ttft_p50_ms", "ttft_p95_ms",
    "duration_p50_ms",
)  # fmt: skip
_CSV_COLUMNS = (
    "requests", "failed", "abandoned", "failovers", *_TOKENS, "wasted_tokens", "cost",
    *(f"cost_parts.{part}" for part in (*PARTS, "wasted")), "compute_cost", "unpriced", "ttft_p50_ms", "ttft_p95_ms",
    "duration_p50_ms", "duration_p95_ms",
)  # fmt: skip
_CSV_TITLES = {
    "cost": "cost_usd", "compute_cost": "compute_cost_usd",
    **{f"cost_parts.{part}": f"{part}_cost_usd" for part in (*PARTS, "wasted")},
}  # fmt: skip
_TITLES = {
    "input_tokens": "input", "cache_read_tokens": "read", "cache_write_5m_tokens": "write 5m",
    "cache_write_1h_tokens": "write 1h", "output_tokens": "output", "reasoning_tokens": "reasoning", "cost": "USD",
    "compute_cost": "compute USD", "ttft_p50_ms": "first p50", "ttft_p95_ms": "first p95", "duration_p50_ms": "ms p50",
}  # fmt: skip

_KEY_ACTIONS: Mapping[str, Command] = {
    "create": _create, "list": _list, "update": _update, "rotate": _rotate, "revoke": _revoke,
}  # fmt: skip


def _with_terms(key: Key, options: argparse.Namespace) -> Key:
    quota = dict(key.quota)
    for name, value in _pairs("--limit", options.limit):
        try:
            quota |= read_quota({name: value}, "--limit")
        except ValueError as error:
            raise ConfigurationError("", str(error)) from error
    return replace(
        key,
        name=key.name if options.name is None else options.name,
        admin=key.admin if options.admin is None else options.admin,
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


def _printable(cell: str) -> str:
    """`cell` with escapes for what would move a terminal's cursor, or worse."""
    if cell.isprintable():
        return cell
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in cell
    )


def _print_table(rows: Sequence[Sequence[str]], desk: Desk) -> None:
    rows = [[_printable(cell) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        desk.print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
