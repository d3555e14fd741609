"""Usage records added up for people: grouped, filtered, one record after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import itemgetter
from time import gmtime, strftime
from types import NoneType
from typing import Any, Final
from urllib.parse import parse_qsl

from core.bill import RETENTION_DAYS, TOKENS, Document, day_of
from core.errors import ClientFault
from core.percentiles import Percentiles
from core.slotted import field, slotted
from core.usage import in_usd

type Group = Callable[[Document], str]

DEFAULT_GROUPS: Final = "day,model"
DEFAULT_DAYS: Final = 7
# So many rows are added up in memory; sessions and hours of many keys may come to more.
MOST_GROUPS: Final = 20_000


def _client(row: Document) -> str:
    """The program that asked, without its version: `claude-cli` of `claude-cli/2.0.1 (external, cli)`."""
    product = str(row["user_agent"]).partition(" ")[0]
    name, _, version = product.partition("/")
    return name if version[:1].isdigit() else product


def _labels(row: Document) -> str:
    return ",".join(f"{name}={value}" for name, value in sorted(row["labels"].items()))


GROUPS: Final[Mapping[str, Group]] = {
    "day": lambda row: day_of(row["started"]),
    "hour": lambda row: strftime("%Y-%m-%dT%H:00Z", gmtime(row["started"])),
    "key": lambda row: row["shown"] or row["key"],
    "owner": lambda row: row["owner"],
    "label": _labels,
    "model": lambda row: row["model"],
    "api_model": lambda row: row["api_model"],
    "backend": lambda row: row["backend"],
    "region": lambda row: row["region"],
    "client": _client,
    "format": lambda row: row["client_format"],
    "operation": lambda row: row["operation"],
    "outcome": lambda row: row["outcome"],
    "source": lambda row: row.get("source", ""),
    "session": lambda row: row["session"],
}
_WORDS: Final = f"{', '.join(GROUPS)} and label:NAME"


@slotted
class UsageQuery:
    """What is asked for: the groups, so many days up to today (UTC), and the values that groups must have."""

    by: tuple[str, ...]
    days: int = DEFAULT_DAYS
    where: Mapping[str, str] = field(default_factory=dict)


def read_query(query: str) -> UsageQuery:
    """`by=day,model&days=7&backend=bedrock`. Raises ClientFault that names the member."""
    pairs = parse_qsl(query, keep_blank_values=True)
    asked = dict(pairs)
    if len(asked) < len(pairs):
        raise ClientFault("bad_request", "Each of `by`, `days` and the filters may be given once.")
    try:
        by = read_groups(asked.pop("by", DEFAULT_GROUPS))
    except ValueError as error:
        raise ClientFault("bad_request", f"`by` cannot be read: {error}", param="by") from None
    text = asked.pop("days", str(DEFAULT_DAYS))
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= RETENTION_DAYS or len(text) > 9:
        raise ClientFault("bad_request", f"`days` is a number from 1 to {RETENTION_DAYS}.", param="days")
    # Keys may come in the query too; it was looked at before.
    where = {name: value for name, value in asked.items() if name != "key" or not value.startswith("sk-")}
    unknown = next((name for name in where if not is_group(name)), None)
    if unknown is not None:
        raise ClientFault("bad_request", f"`{unknown}` is unknown; expected by, days, {_WORDS}.", param=unknown)
    return UsageQuery(by, int(text), where)


def read_groups(text: str) -> tuple[str, ...]:
    """The groups of a comma list. Raises ValueError that lists the known ones."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names or not all(is_group(name) for name in names):
        raise ValueError(f"expected some of {_WORDS}; got {text!r}")
    return names


def is_group(name: str) -> bool:
    """Whether records can be told apart by `name`."""
    return name in GROUPS or (name.startswith("label:") and len(name) > len("label:"))


def _group(name: str) -> Group:
    label = name.partition(":")[2]
    return (lambda row: str(row["labels"].get(label, ""))) if label else GROUPS[name]


# Members of a record by what they are: texts, whole numbers, whole numbers where they are known.
_TEXTS: Final = itemgetter(
    "key", "shown", "owner", "user_agent", "session", "model", "api_model", "backend", "region", "client_format",
    "operation", "outcome",
)  # fmt: skip
_WHOLE: Final = itemgetter("attempts", "wasted_tokens", "wasted_cost")
_WHOLE_IF_KNOWN: Final = itemgetter(*TOKENS, "cost")
# The year 2999: what is later is no time of a request.
_LATEST: Final = 3.25e10


