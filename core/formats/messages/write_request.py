"""A Messages request body, written from a conversation that was made fit for the target.

https://docs.anthropic.com/en/api/messages and https://docs.anthropic.com/en/api/versioning
"""

from __future__ import annotations

from hashlib import sha256

from core.conversation import (
    SYSTEM_ROLES,
    Block,
    Conversation,
    Document,
    JsonObject,
    Message,
    OutputFormat,
    ReasoningRequest,
    Text,
    ToolResult,
)
from core.errors import Unsupported
from core.formats.contract import Target, Written
from core.formats.messages.surfaces import (
    BEDROCK_SURFACES,
    MESSAGE_MEMBERS,
    NOT_LOST,
    TOP_MEMBERS,
    Surface,
    outbound_version,
)
from core.formats.messages.write_blocks import BlockWriter, write_cache
from core.formats.messages.write_tools import write_tool_choice, write_tools
from core.models.block_binding import BLOCK_BINDING, with_binding
from core.translation.losses import Losses
from core.translation.paths import client_path
from core.translation.strict_schemas import closed_schema

# Sampling parameters, documents in assistant turns and citations in user turns are refused after this one.
PERMISSIVE_VERSION = "2023-06-01"
# Where neither the client nor the model's facts say it: what every model that is still served can give.
DEFAULT_MAX_TOKENS = 8192
PLACEHOLDER = "(no content)"

_THINKING_TYPES = {"off": "disabled", "adaptive": "adaptive", "between_tools": "between_tools"}
_DISPLAYS = {"none": "omitted", "summary": "summarized", "full": "summarized"}
_OWN_DISPLAYS = frozenset({"summarized", "omitted", "updates"})
_EFFORTS = {
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "xhigh",
    "max": "max",
}
_SERVICE_TIERS = {"auto": "auto", "default": "standard_only", "standard_only": "standard_only"}

# https://platform.claude.com/docs/en/api/messages/create
_MAX_USER_LENGTH = 256

# Knobs that the format does not have: by their neutral name, where the conversation holds them.
_FOREIGN_SAMPLING = ("presence_penalty", "frequency_penalty", "seed", "logit_bias")
_FOREIGN_KNOBS = ("verbosity", "metadata", "cache_key", "store")


def write_request(conversation: Conversation, target: Target) -> Written:
    """The body for a Messages backend, and the headers that go with it.

    Raises Unsupported for content, a tool or a schema that the format cannot carry.
    """
    return RequestWriter(conversation, target, Surface(target.provider, conversation.betas)).write()


