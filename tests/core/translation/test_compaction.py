"""A compaction for clients of Responses, made by models whose backends have none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from core.conversation import Answer, Opaque, Reasoning, Text, ToolCall
from core.errors import GatewayError, UpstreamFault
from core.events import Event, Failed, Finished, PartEnded, PartStarted, Started, events_of
from core.formats import load_format
from core.formats.contract import Call, Reply
from core.formats.envelope import PREFIX, seal, seal_summary, unseal_summary
from core.stop import Stop
from core.translation.compaction import PROMPT, SummaryRestorer
from core.usage import Usage
from tests.core.translation.cases import shape
from tests.translation.makers import translated_with_drops

TRIGGER = {"type": "compaction_trigger"}
TOOL = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
ASKED = {"role": "user", "content": "Do it."}
BACKENDS = ("chat_completions", "messages", "converse", "generate_content")


def request(*items: Any, **members: Any) -> dict[str, Any]:
    return {"model": "m", "input": list(items), "store": False, **members}


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_model_is_asked_for_a_summary(backend: str) -> None:
    body, dropped = translated_with_drops("responses", request(ASKED, TRIGGER), backend)
    assert json.dumps(PROMPT)[1:-1] in json.dumps(body)
    assert "input" in dropped


def test_no_tool_is_called_for_it() -> None:
    wanted = {"text": {"format": {"type": "json_object"}}}
    body, _ = translated_with_drops("responses", request(ASKED, TRIGGER, tools=[TOOL], **wanted), "messages")
    assert body["tool_choice"] == {"type": "none"} and [tool["name"] for tool in body["tools"]] == ["f"]
    assert "output_config" not in body


def test_openai_compacts_itself() -> None:
    body, _ = translated_with_drops("responses", request(ASKED, TRIGGER), "responses")
    assert body["input"][-1] == TRIGGER


@pytest.mark.parametrize("last", [[], [TRIGGER, ASKED]])
def test_a_trigger_is_the_last_item(last: list[Any]) -> None:
    if last:
        with pytest.raises(GatewayError) as refused:
            translated_with_drops("responses", request(ASKED, *last), "messages")
        assert refused.value.status == 400
    else:
        assert PROMPT not in json.dumps(translated_with_drops("responses", request(ASKED), "messages")[0])


def test_an_empty_input() -> None:
    conversation = load_format("responses").read_request(
        {"model": "m", "input": [], "instructions": None}, Call("m", False, {})
    )
    assert conversation.messages == []


@pytest.mark.parametrize("backend", (*BACKENDS, "responses"))
def test_the_summary_stands_for_the_history(backend: str) -> None:
    sealed = seal_summary("Half is done: \u00e4 \U0001f680.")
    item = {"type": "compaction", "id": "cmp_1", "encrypted_content": sealed}
    body, _ = translated_with_drops("responses", request(ASKED, item, {"role": "user", "content": "Go on."}), backend)
    text = json.dumps(body, ensure_ascii=False)
    assert "Half is done: \u00e4 \U0001f680." in text and PREFIX not in text
    assert text.index("Do it.") < text.index("Half is done") < text.index("Go on.")


@pytest.mark.parametrize(
    "sealed", [None, "gAAAA", PREFIX + "e30", seal(Reasoning(["x"])), PREFIX + "!", PREFIX + "W10"]
)
def test_other_compactions_stay_items(sealed: str | None) -> None:
    assert sealed is None or unseal_summary(sealed) is None
    item = {"type": "compaction", "id": "cmp_1", "encrypted_content": sealed}
    conversation = load_format("responses").read_request(request(ASKED, item), Call("m", False, {}))
    assert shape(conversation.messages)[1][0] == "assistant"
    assert isinstance(conversation.messages[1].content[0], Opaque)


ANSWER = Answer(
    "i", "m", [Reasoning(["hm"]), Text(" Half "), ToolCall("1", "f", "{}"), Text("is done.")], Stop("end_turn"),
    Usage(1, 2),
)  # fmt: skip


def test_a_summary_is_a_compaction_item_with_an_id() -> None:
    whole = SummaryRestorer().answer(ANSWER).content
    [item] = whole
    assert isinstance(item, Opaque) and item.raw["id"].startswith("cmp_")
    assert unseal_summary(item.raw["encrypted_content"]) == "Half \n\nis done."
    restorer = SummaryRestorer()
    events = [new for event in events_of(ANSWER) for new in restorer.feed(event)]
    assert [type(event) for event in events] == [Started, PartStarted, PartEnded, Finished]
    assert events[1:3] == [PartStarted(0, item), PartEnded(0, item)]


def test_no_summary_is_a_fault() -> None:
    silent = Answer("i", "m", [Reasoning(["hm"]), Text(" ")], Stop("end_turn"))
    with pytest.raises(UpstreamFault, match="no summary"):
        SummaryRestorer().answer(silent)
    restorer = SummaryRestorer()
    events: list[Event] = [new for event in events_of(silent) for new in restorer.feed(event)]
    assert [type(event) for event in events] == [Started, Failed]


def test_a_response_has_the_item_alone() -> None:
    conversation = load_format("responses").read_request(request(ASKED, TRIGGER), Call("m", False, {}))
    answer = SummaryRestorer().answer(ANSWER)
    body = load_format("responses").write_response(answer, Reply("m", "S" * 20, 1, conversation, "r"))
    assert [item["type"] for item in body["output"]] == ["compaction"]
