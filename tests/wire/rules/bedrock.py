"""Bedrock's rules for Converse (its service model, and what its API reference says of turns) and for InvokeModel."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from botocore.validate import ParamValidator

from tests.translation.judges import bedrock_model
from tests.wire.rules.claude import messages

type Json = dict[str, Any]

_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_TOOL_ID = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")
_DOCUMENT = re.compile(r"[A-Za-z0-9\-()\[\]]+( [A-Za-z0-9\-()\[\]]+)*")
# What Bedrock's InvokeModel knows of the betas; any other is "invalid beta flag".
_BETAS = re.compile(
    r"(context-1m|computer-use|thinking-binding-controls|thinking-display-updates|context-management|effort|"
    r"fine-grained-tool-streaming|interleaved-thinking|compact|mid-conversation-tool-changes|tool-search-tool|"
    r"web-search|output-128k|dev-full-thinking|token-efficient-tools|tool-examples|claude-code)-.*"
)
# And Converse's.
_CONVERSE_BETAS = re.compile(
    r"(context-1m|computer-use|thinking-binding-controls|thinking-display-updates|effort|structured-outputs|"
    r"fine-grained-tool-streaming)-.*"
)


def bare(model: str) -> str:
    """A Claude model's id as Anthropic writes it, without date and version."""
    name = model.rsplit("anthropic.", 1)[-1]
    return re.sub(r"(-\d{8})?(-v\d+(:\d+)?)?$", "", name)


def invoke(model: str, body: Json, _headers: Mapping[str, str]) -> list[str]:
    """The rules that an InvokeModel body for Claude breaks."""
    found = []
    if {"model", "stream"} & body.keys():
        found.append("extraneous key [model] is not permitted")
    if body.get("anthropic_version") not in ("bedrock-2023-05-31", "2026-10-21"):
        found.append("anthropic_version: invalid")
    betas = body.get("anthropic_beta", [])
    found += [f"invalid beta flag: {beta}" for beta in betas if not _BETAS.fullmatch(beta)]
    rest = {name: value for name, value in body.items() if not name.startswith("anthropic_")}
    headers = {"anthropic-version": "2023-06-01", "x-api-key": "signed", "anthropic-beta": ",".join(betas)}
    for kind, block in (("tools", tool) for tool in body.get("tools", []) if "input_schema" not in tool):
        found.append(f"{kind}: server tools do not exist on Bedrock: {block}")
    return found + messages(bare(model), rest, headers)


def converse(model: str, body: Json, _headers: Mapping[str, str]) -> list[str]:
    """The rules that a Converse body breaks."""
    shape = bedrock_model().operation_model("Converse").input_shape
    report = ParamValidator().validate({"modelId": "m", **body}, shape)
    found = [report.generate_report()] if report.has_errors() else []
    return [*found, *_turns(body), *_tools(body), *_blocks(body), *_fields(bare(model), body)]


def _turns(body: Json) -> Iterator[str]:
    turns = body["messages"]
    if turns[0]["role"] != "user":
        yield "A conversation must start with a user message."
    if any(before["role"] == after["role"] for before, after in pairwise(turns)):
        yield "A conversation must alternate between user and assistant roles."
    waiting: list[str] = []
    seen: set[str] = set()
    for place, turn in enumerate(turns):
        blocks = turn["content"]
        if not blocks:
            yield f"The content field in the Message object at messages.{place} is empty."
        results = [block["toolResult"]["toolUseId"] for block in blocks if "toolResult" in block]
        if sorted(results) != sorted(waiting):
            yield f"messages.{place}: toolResult blocks {results} do not match the toolUse blocks {waiting} before"
        waiting = [block["toolUse"]["toolUseId"] for block in blocks if "toolUse" in block]
        if turn["role"] == "user" and waiting:
            yield f"messages.{place}: toolUse in a user turn"
        if len(set(waiting)) != len(waiting) or seen & set(waiting):
            yield f"messages.{place}: duplicate toolUse ids {waiting}"
        seen |= set(waiting)
    if waiting:
        yield "Expected toolResult blocks for the last toolUse blocks"
    if turns[-1]["role"] == "assistant":
        yield "This model does not support assistant message prefill"


def _tools(body: Json) -> Iterator[str]:
    configuration = body.get("toolConfig")
    blocks = [block for turn in body["messages"] for block in turn["content"]]
    if configuration is None:
        if any("toolUse" in block or "toolResult" in block for block in blocks):
            yield "The toolConfig field must be defined when using toolUse and toolResult content blocks."
        return
    specified = [tool["toolSpec"] for tool in configuration["tools"] if "toolSpec" in tool]
    names = [one["name"] for one in specified]
    if not specified:
        yield "toolConfig.tools: at least one tool"
    if len(set(names)) != len(names):
        yield "toolConfig.tools: duplicate names"
    for one in specified:
        if not _TOOL_NAME.fullmatch(one["name"]):
            yield f"toolSpec.name failed to satisfy constraint: {one['name']}"
        if one.get("description") == "":
            yield "toolSpec.description: min length 1"
        schema = one["inputSchema"]["json"]
        if schema.get("type") != "object" or {"oneOf", "anyOf", "allOf"} & schema.keys():
            yield f"toolSpec.inputSchema of {one['name']}: type must be object"
    choice = configuration.get("toolChoice", {})
    if "tool" in choice and choice["tool"]["name"] not in names:
        yield "toolChoice: no such tool"