class RequestWriter:
    """Writes one request. `surface` says which betas and which members behind them the backend takes."""

    def __init__(self, conversation: Conversation, target: Target, surface: Surface) -> None:
        self._conversation = conversation
        self._target = target
        self._surface = surface
        self._same = conversation.format == "messages"
        self._losses = Losses(conversation.format)
        self._blocks = BlockWriter(conversation.format, target.facts.vendor, self._losses)
        self._needs_permissive = False

    def write(self) -> Written:
        """The whole request."""
        self._refuse_foreign()
        conversation = self._conversation
        body: JsonObject = {"model": self._target.model, "max_tokens": self._max_tokens()}
        head = self._head_length()
        self._write_system(body, conversation.messages[:head])
        if conversation.tools:
            body["tools"] = write_tools(conversation, self._surface, self._losses)
        self._write_tool_choice(body)
        body["messages"] = self._write_messages(conversation.messages[head:])
        self._write_reasoning(body)
        self._write_sampling(body)
        self._write_knobs(body)
        self._write_extra(body)
        if self._target.stream:
            body["stream"] = True
        return Written(body, self._headers(), self._losses.dropped)

    def _refuse_foreign(self) -> None:
        sampling = self._conversation.sampling
        refused = {
            "n": (sampling.n or 1) > 1,
            "logprobs": bool(sampling.logprobs or sampling.top_logprobs),
            "previous_response_id": self._conversation.previous_response_id is not None,
        }
        for name, is_asked_for in refused.items():
            if is_asked_for:
                path = client_path(self._conversation.format, name)
                raise Unsupported(path, f"{path} cannot be sent to a Messages backend")

    def _max_tokens(self) -> int:
        most = self._target.facts.max_output
        asked = self._conversation.max_tokens
        if asked is None:
            return most or DEFAULT_MAX_TOKENS
        if most is not None and asked > most and not self._same:
            self._losses.add("max_tokens", f"the model gives at most {most} tokens")
            return most
        return asked

    def _head_length(self) -> int:
        """How many messages stand in `system`: the leading run of system text, which in this format itself
        is at most the one that came from there."""
        messages = self._conversation.messages
        for place, message in enumerate(messages):
            if message.role not in SYSTEM_ROLES or (self._same and message.slot != "system"):
                return place
        return len(messages)

    def _write_system(self, body: JsonObject, head: list[Message]) -> None:
        if len(head) == 1 and (text := _plain_text(head[0])):
            body["system"] = text
            return
        written = [block for message in head for block in self._blocks.write_all(message.content)]
        if written:
            body["system"] = written

    def _write_messages(self, messages: list[Message]) -> list[JsonObject]:
        return [self._write_message(message) for message in messages]

    def _write_message(self, message: Message) -> JsonObject:
        role = _ROLES[message.role]
        written: JsonObject = {"role": role, "content": self._write_content(message)}
        self._note_permissive(role, message.content)
        if message.extra:
            extra, dropped = self._surface.split(message.extra, MESSAGE_MEMBERS)
            self._lose_unserved("messages", dropped)
            self._blocks.add_extra(written, extra, "messages")
        return written

    def _write_content(self, message: Message) -> str | list[JsonObject]:
        if (text := _plain_text(message)) is not None:
            return text if text.strip() else PLACEHOLDER
        content = message.content
        if not self._same and message.role in ("user", "tool"):
            content = _results_first(content)
        written = self._blocks.write_all(content)
        if not written and (content or not self._same):
            return PLACEHOLDER
        return written

    def _note_permissive(self, role: str, content: list[Block]) -> None:
        for block in content:
            if isinstance(block, Text):
                if block.citations and role == "user":
                    self._needs_permissive = True
            elif isinstance(block, Document) and role == "assistant":
                self._needs_permissive = True

    def _write_tool_choice(self, body: JsonObject) -> None:
        choice = write_tool_choice(self._conversation)
        if choice is not None:
            body["tool_choice"] = choice

    def _write_reasoning(self, body: JsonObject) -> None:
        config: JsonObject = {}
        request = self._conversation.reasoning
        if request is not None:
            thinking = self._thinking(request)
            if thinking:
                body["thinking"] = thinking
            if request.effort in _EFFORTS:
                config["effort"] = _EFFORTS[request.effort]
        if self._conversation.output_format is not None:
            written = self._format(self._conversation.output_format)
            if written is not None:
                config["format"] = written
        if config:
            body["output_config"] = config

    def _thinking(self, request: ReasoningRequest) -> JsonObject:
        thinking: JsonObject = {}
        if request.mode == "budget":
            thinking = {"type": "enabled", "budget_tokens": request.budget}
        elif request.mode in _THINKING_TYPES:
            thinking = {"type": _THINKING_TYPES[request.mode]}
        if request.display is not None and request.mode in ("budget", "adaptive"):
            thinking["display"] = self._display(request.display)
        if request.extra:
            extra = dict(with_binding(request.extra, on_bedrock=self._surface.name in BEDROCK_SURFACES))
            if thinking and BLOCK_BINDING in extra:  # Converse's clients may have it too
                thinking[BLOCK_BINDING] = extra.pop(BLOCK_BINDING)
            self._blocks.add_extra(thinking, extra, "reasoning")
        return thinking

    def _display(self, display: str) -> str:
        if self._same or display in _OWN_DISPLAYS:
            return _DISPLAYS.get(display, display)
        # Another format's own word for a summary: auto, concise, detailed.
        return _DISPLAYS.get(display, "summarized")

    def _format(self, wanted: OutputFormat) -> JsonObject | None:
        if wanted.kind == "text":
            return None
        path = client_path(self._conversation.format, "output_format")
        facts = self._target.facts
        on_bedrock = self._surface.name in BEDROCK_SURFACES
        if wanted.kind == "json_object" or wanted.schema is None:
            raise Unsupported(path, f"{path}: this backend enforces JSON only with a schema: use json_schema")
        if not facts.structured_output or (on_bedrock and not facts.structured_output_on_bedrock):
            raise Unsupported(path, f"{path}: the model {self._target.model} cannot enforce a JSON schema here")
        written: JsonObject = {"type": "json_schema", "schema": wanted.schema}
        if not self._same:
            written["schema"] = closed_schema(wanted.schema)
            for name in ("description", "strict"):
                if getattr(wanted, name) not in (None, True):
                    self._losses.add(f"{path}.{name}", "Messages' schemas have no such member")
        self._blocks.add_extra(written, wanted.extra, path)
        return written

    def _write_sampling(self, body: JsonObject) -> None:
        sampling = self._conversation.sampling
        for name in ("temperature", "top_p", "top_k"):
            value = getattr(sampling, name)
            if value is None:
                continue
            if not self._target.facts.sampling:
                self._losses.add(name, f"the model {self._target.model} takes no sampling parameters")
            elif name == "top_p" and "temperature" in body and not self._same:
                self._losses.add(name, "newer Claude models take temperature or top_p, not both")
            else:
                body[name] = value
                self._needs_permissive = True
        for name in _FOREIGN_SAMPLING:
            if getattr(sampling, name) is not None:
                self._losses.add(name, "Messages has no such parameter")

    def _write_knobs(self, body: JsonObject) -> None:
        conversation = self._conversation
        self._write_stop(body)
        if conversation.user is not None:
            body["metadata"] = {"user_id": self._user(conversation.user)}
        if conversation.cache is not None:
            body["cache_control"] = {**write_cache(conversation.cache), **conversation.cache.extra}
        self._write_service_tier(body)
        for name in _FOREIGN_KNOBS:
            if getattr(conversation, name):
                self._losses.add(name, "Messages has no such parameter")

    def _user(self, user: str) -> str:
        """The end-user id; one that is longer than Anthropic accepts is replaced by its digest, which is as stable."""
        if self._same or len(user) <= _MAX_USER_LENGTH:
            return user
        return sha256(user.encode("utf-8", "replace")).hexdigest()

    def _write_stop(self, body: JsonObject) -> None:
        # A sequence of white space alone is refused.
        kept = [sequence for sequence in self._conversation.stop if self._same or sequence.strip()]
        if kept:
            body["stop_sequences"] = kept
        if len(kept) < len(self._conversation.stop):
            self._losses.add("stop", "a stop sequence of white space alone is refused")

    def _write_service_tier(self, body: JsonObject) -> None:
        tier = self._conversation.service_tier
        if tier is None:
            return
        written = tier if self._same else _SERVICE_TIERS.get(tier)
        if written is None:
            self._losses.add("service_tier", f"Messages has no tier {tier}")
        else:
            body["service_tier"] = written

    def _write_extra(self, body: JsonObject) -> None:
        extra = self._conversation.extra
        if not self._same:
            for name, value in extra.items():
                if value is not None:
                    self._losses.add(name, "Messages has no such parameter")
            return
        kept, dropped = self._surface.split(extra, TOP_MEMBERS)
        self._lose_unserved("", dropped)
        for name, value in kept.items():
            # `metadata` and `output_config` are partly neutral: what was left of them joins the rest.
            body[name] = {**body[name], **value} if name in body else value
        if "context_management" in body and not self._thinks(body):
            self._keep_thoughtless_edits(body)

    def _thinks(self, body: JsonObject) -> bool:
        if "thinking" in body:
            return bool(body["thinking"].get("type") != "disabled")
        return self._target.facts.thinking_default != "off"

    def _keep_thoughtless_edits(self, body: JsonObject) -> None:
        """Without thinking an edit that clears it is refused: "`clear_thinking_20251015` strategy requires `thinking`
        to be enabled or adaptive". https://platform.claude.com/docs/en/build-with-claude/context-editing"""
        management = body["context_management"]
        edits = management.get("edits") if isinstance(management, dict) else None
        kept = [edit for edit in edits if not _clears_thinking(edit)] if isinstance(edits, list) else edits
        if kept == edits:
            return
        self._losses.add("context_management.edits", "there is no thinking to clear: it is off for this request")
        body["context_management"] = {**management, "edits": kept}
        if not kept:
            del body["context_management"]

    def _lose_unserved(self, where: str, names: list[str]) -> None:
        for name in names:
            if name in NOT_LOST:
                raise Unsupported(name, f"{name}: the backend {NOT_LOST[name]}.")
            path = f"{where}.{name}" if where else name
            self._losses.add(path, f"the beta behind it is not known to {self._surface.name}")

    def _headers(self) -> dict[str, str]:
        facts = self._target.facts
        wanted = PERMISSIVE_VERSION if self._needs_permissive else facts.latest_anthropic_version
        headers = {"anthropic-version": outbound_version(self._target.provider, wanted, facts)}
        if self._surface.betas:
            headers["anthropic-beta"] = ",".join(self._surface.betas)
        for beta in self._surface.refused:
            self._losses.add("anthropic-beta", f"{beta} is not known to {self._surface.name}")
        return headers


_ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "tool": "user",
    "assistant": "assistant",
}


def _clears_thinking(edit: object) -> bool:
    return isinstance(edit, dict) and str(edit.get("type")).startswith("clear_thinking")


def _plain_text(message: Message) -> str | None:
    """The text of a message whose content can stand as a bare string, as it did in its origin."""
    if not message.plain or len(message.content) != 1:
        return None
    block = message.content[0]
    if isinstance(block, Text) and block.cache is None and not block.citations and not block.extra:
        return block.text
    return None


def _results_first(content: list[Block]) -> list[Block]:
    """Tool results must come before everything else in their message."""
    if not any(isinstance(block, ToolResult) for block in content):
        return content
    return sorted(content, key=lambda block: not isinstance(block, ToolResult))
