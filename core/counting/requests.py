"""The request that makes a candidate count tokens, in the client's own words or in another format's."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from typing import Any

from core.conversation import Conversation
from core.counting.estimate import estimate_tokens
from core.errors import ClientFault, Unsupported, UpstreamFault, upstream_fault
from core.formats import load_format, load_wire
from core.formats.contract import Call, Observation, Target
from core.generation import Generation
from core.http import trace_headers
from core.json_edit import JsonObject, dump
from core.models.facts import ModelFacts
from core.models.resolve import facts_for
from core.native import prepare_native
from core.passthrough import endpoint_url
from core.ports import BackendRequest
from core.providers.table import Paths, Provider
from core.relay import Pipe, WholeAnswer
from core.routing.registry import Backend, Candidate, Route
from core.translation.pipeline import translate_request

ESTIMATE_SCHEME = "estimate"
_HERE = f"{ESTIMATE_SCHEME}://here"
_ESTIMATE = Backend("estimate", Provider("estimate", _HERE, {"messages": Paths("")}, "none"), _HERE, "none")
_LAST = 1_000_000

# How each format's answer calls the number.
_ANSWERS: dict[str, Callable[[int], JsonObject]] = {
    "messages": lambda count: {"input_tokens": count},
    "converse": lambda count: {"inputTokens": count},
    "generate_content": lambda count: {"totalTokens": count},
    "responses": lambda count: {"object": "response.input_tokens", "input_tokens": count},
}
_NAMES = ("input_tokens", "inputTokens", "totalTokens")

# What of a translated body each format's counting endpoint takes.
_MESSAGES = ("model", "messages", "system", "tools", "tool_choice", "thinking", "output_config")
_CONVERSE = ("messages", "system", "toolConfig", "additionalModelRequestFields")
_RESPONSES = ("model", "input", "instructions", "tools", "tool_choice", "text", "reasoning", "parallel_tool_calls")


def _only(body: JsonObject, names: tuple[str, ...]) -> JsonObject:
    return {name: body[name] for name in names if name in body}


_BODIES: dict[str, Callable[[JsonObject, str], JsonObject]] = {
    "messages": lambda body, model: _only(body, _MESSAGES),
    "converse": lambda body, model: {"input": {"converse": _only(body, _CONVERSE)}},
    "generate_content": lambda body, model: {"generateContentRequest": {"model": f"models/{model}", **body}},
    "responses": lambda body, model: _only(body, _RESPONSES),
}


def route_for(route: Route) -> Route:
    """The candidates whose count would be that of the first one's model, and after them the estimate."""
    candidates = list(route.candidates)
    first = min(candidates, key=lambda candidate: candidate.priority)
    family = facts_for(first.known_as).family
    same = [candidate for candidate in candidates if facts_for(candidate.known_as).family == family]
    same.append(Candidate(_ESTIMATE, first.known_as, _LAST))
    return Route(route.name, same, route.answer_model, route.translate, route.policy)


def prepare(generation: Generation, candidate: Candidate, passes_through: bool) -> Any:
    """A core.attempts.Prepared that counts. Raises Unsupported where the candidate cannot."""
    backend = candidate.backend
    if backend is _ESTIMATE:
        return _estimate(generation, candidate.api_model)
    paths = backend.paths(generation.native_format)
    if passes_through and paths is not None and paths.count_tokens:
        return prepare_native(generation, Candidate(backend, candidate.api_model, model=candidate.model))
    format_name = _counting_format(backend, candidate.api_model)
    target = Target(candidate.api_model, backend.name, backend.provider.name, facts_for(candidate.known_as), False)
    written = translate_request(read_counted(generation), format_name, target).written
    body = _BODIES[format_name](written.body, candidate.api_model)
    counting = backend.paths(format_name)
    assert counting is not None and counting.count_tokens  # _counting_format chose it for that
    url = endpoint_url(backend, counting.count_tokens, candidate.api_model)
    headers = {**backend.provider.headers, **written.headers, **backend.headers, "content-type": "application/json"}
    lines = [*headers.items(), *trace_headers(generation.request.headers)]
    request = BackendRequest("POST", url, lines, dump(body), backend.connect_timeout)
    return CountRequest(request, generation.native_format, format_name)


