"""The survey of a history: what it finds, and that a step which it spares would have changed nothing."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.conversation import (
    Audio,
    Block,
    CacheMark,
    Citation,
    Conversation,
    Document,
    FormatName,
    Image,
    Message,
    Opaque,
    Origin,
    Reasoning,
    Refusal,
    ServerToolCall,
    Source,
    Text,
    Tool,
    ToolCall,
    ToolResult,
    Video,
)
from core.errors import Unsupported
from core.formats.contract import Target
from core.models.resolve import facts_for
from core.translation.prepare import Prepared, prepare
from core.translation.rules import RULES
from core.translation.survey import Survey, survey_of
from tests.translation.pairs import BACKENDS

PNG = Image(Source("base64", "iVBORw0KGgo=", "image/png"))
EVERY_KIND = {Audio, Document, Image, Opaque, Reasoning, Refusal, Text, ToolCall, ToolResult, Video}
EVERYTHING = Survey(
    EVERY_KIND, late_system=True, named=True, cited=True, signed=True, marked=True, noted=True, blank=True
)

FINDINGS: list[tuple[Message, Survey]] = [
    (Message("user", [Text("a")]), Survey({Text})),
    (Message("user", [Text("a")], name="Ann"), Survey({Text}, named=True)),
    (Message("user", [Text(" \n")]), Survey({Text}, blank=True)),
    (Message("user", []), Survey(blank=True)),
    (Message("user", [Text("a", cache=CacheMark())]), Survey({Text}, marked=True)),
    (Message("assistant", [Text("a", [Citation()])]), Survey({Text}, cited=True)),
    (Message("assistant", [Text("a", signature="s")]), Survey({Text}, signed=True)),
    (Message("assistant", [Text("a", note={"item": {}})]), Survey({Text}, noted=True)),
    (Message("assistant", [ToolCall("1", "f", signature="s")]), Survey({ToolCall}, signed=True)),
    (Message("assistant", [Refusal("no", note={"item": {}})]), Survey({Refusal}, noted=True)),
    (Message("tool", [ToolResult("1", [Text(""), PNG])]), Survey({ToolResult, Text, Image}, blank=True, extra=True)),
    (Message("user", [Text("a")], extra={"x": 1}), Survey({Text}, extra=True)),
    (Message("user", [Text("a", extra={"x": 1})]), Survey({Text}, extra=True)),
    (Message("user", [Text("a", cache=CacheMark(extra={"x": 1}))]), Survey({Text}, marked=True, extra=True)),
    (Message("tool", [ToolResult("1", [], cache=CacheMark())]), Survey({ToolResult}, marked=True)),
    (Message("system", [Text("a")]), Survey({Text})),
    (Message("developer", [Text("a")]), Survey({Text}, late_system=True)),
]


@pytest.mark.parametrize(("message", "found"), FINDINGS)
def test_what_a_message_holds(message: Message, found: Survey) -> None:
    assert survey_of([message]) == found


def test_where_system_text_stands() -> None:
    system, user = Message("system", [Text("s")]), Message("user", [Text("u")])
    assert not survey_of([system, system, user]).late_system
    assert survey_of([system, user, system]).late_system


def test_what_the_kinds_tell() -> None:
    plain, media = Survey({Text, ToolCall, Reasoning}), Survey({Text, Image})
    assert plain.is_plain() and not media.is_plain()
    assert media.has_media() and not plain.has_media()
    assert plain.has_reasoning() and not media.has_reasoning()
    assert plain.has_calls() and Survey({ToolResult}).has_calls() and not media.has_calls()


words = st.sampled_from(["Hi", "Go on.", "", " ", "x-anthropic-billing-header: 1"])
origins = st.sampled_from([None, Origin("anthropic"), Origin("google"), Origin("openai")])
marks = st.sampled_from([None, None, CacheMark(), CacheMark("1h")])
signatures = st.sampled_from([None, "c2lnbmF0dXJl", "abc"])
ids = st.sampled_from(["1", "2", "an odd id"])
said: st.SearchStrategy[Block] = st.one_of(
    st.builds(Text, words),
    st.builds(Text, words, st.just([Citation(url="https://a.example")]), signatures, origins, marks),
    st.just(PNG),
    st.builds(Refusal, words),
    st.just(Opaque("messages", "fallback", {"type": "fallback"})),
    st.just(ServerToolCall("s", "web_search", "{}", "messages", {"type": "server_tool_use"})),
)
spoken: st.SearchStrategy[Block] = st.one_of(
    said,
    st.builds(ToolCall, ids, st.sampled_from(["f", "an odd name"]), signature=signatures, origin=origins, cache=marks),
    st.builds(Reasoning, st.just(["hm"]), signature=signatures, origin=origins),
    st.builds(Reasoning, signature=signatures, origin=origins, extra=st.builds(dict, for_call=ids)),
)
given_back: st.SearchStrategy[Block] = st.one_of(
    said, st.builds(ToolResult, ids, st.lists(st.one_of(st.builds(Text, words), st.just(PNG)), max_size=2), cache=marks)
)
turns = st.one_of(
    st.builds(Message, st.just("user"), st.lists(given_back, max_size=3), name=st.sampled_from([None, None, "Ann"])),
    st.builds(Message, st.just("assistant"), st.lists(spoken, max_size=3)),
    st.builds(Message, st.just("tool"), st.lists(given_back, max_size=2)),
    st.builds(Message, st.sampled_from(["system", "developer"]), st.lists(st.builds(Text, words), max_size=2)),
)


def _outcome(source: Conversation, backend: str, survey: Survey | None) -> Prepared | str:
    options, model = BACKENDS[backend]
    target = Target(model, "there", options["type"], facts_for(model))
    try:
        prepared = prepare(source, target, RULES[backend], survey)
    except Unsupported as refused:
        return refused.message
    prepared.restore = None  # type: ignore[assignment]  # the steps of the way back are not compared
    return prepared


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=40, deadline=None)
@given(
    client=st.sampled_from(["chat_completions", "messages", "generate_content"]),
    messages=st.lists(turns, max_size=5),
    tools=st.lists(st.builds(Tool, st.sampled_from(["f", "g"]), cache=marks), max_size=2),
)
def test_a_step_that_is_spared_would_have_changed_nothing(
    backend: str, client: FormatName, messages: list[Message], tools: list[Tool]
) -> None:
    source = Conversation(client, "m", messages, tools)
    assert _outcome(source, backend, None) == _outcome(source, backend, EVERYTHING)