def _blocks(body: Json) -> Iterator[str]:
    blocks = [(turn["role"], block) for turn in body["messages"] for block in turn["content"]]
    inner = [("user", part) for _, block in blocks for part in block.get("toolResult", {}).get("content", [])]
    points = [block for _, block in blocks if "cachePoint" in block]
    points += [block for block in body.get("system", []) if "cachePoint" in block]
    points += [tool for tool in body.get("toolConfig", {}).get("tools", []) if "cachePoint" in tool]
    if len(points) > 4:
        yield f"A maximum of 4 cache points may be provided. Found {len(points)}."
    names = [block["document"]["name"] for _, block in [*blocks, *inner] if "document" in block]
    if len(set(names)) != len(names):
        yield "The model returned an error: duplicate document names"
    for role, block in [*blocks, *inner, *(("system", block) for block in body.get("system", []))]:
        if len(block) != 1:
            yield f"a block must have exactly one member: {sorted(block)}"
        if "text" in block and not block["text"].strip():
            yield "The text field in the ContentBlock object is blank."
        if "document" in block and not _DOCUMENT.fullmatch(block["document"]["name"]):
            yield f"document.name: {block['document']['name']}"
        for call in (block.get("toolUse"), block.get("toolResult")):
            if call is not None and not _TOOL_ID.fullmatch(call["toolUseId"]):
                yield f"toolUseId failed to satisfy constraint: {call['toolUseId']}"
        if "toolUse" in block and not isinstance(block["toolUse"]["input"], dict):
            yield "The value at toolUse.input is not an object"
        if "toolUse" in block and not _TOOL_NAME.fullmatch(block["toolUse"]["name"]):
            yield f"toolUse.name failed to satisfy constraint: {block['toolUse']['name']}"
        if "toolResult" in block and any(
            "json" in part and not isinstance(part["json"], dict) for part in block["toolResult"]["content"]
        ):
            yield "toolResult.content.json must be an object"
        if "reasoningContent" in block:
            if role != "assistant":
                yield "reasoningContent in a user turn"
            if not block["reasoningContent"].get("reasoningText", {"signature": "x"}).get("signature"):
                yield "reasoningContent: a signature is required"
        for media in (block.get("image"), block.get("document")):
            if media is not None and "bytes" in media["source"]:
                base64.b64decode(media["source"]["bytes"], validate=True)


_ADDITIONAL = frozenset({"thinking", "top_k", "anthropic_beta", "output_config", "tool_choice", "context_management"})


def _fields(model: str, body: Json) -> Iterator[str]:
    """Claude's own members, by Claude's rules."""
    fields = body.get("additionalModelRequestFields") or {}
    if not model.startswith("claude"):
        return
    for name in fields.keys() - _ADDITIONAL:
        yield f"additionalModelRequestFields.{name}: Extra inputs are not permitted"
    betas = fields.get("anthropic_beta", [])
    yield from (f"invalid beta flag: {beta}" for beta in betas if not _CONVERSE_BETAS.fullmatch(beta))
    inference = body.get("inferenceConfig", {})
    plain: Json = {
        "model": model,
        "max_tokens": inference.get("maxTokens", 64_000),
        "messages": [{"role": "user", "content": "x"}],
        **{name: value for name, value in fields.items() if name in ("thinking", "top_k", "output_config")},
    }
    for name, member in (("temperature", "temperature"), ("topP", "top_p")):
        if name in inference:
            plain[member] = inference[name]
    choice = next(iter((body.get("toolConfig") or {}).get("toolChoice") or {}), "auto")
    if choice in ("any", "tool"):
        plain["tools"] = [{"name": "t", "input_schema": {"type": "object"}}]
        plain["tool_choice"] = {"type": choice, "name": "t"}
    yield from messages(model, plain, {"anthropic-version": "x", "x-api-key": "k"})
    if (fields.get("thinking") or {}).get("type") == "enabled":
        yield from _starts_with_thinking(body["messages"])


def _starts_with_thinking(turns: list[Json]) -> Iterator[str]:
    begun = None
    for turn in reversed(turns):
        if turn["role"] == "assistant":
            begun = turn
        elif not any("toolResult" in block for block in turn["content"]):
            break
    if begun is not None and "reasoningContent" not in begun["content"][0]:
        yield "Expected `thinking` or `redacted_thinking`, but found `tool_use`"
