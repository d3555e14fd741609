"""The vendors' rules find what a vendor refuses, and nothing that the gateway writes for its clients' conversations."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest

from core.errors import ClientFault, Unsupported
from core.formats import load_format
from core.formats.contract import Call, Target
from core.models.resolve import facts_for
from core.translation.pipeline import translate_request
from tests.translation.pairs import BACKENDS
from tests.translation.test_agent_conversations import made
from tests.translation.test_loss import FORMATS as CLIENTS
from tests.translation.test_loss import inlined
from tests.translation.test_prefixes import bodies
from tests.wire.recordings import needs_recordings
from tests.wire.rules import complaints

pytestmark = needs_recordings

MODELS = {
    "messages": ("claude-opus-5-5", "claude-sonnet-4-5"),
    "invoke": ("us.anthropic.claude-opus-5-5",),
    "converse": ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "us.amazon.nova-pro-v1:0"),
    "chat_completions": ("gpt-4.1", "gpt-5.6"),
    "responses": ("gpt-4.1", "gpt-6-astra"),
    "generate_content": ("gemini-3-pro-preview",),
}
PAIRS = [
    (client, backend)
    for client in CLIENTS
    for backend in MODELS
    if client != backend and (client, backend) != ("messages", "invoke")  # one format on two surfaces
]
HEADERS = {"x-api-key": "k"}


@pytest.mark.parametrize(("client", "backend"), PAIRS)
def test_what_is_written_breaks_no_rule(client: Any, backend: str) -> None:
    options, _ = BACKENDS[backend]
    for body in [bodies(client, seed)[-1] for seed in (20, 21)] + [body for _, body in made(client)]:
        for model in MODELS[backend]:
            target = Target(model, "there", options["type"], facts_for(model))
            call = Call("m", False, {"anthropic-version": "2023-06-01"})
            try:
                conversation = load_format(client).read_request(json.loads(json.dumps(body)), call)
                written = translate_request(inlined(conversation, backend, target), backend, target).written
            except (ClientFault, Unsupported):
                continue  # another test says which may be refused
            sent = json.loads(json.dumps(written.body))
            if backend in ("messages", "chat_completions", "responses"):
                sent["model"] = model
            headers = {**HEADERS, **{name.lower(): value for name, value in written.headers.items()}}
            assert complaints(backend, model, sent, headers) == []


MESSAGES: dict[str, Any] = {
    "model": "claude-sonnet-4-5", "max_tokens": 4096, "thinking": {"type": "enabled", "budget_tokens": 2048},
    "tools": [{"name": "f", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
            {"type": "tool_use", "id": "t1", "name": "f", "input": {}},
        ]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "ok"}]},
    ],
}  # fmt: skip
CONVERSE: dict[str, Any] = {
    "toolConfig": {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object"}}}}]},
    "messages": [
        {"role": "user", "content": [{"text": "go"}]},
        {"role": "assistant", "content": [{"toolUse": {"toolUseId": "t1", "name": "f", "input": {}}}]},
        {"role": "user", "content": [{"toolResult": {"toolUseId": "t1", "content": [{"text": "ok"}]}}]},
    ],
}  # fmt: skip
CHAT: dict[str, Any] = {
    "model": "gpt-4.1",
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    "messages": [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "t1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        ]},
        {"role": "tool", "tool_call_id": "t1", "content": "ok"},
    ],
}  # fmt: skip
RESPONSES: dict[str, Any] = {
    "model": "gpt-5", "store": False,
    "input": [
        {"role": "user", "content": "go"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "xyz"},
        {"type": "function_call", "id": "fc_1", "call_id": "t1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "t1", "output": "ok"},
    ],
}  # fmt: skip
GEMINI: dict[str, Any] = {
    "tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"type": "object"}}]}],
    "contents": [
        {"role": "user", "parts": [{"text": "go"}]},
        {"role": "model", "parts": [
            {"functionCall": {"id": "1", "name": "f", "args": {}}, "thoughtSignature": "U0lH"},
        ]},
        {"role": "user", "parts": [{"functionResponse": {"id": "1", "name": "f", "response": {"output": "ok"}}}]},
    ],
}  # fmt: skip
GOOD = {
    "messages": ("claude-sonnet-4-5", MESSAGES),
    "converse": ("anthropic.claude-sonnet-4-5-20250929-v1:0", CONVERSE),
    "chat_completions": ("gpt-4.1", CHAT),
    "responses": ("gpt-5", RESPONSES),
    "generate_content": ("gemini-3-pro-preview", GEMINI),
}
VERSION = {**HEADERS, "anthropic-version": "2023-06-01"}
MARKED = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}
# Where a good body is broken, by what (None: the member goes), and a word of the vendor's complaint.
BROKEN: list[tuple[str, list[Any], Any, str]] = [
    ("messages", ["messages", 1, "content", 0], None, "Expected `thinking`"),
    ("messages", ["messages", 1, "content", 0, "signature"], None, "signature"),
    ("messages", ["messages", 2, "content", 0, "tool_use_id"], "t2", "unexpected `tool_use_id`"),
    ("messages", ["messages", 2, "content", 0, "content"], [{"type": "text", "text": " "}], "non-whitespace"),
    ("messages", ["messages", 0, "role"], "assistant", "first message"),
    ("messages", ["messages", 0, "role"], "system", "role 'system'"),
    ("messages", ["max_tokens"], 2048, "greater than"),
    ("messages", ["temperature"], 0.5, "temperature"),
    ("messages", ["tools", 0, "name"], "f.g", "pattern"),
    ("messages", ["tools", 0, "input_schema"], {"anyOf": []}, "input_schema"),
    ("messages", ["context_management"], {"edits": []}, "Extra inputs"),
    ("messages", ["system"], [MARKED] * 4, "maximum of 4"),
    ("converse", ["messages", 0, "role"], "assistant", "start with a user"),
    ("converse", ["messages", 1, "content", 0, "toolUse", "name"], "f.g", "constraint"),
    ("converse", ["messages", 2, "content", 0, "toolResult", "toolUseId"], "t2", "do not match"),
    ("converse", ["toolConfig"], None, "must be defined"),
    ("converse", ["additionalModelRequestFields"], {"thinking": {"type": "enabled", "budget_tokens": 9}}, "1024"),
    ("converse", ["x"], 1, "Unknown parameter"),
    ("chat_completions", ["messages", 2, "tool_call_id"], "t2", "preceding message"),
    ("chat_completions", ["messages", 1, "reasoning_content"], "hm", "Unevaluated"),
    ("chat_completions", ["reasoning_effort"], "low", "Unrecognized"),
    ("chat_completions", ["tools"], [], "empty array"),
    ("responses", ["input", 3, "call_id"], "t2", "No tool output found"),
    ("responses", ["input", 1, "encrypted_content"], None, "not persisted"),
    ("responses", ["input", 2, "id"], "call_1", "begins with 'fc'"),
    ("responses", ["temperature"], 0.5, "Unsupported parameter"),
    ("generate_content", ["contents", 1, "parts", 0, "thoughtSignature"], None, "missing a thought_signature"),
    ("generate_content", ["contents", 2, "parts", 0, "functionResponse", "name"], "g", "right after"),
    ("generate_content", ["contents", 2, "parts"], [{"text": "ok"}], "number of function response parts"),
    ("generate_content", ["tools", 0, "functionDeclarations", 0, "parametersJsonSchema"], {"not": {}}, "keyword not"),
]  # fmt: skip


@pytest.mark.parametrize("format_name", list(GOOD))
def test_what_a_vendor_takes_is_no_complaint(format_name: str) -> None:
    model, body = GOOD[format_name]
    assert complaints(format_name, model, body, VERSION) == []


@pytest.mark.parametrize(("format_name", "path", "value", "word"), BROKEN, ids=lambda value: str(value)[:40])
def test_what_a_vendor_refuses_is_found(format_name: str, path: list[Any], value: Any, word: str) -> None:
    model, good = GOOD[format_name]
    body = deepcopy(good)
    *way, last = path
    inner: Any = body
    for step in way:
        inner = inner[step]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    assert any(word in one for one in complaints(format_name, model, body, VERSION))
