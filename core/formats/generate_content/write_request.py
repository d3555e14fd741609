"""The neutral conversation as a generateContent body. https://ai.google.dev/api/generate-content

`core.translation` has made names, turns and reasoning fit before this. What the format has no member for is in
`Written.dropped`; content that it cannot hold raises Unsupported.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Final

from core.conversation import (
    Audio,
    Block,
    Conversation,
    Document,
    Image,
    JsonObject,
    Message,
    Opaque,
    Reasoning,
    ReasoningRequest,
    Refusal,
    ServerToolCall,
    ServerToolResult,
    Source,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Video,
    leading_system,
)
from core.errors import Unsupported
from core.formats.arguments import read_arguments
from core.formats.contract import Target, Written
from core.formats.generate_content.parts import (
    MINTED,
    write_call,
    write_media,
    write_reasoning,
)
from core.formats.generate_content.schema import SchemaCleaner
from core.models.facts import ModelFacts
from core.slotted import field, replace, slotted
from core.translation.losses import Losses, said
from core.translation.paths import client_path

# The other formats' words for Google's tiers; "auto" is the default everywhere.
_TIERS: Final = {"default": "standard", "standard_only": "standard", "flex": "flex", "priority": "priority"}
_SAMPLING: Final = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "seed": "seed",
    "n": "candidateCount",
    "logprobs": "responseLogprobs",
    "top_logprobs": "logprobs",
}
_FUNCTIONS: Final = ("function", "custom")
_SEEDS: Final = range(-(2**31), 2**31)
# Neutral members for which the format has nothing, under the names that clients know them by.
_NO_MEMBER: Final = ("verbosity", "user", "metadata", "cache_key", "previous_response_id")


def write_request(conversation: Conversation, target: Target) -> Written:
    """The body for `target`. Raises Unsupported for content that no part can hold."""
    own = conversation.format == "generate_content"
    choice = conversation.tool_choice
    if not own and choice is not None and choice.mode == "none":
        # Gemini's word for it is one about functions: its own tools are not offered.
        conversation = replace(conversation, tools=[tool for tool in conversation.tools if tool.kind in _FUNCTIONS])
    return _Writer(conversation, target.facts, Losses(conversation.format), own).written()


@slotted
class _Writer:
    conversation: Conversation
    facts: ModelFacts
    losses: Losses
    own: bool
    names: dict[str, str] = field(default_factory=dict)

    def lose(self, name: str, reason: str) -> None:
        """Warns that `name` was left out; its head is a neutral name (`messages`, `tools`) or the client's own."""
        head, bracket, rest = name.partition("[")
        self.losses.add(f"{client_path(self.conversation.format, head)}{bracket}{rest}", reason)

    def written(self) -> Written:
        conversation = self.conversation
        extra = dict(conversation.extra) if self.own else {}
        body: JsonObject = {}
        head = leading_system(self.conversation.messages)
        if head:
            parts = [part for message in conversation.messages[:head] for part in self._parts(message.content)]
            body["systemInstruction"] = {"parts": parts}
        body["contents"] = [self._content(message) for message in conversation.messages[head:]]
        tools = self._tools()
        if tools:
            body["tools"] = tools
        config = {**extra.pop("toolConfig", {}), **self._tool_config()}
        if config:
            body["toolConfig"] = config
        generation = {**self._generation(), **extra.pop("generationConfig", {})}
        if generation:
            body["generationConfig"] = generation
        self._rest(body)
        return Written({**body, **extra}, dropped=self.losses.dropped)

    def _service_tier(self, body: JsonObject) -> None:
        tier = self.conversation.service_tier
        if tier is None or tier == "auto":
            return
        written = _TIERS.get(tier, tier if self.own else None)
        if written is None:
            self.lose("service_tier", f"Gemini has no tier '{tier}'")
        else:
            body["serviceTier"] = written

    def _rest(self, body: JsonObject) -> None:
        """Members beside content, tools and generation: written where they are the format's own."""
        conversation = self.conversation
        self._service_tier(body)
        if self.own:
            if conversation.store is not None:
                body["store"] = conversation.store
            return
        for name in (*_NO_MEMBER, "store"):
            if getattr(conversation, name) not in (None, False):
                self.lose(name, "Gemini has no such member")
        if conversation.betas:
            self.lose("betas", "betas are Anthropic's own")
        for name in conversation.extra:
            self.lose(name, "Gemini has no such member")

    # --- contents ---

    def _content(self, message: Message) -> JsonObject:
        role = "model" if message.role == "assistant" else "user"
        if self.own:
            return {"role": role, "parts": self._parts(message.content), **message.extra}
        for name in said(message.extra):
            self.lose(f"messages[].{name}", "Gemini has no such member")
        parts = self._parts(message.content)
        if len(parts) > 1:
            # The responses to a turn's calls stand together, before the media that came with them.
            parts.sort(key=lambda part: "functionResponse" not in part)
        return {"role": role, "parts": parts}

    def _parts(self, content: Iterable[Block]) -> list[JsonObject]:
        return [part for block in content for part in self._block(block)]

    def _block(self, block: Block) -> list[JsonObject]:
        if not self.own and not isinstance(block, Reasoning) and (extra := getattr(block, "extra", None)):
            self._foreign_members(extra)
        match block:
            case Text():
                return [self._text(block)]
            case ToolCall():
                self.names[block.id] = block.name
                return [write_call(block, own=self.own)]
            case ToolResult():
                return self._result(block)
            case Image() | Document() | Audio() | Video():
                return self._media(block)
            case Reasoning():
                return self._reasoning(block)
            case Refusal():
                return [{"text": block.text}]
            case _:
                return self._raw(block)

    def _foreign_members(self, extra: JsonObject) -> None:
        for name in said(extra):
            self.lose(f"messages[].content[].{name}", "Gemini has no such member")

    def _text(self, block: Text) -> JsonObject:
        written: JsonObject = {"text": block.text}
        if self.own:
            written.update(block.extra)
        if block.signature:
            written["thoughtSignature"] = block.signature
        return written

    def _reasoning(self, block: Reasoning) -> list[JsonObject]:
        if block.origin is not None and block.origin.vendor == "google":
            return [{**write_reasoning(block), **(block.extra if self.own else {})}]
        self.lose("messages[].content[]", "reasoning of another vendor was left out")
        return []

    def _raw(self, block: ServerToolCall | ServerToolResult | Opaque) -> list[JsonObject]:
        if block.format == "generate_content":
            return [block.raw]
        if isinstance(block, Opaque) and block.content:
            raise Unsupported("messages", f"Gemini has nothing that could hold a {block.kind!r} block.")
        self.lose("messages[].content[]", "blocks of another vendor's own tools were left out")
        return []

    def _media(self, block: Image | Document | Audio | Video) -> list[JsonObject]:
        source = block.source
        match source.kind:
            case "text":
                data = base64.b64encode(source.data.encode("utf-8", "replace")).decode()
                media_type = source.media_type or "text/plain"
                return [{"inlineData": {"mimeType": media_type, "data": data}}]
            case "blocks":
                return self._parts(source.blocks)
            case "base64" | "url":
                return [self._with_name(write_media(block), block)]
            case _:
                raise Unsupported("messages", f"Gemini cannot read a source of kind {_kind(source)}.")

    def _with_name(self, part: JsonObject, block: Image | Document | Audio | Video) -> JsonObject:
        if not self.own:
            for member in ("detail", "name", "context", "citations"):
                if getattr(block, member, None) not in (None, False, "", "auto"):
                    self.lose(f"messages[].content[].{member}", "Gemini has no such member beside media")
            return part
        extra = dict(block.extra)
        name = block.name if isinstance(block, Document) else extra.pop("displayName", None)
        if name:
            inner = next(iter(part.values()))
            inner["displayName"] = name
        return {**part, **extra}

    def _result(self, block: ToolResult) -> list[JsonObject]:
        texts = [inner.text for inner in block.content if isinstance(inner, Text)]
        others = [part for inner in block.content if not isinstance(inner, Text) for part in self._block(inner)]
        inner: JsonObject = {"name": block.name or self.names.get(block.call_id, "unknown")}
        if not block.call_id.startswith(MINTED):
            inner = {"id": block.call_id, **inner}
        inner["response"] = _response("\n".join(texts), failed=bool(block.is_error))
        if others and self.facts.signed_calls:
            # Gemini 3 and later take media inside a function's response.
            inner["parts"] = others
            others = []
        return [{"functionResponse": {**inner, **(block.extra if self.own else {})}}, *others]

    # --- tools ---

    def _tools(self) -> list[JsonObject]:
        cleaner = SchemaCleaner()
        functions: list[JsonObject] = []
        tools: list[JsonObject] = []
        for tool in self.conversation.tools:
            if tool.kind in _FUNCTIONS:
                functions.append(self._function(tool, cleaner))
            elif tool.format == "generate_content":
                tools.append(tool.raw)
            else:
                raise Unsupported("tools", f"Gemini has no tool {tool.name!r}.")
        for name in cleaner.lost:
            self.lose(f"tools[].parameters.{name}", "Gemini's schemas have no such constraint")
        return [{"functionDeclarations": functions}, *tools] if functions else tools

    def _function(self, tool: Tool, cleaner: SchemaCleaner) -> JsonObject:
        written: JsonObject = {"name": tool.name}
        if tool.description:
            written["description"] = tool.description
        if tool.parameters is not None:
            written["parametersJsonSchema"] = cleaner.clean(tool.parameters)
        if self.own:
            return {**written, **tool.extra}
        for name in said(tool.extra):
            self.lose(f"tools[].{name}", "Gemini has no such member")
        return written

    def _tool_config(self) -> JsonObject:
        functions = [tool for tool in self.conversation.tools if tool.kind in _FUNCTIONS]
        if self.conversation.parallel_tool_calls is False:
            self.lose("parallel_tool_calls", "Gemini has no switch for it: calls after the first are left out")
        choice = self._choice(functions)
        if not functions:
            return {}
        # Google's own tools beside functions: its API wants to be told so, and then validates calls by itself.
        mixed = not self.own and len(functions) < len(self.conversation.tools)
        config: JsonObject = {"includeServerSideToolInvocations": True} if mixed else {}
        strict = mixed or any(tool.strict for tool in functions)
        if choice is None:
            return {**config, "functionCallingConfig": {"mode": "VALIDATED"}} if strict and not self.own else config
        calling = _calling(choice, strict)
        return {**config, "functionCallingConfig": {**calling, **(choice.extra if self.own else {})}}

    def _choice(self, functions: list[Tool]) -> ToolChoice | None:
        """The choice of tools, which is one of functions here: Google's own tools cannot be demanded."""
        choice = self.conversation.tool_choice
        if choice is None or self.own or len(functions) == len(self.conversation.tools):
            return choice
        googles = {tool.name for tool in self.conversation.tools if tool not in functions}
        names = [name for name in choice.names if name not in googles]
        if functions and len(names) == len(choice.names):
            return choice
        if choice.mode != "auto":
            self.lose("tool_choice", "Gemini cannot be made to use its own tools")
        return replace(choice, names=names) if names else None

    # --- generation ---

    def _generation(self) -> JsonObject:
        conversation = self.conversation
        config: JsonObject = {}
        for name, member in _SAMPLING.items():
            value = getattr(conversation.sampling, name)
            if name == "seed" and value is not None and value not in _SEEDS:
                self.lose("seed", "Gemini's seeds have 32 bits")
            elif value is not None:
                config[member] = value
        if conversation.sampling.logit_bias:
            self.lose("logit_bias", "Gemini has no such member")
        if conversation.max_tokens is not None:
            config["maxOutputTokens"] = conversation.max_tokens
        if conversation.stop:
            config["stopSequences"] = conversation.stop
        config.update(self._output_format())
        if conversation.reasoning is not None:
            thinking = _thinking(conversation.reasoning, self.facts, own=self.own)
            if thinking:
                config["thinkingConfig"] = thinking
        return config

    def _output_format(self) -> JsonObject:
        wanted = self.conversation.output_format
        if wanted is None or wanted.kind == "text":
            return {}
        config: JsonObject = {"responseMimeType": "application/json"}
        if wanted.kind == "json_schema" and wanted.schema is not None:
            cleaner = SchemaCleaner()
            config["responseJsonSchema"] = cleaner.clean(wanted.schema)
            for name in cleaner.lost:
                path = f"{client_path(self.conversation.format, 'output_format')}.schema.{name}"
                self.losses.add(path, "Gemini's schemas have no such constraint")
        return {**config, **(wanted.extra if self.own else {})}


