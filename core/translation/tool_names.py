"""Gives tools and calls the names and ids that a target accepts, and restores the client's own in the answer.

Names are aliased in a fixed order (those that fit, then the other tools on offer, then names that only the
history knows), so the same conversation has the same aliases on every turn. Ids are mapped by a hash, without
any table.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import sha256
from importlib import import_module
from typing import Final, Literal

from core.conversation import Answer, Block, Conversation, Message, Tool, ToolCall, ToolChoice, ToolResult
from core.events import Event, PartDelta, PartEnded, PartStarted
from core.models.facts import ModelFacts
from core.slotted import field, replace, slotted
from core.translation.custom_tools import Unwrapper, unwrapped_arguments, wrapped_arguments, wrapped_tool
from core.translation.losses import Losses
from core.translation.rebuilt import with_content
from core.translation.rules import FormatRules

type ToolKey = tuple[str | None, str]


def call_id(original: str, rules: FormatRules) -> str:
    """`original` where the target accepts it, else an id from its hash: the same in calls and results."""
    if rules.call_id.fullmatch(original):
        return original
    return "call_" + sha256(original.encode("utf-8", "surrogatepass")).hexdigest()[:24]


@slotted
class _Original:
    name: str
    namespace: str | None
    kind: Literal["function", "custom"]


@slotted
class ToolMap:
    """Both directions of the renaming. `wraps_custom`: free-text tools go out as functions. `calls`: the alias of the
    tool of each call in the history, by the client's id of it; `repeats`: an id occurs twice. `taken`: names of the
    vendor's own tools."""

    rules: FormatRules
    wraps_custom: bool
    aliases: dict[ToolKey, str] = field(default_factory=dict)
    originals: dict[str, _Original] = field(default_factory=dict)
    calls: dict[str, str] = field(default_factory=dict)
    repeats: bool = False
    taken: set[str] = field(default_factory=set)

    def alias(self, name: str, namespace: str | None) -> str:
        """The name under which the target knows a tool; unknown names are aliased on the spot."""
        found = self.aliases.get((namespace, name))
        return found if found is not None else self.register(name, namespace, "function")

    def register(self, name: str, namespace: str | None, kind: Literal["function", "custom"]) -> str:
        """Reserves an alias for a tool; the first to ask for a name gets it, the next one a hash."""
        key = (namespace, name)
        if key in self.aliases:
            return self.aliases[key]
        alias = self._fitting(name, namespace)
        if alias in self.originals or alias in self.taken:
            alias = self._hashed(alias, f"{namespace}\0{name}")
        self.aliases[key] = alias
        self.originals[alias] = _Original(name, namespace, kind)
        return alias

    def _fitting(self, name: str, namespace: str | None) -> str:
        full = name
        if namespace is not None and not self.rules.native_namespaces:
            full = f"{namespace}{self.rules.namespace_separator}{name}"
        if self.rules.tool_name.fullmatch(full):
            return full
        cleaned = re.sub(f"[^{self.rules.tool_name_characters}]", "_", full) or "_"
        if not self.rules.tool_name.fullmatch(cleaned[0]):
            cleaned = f"_{cleaned}"
        if len(cleaned) > self.rules.tool_name_length:
            return self._hashed(cleaned, full)
        return cleaned

    def _hashed(self, alias: str, seed: str) -> str:
        digest = sha256(seed.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        return f"{alias[: self.rules.tool_name_length - 9]}_{digest}"

    def is_identity(self) -> bool:
        """Whether no answer needs anything restored."""
        return all(
            alias == original.name and original.namespace is None and original.kind == "function"
            for alias, original in self.originals.items()
        )

    def restored(self, call: ToolCall) -> ToolCall:
        """A call by the model, under the client's names; free text is unwrapped."""
        original = self.originals.get(call.name)
        if original is None:
            return call
        arguments = call.arguments
        if self.unwraps(call.name):
            arguments = unwrapped_arguments(arguments)
        namespace = original.namespace if call.namespace is None else call.namespace
        return replace(call, name=original.name, namespace=namespace, kind=original.kind, arguments=arguments)

    def unwraps(self, alias: str) -> bool:
        """Whether the arguments of a call of `alias` are a wrapping around free text."""
        original = self.originals.get(alias)
        return self.wraps_custom and original is not None and original.kind == "custom"


def tool_map(conversation: Conversation, rules: FormatRules, facts: ModelFacts) -> ToolMap:
    """The renaming that the tools of `conversation` need for a target of these rules and facts. `mapped_messages` adds
    the tools that its history alone knows."""
    mapping = ToolMap(rules, not (rules.native_custom_tools and facts.custom_tools))
    if rules.named_server_tools and conversation.format != rules.format:
        mapping.taken.update([tool.name for tool in conversation.tools if tool.kind == "server"])
    odd: list[Tool] = []
    for tool in conversation.tools:
        if tool.kind == "server":
            continue
        if tool.name not in mapping.taken and tool.namespace is None and rules.tool_name.fullmatch(tool.name):
            mapping.register(tool.name, None, "custom" if tool.kind == "custom" else "function")
        else:
            odd.append(tool)
    for tool in odd:
        mapping.register(tool.name, tool.namespace, "custom" if tool.kind == "custom" else "function")
    return mapping


def mapped_tools(tools: list[Tool], mapping: ToolMap, losses: Losses) -> list[Tool]:
    """The tools on offer under their aliases, each once where the target wants that; free-text ones wrapped where the
    target has none."""
    result: list[Tool] = []
    offered: set[tuple[str | None, str]] = set()
    for tool in tools:
        if tool.kind == "server":
            result.append(tool)
            continue
        mapped = tool
        if tool.kind == "custom" and mapping.wraps_custom:
            mapped = wrapped_tool(tool)
            if tool.grammar:
                losses.add("tools", f"the grammar of the custom tool {tool.name!r} is advice only, not enforced")
        namespace = tool.namespace if mapping.rules.native_namespaces else None
        if namespace is None and ((tool.note or {}).get("namespace") or {}).get("description"):
            losses.add("tools", f"the target has no description of the namespace {tool.namespace!r}")
        alias = mapping.alias(tool.name, tool.namespace)
        if (namespace, alias) in offered and not mapping.rules.repeated_tools:
            losses.add("tools", f"a second tool of the name {tool.name!r} was left out")
            continue
        offered.add((namespace, alias))
        if alias != mapped.name or namespace != mapped.namespace:
            mapped = replace(mapped, name=alias, namespace=namespace)
        result.append(mapped)
    return result


def mapped_choice(choice: ToolChoice | None, conversation: Conversation, mapping: ToolMap) -> ToolChoice | None:
    """The tool choice under the aliases. A name that several namespaces share means the first of them. The vendor's
    own tools keep their names; of several that are allowed, those count that are on offer still."""
    if choice is None or not choice.names:
        return choice
    namespaces = {tool.name: tool.namespace for tool in reversed(conversation.tools)}
    wanted = [name for name in choice.names if name in namespaces] or choice.names
    own = {tool.name for tool in conversation.tools if tool.kind == "server"} - {name for _, name in mapping.aliases}
    names = [name if name in own else mapping.alias(name, namespaces.get(name)) for name in wanted]
    # A format keeps its own form of the choice in `extra`, under the names as they were.
    return replace(choice, names=names, extra=choice.extra if names == choice.names else {})


def mapped_messages(messages: list[Message], mapping: ToolMap) -> list[Message]:
    """Past calls and their results under the aliases and mapped ids. Tools that are not on offer any more are added to
    `mapping`."""
    result: list[Message] = []
    for message in messages:
        if not _MAPPED.isdisjoint(map(type, message.content)):
            message = with_content(message, [_mapped_block(block, mapping) for block in message.content])
        result.append(message)
    if not mapping.repeats:
        return result
    mapping.calls, mapping.repeats = {}, False
    distinct: Callable[[list[Message]], list[Message]] = import_module("core.translation.call_ids").with_distinct_calls
    return mapped_messages(distinct(messages), mapping)


_MAPPED: Final = frozenset({ToolCall, ToolResult})


def _mapped_block(block: Block, mapping: ToolMap) -> Block:
    if isinstance(block, ToolCall):
        return _mapped_call(block, mapping)
    return _mapped_result(block, mapping) if isinstance(block, ToolResult) else block


def _mapped_call(call: ToolCall, mapping: ToolMap) -> ToolCall:
    if call.id in mapping.calls:
        mapping.repeats = True
    alias = mapping.calls[call.id] = mapping.register(call.name, call.namespace, call.kind)
    id = call_id(call.id, mapping.rules)
    if alias == call.name and id == call.id and call.kind == "function" and call.namespace is None:
        return call
    wraps = call.kind == "custom" and mapping.wraps_custom
    return replace(
        call,
        id=id,
        name=alias,
        namespace=call.namespace if mapping.rules.native_namespaces else None,
        kind="function" if wraps else call.kind,
        arguments=wrapped_arguments(call.arguments) if wraps else call.arguments,
    )


def _mapped_result(result: ToolResult, mapping: ToolMap) -> ToolResult:
    id, name = call_id(result.call_id, mapping.rules), result.name
    if name is not None:
        name = mapping.calls.get(result.call_id, name)
    kind = "function" if mapping.wraps_custom else result.kind
    if (id, name, kind) == (result.call_id, result.name, result.kind):
        return result
    return ToolResult(id, result.content, result.is_error, name, kind, result.plain, result.cache, result.extra)


class ToolRestorer:
    """Restores the client's tool names in an answer, whole or streamed. One object serves one answer."""

    def __init__(self, mapping: ToolMap) -> None:
        self._mapping = mapping
        self._unwrapper: Unwrapper | None = None

    def answer(self, answer: Answer) -> Answer:
        """The answer with every call under the client's names."""
        content = [self._mapping.restored(block) if isinstance(block, ToolCall) else block for block in answer.content]
        return replace(answer, content=content)

    def feed(self, event: Event) -> list[Event]:
        """The event, or what becomes of it: wrapped free text comes out as it is written."""
        match event:
            case PartStarted(block=ToolCall() as call):
                self._unwrapper = Unwrapper() if self._mapping.unwraps(call.name) else None
                return [PartStarted(event.index, self._mapping.restored(call))]
            case PartDelta(kind="arguments") if self._unwrapper is not None:
                text = self._unwrapper.feed(event.value)
                return [replace(event, value=text)] if text else []
            case PartEnded(block=ToolCall() as call):
                return [*self._rest(event.index), PartEnded(event.index, self._mapping.restored(call))]
            case _:
                return [event]

    def _rest(self, index: int) -> list[Event]:
        unwrapper, self._unwrapper = self._unwrapper, None
        rest = unwrapper.close() if unwrapper is not None else ""
        return [PartDelta(index, "arguments", rest)] if rest else []
