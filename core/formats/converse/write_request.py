"""A conversation, written as a Converse request body.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
The conversation has been made fit by `core.translation`: roles alternate, names and ids are within limits, a
document has text beside it, tools are declared where the history has calls.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from core.conversation import Conversation, JsonObject, Tool
from core.errors import Unsupported
from core.formats.contract import Target, Written
from core.formats.converse.model_fields import write_model_fields
from core.formats.converse.write_blocks import BlockWriter
from core.models.facts import ModelFacts
from core.translation.losses import Losses, said
from core.translation.strict_schemas import closed_schema

# System text has a place of its own.
_ROLES = {"user": "user", "tool": "user", "assistant": "assistant"}

# OpenAI's and Anthropic's words for what Bedrock calls by its own; "auto" is the default everywhere.
_TIERS = {
    "default": "default",
    "standard_only": "default",
    "priority": "priority",
    "flex": "flex",
    "reserved": "reserved",
}

_UNPLACED_SAMPLING = ("presence_penalty", "frequency_penalty", "seed", "logit_bias")
_UNPLACED = ("verbosity", "user", "metadata", "cache_key", "store")

_NO_PLACE = "Converse has no such member"


def write_request(conversation: Conversation, target: Target) -> Written:
    """The body for `target`, and what of `conversation` it could not carry.

    Raises Unsupported for content, a tool or a schema that Converse has no way to say.
    """
    losses = Losses(conversation.format)
    own = conversation.format == "converse"
    writer = BlockWriter(target.facts, losses, own=own)
    body: JsonObject = {}
    system, messages = _write_messages(conversation, writer)
    if system:
        body["system"] = system
    body["messages"] = messages
    for name, value in (
        ("inferenceConfig", _inference(conversation)),
        ("toolConfig", _tool_config(conversation, writer, target.facts, losses)),
        ("outputConfig", _output_config(conversation, target.facts)),
        ("serviceTier", _service_tier(conversation, losses)),
    ):
        if value:
            body[name] = value
    fields = write_model_fields(conversation, target.facts, losses)
    if fields:
        body["additionalModelRequestFields"] = fields
    _rest(body, conversation, target.facts, losses)
    return Written(body, dropped=losses.dropped)


def _write_messages(conversation: Conversation, writer: BlockWriter) -> tuple[list[JsonObject], list[JsonObject]]:
    system: list[JsonObject] = []
    messages: list[JsonObject] = []
    own = conversation.format == "converse"
    before = ""
    for place, message in enumerate(conversation.messages):
        role = _ROLES.get(message.role)
        path = f"messages[{place}].content"
        if role is None and not messages and (message.slot or not own):
            system += writer.write_all(message.content, path)
            continue
        if role is None:
            role = _system_role(place, own=own)
        content = writer.write_all(message.content, path)
        if own:
            messages.append({"role": role, "content": content, **message.extra})
        elif content and role == before:
            messages[-1]["content"] += content
        elif content:
            messages.append({"role": role, "content": content})
            before = role
    if conversation.cache is not None and messages and "cachePoint" not in messages[-1]["content"][-1]:
        # Automatic caching is a mark at the end of what has been said so far.
        messages[-1]["content"] += writer.cache_point(conversation.cache, "cache")
    return system, messages


def _system_role(place: int, *, own: bool) -> str:
    if own:
        return "system"
    raise Unsupported(f"messages[{place}].role", "Converse takes system text before the conversation only")


def _inference(conversation: Conversation) -> JsonObject:
    sampling = conversation.sampling
    config: JsonObject = {}
    if conversation.max_tokens is not None:
        config["maxTokens"] = conversation.max_tokens
    if sampling.temperature is not None:
        config["temperature"] = sampling.temperature
    if sampling.top_p is not None:
        config["topP"] = sampling.top_p
    if conversation.stop:
        config["stopSequences"] = conversation.stop
    if conversation.format == "converse":
        config.update(conversation.extra.get("inferenceConfig", {}))
    return config


def _tool_config(conversation: Conversation, writer: BlockWriter, facts: ModelFacts, losses: Losses) -> JsonObject:
    written: list[JsonObject] = []
    for place, tool in enumerate(conversation.tools):
        raw = _tool(tool, f"tools[{place}]", facts, losses, own=conversation.format == "converse")
        written.append(raw)
        if tool.cache is not None:
            written += writer.cache_point(tool.cache, f"tools[{place}].cache")
    if not written:
        return {}
    config: JsonObject = {"tools": written}
    raw_choice = _tool_choice(conversation, losses)
    if raw_choice is not None:
        config["toolChoice"] = raw_choice
    if conversation.format == "converse":
        config.update(conversation.extra.get("toolConfig", {}))
    return config


def _tool(tool: Tool, path: str, facts: ModelFacts, losses: Losses, *, own: bool) -> JsonObject:
    if tool.kind == "server" and tool.format == "converse":
        return tool.raw
    if tool.kind != "function":
        raise Unsupported(path, f"Converse has no place for the tool {tool.name!r} of kind {tool.kind!r}")
    spec: JsonObject = {"name": tool.name}
    if tool.description is not None and (own or tool.description.strip()):
        spec["description"] = tool.description
    schema = {"type": "object", "properties": {}} if tool.parameters is None else tool.parameters
    spec["inputSchema"] = {"json": schema}
    if tool.strict is not None and (own or (tool.strict and facts.structured_output_on_bedrock)):
        spec["strict"] = tool.strict
    elif tool.strict:
        losses.add(f"{path}.strict", f"{facts.family} on Bedrock does not take it")
    if own:
        spec.update(tool.extra)
    else:
        for name in said(tool.extra):
            losses.add(f"{path}.{name}", _NO_PLACE)
    return {"toolSpec": spec}


def _tool_choice(conversation: Conversation, losses: Losses) -> JsonObject | None:
    choice = conversation.tool_choice
    if choice is None:
        return None
    extra = choice.extra if conversation.format == "converse" else {}
    match choice.mode:
        case "auto":
            return {"auto": extra}
        case "required":
            return {"any": extra}
        case "named":
            return {"tool": {"name": choice.names[0], **extra}}
        case _:
            losses.add("tool_choice", "Converse can neither forbid tools nor name several")
            return None


def _output_config(conversation: Conversation, facts: ModelFacts) -> JsonObject:
    shape = conversation.output_format
    own = conversation.format == "converse"
    config: JsonObject = dict(conversation.extra.get("outputConfig", {})) if own else {}
    if shape is None or shape.kind == "text":
        return config
    if shape.kind == "json_object" or shape.schema is None:
        raise Unsupported("output_format", "Converse has structured output for a schema only")
    if not own and not facts.structured_output_on_bedrock:
        raise Unsupported("output_format", f"{facts.family} has no structured output on Bedrock")
    enforced = shape.schema if own or facts.vendor != "anthropic" else closed_schema(shape.schema)
    schema: JsonObject = {"schema": json.dumps(enforced, ensure_ascii=False, separators=(",", ":"))}
    if shape.name is not None:
        schema["name"] = shape.name
    if shape.description is not None:
        schema["description"] = shape.description
    if own:
        schema.update(shape.extra)
    config["textFormat"] = {"type": "json_schema", "structure": {"jsonSchema": schema}}
    return config


def _service_tier(conversation: Conversation, losses: Losses) -> JsonObject:
    tier = conversation.service_tier
    if tier is None or tier == "auto":
        return {}
    if conversation.format == "converse":
        return {"type": tier}
    if tier not in _TIERS:
        losses.add("service_tier", "Bedrock has no such tier")
        return {}
    return {"type": _TIERS[tier]}


def _rest(body: JsonObject, conversation: Conversation, facts: ModelFacts, losses: Losses) -> None:
    """What is left of the conversation: put back, refused or reported."""
    if conversation.format == "converse":
        for name, value in conversation.extra.items():
            body.setdefault(name, value)
        return
    if conversation.stop and facts.vendor == "anthropic":
        # Converse does not say otherwise which of them was met.
        body["additionalModelResponseFieldPaths"] = ["/stop_sequence"]
    for name in _unplaced(conversation):
        losses.add(name, _NO_PLACE)


def _unplaced(conversation: Conversation) -> Iterator[str]:
    """What says something and has no place, by its neutral name."""
    for holder, names in ((conversation.sampling, _UNPLACED_SAMPLING), (conversation, _UNPLACED)):
        for name in names:
            value = getattr(holder, name)
            if value is not None and _asks(name, value):
                yield name
    for place, message in enumerate(conversation.messages):
        for name in said(message.extra) if message.extra else ():
            yield f"messages[{place}].{name}"
    yield from conversation.extra


def _asks(name: str, value: object) -> bool:
    """Whether a knob is turned: a penalty of 0 is none, a seed of 0 is one."""
    return value != {} and (value != 0 or name == "seed")