def _kind(source: Source) -> str:
    return {"file_id": "another vendor's file id", "s3": "S3 location"}[source.kind]


def _response(text: str, *, failed: bool) -> JsonObject:
    """A function's response: an object as it is, anything else under `output`, or `error`."""
    value = read_arguments(text)
    if text.strip() and "_raw" not in value and (not failed or set(value) == {"error"}):
        return value
    return {"error" if failed else "output": text}


def _calling(choice: ToolChoice, strict: bool) -> JsonObject:
    match choice.mode:
        case "none":
            return {"mode": "NONE"}
        case "required":
            return {"mode": "ANY"}
        case "named":
            return {"mode": "ANY", "allowedFunctionNames": choice.names}
        case "allowed":
            return {"mode": "ANY" if choice.required else "VALIDATED", "allowedFunctionNames": choice.names}
        case _:
            return {"mode": "VALIDATED" if strict else "AUTO"}


def _thinking(request: ReasoningRequest, facts: ModelFacts, *, own: bool) -> JsonObject:
    """`thinkingConfig`: a level for Gemini 3 and later, a budget before."""
    config: JsonObject = {}
    match request.mode:
        case "off":
            config["thinkingBudget"] = 0
        case "adaptive" if own or not facts.thinking_levels:
            config["thinkingBudget"] = -1
        case "budget" if request.budget is not None:
            config["thinkingBudget"] = request.budget
        case "effort" if request.effort is not None:
            config["thinkingLevel"] = request.effort.upper()
        case _:
            pass
    if request.display is not None and request.mode != "off":
        config["includeThoughts"] = request.display != "none"
    return {**config, **(request.extra if own else {})}
