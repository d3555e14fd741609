"""Trying candidates: hedging, time, waits in place, cooldowns, draining; on a virtual clock."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from core.attempts import LARGEST_ANSWER
from core.formats import load_wire
from core.http import Request, Response
from core.ports import BackendRequest, Exchange, Transport, TransportFault
from core.streaming import StreamBody
from core.usage import Cost
from tests.gateways import Bench, body_of
from tests.samples import answer_body, error_body, error_frame, request_body, stream_frames
from tests.scripted import Play, refused

JSON = {"content-type": "application/json"}
FRAMES = stream_frames("messages")
WHOLE = b"".join(FRAMES)
STREAM = request_body("messages", stream=True)
PING = load_wire("messages").PING


def bench(
    plays: Sequence[Play], count: int = 2, limits: dict[str, Any] | None = None, retries: int = 0, **policy: Any
) -> Bench:
    names = [f"b{number}" for number in range(1, count + 1)]
    options = {"type": "anthropic", "api_key": "k", "max_retries": retries}
    rows = [{"backend": name, "api_model": "m", "priority": place} for place, name in enumerate(names)]
    return Bench({
        "backends": {name: {**options, "base_url": f"http://{name}"} for name in names},
        "models": {"m": {"candidates": rows, "policy": policy}}, "limits": limits or {},
    }, plays)  # fmt: skip


async def ask(ground: Bench, stream: bool = True, **moments: float) -> tuple[Response, bytes]:
    request = Request("POST", "/v1/messages", "", {}, STREAM if stream else request_body("messages"))
    for name, seconds in moments.items():
        setattr(request, name, ground.clock.now + seconds)
    response = await ground.gateway.handle(request)
    body = await body_of(response)
    assert ground.transport.open == 0 and ground.gateway.in_flight.total == 0
    return response, body


class Behind:
    """Marks the transports that were asked for in the background."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.sent: list[str] = []

    async def send(self, request: BackendRequest) -> Exchange:
        self.sent.append(request.url)
        return await self._transport.send(request)


class TestHedge:
    async def test_a_slow_first_token_is_hedged_and_the_faster_one_wins(self) -> None:
        ground = bench([Play(head_delay=500.0), Play(chunks=FRAMES)], hedge_after=2.0)
        behind = Behind(ground.transport)
        ground.gateway.ports.in_background = lambda transport: behind
        before = ground.clock.now
        response, body = await ask(ground)
        assert body == WHOLE
        assert response.header("x-skybridge-backend") == "b2"
        assert response.header("x-skybridge-attempts") == "2"
        assert 2.0 <= ground.clock.now - before < 2.2
        assert behind.sent == ["http://b2/v1/messages"], "the second connects while the first is still listened to"

    async def test_the_first_may_still_win_and_the_losers_tokens_are_accounted(self) -> None:
        plays = [Play(chunks=[2.5, *FRAMES]), Play(chunks=[FRAMES[0], 500.0])]
        ground = bench(plays, hedge_after=2.0)
        response, body = await ask(ground)
        assert body == WHOLE and response.header("x-skybridge-backend") == "b1"
        (record,) = ground.records
        (wasted,) = record.wasted
        assert (wasted.backend, wasted.api_model, wasted.usage.input_tokens) == ("b2", "m", 5)

    async def test_a_fast_answer_is_not_hedged(self) -> None:
        ground = bench([Play(chunks=[1.0, *FRAMES])], hedge_after=2.0)
        _, body = await ask(ground)
        assert body == WHOLE and len(ground.transport.requests) == 1

    async def test_a_whole_answer_is_not_hedged(self) -> None:
        ground = bench([Play(headers=JSON, head_delay=9.0, chunks=[answer_body("messages")])], hedge_after=2.0)
        _, body = await ask(ground, stream=False)
        assert body == answer_body("messages") and len(ground.transport.requests) == 1

    async def test_a_hedge_that_fails_leaves_the_first_alone(self) -> None:
        for second in (Play(connect=refused()), Play(503, JSON, [error_body("messages")])):
            ground = bench([Play(chunks=[4.0, *FRAMES]), second], hedge_after=2.0)
            response, body = await ask(ground)
            assert body == WHOLE and response.header("x-skybridge-backend") == "b1"

    async def test_when_the_first_fails_after_the_hedge_the_second_goes_on(self) -> None:
        plays = [Play(chunks=[2.5, TransportFault("body", "reset")]), Play(chunks=[3.0, *FRAMES])]
        ground = bench(plays, hedge_after=2.0)
        response, body = await ask(ground)
        assert body == WHOLE and response.header("x-skybridge-backend") == "b2"

    async def test_when_both_fail_the_third_is_asked(self) -> None:
        fault = TransportFault("body", "reset")
        plays = [Play(chunks=[2.5, fault]), Play(chunks=[3.0, fault]), Play(chunks=FRAMES)]
        ground = bench(plays, count=3, hedge_after=2.0)
        response, body = await ask(ground)
        assert body == WHOLE and response.header("x-skybridge-backend") == "b3"

    async def test_with_nobody_left_there_is_no_hedge(self) -> None:
        ground = bench([Play(chunks=[4.0, *FRAMES])], count=1, hedge_after=2.0)
        _, body = await ask(ground)
        assert body == WHOLE

    async def test_leaving_closes_both(self) -> None:
        ground = bench([Play(head_delay=500.0), Play(head_delay=500.0)], hedge_after=2.0)
        response = await ground.gateway.handle(Request("POST", "/v1/messages", "", {}, STREAM))
        assert response.status == 200 and ground.transport.open == 2
        assert not isinstance(response.body, bytes)
        assert await anext(response.body) == PING
        await response.body.aclose()
        assert ground.transport.open == 0
        assert [record.outcome for record in ground.records] == ["abandoned"]

    async def test_pings_go_on_while_both_are_waited_for(self) -> None:
        ground = bench([Play(head_delay=500.0), Play(head_delay=33.0, chunks=FRAMES)], hedge_after=2.0)
        _, body = await ask(ground)
        assert body.replace(PING, b"") == WHOLE and body.count(PING) >= 2


