"""A neutral conversation to the request body of a Chat Completions server."""

from __future__ import annotations

import hashlib
from typing import Any

from core.conversation import Conversation, JsonObject
from core.errors import Unsupported
from core.formats.chat_completions.dialects import SERVICE_TIERS, SHARED_MEMBERS
from core.formats.chat_completions.write_content import Writing
from core.formats.chat_completions.write_messages import write_messages
from core.formats.chat_completions.write_reasoning import put_reasoning, reasoning_beside_tools
from core.formats.chat_completions.write_tools import put_tools, write_output_format
from core.formats.contract import Target, Written

_SAMPLING = ("temperature", "top_p", "presence_penalty", "frequency_penalty", "logit_bias", "logprobs", "top_logprobs")
_MAX_STOP = 4
_MAX_USER_LENGTH = 64
# Anthropic's and OpenAI's words for the same tiers.
_SERVICE_TIERS = {"standard_only": "default"}
# https://platform.openai.com/docs/api-reference/chat/create#chat-create-prompt_cache_options
_CACHE_OPTIONS = {"mode": ("implicit", "explicit"), "ttl": ("30m",)}


def write_request(conversation: Conversation, target: Target) -> Written:
    """The body for `target`, which says which server's dialect and which model's facts hold.

    Raises Unsupported for content, tools or references that the server has no place for.
    """
    if conversation.previous_response_id is not None:
        raise Unsupported("previous_response_id", "Chat Completions keeps no earlier answers.")
    writing = Writing(conversation, target)
    reasoning = reasoning_beside_tools(conversation, writing)
    body: JsonObject = {
        "model": target.model,
        "messages": write_messages(conversation.messages, writing),
    }
    put_tools(body, conversation, writing)
    if conversation.output_format is not None:
        body["response_format"] = write_output_format(conversation.output_format, writing)
    put_reasoning(body, reasoning, writing)
    _put_limits(body, conversation, writing)
    _put_sampling(body, conversation, writing)
    _put_knobs(body, conversation, writing)
    _put_stream(body, conversation, writing)
    writing.put_cache(body, conversation.cache, "")
    if conversation.betas:
        writing.drop("betas", "Chat Completions has no betas")
    extra = conversation.extra
    if not target.stream:  # its options without a stream are refused
        extra = {name: value for name, value in extra.items() if name != "stream_options"}
    if conversation.format == "responses":
        extra = _put_shared(body, extra, writing)
    writing.put_extra(body, extra, "")
    return Written(body, dropped=writing.dropped)


def _put_limits(body: JsonObject, conversation: Conversation, writing: Writing) -> None:
    facts, dialect = writing.target.facts, writing.dialect
    if conversation.max_tokens is not None:
        name = dialect.reasoning_max_tokens if facts.reasoning_model else dialect.max_tokens
        body[name] = conversation.max_tokens
    stop = conversation.stop
    if stop and not facts.stop_sequences:
        writing.drop("stop", "this model takes no stop sequences")
        return
    if len(stop) > _MAX_STOP:
        writing.drop("stop", f"only the first {_MAX_STOP} stop sequences are sent")
    if stop:
        body["stop"] = stop[:_MAX_STOP]


def _put_sampling(body: JsonObject, conversation: Conversation, writing: Writing) -> None:
    sampling, facts = conversation.sampling, writing.target.facts
    for name in _SAMPLING:
        value = getattr(sampling, name)
        if value is None:
            continue
        if facts.sampling:
            body[name] = value
        else:
            writing.drop(name, "this model takes no sampling parameters")
    if sampling.top_k is not None:
        _put_knob(body, "top_k", sampling.top_k, writing)
    for name in ("seed", "n"):
        value = getattr(sampling, name)
        if value is not None:
            body[name] = value


def _put_knobs(body: JsonObject, conversation: Conversation, writing: Writing) -> None:
    knobs: dict[str, Any] = {
        "verbosity": conversation.verbosity,
        "service_tier": _service_tier(conversation, writing),
        "prompt_cache_key": conversation.cache_key,
        "store": conversation.store,
        "metadata": _metadata(conversation, writing),
        "user": _user(conversation, writing),
    }
    for name, value in knobs.items():
        if value is not None:
            _put_knob(body, name, value, writing)


def _service_tier(conversation: Conversation, writing: Writing) -> str | None:
    tier = conversation.service_tier
    written = _SERVICE_TIERS.get(tier, tier) if tier is not None else None
    if written is None or writing.same_format or written in SERVICE_TIERS:
        return written
    writing.drop("service_tier", f"the target has no tier '{tier}'")
    return None


def _metadata(conversation: Conversation, writing: Writing) -> JsonObject | None:
    """OpenAI takes metadata for answers that it stores only: "The 'metadata' parameter is only allowed when 'store' is
    enabled." In the other formats it stands for itself."""
    if writing.same_format or conversation.store:
        return conversation.metadata
    if conversation.metadata:
        writing.drop("metadata", "the target takes metadata for stored answers only")
    return None


def _put_knob(body: JsonObject, name: str, value: Any, writing: Writing) -> None:
    """A member that not every server takes."""
    if writing.takes(name):
        body[name] = value
    else:
        writing.drop(name, f"{writing.target.provider} takes no {name}")


def _put_shared(body: JsonObject, extra: JsonObject, writing: Writing) -> JsonObject:
    """Sets what of a Responses client's `extra` means the same here; what is left of it is returned."""
    for name, value in extra.items():
        if name in SHARED_MEMBERS:
            if name == "prompt_cache_options" and isinstance(value, dict) and writing.takes(name):
                value = _cache_options(value, writing)
            if value != {}:
                _put_knob(body, name, value, writing)
    return {name: value for name, value in extra.items() if name not in SHARED_MEMBERS}


def _cache_options(options: JsonObject, writing: Writing) -> JsonObject:
    """What Chat Completions takes of them: the Responses API keeps caches for longer, and warms them up as well."""
    kept: JsonObject = {}
    for name, value in options.items():
        if value is None or value in _CACHE_OPTIONS.get(name, ()):
            kept[name] = value
        else:
            writing.drop(f"prompt_cache_options.{name}", "Chat Completions has no such option")
    return kept


def _user(conversation: Conversation, writing: Writing) -> str | None:
    """An end-user id, unless `safety_identifier` says the same; one that is longer than OpenAI accepts is replaced by
    its digest, which is as stable."""
    user = conversation.user
    if user == conversation.extra.get("safety_identifier") and writing.takes("safety_identifier"):
        return None
    if user is None or len(user) <= _MAX_USER_LENGTH:
        return user
    return hashlib.sha256(user.encode("utf-8", "replace")).hexdigest()


def _put_stream(body: JsonObject, conversation: Conversation, writing: Writing) -> None:
    if writing.target.stream:
        body["stream"] = True
        # Without it no server tells how much a stream cost.
        options = conversation.extra.get("stream_options") if writing.same_format else None
        body["stream_options"] = {"include_usage": True, **(options if isinstance(options, dict) else {})}
