"""Neutral messages and blocks to Responses items.

https://platform.openai.com/docs/api-reference/responses/create#responses-create-input
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import assert_never

from core.conversation import (
    Audio,
    Block,
    Document,
    Dropped,
    FormatName,
    Image,
    JsonObject,
    Message,
    Opaque,
    Origin,
    Reasoning,
    Refusal,
    Role,
    ServerToolCall,
    ServerToolResult,
    Source,
    Text,
    ToolCall,
    ToolResult,
    Video,
)
from core.errors import Unsupported
from core.formats.contract import Target
from core.formats.responses.content import (
    PART,
    add_cache,
    write_audio,
    write_file,
    write_image,
    write_refusal,
    write_text,
)
from core.formats.responses.read_items import item_note
from core.translation.losses import said

# Formats whose file ids are OpenAI's too.
_SAME_FILES: frozenset[FormatName] = frozenset({"responses", "chat_completions"})


class ItemWriter:
    """Writes the items of one conversation for `target`.

    `dropped` fills with what had to be left out; content that cannot be sent raises Unsupported.
    """

    def __init__(self, client_format: FormatName, target: Target) -> None:
        facts = target.facts
        self._client_format = client_format
        self._own = client_format == "responses"
        # A server of this API whose model is not known is OpenAI's (an Azure deployment may bear any name).
        self._origin = Origin(facts.vendor or "openai", target.backend)
        self._marks_caches = self._own or (facts.cache_marks and not facts.unknown)
        self._custom_calls: set[str] = set()
        self._part_messages = 0
        self.dropped: list[Dropped] = []

    def items(self, messages: Iterable[Message]) -> list[JsonObject]:
        """The input items of `messages`, in order."""
        result: list[JsonObject] = []
        for message in messages:
            if message.extra:
                self._check_extra(message.extra)
            for block in message.content:
                if extra := getattr(block, "extra", None):
                    self._check_extra(extra)
                if getattr(block, "cache", None) is not None:
                    self._check_cache(message.role)
            if message.role == "assistant":
                result += self._turn(message)
            else:
                result += self._input(message)
        return result

    # --- the assistant's items ------------------------------------------------------------------------------

    def _turn(self, message: Message) -> Iterator[JsonObject]:
        """A message item ends where another kind of block follows, or where the reader noted the next one. A text
        of another format is an item of its own: messages of several parts are only for what this API has said."""
        spoken: list[Text | Refusal | Opaque] = []
        for block in message.content:
            if isinstance(block, Text | Refusal) or (isinstance(block, Opaque) and self._is_part(block)):
                if spoken and (not self._own or item_note(block) is not None):
                    yield self._output_message(spoken)
                    spoken = []
                spoken.append(block)
                continue
            if spoken:
                yield self._output_message(spoken)
                spoken = []
            yield from self._turn_item(block)
        if spoken:
            yield self._output_message(spoken)

    def _output_message(self, spoken: list[Text | Refusal | Opaque]) -> JsonObject:
        first = spoken[0]
        shell = item_note(first) if self._own else None
        if shell is None:
            only = first if len(spoken) == 1 else None
            if isinstance(only, Text) and not only.citations:
                return {"role": "assistant", "content": only.text}
            # A message of parts must have an id and a status; its place in the input is the same on every turn.
            self._part_messages += 1
            minted = {"type": "message", "id": f"msg_{self._part_messages:032}", "status": "completed"}
            return {**minted, "role": "assistant", "content": self._spoken_parts(spoken)}
        if shell.get("empty"):
            return {**shell["members"], "content": []}
        if shell.get("plain") and isinstance(first, Text):
            return {**shell["members"], "content": first.text}
        return {**shell["members"], "content": self._spoken_parts(spoken)}

    def _spoken_parts(self, spoken: list[Text | Refusal | Opaque]) -> list[JsonObject]:
        return [self._spoken_part(block) for block in spoken]

    def _spoken_part(self, block: Text | Refusal | Opaque) -> JsonObject:
        if isinstance(block, Text):
            return write_text(block, assistant=True, own=self._own)
        return write_refusal(block, own=self._own) if isinstance(block, Refusal) else block.raw

    def _turn_item(self, block: Block) -> Iterator[JsonObject]:
        assert not isinstance(block, Text | Refusal)  # the caller has gathered these
        match block:
            case Reasoning():
                yield from self._reasoning(block)
            case ToolCall():
                yield self._tool_call(block)
            case ServerToolCall() | ServerToolResult():
                if block.format == "responses":
                    yield block.raw
                else:
                    self._drop("messages", f"the history of the {block.format} format's own {block.tool} tool")
            case Opaque():
                yield from self._opaque(block)
            case ToolResult():
                yield self._tool_result(block)
            case Image() | Document() | Audio() | Video():
                raise Unsupported("messages", "Responses takes no media from the assistant.")
            case _:  # pragma: no cover
                assert_never(block)

    def _reasoning(self, block: Reasoning) -> Iterator[JsonObject]:
        """A reasoning item, for state that the target issued: foreign state is answered with a 400, and foreign
        thoughts must not become visible text either. An id alone is good where the client keeps its answers
        with the backend."""
        origin = block.origin
        readable = origin is not None and origin.vendor == self._origin.vendor
        if not readable or not (block.encrypted or (self._own and block.id)):
            self._drop("messages", "reasoning that the target's models cannot read")
        elif origin is not None and origin.model not in ("", self._origin.model):
            self._drop("messages", "reasoning that was encrypted by another backend")
        else:
            yield write_reasoning(block, block.encrypted)

    def _tool_call(self, block: ToolCall) -> JsonObject:
        if block.kind == "custom":
            self._custom_calls.add(block.id)
        return write_tool_call(block, own=self._own)

    # --- everybody else's items -----------------------------------------------------------------------------

    def _input(self, message: Message) -> Iterator[JsonObject]:
        """Tool results and whole items stand by themselves; runs of other blocks are messages."""
        parts: list[JsonObject] = []
        for block in message.content:
            if isinstance(block, ToolResult) or (isinstance(block, Opaque) and not self._is_part(block)):
                if parts:
                    yield self._input_message(message, parts)
                    parts = []
                if isinstance(block, ToolResult):
                    yield self._tool_result(block)
                else:
                    yield from self._opaque(block)
                continue
            parts += self._parts([block])
        if parts or (self._own and not message.content):
            yield self._input_message(message, parts)

    def _input_message(self, message: Message, parts: list[JsonObject]) -> JsonObject:
        role = "user" if message.role == "tool" else message.role
        extra = {**_members_of(message), **message.extra} if self._own else {}
        if message.plain and len(parts) == 1 and "text" in parts[0]:
            return {**extra, "role": role, "content": parts[0]["text"]}
        return {**extra, "role": role, "content": parts}

    def _tool_result(self, block: ToolResult) -> JsonObject:
        custom = block.kind == "custom" or block.call_id in self._custom_calls
        item: JsonObject = {"type": "custom_tool_call_output" if custom else "function_call_output"}
        if block.call_id:
            item["call_id"] = block.call_id
        item["output"] = self._output(block)
        if self._own:
            if block.name is not None:
                item["name"] = block.name
            item.update(_members_of(block))
            item.update(block.extra)
        return item

    def _output(self, block: ToolResult) -> str | list[JsonObject]:
        parts = self._parts(block.content)
        if block.cache is not None and self._marks_caches and parts:
            add_cache(parts[-1], block.cache)
        if block.is_error:
            # The format has no flag for it, so the model is told in words.
            parts.insert(0, {"type": "input_text", "text": "The tool call failed:"})
            if all(part.keys() == {"type", "text"} for part in parts):
                return "\n".join(part["text"] for part in parts)
        if len(parts) == 1 and parts[0].keys() == {"type", "text"} and (block.plain or not self._own):
            text = parts[0]["text"]
            return text if isinstance(text, str) else parts
        return parts if parts or self._own else ""

    # --- content --------------------------------------------------------------------------------------------

    def _parts(self, blocks: Iterable[Block]) -> list[JsonObject]:
        parts: list[JsonObject] = []
        for block in blocks:
            if type(block) is Text:
                parts.append(write_text(block, assistant=False, own=self._own))
            else:
                parts += self._part(block)
            if not self._marks_caches and parts:
                parts[-1].pop("prompt_cache_breakpoint", None)
        return parts

    def _part(self, block: Block) -> Iterator[JsonObject]:
        assert not isinstance(block, Text)  # the caller writes these
        match block:
            case Refusal():
                yield {"type": "input_text", "text": block.text}
            case Image():
                self._check_source(block.source, "an image")
                yield write_image(block, own=self._own)
            case Document():
                yield from self._document(block)
            case Audio():
                self._check_source(block.source, "audio")
                yield write_audio(block, own=self._own)
            case Video():
                raise Unsupported("messages", "The Responses API takes no video.")
            case Opaque():
                yield from self._opaque(block)
            case ServerToolCall() | ServerToolResult():
                self._drop("messages", f"the history of the {block.format} format's own {block.tool} tool")
            case Reasoning() | ToolCall() | ToolResult():
                raise Unsupported("messages", f"A {type(block).__name__} cannot stand in a user's message.")
            case _:  # pragma: no cover
                assert_never(block)

    def _document(self, block: Document) -> Iterator[JsonObject]:
        """A text document is text: not every server reads such files. Nested content is laid out flat."""
        source = block.source
        if source.kind in ("text", "blocks"):
            heading = "\n".join(text for text in (block.name, block.context) if text)
            if heading:
                yield {"type": "input_text", "text": heading}
            yield from [{"type": "input_text", "text": source.data}] if source.kind == "text" else []
            yield from self._parts(source.blocks)
            return
        self._check_source(source, "a document")
        yield write_file(block, own=self._own)

    def _check_source(self, source: Source, what: str) -> None:
        self._check_extra(source.extra)
        kind = source.kind
        if kind == "file_id" and self._client_format not in _SAME_FILES:
            raise Unsupported("messages", f"The file id of {what} is known to its own vendor only.")
        if kind not in ("base64", "url", "file_id"):
            raise Unsupported("messages", f"The Responses API takes no {kind} source for {what}.")

    def _opaque(self, block: Opaque) -> Iterator[JsonObject]:
        if block.format == "responses":
            yield block.raw
        elif block.content:
            raise Unsupported("messages", f"The Responses API has nothing like '{block.kind}'.")
        else:
            self._drop("messages", f"'{block.kind}' is known to the {block.format} format only")

    def _check_extra(self, extra: JsonObject) -> None:
        """Members that only the client's own format has are left out, and said so."""
        if not self._own:
            for name in said(extra):
                self._drop(f"messages.{name}", "the Responses API has no such member")

    def _check_cache(self, role: Role) -> None:
        """Cache breakpoints stand on input parts only, and only where the model is known to take them."""
        if role == "assistant" or not self._marks_caches:
            self._drop("cache", "a cache breakpoint that the target does not take")

    def _is_part(self, block: Opaque) -> bool:
        return block.format == "responses" and block.kind.startswith(PART)

    def _drop(self, path: str, reason: str) -> None:
        warning = Dropped(path, reason)
        if warning not in self.dropped:
            self.dropped.append(warning)