class TestTime:
    async def test_the_policys_timeouts_are_stronger_than_the_backends(self) -> None:
        ground = bench([Play(head_delay=50.0), Play(chunks=FRAMES)], first_byte_timeout=3)
        response, _ = await ask(ground)
        assert response.header("x-skybridge-backend") == "b2"
        ground = bench([Play(chunks=[*FRAMES[:3], 50.0])], idle_timeout=20)
        _, body = await ask(ground)
        assert b"fell silent" in body

    async def test_the_policys_timeout_bounds_all_attempts_up_to_the_commit(self) -> None:
        ground = bench([Play(head_delay=500.0), Play(chunks=FRAMES)], timeout=10)
        before = ground.clock.now
        response, body = await ask(ground)
        assert response.status == 504 and b"time for this request is over" in body
        assert ground.clock.now - before == pytest.approx(10)

    async def test_after_the_commit_the_policys_timeout_is_over(self) -> None:
        ground = bench([Play(chunks=[*FRAMES[:3], 14.0, *FRAMES[3:]])], timeout=10)
        assert (await ask(ground))[1] == WHOLE

    async def test_max_stream_seconds_end_a_stream_properly(self) -> None:
        ground = bench([Play(chunks=[*FRAMES[:3], 7.0, *FRAMES[3:5], 7.0, *FRAMES[5:]])], max_stream_seconds=10)
        before = ground.clock.now
        _, body = await ask(ground)
        assert body.startswith(b"".join(FRAMES[:5])) and b"time for this request is over" in body
        assert ground.clock.now - before == pytest.approx(10)

    async def test_a_whole_answer_is_in_time_for_a_platform_that_cuts_it(self) -> None:
        ground = bench([Play(headers=JSON, head_delay=500.0)])
        response, body = await ask(ground, stream=False, first_byte_deadline=225.0)
        assert response.status == 504
        assert json.loads(body)["error"]["type"] == "timeout_error"

    async def test_a_stream_is_not_held_to_the_first_bytes_deadline(self) -> None:
        ground = bench([Play(chunks=[*FRAMES[:3], 200.0, *FRAMES[3:]])])
        _, body = await ask(ground, first_byte_deadline=100.0)
        assert body.replace(PING, b"") == WHOLE

    async def test_with_no_time_at_all_nobody_is_asked(self) -> None:
        ground = bench([])
        response, _ = await ask(ground, deadline=0.0)
        assert response.status == 504 and ground.transport.requests == []

    async def test_a_retry_that_would_outlast_the_deadline_is_not_waited_for(self) -> None:
        limited = Play(429, {**JSON, "retry-after": "8"}, [error_body("messages")])
        ground = bench([limited], count=1, retries=3)
        before = ground.clock.now
        response, _ = await ask(ground, stream=False, deadline=5.0)
        assert (response.status, response.header("retry-after")) == (429, "8")
        assert ground.clock.now == before

    async def test_pings_are_sent_while_a_retry_is_waited_for(self) -> None:
        limited = Play(429, {**JSON, "retry-after": "40"}, [error_body("messages")])
        ground = bench([limited, Play(chunks=FRAMES)], count=1, retries=1, longest_wait=60)
        _, body = await ask(ground)
        assert body == PING * 2 + WHOLE


