"""Usage records added up by what people ask for."""

from __future__ import annotations

from typing import Any

import pytest

from core.bill import usage_document
from core.errors import ClientFault
from core.usage import Cost, Usage, UsageRecord, Wasted
from core.usage_report import Report, UsageQuery, read_groups, read_query

NOON = 1_800_000_000.0 + 4 * 3600


def row(number: int = 1, **members: object) -> Any:
    made = UsageRecord(f"req_{number}", "generate", "messages", NOON, model="m", backend="b1", status=200)
    made.outcome, made.attempts, made.seconds, made.first_byte_seconds = "complete", 1, 2.0, 0.5
    made.usage = Usage(10, 5, 100, 20, 3, 2)
    made.cost = Cost(10, 50, 1, 2, 0)
    for name, value in members.items():
        setattr(made, name, value)
    return usage_document(made, 7 if made.wasted else 0)


def added(rows: list[Any], by: str = "model", only: str | None = None, **where: str) -> list[dict[str, Any]]:
    report = Report(UsageQuery(read_groups(by), 1, where), only)
    for each in rows:
        report.add(each)
    return report.rows()


GROUPS: list[tuple[str, dict[str, object], str]] = [
    ("day", {}, "2027-01-15"),
    ("hour", {}, "2027-01-15T12:00Z"),
    ("key", {"key": "key sk…", "caller": "key_1"}, "key sk…"),
    ("key", {"caller": "key_1"}, "key_1"),
    ("owner", {"owner": "o"}, "o"),
    ("label", {"labels": {"b": "2", "a": "1"}}, "a=1,b=2"),
    ("label:a", {"labels": {"b": "2", "a": "1"}}, "1"),
    ("label:c", {"labels": {"b": "2", "a": "1"}}, ""),
    ("model", {}, "m"),
    ("api_model", {"api_model": "n"}, "n"),
    ("backend", {}, "b1"),
    ("region", {"region": "eu-west-1"}, "eu-west-1"),
    ("client", {"user_agent": "claude-cli/2.0.1 (external, cli)"}, "claude-cli"),
    ("client", {"user_agent": "OpenAI/Python 1.99.1"}, "OpenAI/Python"),
    ("client", {}, ""),
    ("format", {}, "messages"),
    ("operation", {}, "generate"),
    ("outcome", {}, "complete"),
    ("source", {}, ""),
    ("session", {"session": "s"}, "s"),
]


@pytest.mark.parametrize(("by", "members", "value"), GROUPS)
def test_a_record_belongs_to_a_group(by: str, members: dict[str, object], value: str) -> None:
    (total,) = added([row(**members)], by)
    assert total[by] == value and total["requests"] == 1
    assert added([row(**members)], by, **{by: value})
    assert not added([row(**members)], by, **{by: "another"})


def test_records_are_added_up() -> None:
    rows = [
        row(1, seconds=1.0, first_byte_seconds=0.1),
        row(2, outcome="failed", cost=None, attempts=3, first_byte_seconds=None),
        row(3, outcome="abandoned", wasted=[Wasted("b2", "n", Usage(4, 3))], seconds=3.0, first_byte_seconds=0.3),
    ]
    (total,) = added(rows)
    counts = {name: total[name] for name in ("requests", "failed", "errors", "abandoned", "failovers", "unpriced")}
    assert counts == {"requests": 3, "failed": 1, "errors": 1, "abandoned": 1, "failovers": 1, "unpriced": 1}
    assert (total["input_tokens"], total["cache_read_tokens"], total["cache_write_1h_tokens"]) == (30, 300, 9)
    assert (total["reasoning_tokens"], total["total_tokens"], total["wasted_tokens"]) == (6, 3 * 138, 7)
    assert total["cost"] == "0.000000000133"
    assert total["cost_parts"] == {
        "input": "0.00000000002", "output": "0.0000000001", "cache_read": "0.000000000002",
        "cache_write_5m": "0.000000000004", "wasted": "0.000000000007",
    }  # fmt: skip
    assert total["compute_cost"] == "0"
    assert (total["ttft_p50_ms"], total["ttft_p95_ms"]) == (100.0, 300.0)
    assert (total["duration_p50_ms"], total["duration_p95_ms"]) == (2000.0, 3000.0)


