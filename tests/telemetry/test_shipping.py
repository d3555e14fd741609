"""Batches on their way: by size, by time, before a sleep, at the end; what fails, and what has no room."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from core.ports import BackendRequest, TransportFault
from handlers.io import shipping
from handlers.io.shipping import TRIES, Shipper, Shipping, ShippingFault, is_frozen
from handlers.io.short_calls import exchange
from tests.gateways import RecordingLog
from tests.scripted import Play, ScriptedTransport, VirtualClock


class Sink:
    """Takes batches, or fails as `faults` say."""

    def __init__(self, *faults: ShippingFault | None, **options: Any) -> None:
        self.batches: list[list[str]] = []
        self.log = RecordingLog()
        self.sent = asyncio.Event()
        self._faults = list(faults)
        self.shipper: Shipper[str] = Shipper(
            Shipping("made", **{"batch": 2, "most": 4, "seconds": 60.0, **options}), self._send, self.log
        )

    async def _send(self, batch: list[str]) -> None:
        fault = self._faults.pop(0) if self._faults else None
        self.sent.set()
        if fault is not None:
            raise fault
        self.batches.append(batch)

    @property
    def events(self) -> list[str]:
        return [event for _, event, _ in self.log.lines]


async def test_a_full_batch_goes_at_once_and_the_rest_at_the_end() -> None:
    sink = Sink()
    for item in "abc":
        sink.shipper.put(item)
    await asyncio.wait_for(sink.sent.wait(), 5)
    sink.shipper.put("d")
    await sink.shipper.after_answer()  # nothing sleeps here
    await sink.shipper.finish()
    assert "".join(item for batch in sink.batches for item in batch) == "abcd" and sink.events == []
    assert max(map(len, sink.batches)) == 2


async def test_time_sends_what_is_not_full() -> None:
    sink = Sink(seconds=0.01)
    sink.shipper.put("a")
    await asyncio.wait_for(sink.sent.wait(), 5)
    assert sink.batches == [["a"]]


async def test_everything_goes_before_a_sleep() -> None:
    sink = Sink(frozen=True, batch=10)
    sink.shipper.put("a")
    sink.shipper.put("b")
    assert sink.batches == []
    await sink.shipper.after_answer()
    assert sink.batches == [["a", "b"]]


async def test_there_is_no_room_without_end() -> None:
    sink = Sink(batch=100)
    for item in "abcdef":
        sink.shipper.put(item)
    sink.shipper.put("huge", 10)
    await sink.shipper.finish()
    assert sink.batches == [["a", "b", "c", "d"]] and sink.events == ["made_lost"] * 3


async def test_an_item_larger_than_a_batch_goes_alone() -> None:
    sink = Sink(most=100)
    sink.shipper.put("a")
    sink.shipper.put("large", 50)
    await sink.shipper.finish()
    assert sink.batches == [["a"], ["large"]]


async def test_what_failed_goes_with_what_came_since() -> None:
    sink = Sink(ShippingFault("busy"), batch=4, seconds=0.01)
    sink.shipper.put("a")
    await asyncio.wait_for(sink.sent.wait(), 5)
    sink.sent.clear()
    sink.shipper.put("b")
    await asyncio.wait_for(sink.sent.wait(), 5)
    await sink.shipper.finish()
    assert sink.batches == [["a", "b"]] and sink.events == ["made_fault"]


@pytest.mark.parametrize("lasting", [True, False])
async def test_what_cannot_be_sent_is_given_up(lasting: bool) -> None:
    sink = Sink(*[ShippingFault("no", lasting=lasting)] * TRIES, frozen=True)
    sink.shipper.put("a")
    for _ in range(TRIES):
        await sink.shipper.after_answer()
    assert sink.batches == []
    assert sink.events == ["made_fault"] * (1 if lasting else TRIES) + ["made_lost"]
    sink.shipper.put("b")
    await sink.shipper.finish()
    assert sink.batches == ([] if lasting else [["b"]])


async def test_the_end_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipping, "LAST_SECONDS", 0.0)
    log = RecordingLog()

    async def never(batch: list[str]) -> None:
        await asyncio.Event().wait()

    shipper: Shipper[str] = Shipper(Shipping("made", 2, 4, 60.0), never, log)
    shipper.put("a")
    await shipper.finish()
    assert [event for _, event, _ in log.lines] == ["made_fault", "made_lost"]


@pytest.mark.parametrize(
    ("variables", "frozen"),
    [
        ({}, False),
        ({"AWS_LAMBDA_FUNCTION_NAME": "f"}, True),
        ({"AWS_LAMBDA_FUNCTION_NAME": "f", "AWS_LAMBDA_MAX_CONCURRENCY": "1"}, True),
        ({"AWS_LAMBDA_FUNCTION_NAME": "f", "AWS_LAMBDA_MAX_CONCURRENCY": "64"}, False),
    ],
)
def test_who_sleeps_between_requests(variables: dict[str, str], frozen: bool) -> None:
    assert is_frozen(variables) is frozen


@pytest.mark.parametrize(
    ("play", "answer"),
    [
        (Play(201, {}, [b"a", 1.0, b"b"]), (201, b"ab")),
        (Play(200, {}, [b"x" * 70_000, b"never read"]), (200, b"x" * 70_000)),
        (Play(200, {}, [], head_delay=20.0), "head"),
        (Play(200, {}, [b"a", 20.0]), "body"),
    ],
)
async def test_a_short_call_is_over_in_time(play: Play, answer: tuple[int, bytes] | str) -> None:
    clock = VirtualClock()
    transport = ScriptedTransport([play], clock)
    request = BackendRequest("PUT", "http://h/x", [], b"", connect_timeout=60.0)
    if isinstance(answer, str):
        with pytest.raises(TransportFault) as raised:
            await exchange(transport, clock, request, 5.0)
        assert raised.value.stage == answer
    else:
        assert await exchange(transport, clock, request, 5.0) == answer
    assert transport.open == 0 and request.connect_timeout == 5.0