class TestWaits:
    @pytest.mark.parametrize(("headers", "seconds"), [
        ({"retry-after": "7"}, 7), ({"retry-after-ms": "6500"}, 7),
        ({"retry-after": "Tue, 14 Nov 2023 22:30:25 GMT"}, 25),
        ({"retry-after": "Tuesday, 14-Nov-23 22:30:25 GMT"}, 25), ({"retry-after": "Tue Nov 14 22:30:25 2023"}, 25),
    ])  # fmt: skip
    async def test_every_form_of_retry_after_reaches_the_client(self, headers: dict[str, str], seconds: int) -> None:
        """The virtual clock says 1,700,001,000, which is 2023-11-14 22:30:00 GMT."""
        ground = bench([Play(429, {**JSON, **headers}, [error_body("messages")])], count=1)
        response, _ = await ask(ground, stream=False)
        assert response.header("retry-after") == str(seconds)

    async def test_the_smallest_wait_is_told(self) -> None:
        plays = [Play(429, {**JSON, "retry-after": wait}, [error_body("messages")]) for wait in ("30", "9")]
        response, _ = await ask(bench(plays), stream=False)
        assert (response.status, response.header("retry-after")) == (429, "9")

    async def test_where_none_was_named_the_soonest_end_of_a_cooldown_is_told(self) -> None:
        body = b'{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}'
        ground = bench([Play(429, JSON, [body])] * 2)
        response, _ = await ask(ground, stream=False)
        assert (response.status, response.header("retry-after")) == (429, "2")

    async def test_an_overload_without_a_cooldown_names_no_wait(self) -> None:
        ground = bench([Play(529, JSON, [error_body("messages")])], count=1)
        response, _ = await ask(ground, stream=False)
        assert (response.status, response.header("retry-after")) == (529, None)

    async def test_a_cooling_candidate_is_passed_over(self) -> None:
        limited = Play(429, {**JSON, "retry-after": "60"}, [error_body("messages")])
        ground = bench([limited, Play(chunks=FRAMES), Play(chunks=FRAMES), Play(chunks=FRAMES)])
        await ask(ground)
        assert (await ask(ground))[0].header("x-skybridge-attempts") == "1"
        assert ground.transport.requests[-1].url.startswith("http://b2")
        ground.clock.now += 70
        await ask(ground)
        assert ground.transport.requests[-1].url.startswith("http://b1"), "the cooldown is over"

    async def test_when_all_cool_one_probes_and_the_others_are_refused_with_the_smallest_wait(self) -> None:
        limited = Play(429, {**JSON, "retry-after": "60"}, [error_body("messages")])
        ground = bench([limited, Play(head_delay=500.0)], count=1)
        await ask(ground, stream=False)
        probe = await ground.gateway.handle(Request("POST", "/v1/messages", "", {}, STREAM))
        response = await ground.gateway.handle(Request("POST", "/v1/messages", "", {}, STREAM))
        assert response.status == 529, "Anthropic's status for an overload"
        assert 40 <= int(response.header("retry-after") or 0) <= 60
        assert not isinstance(probe.body, bytes)
        await probe.body.aclose()
        assert ground.transport.open == 0 and ground.gateway.in_flight.total == 0


