"""Tools that are not plain functions: the vendor's own search, and Anthropic's client tools without a schema.

Web search is asked for in the target's words where its vendor has one. Other server tools exist with their vendor
only. Anthropic's client tools are run by the client, so any model may call them once it is told their schema.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from core.conversation import Conversation, FormatName, JsonObject, Tool
from core.errors import Unsupported
from core.models.facts import ModelFacts
from core.slotted import replace
from core.translation.losses import Losses, said
from core.translation.paths import client_path
from core.translation.rules import FormatRules

WEB_SEARCH: Final = "web_search"


def _object(properties: JsonObject, *required: str) -> JsonObject:
    return {"type": "object", "properties": properties, "required": list(required)}


_TEXT: Final[JsonObject] = {"type": "string"}
_LINES: Final[JsonObject] = {
    "type": "array",
    "items": {"type": "integer"},
    "description": "First and last line, counted from 1; -1 is the end.",
}
# By the beginning of the tool's type: its name, what it does, its schema
# (https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview).
CLIENT_TOOLS: Final[dict[str, tuple[str, str, JsonObject]]] = {
    "bash_": (
        "bash",
        "Runs a command in a persistent bash session.",
        _object(
            {"command": _TEXT, "restart": {"type": "boolean", "description": "true starts a new session."}},
        ),
    ),
    "text_editor_": (
        "str_replace_based_edit_tool",
        "Views, creates and edits text files.",
        _object(
            {
                "command": {"type": "string", "enum": ["view", "create", "str_replace", "insert"]},
                "path": _TEXT,
                "view_range": _LINES,
                "file_text": _TEXT,
                "old_str": _TEXT,
                "new_str": _TEXT,
                "insert_line": {"type": "integer"},
                "insert_text": _TEXT,
            },
            "command",
            "path",
        ),
    ),
    "memory_": (
        "memory",
        "Views and changes files in the /memories directory, which lasts between conversations.",
        _object(
            {
                "command": {
                    "type": "string",
                    "enum": ["view", "create", "str_replace", "insert", "delete", "rename"],
                },
                "path": _TEXT,
                "view_range": _LINES,
                "file_text": _TEXT,
                "old_str": _TEXT,
                "new_str": _TEXT,
                "insert_line": {"type": "integer"},
                "insert_text": _TEXT,
                "old_path": _TEXT,
                "new_path": _TEXT,
            },
            "command",
        ),
    ),
}


# What a function says otherwise.
_CLIENT_MEMBERS: Final = frozenset({"type", "name", "cache_control"})


def fitted_vendor_tools(
    conversation: Conversation, rules: FormatRules, facts: ModelFacts, losses: Losses
) -> list[Tool]:
    """The tools with every vendor's tool in a form that the target takes. Raises Unsupported, naming the tool,
    where there is none."""
    result: list[Tool] = []
    for index, tool in enumerate(conversation.tools):
        path = _path_of(tool, index, conversation.format)
        if tool.kind == "client":
            result.append(_client_tool(tool, rules, facts, path))
            if result[-1] is not tool:
                for name in said(tool.raw):
                    if name not in _CLIENT_MEMBERS:
                        losses.add(f"{path}.{name}", "the tool is a function of the client's here")
        elif tool.kind == "server":
            fitted = _server_tool(tool, conversation, rules, path)
            if fitted is not None and tool.format != rules.format:
                _lose_search_options(tool, rules, losses, path)
            if fitted is None or _excludes_functions(tool, conversation, rules, facts, path):
                losses.add(path, "the target has no web search beside these tools: the tool was not offered")
            else:
                result.append(fitted)
        else:
            result.append(tool)
    return result


def _path_of(tool: Tool, index: int, client_format: FormatName) -> str:
    """Where the tool stood: Chat Completions asks for a search beside its tools."""
    beside = "web_search_options"
    return beside if beside in tool.raw else f"{client_path(client_format, 'tools')}[{index}]"


def _excludes_functions(
    tool: Tool, conversation: Conversation, rules: FormatRules, facts: ModelFacts, path: str
) -> bool:
    """Gemini before 3 takes its own tools or functions, not both, and Vertex AI in no version
    (https://ai.google.dev/gemini-api/docs/tool-combination)."""
    if rules.format != "generate_content" or tool.format == rules.format:
        return False
    if facts.thinking_levels and rules.search_beside_functions:
        return False
    excludes = any(other.kind != "server" for other in conversation.tools)
    if excludes and _is_chosen(tool, conversation):
        raise Unsupported(path, "The target has no web search beside functions.")
    return excludes


def _is_chosen(tool: Tool, conversation: Conversation) -> bool:
    """Whether the tool choice is about `tool` alone."""
    choice = conversation.tool_choice
    return choice is not None and choice.names == [tool.name]


def _client_tool(tool: Tool, rules: FormatRules, facts: ModelFacts, path: str) -> Tool:
    if tool.format == rules.format and (tool.format != "messages" or facts.vendor in ("anthropic", "")):
        return tool
    kind = tool.raw.get("type")
    for prefix, (name, description, schema) in CLIENT_TOOLS.items():
        if isinstance(kind, str) and kind.startswith(prefix):
            return replace(
                tool,
                name=tool.name or name,
                kind="function",
                description=description,
                parameters=schema,
                format=None,
                raw={},
            )
    raise Unsupported(path, f"The tool {tool.name!r} ({kind}) exists with its own vendor's models only.")


def _server_tool(tool: Tool, conversation: Conversation, rules: FormatRules, path: str) -> Tool | None:
    if tool.name == WEB_SEARCH and not rules.web_search:
        return _unsearchable(tool, conversation, rules, path)
    if tool.format == rules.format:
        return tool
    writer = _SEARCHES.get(rules.format)
    if tool.name != WEB_SEARCH or writer is None:
        raise Unsupported(path, f"The server tool {tool.name!r} exists with its own vendor only.")
    return replace(tool, format=rules.format, raw=writer(_search_options(tool)))


def _unsearchable(tool: Tool, conversation: Conversation, rules: FormatRules, path: str) -> Tool | None:
    """Agents offer web search beside their own tools all the time and work without it; a request that is
    about the search alone is refused."""
    if tool.format == rules.format == "chat_completions":
        return tool
    if _is_chosen(tool, conversation) or len(conversation.tools) == 1:
        raise Unsupported(path, "The target has no web search of its own.")
    return None


def _search_options(tool: Tool) -> JsonObject:
    """What vendors' declarations of a web search have in common: allowed domains, the user's place, and how much of
    what was found the model reads."""
    raw = tool.raw
    filters = raw.get("filters")
    options = raw.get("web_search_options")
    source = {**raw, **(options if isinstance(options, dict) else {})}
    domains = filters.get("allowed_domains") if isinstance(filters, dict) else raw.get("allowed_domains")
    found: JsonObject = {}
    if isinstance(domains, list) and domains:
        found["domains"] = domains
    place = source.get("user_location")
    if isinstance(place, dict):
        found["place"] = {**place, **_nested_place(place)}
    size = source.get("search_context_size")
    if size is not None:
        found["size"] = size
    return found


def _lose_search_options(tool: Tool, rules: FormatRules, losses: Losses, path: str) -> None:
    """Gemini's search has options of its own alone; only OpenAI lets choose how much of it the model reads."""
    for member in ("googleSearch", "googleSearchRetrieval"):
        own = tool.raw.get(member)
        for name in own if isinstance(own, dict) else ():
            losses.add(f"{path}.{member}.{name}", "the target's search has no such option")
    options = _search_options(tool)
    lost = [name for name in options if name not in _TAKEN_OPTIONS.get(rules.format, ())]
    lost += [name for name in said(tool.raw) if name not in _SEARCH_MEMBERS]
    beside = tool.raw.get("web_search_options")
    lost += [name for name in said(beside or {}) if name not in _SEARCH_MEMBERS]
    for name in lost:
        spelled = _OPTION_NAMES.get(name, name)
        losses.add(f"{path}.{spelled}", "the target's search has no such option")


_OPTION_NAMES: Final = {"domains": "allowed_domains", "place": "user_location", "size": "search_context_size"}
_TAKEN_OPTIONS: Final[dict[FormatName, tuple[str, ...]]] = {
    "messages": ("domains", "place"),
    "responses": ("domains", "place", "size"),
}
# What is read of a declaration; any other member is an option of its vendor's own.
_SEARCH_MEMBERS: Final = frozenset(
    {
        "type",
        "name",
        "cache_control",
        "filters",
        "allowed_domains",
        "user_location",
        "search_context_size",
        "web_search_options",
        "googleSearch",
        "googleSearchRetrieval",
    }
)


def _nested_place(place: JsonObject) -> JsonObject:
    """Chat Completions nests the place in `approximate`; the others have it flat."""
    inner = place.get("approximate")
    return inner if isinstance(inner, dict) else {}


def _place(options: JsonObject) -> JsonObject:
    place = options.get("place")
    if place is None:
        return {}
    kept = {name: place[name] for name in ("city", "region", "country", "timezone") if place.get(name)}
    return {"user_location": {"type": "approximate", **kept}}


def _anthropic_search(options: JsonObject) -> JsonObject:
    domains = {"allowed_domains": options["domains"]} if "domains" in options else {}
    return {"type": "web_search_20250305", "name": WEB_SEARCH, **domains, **_place(options)}


def _openai_search(options: JsonObject) -> JsonObject:
    filters = {"filters": {"allowed_domains": options["domains"]}} if "domains" in options else {}
    size = {"search_context_size": options["size"]} if "size" in options else {}
    return {"type": "web_search", **filters, **_place(options), **size}


def _google_search(_options: JsonObject) -> JsonObject:
    return {"googleSearch": {}}


_SEARCHES: Final[dict[FormatName, Callable[[JsonObject], JsonObject]]] = {
    "messages": _anthropic_search,
    "responses": _openai_search,
    "generate_content": _google_search,
}
