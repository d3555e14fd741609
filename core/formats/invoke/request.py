"""InvokeModel's request bodies: a Messages body whose model, version and betas stand elsewhere.

https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages-request-response.html
"""

from __future__ import annotations

from typing import Any

from core.conversation import Conversation, JsonObject, Tool
from core.errors import Unsupported
from core.formats.contract import Call, Target, Written
from core.formats.messages.members import Invalid, each, list_of, object_of, required_text
from core.formats.messages.read_request import read_request as read_messages_request
from core.formats.messages.surfaces import Surface
from core.formats.messages.write_request import RequestWriter

VERSION = "bedrock-2023-05-31"

# Server tools that Bedrock runs.
_SERVER_TOOLS = ("tool_search_tool",)


def read_request(body: JsonObject, call: Call) -> Conversation:
    """The conversation in a client's body; the model is in the path, `call.model`. Raises ClientFault."""
    try:
        betas, version = _read_frame(object_of(body))
    except Invalid as invalid:
        raise invalid.fault() from None
    inner = {name: value for name, value in body.items() if name not in ("anthropic_version", "anthropic_beta")}
    headers = {"anthropic-version": version, "anthropic-beta": ",".join(betas)}
    return read_messages_request(inner, Call(call.model, call.stream, headers))


def _read_frame(body: JsonObject) -> tuple[list[str], str]:
    for name in ("model", "stream"):
        if name in body:
            raise Invalid(name, "Extra inputs are not permitted")
    betas = body.get("anthropic_beta")
    names = [] if betas is None else each(list_of(betas, "anthropic_beta"), "anthropic_beta", _text)
    return names, required_text(body, "anthropic_version")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Invalid("", "Input should be a valid string")
    return value


def write_request(conversation: Conversation, target: Target) -> Written:
    """The body for InvokeModel. Raises Unsupported for what Bedrock does not run."""
    for tool in conversation.tools:
        _check_tool(tool)
    surface = Surface(target.provider, conversation.betas, "invoke")
    written = RequestWriter(conversation, target, surface).write()
    body = {name: value for name, value in written.body.items() if name not in ("model", "stream")}
    body["anthropic_version"] = VERSION
    if surface.betas:
        body["anthropic_beta"] = surface.betas
    return Written(body, {}, written.dropped)


def _check_tool(tool: Tool) -> None:
    if tool.kind == "server" and not tool.name.startswith(_SERVER_TOOLS):
        raise Unsupported("tools", f"Bedrock does not run the tool {tool.name}")
