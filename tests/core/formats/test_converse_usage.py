"""Converse: token counts and stop reasons."""

from __future__ import annotations

from importlib import import_module

import pytest

from core.conversation import Stop
from core.formats.converse.usage import STOP_REASONS, STOP_WORDS, read_stop, read_usage, write_stop, write_usage
from core.usage import Usage


@pytest.mark.parametrize(
    ("raw", "short", "long"),
    [
        ({"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}, None, None),
        ({"cacheWriteInputTokens": 5}, 5, None),
        ({"cacheWriteInputTokens": 5, "cacheDetails": [{"ttl": "1h", "inputTokens": 3}]}, 2, 3),
        ({"cacheWriteInputTokens": 5, "cacheDetails": [{"ttl": "5m", "inputTokens": 5}]}, 5, None),
        ({"cacheWriteInputTokens": 5, "cacheDetails": ["x", {"ttl": "1h", "inputTokens": "3"}]}, 5, None),
        ({"cacheDetails": [{"ttl": "1h", "inputTokens": 3}]}, None, 3),
    ],
)
def test_cache_writes_by_time_to_live(raw: dict[str, object], short: int | None, long: int | None) -> None:
    usage = read_usage(raw)
    assert (usage.cache_write_5m_tokens, usage.cache_write_1h_tokens) == (short, long)
    assert write_usage(usage, same_format=True).items() >= raw.items()


def test_failure_31_cache_tokens_are_counted_once() -> None:
    raw = {
        "inputTokens": 10,
        "outputTokens": 5,
        "totalTokens": 1015,
        "cacheReadInputTokens": 900,
        "cacheWriteInputTokens": 100,
    }
    usage = read_usage(raw)
    assert usage.input_tokens == 10
    assert usage.total_input_tokens == 1010
    assert usage.total_tokens == 1015
    assert write_usage(usage, same_format=True) == raw
    written = write_usage(usage, same_format=False)
    assert written == {**raw, "cacheDetails": [{"ttl": "5m", "inputTokens": 100}]}
    assert read_usage(written).total_input_tokens == 1010


def test_usage_of_another_format() -> None:
    usage = Usage(input_tokens=3, output_tokens=4, reasoning_tokens=2, raw={"prompt_tokens": 3})
    assert write_usage(usage, same_format=False) == {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7}
    assert write_usage(Usage(), same_format=False)["totalTokens"] == 0
    none_written = Usage(cache_read_tokens=0, cache_write_5m_tokens=0)
    assert "cacheDetails" not in write_usage(none_written, same_format=False)
    assert read_usage([1]) == Usage()
    assert read_usage({"inputTokens": -3, "outputTokens": 4}).total_tokens == 4


def test_stop_reasons() -> None:
    for word, reason in STOP_REASONS.items():
        stop = read_stop(word)
        assert stop == Stop(reason, raw=word)
        assert write_stop(stop, same_format=True) == word
        assert STOP_REASONS[write_stop(stop, same_format=False)] == reason
    assert set(STOP_WORDS.values()) <= set(STOP_REASONS)
    assert read_stop("new_reason") == Stop("end_turn", raw="new_reason")
    assert read_stop(5) == Stop("end_turn")
    assert read_stop("end_turn", called=True).reason == "tool_use"
    assert read_stop("max_tokens", called=True).reason == "max_tokens"
    assert read_stop("stop_sequence", {"stop_sequence": "END"}).sequence == "END"
    assert read_stop("stop_sequence", {"stop_sequence": 1}).sequence is None
    assert write_stop(Stop("refusal"), same_format=True) == "content_filtered"


@pytest.mark.parametrize("count", [-1, True, "7", 2**53, 10**300])
@pytest.mark.parametrize(
    ("format_name", "name"),
    [
        ("messages", "input_tokens"), ("chat_completions", "prompt_tokens"), ("responses", "input_tokens"),
        ("converse", "inputTokens"), ("generate_content", "promptTokenCount"),
    ],
)  # fmt: skip
def test_what_is_no_count_is_not_billed(format_name: str, name: str, count: object) -> None:
    """A number that protobuf and stores could not hold would take along what is sent with it."""
    usage = import_module(f"core.formats.{format_name}.usage").read_usage({name: count})
    assert usage.input_tokens is None and usage.total_tokens == 0
