"""Tools of vendors: search in the target's words, client tools with their schema, the rest refused."""

from __future__ import annotations

from typing import Any

import pytest

from core.conversation import FormatName, Tool, ToolChoice
from core.errors import Unsupported
from core.models.resolve import facts_for
from core.translation.losses import Losses
from core.translation.rules import FormatRules, rules_for
from core.translation.vendor_tools import fitted_vendor_tools
from tests.core.translation.cases import conversation, target

PLACE = {"type": "approximate", "city": "Bonn", "country": "DE"}
ANTHROPIC = Tool(
    "web_search",
    kind="server",
    format="messages",
    raw={"type": "web_search_20250305", "name": "web_search", "allowed_domains": ["a.b"], "user_location": PLACE},
)
OPENAI = Tool(
    "web_search",
    kind="server",
    format="responses",
    raw={"type": "web_search", "filters": {"allowed_domains": ["a.b"]}, "user_location": PLACE},
)
CHAT = Tool(
    "web_search",
    kind="server",
    format="chat_completions",
    raw={"web_search_options": {"user_location": {"type": "approximate", "approximate": {"city": "Bonn"}}}},
)
GOOGLE = Tool("web_search", kind="server", format="generate_content", raw={"googleSearch": {}})
OWN = Tool("look")


def rules(format_name: str, provider: str = "") -> FormatRules:
    return rules_for(format_name, target("m", provider))


def fitted(
    tools: list[Tool], format_name: str, provider: str = "", model: str = "claude-opus-5", **members: Any
) -> tuple[list[Tool], list[str]]:
    client: FormatName = tools[0].format or "messages"
    losses = Losses(client)
    source = conversation(format=client, tools=tools, **members)
    written = fitted_vendor_tools(source, rules(format_name, provider), facts_for(model), losses)
    return written, [warning.path for warning in losses.dropped]


@pytest.mark.parametrize(
    ("tool", "format_name", "raw"),
    [
        (ANTHROPIC, "messages", ANTHROPIC.raw),
        (ANTHROPIC, "responses", OPENAI.raw),
        (ANTHROPIC, "generate_content", {"googleSearch": {}}),
        (OPENAI, "messages", ANTHROPIC.raw),
        (GOOGLE, "messages", {"type": "web_search_20250305", "name": "web_search"}),
        (GOOGLE, "responses", {"type": "web_search"}),
        (
            CHAT,
            "messages",
            {
                "type": "web_search_20250305",
                "name": "web_search",
                "user_location": {"type": "approximate", "city": "Bonn"},
            },
        ),
        (CHAT, "chat_completions", CHAT.raw),
    ],
)
def test_web_search(tool: Tool, format_name: str, raw: dict[str, Any]) -> None:
    (written,), warned = fitted([tool], format_name)
    assert written.raw == raw
    assert written.format == format_name
    takes_options = format_name != "generate_content" or tool is GOOGLE
    assert warned == ([] if takes_options else ["tools[0].allowed_domains", "tools[0].user_location"])


def test_how_much_of_a_search_is_read_is_no_option_elsewhere() -> None:
    raw = {"type": "web_search", "search_context_size": "low"}
    tool = Tool("web_search", kind="server", format="responses", raw=raw)
    assert fitted([tool], "messages")[1] == ["tools[0].search_context_size"]


def test_web_search_beside_other_tools_is_not_offered_where_there_is_none() -> None:
    assert fitted([ANTHROPIC, OWN], "converse") == ([OWN], ["tools[0]"])
    assert fitted([OPENAI, OWN], "messages", "bedrock") == ([OWN], ["tools[0]"])


def test_web_search_alone_is_refused_where_there_is_none() -> None:
    with pytest.raises(Unsupported) as caught:
        fitted([ANTHROPIC], "converse")
    assert caught.value.param == "tools[0]"
    with pytest.raises(Unsupported):
        fitted([ANTHROPIC, OWN], "converse", tool_choice=ToolChoice("named", ["web_search"]))


def test_other_server_tools_are_refused_by_name() -> None:
    tool = Tool("code_execution", kind="server", format="messages", raw={"type": "code_execution_20250522"})
    assert fitted([tool], "messages")[0] == [tool]
    with pytest.raises(Unsupported, match="code_execution"):
        fitted([tool], "responses")
    with pytest.raises(Unsupported, match="code_execution"):
        fitted([tool], "converse")


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("bash_20250124", "bash"),
        ("text_editor_20250728", "str_replace_based_edit_tool"),
        ("memory_20250818", "memory"),
    ],
)
def test_anthropics_client_tools_get_a_schema_elsewhere(kind: str, name: str) -> None:
    tool = Tool(name, kind="client", format="messages", raw={"type": kind, "name": name})
    assert fitted([tool], "messages")[0] == [tool]
    ((written,), _) = fitted([tool], "responses", model="gpt-5")
    assert (written.name, written.kind, written.raw) == (name, "function", {})
    assert written.parameters is not None and written.parameters["type"] == "object"
    ((foreign,), _) = fitted([tool], "messages", model="gpt-5")
    assert foreign.kind == "function"


def test_other_client_tools_are_refused() -> None:
    for raw in ({"type": "computer_20251124"}, {}):
        with pytest.raises(Unsupported, match="computer"):
            fitted([Tool("computer", kind="client", format="messages", raw=raw)], "responses")
    shell = Tool("shell", kind="client", format="responses", raw={"type": "shell"})
    assert fitted([shell], "responses", model="gpt-5")[0] == [shell]