def write_tool_call(block: ToolCall, *, own: bool) -> JsonObject:
    """A function_call or custom_tool_call item. OpenAI refuses empty arguments: no arguments are `{}`."""
    item: JsonObject = {"type": "custom_tool_call" if block.kind == "custom" else "function_call"}
    if own:
        item.update(_members_of(block))
        item.update(block.extra)
    item["call_id"] = block.id
    item["name"] = block.name
    if block.kind == "custom":
        item["input"] = block.arguments
    else:
        item["arguments"] = block.arguments or ("" if own else "{}")
    if block.namespace is not None:
        item["namespace"] = block.namespace
    return item


def _members_of(node: Message | ToolCall | ToolResult) -> JsonObject:
    """The members that the reader noted because they only identify the item."""
    noted: JsonObject = (node.note or {}).get("members", {})
    return noted


def write_reasoning(block: Reasoning, encrypted: str | None) -> JsonObject:
    """A reasoning item whose `encrypted_content` is `encrypted`."""
    item: JsonObject = {"type": "reasoning", **block.extra}
    if block.id is not None:
        item["id"] = block.id
    summary = block.texts if block.form == "summary" else []
    item["summary"] = [{"type": "summary_text", "text": text} for text in summary]
    if block.form == "raw" and block.texts:
        item["content"] = [{"type": "reasoning_text", "text": text} for text in block.texts]
    if encrypted is not None:
        item["encrypted_content"] = encrypted
    return item
