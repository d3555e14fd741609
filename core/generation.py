"""What a request for an answer asks, read once from its body: enough to route it, whatever its format."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from core.errors import ClientFault
from core.http import Request
from core.json_edit import Document, read_object
from core.routes import Endpoint
from core.routing.registry import Route
from core.slotted import field, slotted

# The member that holds the conversation, and the types that it may have.
_CONTENT_MEMBERS: dict[tuple[str, str], tuple[str, tuple[type, ...]]] = {
    ("generate", "chat_completions"): ("messages", (list,)),
    ("generate", "messages"): ("messages", (list,)),
    ("count_tokens", "messages"): ("messages", (list,)),
    ("generate", "responses"): ("input", (str, list)),
    ("generate", "generate_content"): ("contents", (list, dict, str)),
    ("generate", "invoke"): ("messages", (list,)),
    ("embeddings", "chat_completions"): ("input", (str, list)),
}

# What a prompt's cached prefix is made of; of the turns, the first two (a system message and the first question).
_TURN_MEMBERS = frozenset({"messages", "input", "contents"})
_PREFIX_MEMBERS = _TURN_MEMBERS | {"system", "instructions", "tools", "systemInstruction", "toolConfig"}

# The format whose streams are a JSON array unless the query asks for events (`alt=sse`).
ARRAY_FORMAT = "generate_content"

_TYPE_NAMES: dict[type, str] = {list: "a list", str: "a string", dict: "an object"}

# Members without which the request may still be complete: Converse with a stored prompt, Responses with one.
_OPTIONAL_CONTENT = {"responses": ("prompt", "previous_response_id", "conversation")}


@slotted
class Generation:
    """A request on its way: what was asked, and the caches that its attempts share.

    `native_format` is the format that a backend must speak for a pass-through: the client's own. `array`: the
    stream is framed as one JSON array (Gemini without `alt=sse`). `memo` holds what is computed once for all
    candidates (the neutral conversation). `metered`: somebody counts its tokens.
    """

    request: Request
    endpoint: Endpoint
    document: Document
    model: str
    stream: bool
    native_format: str
    route: Route | None = None
    array: bool = False
    metered: bool = False
    memo: dict[str, Any] = field(default_factory=dict)

    @property
    def service_tier(self) -> str:
        """The service tier that is asked for, "" for none: `service_tier`, Gemini's `serviceTier`, or Bedrock's, which
        is an object."""
        values = self.document.values
        tier = values.get("service_tier") or values.get("serviceTier")
        if isinstance(tier, dict):
            tier = tier.get("type")
        return tier if isinstance(tier, str) else ""

    def prefix_digest(self) -> bytes:
        """A digest of what the turns of one conversation share: its instructions, tools and first message."""
        digest = hashlib.blake2b(digest_size=16)
        for name, value in self.document.values.items():
            if name in _PREFIX_MEMBERS:
                first = value[:2] if name in _TURN_MEMBERS and isinstance(value, list) else value
                digest.update(json.dumps([name, first]).encode())
        return digest.digest()


def read_generation(request: Request, endpoint: Endpoint) -> Generation:
    """Reads the body. Raises ClientFault (400) that names the member that is wrong."""
    try:
        document = read_object(request.body)
    except ClientFault:
        coding = request.headers.get("content-encoding", "identity")
        if coding == "identity":
            raise
        message = f"The request body has the content-encoding {coding!r}; send it as it is."
        raise ClientFault("bad_request", message, status=415) from None
    values = document.values
    model = endpoint.model if endpoint.model is not None else values.get("model")
    if model is None:
        raise ClientFault("bad_request", "The member 'model' is missing.", param="model")
    if not isinstance(model, str) or not model:
        raise ClientFault("bad_request", "The member 'model' must be a non-empty string.", param="model")
    _check_content(values, endpoint)
    generation = Generation(request, endpoint, document, model, _read_stream(values, endpoint), endpoint.format)
    generation.array = generation.stream and endpoint.format == ARRAY_FORMAT and "alt=sse" not in request.query
    return generation


def _read_stream(values: dict[str, Any], endpoint: Endpoint) -> bool:
    if endpoint.operation != "generate":
        return False
    if endpoint.stream is not None:
        return endpoint.stream
    stream = values.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise ClientFault("bad_request", "The member 'stream' must be true or false.", param="stream")
    return bool(stream)


def is_of_another_format(values: dict[str, Any]) -> bool:
    """Whether a body on the Chat path is of the Responses format, or offers tools in Anthropic's words or in those of
    Responses (flat functions): Cursor sends them."""
    if "messages" not in values:
        return True
    tools = values.get("tools")
    first = tools[0] if isinstance(tools, list) and tools else None
    if not isinstance(first, dict) or "function" in first:
        return False
    return "input_schema" in first or first.get("type") == "function"


def _check_content(values: dict[str, Any], endpoint: Endpoint) -> None:
    expected = _CONTENT_MEMBERS.get((endpoint.operation, endpoint.format))
    if expected is None:
        return
    name, types = expected
    value = values.get(name)
    if value is None:
        if any(member in values for member in _OPTIONAL_CONTENT.get(endpoint.format, ())):
            return
        if endpoint.format == "chat_completions" and "input" in values:
            return  # Cursor sends Responses bodies here; the reader tells them apart by their shape
        raise ClientFault("bad_request", f"The member '{name}' is missing.", param=name)
    if not isinstance(value, types):
        names = " or ".join(_TYPE_NAMES[kind] for kind in types)
        raise ClientFault("bad_request", f"The member '{name}' must be {names}.", param=name)
    if isinstance(value, list) and not value and endpoint.operation == "generate":
        raise ClientFault("bad_request", f"The member '{name}' must not be empty.", param=name)
