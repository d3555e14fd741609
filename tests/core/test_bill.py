"""Usage records as documents."""

from __future__ import annotations

from core.bill import day_of, folder_of, is_unsettled, usage_document
from core.usage import CLIENT_LEFT, Cost, Usage, UsageRecord, Wasted


def record(number: int, **members: object) -> UsageRecord:
    made = UsageRecord(f"req_{number}", "generate", "messages", 1_800_000_000.0, model="m", backend="b1", status=200)
    made.outcome = "complete"
    made.usage = Usage(10, 5, 100, 20, 3, 2)
    made.cost = Cost(10, 50, 1, 2, 0)
    for name, value in members.items():
        setattr(made, name, value)
    return made


def test_a_document_says_everything() -> None:
    document = usage_document(
        record(1, caller="key_1", key="key sk…", owner="o", labels={"a": "b"}, session="s", agent="g", region="r",
               wasted=[Wasted("b2", "n", Usage(4, 3))]), 77,
    )  # fmt: skip
    assert document["id"] == "req_1" and document["owner"] == "o" and document["labels"] == {"a": "b"}
    assert document["cost"] == 63
    assert document["cost_parts"] == {"input": 10, "output": 50, "cache_read": 1, "cache_write_5m": 2}
    assert (document["wasted_tokens"], document["wasted_cost"]) == (7, 77)
    assert usage_document(record(2, cost=None), 0)["cost_parts"] is None


def test_days_and_folders() -> None:
    assert folder_of(day_of(0.0)) == "usage:1970-01-01"


def test_an_answer_that_was_never_counted() -> None:
    assert is_unsettled(record(1, outcome="abandoned", usage=Usage()))
    assert not is_unsettled(record(1, outcome="abandoned"))
    assert is_unsettled(record(1, usage=Usage()))
    assert not is_unsettled(record(1, usage=Usage(0)))
    assert not is_unsettled(record(1, usage=Usage(), operation="embeddings"))
    left = {"outcome": "abandoned", "status": CLIENT_LEFT, "usage": Usage(), "attempts": 2}
    assert is_unsettled(record(1, **left, errors=["the first failed"]))
    assert not is_unsettled(record(1, **left, errors=["the first failed", "the client left"]))
    assert not is_unsettled(record(1, **left, operation="count_tokens"))
    assert not is_unsettled(record(1, outcome="failed", status=502, usage=Usage()))
