"""Opaque state: home to its issuer, nowhere else."""

from __future__ import annotations

import pytest

from core.conversation import Answer, Block, Message, Origin, Reasoning, Text, ToolCall
from core.events import Event, Finished, PartDelta, PartEnded, PartStarted
from core.formats.envelope import seal, unseal
from core.models.resolve import facts_for
from core.stop import Stop
from core.translation.losses import Losses
from core.translation.reasoning_state import (
    SENTINEL,
    SignatureExposer,
    attached_signatures,
    open_loop_without_thinking,
    own_state,
    unthinkable,
    with_sentinels,
    without_thinking,
)
from core.translation.rules import CHAT_COMPLETIONS, GENERATE_CONTENT, MESSAGES, FormatRules
from core.usage import Usage
from tests.core.translation.cases import call, result, said

ANTHROPIC, OPENAI, GOOGLE = Origin("anthropic"), Origin("openai"), Origin("google")
WHOLE = "EqoBCkYIARgC"


def kept(block: Block, model: str, rules: FormatRules) -> Block | None:
    losses = Losses("messages")
    messages = own_state([said("assistant", block)], facts_for(model), rules, losses)
    assert bool(losses.dropped) is not (bool(messages) and messages[0].content == [block])
    return messages[0].content[0] if messages else None


@pytest.mark.parametrize(
    ("block", "model", "rules", "stays"),
    [
        (Reasoning(["a"], signature=WHOLE, origin=ANTHROPIC), "claude-opus-5", MESSAGES, True),
        (Reasoning(signature=WHOLE + "A===", origin=ANTHROPIC), "claude-opus-5", MESSAGES, False),
        (Reasoning(["a"], signature=WHOLE + "A", origin=ANTHROPIC), "claude-opus-5", MESSAGES, False),
        (Reasoning(["a"], signature=WHOLE + "AB==", origin=ANTHROPIC), "claude-opus-5", MESSAGES, True),
        (Reasoning(["a"], signature=WHOLE + "A=", origin=ANTHROPIC), "claude-opus-5", MESSAGES, False),
        (Reasoning(["a"], signature="not base64!", origin=ANTHROPIC), "claude-opus-5", MESSAGES, False),
        (Reasoning(["a"], origin=ANTHROPIC), "claude-opus-5", MESSAGES, False),
        (Reasoning(redacted="x", origin=ANTHROPIC), "claude-opus-5", MESSAGES, True),
        (Reasoning(["a"], signature=WHOLE, origin=ANTHROPIC), "gpt-5", CHAT_COMPLETIONS, False),
        (Reasoning(encrypted="e", origin=OPENAI), "gpt-5", CHAT_COMPLETIONS, True),
        (Reasoning(origin=OPENAI), "gpt-5", CHAT_COMPLETIONS, False),
        (Reasoning(encrypted="e", origin=OPENAI), "claude-opus-5", MESSAGES, False),
        (Reasoning(["a"]), "deepseek-chat", CHAT_COMPLETIONS, True),
        (Reasoning(["a"]), "gpt-5", CHAT_COMPLETIONS, False),
        (Reasoning(["a"]), "claude-opus-5", MESSAGES, False),
        (Reasoning(["a"], signature="s", origin=Origin("")), "my-own", CHAT_COMPLETIONS, False),
    ],
)
def test_reasoning_goes_to_its_issuer_only(block: Reasoning, model: str, rules: FormatRules, stays: bool) -> None:
    assert (kept(block, model, rules) is not None) is stays


def test_signatures_of_calls_and_text_too() -> None:
    signed = call(signature="s", origin=GOOGLE)
    assert kept(signed, "gemini-3-pro", GENERATE_CONTENT) == signed
    assert kept(signed, "claude-opus-5", MESSAGES) == call()
    assert kept(Text("a", signature="s", origin=GOOGLE), "gpt-5", CHAT_COMPLETIONS) == Text("a")


def test_the_sentinel_stands_on_the_first_unsigned_call() -> None:
    messages = [
        said("user", "a"),
        said("assistant", call("1"), call("2")),
        said("assistant", call("3", signature="s"), call("4")),
        said("assistant", call("5"), call("6", signature="s")),
    ]
    signed = with_sentinels(messages)
    assert signed[1].content == [call("1", signature=SENTINEL, origin=GOOGLE), call("2")]
    assert signed[2] is messages[2]
    assert signed[3].content == [call("5", signature=SENTINEL, origin=GOOGLE), call("6", signature="s")]
    assert signed[0] is messages[0]


THOUGHT = Reasoning(["a"], signature=WHOLE)