def test_nothing_streamed_has_no_first_byte() -> None:
    (total,) = added([row(first_byte_seconds=None)])
    assert total["ttft_p50_ms"] is None and total["duration_p50_ms"] == 2000.0


def test_what_used_nothing_needs_no_price() -> None:
    (total,) = added([row(cost=None, usage=Usage(), outcome="failed")])
    assert (total["failed"], total["unpriced"], total["cost"]) == (1, 0, "0")


def test_rows_are_in_the_groups_order() -> None:
    rows = [row(1, model="z", backend="a"), row(2, model="a", backend="z"), row(3, model="a", backend="b")]
    assert [(each["model"], each["backend"]) for each in added(rows, "model,backend")] == [
        ("a", "b"), ("a", "z"), ("z", "a"),
    ]  # fmt: skip
    assert added([]) == []


def test_one_callers_records() -> None:
    rows = [row(1, caller="key_1"), row(2, caller="key_2")]
    assert [each["requests"] for each in added(rows, only="key_1")] == [1]
    assert len(added(rows, "key", key="key_2")) == 1


DAMAGED: list[dict[str, Any]] = [
    {"started": None}, {"started": "now"}, {"started": 1e300}, {"seconds": float("nan")}, {"seconds": "2"},
    {"first_byte_seconds": []}, {"model": None}, {"key": 3}, {"source": 3}, {"attempts": "1"}, {"attempts": None},
    {"input_tokens": "10"}, {"cost": 1.5}, {"cost": ""}, {"wasted_cost": None}, {"labels": None}, {"labels": ["a"]},
    {"cost_parts": 7}, {"cost_parts": {"input": "7"}},
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGED, ids=str)
def test_a_damaged_record_is_left_out_and_told_of(damage: dict[str, Any]) -> None:
    report = Report(UsageQuery(("hour", "label", "client", "key")))
    for each in (row(1), {**row(2), **damage}, {}, [], None, "text"):
        report.add(each)  # type: ignore[arg-type]
    assert (report.counted, report.damaged) == (1, 5)
    assert [each["requests"] for each in report.rows()] == [1]


@pytest.mark.parametrize("name", ["model", "started", "labels", "wasted_tokens"])
def test_a_record_without_a_member_is_damaged(name: str) -> None:
    report = Report(UsageQuery(("day",)))
    report.add({member: value for member, value in row().items() if member != name})
    assert report.damaged == 1


def test_a_record_of_an_older_version_counts() -> None:
    report = Report(UsageQuery(("source",)))
    report.add({name: value for name, value in row().items() if name not in ("source", "compute_cost")})
    assert (report.counted, report.damaged) == (1, 0)


def test_too_many_groups() -> None:
    report = Report(UsageQuery(("session",)), most_groups=2)
    for session in ("a", "b", "a"):
        report.add(row(session=session))
    with pytest.raises(ClientFault, match="fewer groups"):
        report.add(row(session="c"))


def test_a_query() -> None:
    assert read_query("") == UsageQuery(("day", "model"), 7, {})
    assert read_query("by=hour,%20key,hour&days=30&backend=b1&label:team=x&key=sk-sky-mine") == UsageQuery(
        ("hour", "key"), 30, {"backend": "b1", "label:team": "x"}
    )
    assert read_query("key=key_1").where == {"key": "key_1"}
    assert read_query("backend=").where == {"backend": ""}


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("by=moon", "by"), ("by=,", "by"), ("by=label:", "by"), ("days=x", "days"), ("days=0", "days"),
        ("days=91", "days"), ("days=-1", "days"), ("days=²", "days"), ("days=99999999999", "days"),
        ("colour=red", "colour"), ("days=0001999", "days"), (f"days=0001{'9' * 5000}", "days"), ("days=", "days"),
        ("moon", "moon"), ("model=a&model=b", None),
    ],
)  # fmt: skip
def test_a_query_that_cannot_be_read(query: str, param: str | None) -> None:
    with pytest.raises(ClientFault) as caught:
        read_query(query)
    assert caught.value.param == param