def _counting_format(backend: Backend, model: str) -> str:
    for name in backend.provider.formats:
        paths = backend.paths(name)
        if name in _BODIES and backend.speaks(name, model) and paths is not None and paths.count_tokens:
            return name
    raise Unsupported("count_tokens", f"Backend {backend.name} does not count tokens.")


class CountRequest:
    """A request for a count (core.attempts.Prepared), and the way back."""

    def __init__(self, request: BackendRequest, client_format: str, backend_format: str) -> None:
        self.request = request
        self.edits: list[str] = []
        self.dropped: list[str] = []
        self.backend_format = backend_format
        self.translation = "none" if client_format == backend_format else f"{client_format}>{backend_format}"
        self._write = _ANSWERS[client_format]

    def read_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamFault:
        return load_wire(self.backend_format).read_error(status, headers, body)

    def pipe(self) -> Pipe:
        raise NotImplementedError("a count is never streamed")  # pragma: no cover

    def whole(self, body: bytes) -> WholeAnswer:
        try:
            values = json.loads(body)
        except ValueError:
            values = None
        numbers = [values[name] for name in _NAMES if name in values] if isinstance(values, dict) else []
        if not numbers or not isinstance(numbers[0], int):
            raise upstream_fault("upstream", "The backend's count of tokens cannot be read.", 502)
        return WholeAnswer(dump(self._write(numbers[0])), Observation())


def _estimate(generation: Generation, model: str) -> CountRequest:
    """A request that the estimate's transport answers with its own body."""
    facts: ModelFacts = facts_for(model)
    count = estimate_tokens(read_counted(generation), facts)
    request = BackendRequest("POST", _HERE, [], dump({"input_tokens": count}))
    return CountRequest(request, generation.native_format, generation.native_format)


def read_counted(generation: Generation) -> Conversation:
    """The conversation of a request to count; read once for all candidates. Raises ClientFault."""
    conversation: Conversation | None = generation.memo.get("conversation")
    if conversation is None:
        format_name, body = _UNWRAP.get(generation.native_format, _as_it_is)(generation)
        call = Call(generation.model, False, generation.request.headers)
        conversation = generation.memo["conversation"] = load_format(format_name).read_request(body, call)
    return conversation


def _as_it_is(generation: Generation) -> tuple[str, JsonObject]:
    return generation.native_format, generation.document.values


def _of_gemini(generation: Generation) -> tuple[str, JsonObject]:
    """`{contents}`, or `{generateContentRequest: {model, contents, ...}}`."""
    values = generation.document.values
    whole = values.get("generateContentRequest")
    if whole is None:
        return "generate_content", {"contents": values.get("contents")}
    if not isinstance(whole, dict):
        raise ClientFault("bad_request", "The member must be an object.", param="generateContentRequest")
    return "generate_content", {name: value for name, value in whole.items() if name != "model"}


def _of_bedrock(generation: Generation) -> tuple[str, JsonObject]:
    """`{input: {converse: {...}}}`, or `{input: {invokeModel: {body: <base64 of a Messages body>}}}`."""
    given = generation.document.values.get("input")
    if isinstance(given, dict) and isinstance(given.get("converse"), dict):
        return "converse", given["converse"]
    invoke = given.get("invokeModel") if isinstance(given, dict) else None
    if not isinstance(invoke, dict) or not isinstance(invoke.get("body"), str):
        raise ClientFault("bad_request", "Either input.converse or input.invokeModel.body is expected.", param="input")
    try:
        body = json.loads(base64.b64decode(invoke["body"], validate=True))
    except (binascii.Error, ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise ClientFault("bad_request", "The body is not a JSON object in base64.", param="input.invokeModel.body")
    return "invoke", body


_UNWRAP = {"generate_content": _of_gemini, "converse": _of_bedrock}