def is_record(row: Any) -> bool:
    """Whether a document is a usage record that can be added up: stores are other people's to write to, too."""
    try:
        numbers = {*map(type, _WHOLE(row)), *map(type, (row["cost_parts"] or {}).values())}
        known = {*map(type, _WHOLE_IF_KNOWN(row)), type(row.get("compute_cost"))}
        texts = {*map(type, _TEXTS(row)), type(row.get("source", ""))}
        first = row["first_byte_seconds"]
        times = row["started"], row["seconds"], 0.0 if first is None else first
        return (
            texts == {str} and numbers == {int} and known <= {int, NoneType} and type(row["labels"]) is dict
            and all(-_LATEST < moment < _LATEST for moment in times)
        )  # fmt: skip
    except (AttributeError, KeyError, TypeError):
        return False


PARTS: Final = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")
_COUNTS: Final = ("requests", "failed", "errors", "abandoned", "failovers", "unpriced", "wasted_tokens")


class _Sum:
    """The sums of one combination of groups. Money is in picodollars."""

    __slots__ = ("compute", "cost", "counts", "durations", "first_bytes", "parts", "tokens")

    def __init__(self) -> None:
        self.counts = dict.fromkeys(_COUNTS, 0)
        self.tokens = dict.fromkeys(TOKENS, 0)
        self.parts: dict[str, int] = {}
        self.cost = self.compute = 0
        self.first_bytes, self.durations = Percentiles(), Percentiles()

    def add(self, row: Document) -> None:
        counts, failed = self.counts, row["outcome"] not in ("complete", "abandoned")
        counts["requests"] += 1
        counts["failed"] += failed
        counts["errors"] += failed
        counts["abandoned"] += row["outcome"] == "abandoned"
        counts["failovers"] += row["attempts"] > 1
        # What failed before any backend took it has no price and needs none.
        counts["unpriced"] += row["cost"] is None and any(row[name] for name in TOKENS)
        counts["wasted_tokens"] += row["wasted_tokens"]
        for name in TOKENS:
            self.tokens[name] += row[name] or 0
        self.cost += (row["cost"] or 0) + row["wasted_cost"]
        for name, amount in {**(row["cost_parts"] or {}), "wasted": row["wasted_cost"]}.items():
            if amount:
                self.parts[name] = self.parts.get(name, 0) + amount
        self.compute += row.get("compute_cost") or 0
        if row["first_byte_seconds"] is not None:
            self.first_bytes.add(row["first_byte_seconds"])
        self.durations.add(row["seconds"])

    def row(self) -> dict[str, Any]:
        tokens = self.tokens
        total = sum(tokens.values()) - tokens["reasoning_tokens"]  # which are among the output's
        return {
            **self.counts, **tokens, "total_tokens": total, "cost": in_usd(self.cost),
            "cost_parts": {name: in_usd(amount) for name, amount in sorted(self.parts.items())},
            "compute_cost": in_usd(self.compute),
            "ttft_p50_ms": _milliseconds(self.first_bytes.at(0.5)),
            "ttft_p95_ms": _milliseconds(self.first_bytes.at(0.95)),
            "duration_p50_ms": _milliseconds(self.durations.at(0.5)),
            "duration_p95_ms": _milliseconds(self.durations.at(0.95)),
        }  # fmt: skip


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)


class Report:
    """Adds records up as they come; no record is kept. `only` is the id of the one caller whose records count;
    `counted` is how many did, `damaged` how many are no records and are left out."""

    def __init__(self, query: UsageQuery, only: str | None = None, most_groups: int = MOST_GROUPS) -> None:
        self._most = most_groups
        self.days = query.days
        self.counted = self.damaged = 0
        self._by = query.by
        self._groups = [_group(name) for name in query.by]
        self._where = [(name, _group(name), value) for name, value in query.where.items()]
        self._only = only
        self._sums: dict[tuple[str, ...], _Sum] = {}

    def add(self, row: Document) -> None:
        """Counts a record (core.bill.usage_document) in. Raises ClientFault when the groups are too many."""
        if not is_record(row):
            self.damaged += 1
            return
        if self._only is not None and row["key"] != self._only:
            return
        for name, group, value in self._where:
            if group(row) != value and not (name == "key" and row["key"] == value):
                return
        names = tuple(group(row) for group in self._groups)
        found = self._sums.get(names)
        if found is None:
            if len(self._sums) >= self._most:
                words = f"More than {self._most} rows: ask for fewer days or fewer groups."
                raise ClientFault("bad_request", words, param="by")
            found = self._sums[names] = _Sum()
        found.add(row)
        self.counted += 1

    def rows(self) -> list[dict[str, Any]]:
        """One row for each combination of the groups, in their order: counts, tokens, money in USD (exact, as text),
        times in milliseconds."""
        return [
            {**dict(zip(self._by, names, strict=True)), **total.row()} for names, total in sorted(self._sums.items())
        ]
