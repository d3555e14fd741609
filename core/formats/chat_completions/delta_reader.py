"""Reads the `delta` of a chunk (or the `message` of a whole answer, which has the same members) into parts."""

from __future__ import annotations

from typing import Any

from core.conversation import Citation, Image, JsonObject, Opaque, Origin, Reasoning, Refusal, Text, ToolCall
from core.formats import envelope
from core.formats.chat_completions.call_slots import CallSlot, CallSlots, thought_signature
from core.formats.chat_completions.part_stream import PartStream
from core.formats.chat_completions.read_content import read_source
from core.formats.chat_completions.reasoning_slots import ITEM_VENDORS, origin_of

# What a delta of text alone has.
_PLAIN = frozenset({"role", "content"})
# What ends a call that is open, and what belongs to calls.
_ENDS_CALLS = frozenset({"thinking_blocks", "reasoning_content", "reasoning", "refusal", "images", "audio"})
_MAY_END_CALLS = _ENDS_CALLS | {"reasoning_details"}
_OF_CALLS = ("tool_calls", "function_call", "extra_content")


class BrokenDelta(ValueError):
    """Fragments that do not fit together; the stream cannot be trusted any more."""


class DeltaReader:
    """Turns deltas into events, in `parts.events`.

    The first open tool call is streamed, later ones wait until it is complete: neutral parts never overlap.
    """

    def __init__(self, vendor: str) -> None:
        self.parts = PartStream()
        self.response_id = ""
        self.refused = False
        self._vendor = vendor
        self._calls = CallSlots()
        self._open_slot: CallSlot | None = None
        self._waiting: list[CallSlot | str | JsonObject] = []
        self._detail_key: tuple[str, Any] | None = None
        self._call_signatures: dict[str, str] = {}

    @property
    def called(self) -> bool:
        """Whether there was a tool call."""
        return bool(self._calls.slots)

    def read(self, delta: JsonObject) -> None:
        """Takes one delta. Raises BrokenDelta."""
        if self._open_slot is not None and not _MAY_END_CALLS.isdisjoint(delta):
            delta = self._of_calls(delta, self._open_slot)
        content = delta.get("content")
        has_more = not _PLAIN.issuperset(delta)
        if has_more:
            self._read_reasoning(delta)
        if content:
            self._read_content(content)
        if has_more:
            self._read_rest(delta)

    def finish(self) -> None:
        """Closes everything; what waited comes out."""
        self._drain()
        self.parts.close()
        for signature in self._call_signatures.values():  # no call had these ids
            self.parts.whole(Reasoning(signature=signature, origin=Origin("google")))

    def _of_calls(self, delta: JsonObject, slot: CallSlot) -> JsonObject:
        """What of `delta` is read at once. All but calls waits where it would cut off the open call `slot`."""
        ends = any(delta.get(name) for name in _ENDS_CALLS) or not all(
            self._signs_call(detail) for detail in _dicts(delta.get("reasoning_details"))
        )
        if not ends or (slot.is_complete() and not self._waiting):
            return delta
        self._waiting.append({name: value for name, value in delta.items() if name not in _OF_CALLS})
        return {name: delta[name] for name in _OF_CALLS if name in delta}

    def _read_held(self, delta: JsonObject) -> None:
        """Reads what waited, before what waits behind it."""
        waiting, self._waiting = self._waiting, []
        self.read(delta)
        self._waiting = waiting

    # --- text ---

    def _read_content(self, content: Any) -> None:
        if isinstance(content, str):
            self.read_text(content)
        elif isinstance(content, list):
            for part in content:
                if isinstance(part, dict):
                    self._read_part(part)

    def _read_part(self, part: JsonObject) -> None:
        """Databricks sends a list, Mistral too: text and reasoning parts."""
        text = part.get("text")
        kind = part.get("type")
        if isinstance(text, str) and text:
            self.read_text(text)
        elif kind == "reasoning":
            for entry in _dicts(part.get("summary")):
                self._thinking(_string(entry.get("text")), _string(entry.get("signature")), _string(entry.get("data")))
        elif kind == "thinking":
            for entry in _dicts(part.get("thinking")):
                self._reasoning(_string(entry.get("text")), ("text", None))

    def read_text(self, text: str) -> None:
        """Takes text; it waits while a tool call is under way."""
        parts = self.parts
        if isinstance(parts.block, Text):
            parts.text("text", text)
            return
        if self._open_slot is not None:
            if self._waiting or not self._open_slot.is_complete():
                self._waiting.append(text)
                return
            self._close_call()
        parts.open(Text(""))
        parts.text("text", text)

    # --- reasoning ---

    def _read_reasoning(self, delta: JsonObject) -> None:
        details = _dicts(delta.get("reasoning_details"))
        blocks = _dicts(delta.get("thinking_blocks"))
        told = False
        for detail in details:
            told = self._detail(detail) or told
        if not details:
            for block in blocks:
                thinking, data = _string(block.get("thinking")), _string(block.get("data"))
                self._thinking(thinking, _string(block.get("signature")), data)
                told = told or bool(thinking)
        text = _string(delta.get("reasoning_content")) or _string(delta.get("reasoning"))
        if text and not told:
            self._reasoning(text, ("text", None))

    def _reasoning(self, text: str, key: tuple[str, Any], origin: Origin | None = None) -> None:
        """Reasoning text; another key (another block on the wire) opens another part."""
        if not text:
            return
        block = self.parts.block
        is_open = isinstance(block, Reasoning) and block.signature is None  # a signature ends its text
        if not is_open or not (key == self._detail_key or None in (key[1], self._key_index())):
            self._open_reasoning(Reasoning(origin=origin or Origin(self._vendor)), key)
        self.parts.text("reasoning", text)

    def _key_index(self) -> Any:
        return None if self._detail_key is None else self._detail_key[1]

    def _open_reasoning(self, block: Reasoning, key: tuple[str, Any]) -> None:
        self._drain()
        self.parts.open(block)
        self._detail_key = key

    def _thinking(self, text: str, signature: str, data: str) -> None:
        """One of Anthropic's thinking blocks, or a fragment of one."""
        anthropic = Origin("anthropic")
        if data:
            self._state(data, Reasoning(redacted=data, origin=anthropic), joins=False)
            return
        self._reasoning(text, ("text", None), anthropic)
        if signature:
            self._sign(signature, anthropic, ("text", None))

    def _sign(self, signature: str, origin: Origin, key: tuple[str, Any]) -> None:
        sealed = envelope.unseal(signature)
        if sealed is not None:
            self._state(signature, sealed, joins=True)
            return
        if not isinstance(self.parts.block, Reasoning):
            self._open_reasoning(Reasoning(origin=origin), key)
        self.parts.sign(signature, origin)

    def _state(self, data: str, whole: Reasoning, *, joins: bool) -> None:
        """Encrypted state: of the open part (`joins`), or a part of its own."""
        sealed = envelope.unseal(data)
        state = whole if sealed is None else sealed
        block = self.parts.block
        if isinstance(block, Reasoning) and (joins or sealed is not None) and not _has_state(block):
            if state.signature:
                self.parts.sign(state.signature, state.origin)
            block.redacted, block.encrypted = state.redacted, state.encrypted
            block.id, block.origin = state.id or block.id, state.origin
            self.parts.close()
            return
        self._drain()
        self.parts.whole(state)

    def _detail(self, detail: JsonObject) -> bool:
        """One entry of `reasoning_details`; whether it had readable text."""
        kind, index = detail.get("type"), detail.get("index")
        origin = origin_of(detail.get("format")) or Origin(self._vendor)
        if kind == "reasoning.text":
            text, signature = _string(detail.get("text")), _string(detail.get("signature"))
            self._reasoning(text, ("text", index), origin)
            if signature:
                self._sign(signature, origin, ("text", index))
            return bool(text)
        if kind == "reasoning.summary":
            return self._summary(_string(detail.get("summary")), ("summary", index), detail, origin)
        if kind == "reasoning.encrypted":
            self._encrypted(_string(detail.get("data")), _string(detail.get("id")) or None, origin)
        return False

    def _summary(self, text: str, key: tuple[str, Any], detail: JsonObject, origin: Origin) -> bool:
        block = self.parts.block
        if not isinstance(block, Reasoning) or block.form != "summary":
            id_ = _string(detail.get("id")) or None
            self._open_reasoning(Reasoning(form="summary", id=id_, origin=origin), key)
        elif key != self._detail_key and text:
            self.parts.next_piece()
            self._detail_key = key
        if text:
            self.parts.text("reasoning", text)
        return bool(text)

    def _signs_call(self, detail: JsonObject) -> bool:
        """Whether the entry is OpenRouter's for a signature of Gemini's: its id is the tool call's."""
        origin = origin_of(detail.get("format")) or Origin(self._vendor)
        return detail.get("type") == "reasoning.encrypted" and origin.vendor == "google" and bool(detail.get("id"))

    def _encrypted(self, data: str, id_: str | None, origin: Origin) -> None:
        if not data:
            return
        if origin.vendor in ITEM_VENDORS:
            whole = Reasoning(form="summary", encrypted=data, id=id_, origin=origin)
            self._state(data, whole, joins=True)
        elif origin.vendor == "google":
            if id_ is None:
                self._state(data, Reasoning(signature=data, origin=origin), joins=False)
            else:
                self._call_signatures[id_] = data
        else:
            self._state(data, Reasoning(redacted=data, id=id_, origin=origin), joins=False)

    # --- refusals, annotations, audio, calls ---

    def _read_rest(self, delta: JsonObject) -> None:
        refusal = delta.get("refusal")
        if isinstance(refusal, str) and refusal:
            self._refusal(refusal)
        for image in _dicts(delta.get("images")):
            self._image(image)
        for annotation in _dicts(delta.get("annotations")):
            self._annotation(annotation)
        audio = delta.get("audio")
        if isinstance(audio, dict) and audio:
            self._drain()
            self.parts.whole(Opaque("chat_completions", "audio", audio, content=True))
        signature = thought_signature(delta)
        for entry in _dicts(delta.get("tool_calls")):
            # Gemini's signature on the message belongs to the first call, or else to the text.
            self._call(entry, signature)
            signature = None
        function = delta.get("function_call")
        if isinstance(function, dict):
            self._call({"index": 0, "function": function})
        block = self.parts.block
        if signature and isinstance(block, Text) and block.signature is None:
            self.parts.sign(signature, Origin("google"))

    def _refusal(self, refusal: str) -> None:
        self.refused = True
        if not isinstance(self.parts.block, Refusal):
            self._drain()
            self.parts.open(Refusal(""))
        self.parts.text("refusal", refusal)

    def _image(self, image: JsonObject) -> None:
        """OpenRouter: an image that the model made."""
        inner = image.get("image_url")
        url = _string(inner.get("url")) if isinstance(inner, dict) else ""
        if url:
            self._drain()
            self.parts.whole(Image(read_source(url)))

    def _annotation(self, annotation: JsonObject) -> None:
        """A citation, where text is open that it can belong to."""
        if not isinstance(self.parts.block, Text):
            return
        inner = annotation.get("url_citation")
        inner = inner if isinstance(inner, dict) else {}
        start, end = inner.get("start_index"), inner.get("end_index")
        self.parts.citation(
            Citation(
                url=_string(inner.get("url")) or None,
                title=_string(inner.get("title")) or None,
                cited_text=_string(inner.get("content")) or None,
                start=start if type(start) is int else None,
                end=end if type(end) is int else None,
                raw=annotation,
            )
        )

    def _call(self, entry: JsonObject, signature: str | None = None) -> None:
        slot = self._calls.add(entry, self.response_id)
        signature = slot.signature or signature or self._call_signatures.pop(slot.id, None)
        slot.signature = signature
        if slot.closed:
            if "".join(slot.pending).strip():
                raise BrokenDelta("the backend sent more of a tool call that had ended")
            return
        if slot is not self._open_slot:
            if slot not in self._waiting:
                self._waiting.append(slot)
            if self._open_slot is None or self._open_slot.is_complete():
                self._close_call()
                self._open_next()
        self._stream_slot()

    def _open_next(self) -> None:
        """Lets out what waits, up to and with the next call that has a name."""
        while self._waiting:
            item = self._waiting[0]
            if isinstance(item, CallSlot) and not item.name:
                return
            self._waiting.pop(0)
            if not isinstance(item, CallSlot):
                self._open_text(item) if isinstance(item, str) else self._read_held(item)
                continue
            call = ToolCall(item.id, item.name, kind=item.kind, signature=item.signature)
            call.origin = None if item.signature is None else Origin("google")
            self.parts.open(call)
            self._open_slot = item
            self._stream_slot()
            if not item.is_complete() or not self._waiting:
                return
            self._close_call()

    def _open_text(self, text: str) -> None:
        if not isinstance(self.parts.block, Text):
            self.parts.open(Text(""))
        self.parts.text("text", text)

    def _stream_slot(self) -> None:
        slot = self._open_slot
        block = self.parts.block
        if slot is not None and slot.signature and isinstance(block, ToolCall) and block.signature is None:
            self.parts.sign(slot.signature, Origin("google"))
        if slot is not None and slot.pending:
            text = "".join(slot.pending)
            slot.streamed.append(text)
            slot.pending = []
            self.parts.text("arguments", text)

    def _close_call(self) -> None:
        if self._open_slot is not None:
            self._open_slot.closed = True
            self._open_slot = None
            self.parts.close()

    def _drain(self) -> None:
        """Closes the open call and lets out all that waited for it."""
        while self._open_slot is not None or self._waiting:
            self._close_call()
            if self._waiting and isinstance(self._waiting[0], CallSlot) and not self._waiting[0].name:
                raise BrokenDelta("the backend sent a tool call without a name")
            self._open_next()


def _has_state(block: Reasoning) -> bool:
    return bool(block.signature or block.redacted or block.encrypted)


def _dicts(value: object) -> list[JsonObject]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""