@pytest.mark.parametrize(
    ("messages", "open_loop"),
    [
        ([said("user", "a"), said("assistant", call()), said("user", result())], True),
        ([said("user", "a"), said("assistant", THOUGHT, call()), said("user", result())], False),
        # Without interleaved thinking a turn thinks once, before its first call.
        ([said("user", "a"), *[said("assistant", THOUGHT, call()), said("user", result()), said("assistant", call())],
          said("tool", result())], False),
        ([said("user", "a"), *[said("assistant", call()), said("user", result()), said("assistant", THOUGHT, call())],
          said("user", result(), "and a reminder"), said("system", "b")], True),
        # An earlier turn's thinking is not this one's.
        ([said("user", "a"), said("assistant", THOUGHT, "b"), said("user", "c"), said("assistant", call()),
          said("user", result())], True),
        ([said("user", "a"), said("assistant", call()), said("user", result()), said("assistant", "b")], False),
        ([said("user", "a"), said("assistant", call()), said("user", result()), said("user", "b")], False),
        ([said("user", "a"), said("assistant", "b"), said("user", "c")], False),
        ([said("assistant", call()), said("user", result())], True),
        ([said("user", "a")], False),
        ([], False),
    ],
)  # fmt: skip
def test_an_open_loop(messages: list[Message], open_loop: bool) -> None:
    assert open_loop_without_thinking(messages) is open_loop


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([said("user", "a"), said("assistant", "b")], "prefilled"),
        ([said("user", "a"), said("assistant", THOUGHT, "b")], None),
        ([said("user", "a"), said("assistant", call()), said("user", result())], "tool loop"),
        ([said("user", "a")], None),
        ([], None),
    ],
)
def test_what_a_model_would_not_think_over(messages: list[Message], reason: str | None) -> None:
    found = unthinkable(messages)
    assert found is None if reason is None else reason in str(found)


def test_thinking_that_is_off_is_not_replayed() -> None:
    losses = Losses("messages")
    turn = [said("user", "a"), said("assistant", "b"), said("user", "c")]
    assert without_thinking(turn, losses) == turn
    assert not losses.dropped
    loop = [said("assistant", THOUGHT, call()), said("user", result()), said("assistant", "d", call("2"))]
    assert without_thinking([*turn, *loop], losses) == [*turn, said("assistant", call()), *loop[1:]]
    assert [dropped.path for dropped in losses.dropped] == ["messages.thinking"]


SIGNED = ToolCall("1", "look", "{}", signature="c2ln", origin=GOOGLE)


def test_a_signature_goes_to_the_client_and_comes_back() -> None:
    shown = SignatureExposer("messages").answer(Answer("id", "m", [Text("a"), SIGNED, call("2")]))
    carrier = shown.content[1]
    assert isinstance(carrier, Reasoning)
    assert shown.content[2:] == [call("1", origin=GOOGLE), call("2")]
    travelled = unseal(seal(carrier))
    assert travelled is not None
    back = attached_signatures([said("assistant", Text("a"), travelled, call("1"), call("2"))])
    assert back[0].content == [Text("a"), SIGNED, call("2")]


def test_a_carrier_whose_call_is_gone_goes_too() -> None:
    carrier = Reasoning(signature="c2ln", origin=GOOGLE, extra={"for_call": "9"})
    odd = Reasoning(signature="c2ln", origin=GOOGLE, extra={"for_call": ["9"]})
    assert attached_signatures([said("assistant", carrier, odd, call("1"))])[0].content == [call("1")]


def test_clients_with_a_slot_see_the_signature_where_it_is() -> None:
    exposer = SignatureExposer("generate_content")
    answer = Answer("id", "m", [SIGNED])
    assert exposer.answer(answer) is answer
    event = PartStarted(0, SIGNED)
    assert exposer.feed(event) == [event]


def test_a_streamed_signature_is_shown_before_its_call() -> None:
    exposer = SignatureExposer("messages")
    finished = Finished(Stop("tool_use"), Usage())
    events: list[Event] = [
        PartStarted(0, Text("")),
        PartDelta(0, "text", "a"),
        PartEnded(0, Text("a")),
        PartStarted(1, ToolCall("1", "look", signature="c2ln", origin=GOOGLE)),
        PartDelta(1, "arguments", "{}"),
        PartDelta(1, "signature", "late"),
        PartEnded(1, SIGNED),
        finished,
    ]
    carrier = Reasoning(signature="c2ln", origin=GOOGLE, extra={"for_call": "1"})
    empty = Reasoning(origin=GOOGLE, extra={"for_call": "1"})
    assert [new for old in events for new in exposer.feed(old)] == [
        *events[:3],
        PartStarted(1, empty),
        PartDelta(1, "signature", "c2ln"),
        PartEnded(1, carrier),
        PartStarted(2, ToolCall("1", "look", origin=GOOGLE)),
        PartDelta(2, "arguments", "{}"),
        PartEnded(2, call("1", origin=GOOGLE)),
        finished,
    ]


def test_a_streamed_signature_that_comes_late_is_shown_behind_its_call() -> None:
    exposer = SignatureExposer("messages")
    events: list[Event] = [
        PartStarted(0, call("1")),
        PartDelta(0, "signature", "c2ln"),
        PartEnded(0, SIGNED),
        PartStarted(1, call("2")),
        PartEnded(1, call("2")),
    ]
    carrier = Reasoning(signature="c2ln", origin=GOOGLE, extra={"for_call": "1"})
    shown = [new for old in events for new in exposer.feed(old)]
    assert shown == [
        events[0],
        PartEnded(0, call("1", origin=GOOGLE)),
        PartStarted(1, Reasoning(origin=GOOGLE, extra={"for_call": "1"})),
        PartDelta(1, "signature", "c2ln"),
        PartEnded(1, carrier),
        PartStarted(2, call("2")),
        PartEnded(2, call("2")),
    ]
    back = attached_signatures([said("assistant", call("1"), carrier, call("2"))])
    assert back[0].content == [SIGNED, call("2")]
