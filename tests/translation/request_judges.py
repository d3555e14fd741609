"""Judges of requests: OpenAI's specification, botocore's validator, and the types of the other SDKs."""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import Any

import pydantic
from anthropic.types.beta.message_create_params import MessageCreateParamsNonStreaming
from botocore.validate import ParamValidator

from tests.translation.judges import bedrock_model, specified
from tests.wire.openai_judge import assert_valid
from tests.wire.rules.gemini import MEMBERS, PLAIN


def _chat_completions(body: dict[str, Any]) -> None:
    assert_valid("CreateChatCompletionRequest", _specified_chat(body))


def _specified_chat(body: dict[str, Any]) -> dict[str, Any]:
    """`body` without the reasoning that vendors let clients replay beside the specified members."""
    extensions = ("reasoning_content", "reasoning_details", "reasoning", "thinking_blocks")
    messages = [
        {name: value for name, value in message.items() if name not in extensions} for message in body["messages"]
    ]
    return {**body, "messages": messages}


def _responses(body: dict[str, Any]) -> None:
    specified("CreateResponse").validate(body)


@cache
def _messages_type() -> pydantic.TypeAdapter[Any]:
    return pydantic.TypeAdapter(MessageCreateParamsNonStreaming)


def _messages(body: dict[str, Any]) -> None:
    _consume(_messages_type().validate_python({name: value for name, value in body.items() if name != "stream"}))
    _assert_turns(body["messages"], assistant="assistant")
    waiting: list[str] = []
    for message in body["messages"]:
        blocks = message["content"] if isinstance(message["content"], list) else []
        kinds = [block["type"] for block in blocks]
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        if message["role"] == "user":
            assert kinds[: len(results)] == ["tool_result"] * len(results), "tool results stand first"
            assert sorted(results) == sorted(waiting), "each call is answered in the message after it"
            waiting = []
        elif message["role"] == "assistant":
            assert not waiting
            waiting = [block["id"] for block in blocks if block["type"] == "tool_use"]
        assert all(block["text"].strip() for block in blocks if block["type"] == "text"), "a blank text"
    names = [tool["name"] for tool in body.get("tools", []) if "input_schema" in tool]
    assert len(set(names)) == len(names)


def _consume(value: Any) -> None:
    """Reads every lazily checked iterable of a TypedDict."""
    if isinstance(value, dict):
        for item in value.values():
            _consume(item)
    elif not isinstance(value, str | bytes) and hasattr(value, "__iter__"):
        for item in value:
            _consume(item)


def _assert_turns(messages: list[dict[str, Any]], assistant: str) -> None:
    roles = [message["role"] for message in messages if message["role"] != "system"]
    assert roles[0] == "user"
    for before, after in pairwise(roles):
        assert before != after, "the roles alternate"
    assert set(roles) <= {"user", assistant}


def _invoke(body: dict[str, Any]) -> None:
    assert "model" not in body and "stream" not in body
    assert body["anthropic_version"]
    rest = {name: value for name, value in body.items() if not name.startswith("anthropic_")}
    _messages({"model": "m", **rest})


def _converse(body: dict[str, Any]) -> None:
    shape = bedrock_model().operation_model("Converse").input_shape
    report = ParamValidator().validate({"modelId": "m", **body}, shape)
    assert not report.has_errors(), report.generate_report()
    _assert_turns(body["messages"], assistant="assistant")
    blocks = [block for message in body["messages"] for block in message["content"]]
    assert all(block["text"].strip() for block in blocks if "text" in block), "a blank text"
    if any("toolUse" in block or "toolResult" in block for block in blocks):
        assert body.get("toolConfig"), "tools are declared where the history has some"


def _generate_content(body: dict[str, Any]) -> None:
    for name, value in body.items():
        if name not in PLAIN:
            MEMBERS[name].validate_python(value)
    for content in body["contents"]:
        assert content["role"] in ("user", "model")
        assert content["parts"]
        for part in content["parts"]:
            if "thoughtSignature" in part:
                base64.b64decode(part["thoughtSignature"], validate=True)


REQUEST_JUDGES: dict[str, Callable[[dict[str, Any]], None]] = {
    "chat_completions": _chat_completions,
    "responses": _responses,
    "messages": _messages,
    "invoke": _invoke,
    "converse": _converse,
    "generate_content": _generate_content,
}
