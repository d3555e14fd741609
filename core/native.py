"""A candidate that speaks the client's own format: the request as it came, the answer as it comes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, cast

from core.errors import UpstreamFault
from core.formats import load_wire
from core.formats.contract import Wire
from core.framing import frame_buffer
from core.generation import Generation
from core.http import HeaderList
from core.passthrough import backend_headers, edit_body, endpoint_url, unsaid_defaults
from core.ports import BackendRequest
from core.providers.bedrock import OPTION_NAMES, option_headers, option_members
from core.relay import PassThroughPipe, Pipe, Renamer, UsageHider, WholeAnswer, pass_through_whole
from core.routing.registry import Backend, Candidate

# Formats whose body names the model; the others have it in the path.
MODEL_IN_BODY = frozenset({"chat_completions", "responses", "messages"})

# The `anthropic-version` that every surface of Claude's serves.
_OLDEST = "2023-06-01"


class NativeRequest:
    """A passed-through request (core.attempts.Prepared)."""

    __slots__ = ("_renamer", "_wire", "backend_format", "dropped", "edits", "hides_usage", "request", "translation")

    def __init__(self, request: BackendRequest, edits: list[str], format_name: str, renamer: Renamer | None) -> None:
        self.request = request
        self.edits = edits
        self.dropped: list[str] = []
        self.backend_format = format_name
        self.translation = "none"
        self._wire: Wire = load_wire(format_name)
        self._renamer = renamer
        self.hides_usage = False

    def read_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamFault:
        return self._wire.read_error(status, headers, body)

    def pipe(self) -> Pipe:
        buffer = frame_buffer(self._wire.STREAM_CONTENT_TYPE)
        rewriter = UsageHider(self._renamer) if self.hides_usage else self._renamer
        return PassThroughPipe(self._wire, buffer, rewriter, self.request.headers)

    def whole(self, body: bytes) -> WholeAnswer:
        return pass_through_whole(self._wire, body, self._renamer)


def needs_translation(generation: Generation, candidate: Candidate) -> bool:
    """Whether the candidate, which speaks the client's format, is known to refuse the request as it is."""
    refuses = _REFUSES.get(generation.native_format)
    return refuses is not None and (generation.route is None or generation.route.translate) and refuses(
        generation, candidate
    )


def _needs_responses(generation: Generation, candidate: Candidate) -> bool:
    """Whether a Chat Completions request asks for tools beside reasoning, which OpenAI's models from GPT-5.4 on take in
    the Responses format only, and the candidate speaks that: "Function tools with reasoning_effort are not supported
    [...] in /v1/chat/completions. To use function tools, use /v1/responses or set reasoning_effort to 'none'."
    """
    values = generation.document.values
    effort = values.get("reasoning_effort") or candidate.defaults.get("reasoning_effort")
    if effort in (None, "none") or not values.get("tools"):
        return False
    if candidate.backend.richest_format(candidate.api_model) != "responses":
        return False
    facts = import_module("core.models.resolve").facts_for(candidate.known_as, candidate.backend.provider.name)
    return not facts.chat_tools_with_reasoning


def _is_for_another_model(generation: Generation, candidate: Candidate) -> bool:
    """Whether a Messages request suits the model that it names, and not the one that answers in its place."""
    values = generation.document.values
    if candidate.api_model == generation.model:
        return False
    if not (_MODELS_DIFFER_ON & values.keys() or is_prefilled(values)):
        # A system message among the others: to look into each would cost every long conversation.
        body = generation.document.body
        if b'"role":"system"' not in body and b'"role": "system"' not in body:
            return False
    return cast(bool, import_module("core.meant_for").is_refused(generation, candidate))


def is_prefilled(values: Mapping[str, Any]) -> bool:
    """Whether a Messages body ends with the beginning of its answer."""
    messages = values.get("messages")
    last = messages[-1] if isinstance(messages, list) and messages else None
    return isinstance(last, dict) and last.get("role") == "assistant"


# What some of Claude's models take and others do not.
_MODELS_DIFFER_ON = frozenset({"thinking", "output_config", "temperature", "top_p", "top_k", "tool_choice"})