class TestLeaving:
    async def test_in_flight_beyond_the_limit_is_refused_at_once(self) -> None:
        ground = bench([Play(chunks=FRAMES)], limits={"max_in_flight": 1})
        open_stream = await ground.gateway.handle(Request("POST", "/v1/messages", "", {}, STREAM))
        response = await ground.gateway.handle(Request("POST", "/v1/messages", "", {}, STREAM))
        assert (response.status, response.header("retry-after")) == (529, "1")
        chat = Request("POST", "/v1/chat/completions", "", {}, request_body("chat_completions"))
        assert (await ground.gateway.handle(chat)).status == 503
        assert await body_of(open_stream) == WHOLE
        assert ground.gateway.in_flight.total == 0

    async def test_a_body_closed_before_it_began_is_accounted_for(self) -> None:
        ground = bench([Play(chunks=FRAMES)])
        response = await ground.gateway.handle(Request("POST", "/v1/messages", "", {}, STREAM))
        assert isinstance(response.body, StreamBody)
        await response.body.aclose()
        await response.body.aclose()
        assert ground.transport.open == 0 and ground.gateway.in_flight.total == 0
        assert [record.outcome for record in ground.records] == ["abandoned"]

    async def test_so_is_one_that_had_no_winner_yet(self) -> None:
        ground = bench([Play(head_delay=500.0)])
        response = await ground.gateway.handle(Request("POST", "/v1/messages", "", {}, STREAM))
        assert isinstance(response.body, StreamBody)
        await response.body.aclose()
        assert ground.transport.open == 0
        assert [record.outcome for record in ground.records] == ["abandoned"]

    async def test_an_exception_thrown_into_the_body_closes_the_backend(self) -> None:
        ground = bench([Play(chunks=FRAMES)])
        response = await ground.gateway.handle(Request("POST", "/v1/messages", "", {}, STREAM))
        assert isinstance(response.body, StreamBody)
        assert await response.body.asend(None)
        with pytest.raises(KeyboardInterrupt):
            await response.body.athrow(KeyboardInterrupt())
        assert ground.transport.open == 0
        assert [record.outcome for record in ground.records] == ["abandoned"]

    async def test_leaving_during_a_wait_for_a_retry_lets_the_probe_go(self) -> None:
        limited = Play(429, {**JSON, "retry-after": "40"}, [error_body("messages")])
        ground = bench([limited, Play(chunks=FRAMES)], count=1, retries=1, longest_wait=60)
        response = await ground.gateway.handle(Request("POST", "/v1/messages", "", {}, STREAM))
        assert not isinstance(response.body, bytes)
        assert await anext(response.body) == PING
        await response.body.aclose()
        assert (await ask(ground))[1] == WHOLE

    async def test_a_probe_whose_connecting_is_cancelled_lets_the_next_one_go(self) -> None:
        limited = Play(429, {**JSON, "retry-after": "40"}, [error_body("messages")])
        ground = bench([limited, Play(connect=KeyboardInterrupt()), Play(chunks=FRAMES)], count=1)  # type: ignore[arg-type]
        await ask(ground, stream=False)
        with pytest.raises(KeyboardInterrupt):
            await ground.gateway.handle(Request("POST", "/v1/messages", "", {}, STREAM))
        assert ground.records[-1].outcome == "abandoned"
        assert (await ask(ground))[1] == WHOLE


class TestDraining:
    async def test_new_requests_are_refused(self) -> None:
        ground = bench([])
        ground.gateway.drain(5)
        response, body = await ask(ground)
        assert (response.status, response.header("retry-after")) == (529, "1")
        assert b"shutting down" in body

    async def test_a_stream_that_is_under_way_has_the_grace(self) -> None:
        ground = bench([Play(chunks=[*FRAMES[:3], 4.0, *FRAMES[3:]])])
        response = await ground.gateway.handle(Request("POST", "/v1/messages", "", {}, STREAM))
        ground.gateway.drain(5)
        assert await body_of(response) == WHOLE

    async def test_beyond_the_grace_it_ends_with_an_error_event(self) -> None:
        ground = bench([Play(chunks=[*FRAMES[:3], 400.0])])
        response = await ground.gateway.handle(Request("POST", "/v1/messages", "", {}, STREAM))
        ground.gateway.drain(5)
        before = ground.clock.now
        body = await body_of(response)
        assert body.startswith(b"".join(FRAMES[:3])) and b"event: error" in body
        assert ground.clock.now - before == pytest.approx(5)

    async def test_one_that_has_not_begun_is_ended_too(self) -> None:
        ground = bench([Play(head_delay=400.0), Play(chunks=FRAMES)])
        response = await ground.gateway.handle(Request("POST", "/v1/messages", "", {}, STREAM))
        ground.gateway.drain(5)
        before = ground.clock.now
        assert b"event: error" in await body_of(response)
        assert ground.clock.now - before == pytest.approx(5)

    async def test_one_that_waits_for_its_next_attempt_waits_no_longer(self) -> None:
        limited = Play(429, {**JSON, "retry-after": "8"}, [error_body("messages")], head_delay=12.0)
        ground = bench([limited, Play(chunks=FRAMES)], count=1, retries=3)
        response = await ground.gateway.handle(Request("POST", "/v1/messages", "", {}, STREAM))
        ground.gateway.drain(2)
        assert b"event: error" in await body_of(response)
        assert len(ground.transport.requests) == 1

    @pytest.mark.parametrize("deadline", [3.0, 300.0])
    async def test_the_earlier_of_deadline_and_grace_counts(self, deadline: float) -> None:
        ground = bench([Play(head_delay=400.0)])
        request = Request("POST", "/v1/messages", "", {}, STREAM, deadline=ground.clock.now + 15 + deadline)
        response = await ground.gateway.handle(request)
        ground.gateway.drain(5)
        before = ground.clock.now
        assert b"event: error" in await body_of(response)
        assert ground.clock.now - before == pytest.approx(min(5.0, deadline))


async def test_an_error_after_ending_content_is_no_reason_to_hang() -> None:
    """An error frame in the same bytes as the first content: committed, and told."""
    ground = bench([Play(chunks=[b"".join(FRAMES[:3]) + error_frame("messages")])])
    _, body = await ask(ground)
    assert body == b"".join(FRAMES[:3]) + error_frame("messages")
    assert ground.records[0].outcome == "cut"


async def test_a_whole_answer_that_is_endless_is_given_up() -> None:
    piece = b"x" * (LARGEST_ANSWER // 4)
    good = Play(headers=JSON, chunks=[answer_body("messages")])
    ground = bench([Play(headers=JSON, chunks=[piece] * 5), good])
    assert (await ask(ground, stream=False))[1] == answer_body("messages")


async def test_an_error_answer_that_is_endless_is_read_to_a_bound() -> None:
    big = Play(500, JSON, [b"x" * 700_000, b"x" * 700_000, b"x" * 700_000])
    ground = bench([big, Play(chunks=FRAMES)])
    assert (await ask(ground))[1] == WHOLE


async def test_the_cheapest_candidate_is_asked_first_where_prices_are_known() -> None:
    prices = {"b1": Cost(input=900), "b2": Cost(input=100)}
    for known, first in ((True, "b2"), (False, "b1")):
        ground = bench([Play(chunks=FRAMES)], strategy="lowest_cost")
        for candidate in ground.gateway.configuration.registry.routes["m"].candidates:
            candidate.priority = 1
        ground.gateway.ports.price = (lambda record: prices.get(record.backend)) if known else None
        response, _ = await ask(ground)
        assert response.header("x-skybridge-backend") == first


async def test_a_price_that_is_not_known_goes_last() -> None:
    ground = bench([Play(chunks=FRAMES)], strategy="lowest_cost")
    for candidate in ground.gateway.configuration.registry.routes["m"].candidates:
        candidate.priority = 1
    ground.gateway.ports.price = lambda record: Cost(input=9) if record.backend == "b2" else None
    assert (await ask(ground))[0].header("x-skybridge-backend") == "b2"