_REFUSES: dict[str, Callable[[Generation, Candidate], bool]] = {
    "chat_completions": _needs_responses,
    "messages": _is_for_another_model,
}


def prepare_native(generation: Generation, candidate: Candidate) -> NativeRequest:
    """The client's request for `candidate`, changed only where the returned `edits` say so."""
    backend = candidate.backend
    format_name = generation.native_format
    forced = _forced(generation, candidate)
    hides_usage = generation.metered and _must_ask_for_usage(generation, backend)
    if hides_usage:
        forced["stream_options"] = {**(generation.document.values.get("stream_options") or {}), "include_usage": True}
    headers = backend_headers(backend, generation.request.headers)
    dropped: list[str] = []
    beside: list[str] = []
    if backend.provider.surface or generation.request.headers.get("anthropic-version", _OLDEST) != _OLDEST:
        surface = import_module("core.native_surface")  # these surfaces and these clients only
        native = surface.Native(generation, candidate, headers, forced)
        dropped, beside = surface.keep_served(native), native.edits
    if backend.provider.signing_service:
        headers = _add_options(backend, format_name, headers, forced)
    body, edits = edit_body(generation.document, generation.request.body, candidate, format_name, forced)
    if candidate.defaults:
        dropped = [*dropped, *unsaid_defaults(format_name, candidate.defaults)]
    url = endpoint_url(backend, _path(generation, candidate), candidate.api_model, _query(generation))
    renamer = None
    if candidate.api_model != generation.model and format_name in MODEL_IN_BODY:
        route = generation.route
        renamer = Renamer(generation.model) if route is None or route.answer_model == "asked" else None
    request = BackendRequest("POST", url, headers, body, backend.connect_timeout)
    prepared = NativeRequest(request, [*edits, *beside] if beside else edits, format_name, renamer)
    prepared.dropped = dropped
    prepared.hides_usage = hides_usage
    return prepared


def _must_ask_for_usage(generation: Generation, backend: Backend) -> bool:
    """Whether a stream would end without a word about its tokens, which somebody counts. Chat Completions streams tell
    them on request only. A backend that refuses the question is configured with `include_usage: false`.

    https://platform.openai.com/docs/api-reference/chat/create#chat_create-stream_options
    """
    if not (generation.stream and generation.native_format == "chat_completions"):
        return False
    options = generation.document.values.get("stream_options")
    if options is not None and (not isinstance(options, dict) or options.get("include_usage") is True):
        return False
    return backend.options.get("include_usage") not in (False, "false")


def _add_options(backend: Backend, format_name: str, headers: HeaderList, forced: dict[str, Any]) -> HeaderList:
    """Bedrock's settings of the operator, over the client's own."""
    if OPTION_NAMES.isdisjoint(backend.options):
        return headers
    forced.update(option_members(backend.options, format_name))
    added = option_headers(backend.options, format_name)
    names = {name for name, _ in added}
    return [item for item in headers if item[0] not in names] + added


def _forced(generation: Generation, candidate: Candidate) -> dict[str, Any]:
    """The members that the backend must read whatever the client's body says."""
    if generation.native_format not in MODEL_IN_BODY:
        return {}
    forced: dict[str, Any] = {"model": candidate.api_model}
    if generation.endpoint.stream:
        forced["stream"] = True  # the path asked for it
    return forced


def _path(generation: Generation, candidate: Candidate) -> str:
    operation, backend = generation.endpoint.operation, candidate.backend
    if operation == "embeddings":
        assert backend.provider.embeddings is not None  # core.embeddings asked first
        return backend.provider.embeddings
    paths = backend.paths(generation.native_format)
    assert paths is not None  # `speaks` was asked first
    if operation == "count_tokens":
        assert paths.count_tokens is not None  # core.counting asked first
        return paths.count_tokens
    return paths.stream if generation.stream and paths.stream else paths.generate


def _query(generation: Generation) -> str:
    """Only Anthropic's clients put something in the query that is the backend's (`?beta=true`). A key in it is this
    gateway's."""
    query = generation.request.query if generation.native_format == "messages" else ""
    if "key=" not in query:
        return query
    return "&".join(part for part in query.split("&") if part.partition("=")[0] != "key")
