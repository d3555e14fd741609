"""Where Chat Completions carries reasoning: OpenAI's own format has no place for it, so servers added some.

- `reasoning_details[]` (OpenRouter): ordered, typed, with signatures and encrypted state of some `format`.
- `thinking_blocks[]` (LiteLLM): Anthropic's blocks as they are.
- `reasoning_content` or `reasoning`: the text alone.
- `content[]` with `{"type": "reasoning"}` (Databricks).

`reasoning_details` is what this gateway writes to clients. State whose vendor has no `format` value travels in
an envelope (core.formats.envelope). https://openrouter.ai/docs/use-cases/reasoning-tokens
"""

from __future__ import annotations

from typing import Any

from core.conversation import JsonObject, Origin, Reasoning
from core.formats import envelope

VENDORS: dict[str, str] = {
    "anthropic-claude-v1": "anthropic",
    "google-gemini-v1": "google",
    "openai-responses-v1": "openai",
    "azure-openai-responses-v1": "openai",
    "bedrock-openai-responses-v1": "openai",
    "xai-responses-v1": "xai",
    "meta-responses-v1": "meta",
}
_FORMATS: dict[str, str] = {
    "anthropic": "anthropic-claude-v1",
    "google": "google-gemini-v1",
    "openai": "openai-responses-v1",
    "xai": "xai-responses-v1",
    "meta": "meta-responses-v1",
}
# The members of OpenRouter's entries.
_KNOWN = frozenset({"type", "text", "signature", "summary", "data", "id", "format", "index"})
# Vendors whose encrypted entry belongs to the summary before it: together they are one reasoning item.
ITEM_VENDORS = frozenset({"openai", "xai", "meta"})


def read_reasoning(message: JsonObject) -> list[Reasoning]:
    """The reasoning of an assistant message, from whichever slot holds the most; its members are not removed.

    Lenient: an entry of a wrong type is passed over, since these slots come from servers of many kinds.
    """
    text = _string(message.get("reasoning_content")) or _string(message.get("reasoning"))
    found = read_details(message.get("reasoning_details"))
    if not found:
        found = read_thinking_blocks(message.get("thinking_blocks"))
    if not found:
        return [Reasoning(texts=[text])] if text else []
    if text and not any(reasoning.texts for reasoning in found):
        found[0].texts = [text]
        found[0].form = "summary" if found[0].encrypted else "raw"
    return found


def read_details(details: object) -> list[Reasoning]:
    """`reasoning_details` as reasoning blocks. Entries that a client kept as stream fragments (same `index`,
    same type) are joined."""
    reader = DetailsReader()
    for detail in details if isinstance(details, list) else []:
        if isinstance(detail, dict):
            reader.add(detail)
    return reader.found


class DetailsReader:
    """Collects `reasoning_details` entries, whole or in stream fragments, into reasoning blocks."""

    def __init__(self) -> None:
        self.found: list[Reasoning] = []
        self._last_key: tuple[str, Any] | None = None

    def add(self, detail: JsonObject) -> None:
        """Takes the next entry."""
        kind = detail.get("type")
        key = (str(kind), detail.get("index"))
        same = bool(self.found) and key == self._last_key and key[1] is not None
        origin = origin_of(detail.get("format"))
        if kind == "reasoning.encrypted":
            self._encrypted(detail, origin)
        elif kind == "reasoning.text":
            self._text(detail, origin, same)
        elif kind == "reasoning.summary":
            self._summary(detail, origin, same)
        else:
            return
        self._last_key = key
        if self.found and not _KNOWN.issuperset(detail):
            last = self.found[-1]
            last.extra = {**last.extra, **{name: value for name, value in detail.items() if name not in _KNOWN}}

    def _text(self, detail: JsonObject, origin: Origin | None, same: bool) -> None:
        text, signature = _string(detail.get("text")), _string(detail.get("signature"))
        sealed = envelope.unseal(signature)
        if sealed is not None:
            if same:
                self.found.pop()
            self.found.append(sealed)
            return
        if not same:
            self.found.append(Reasoning(texts=[], origin=origin, id=_string(detail.get("id")) or None))
        last = self.found[-1]
        if text:
            last.texts = [last.text + text]
        last.signature = signature or last.signature
        last.origin = last.origin or origin

    def _summary(self, detail: JsonObject, origin: Origin | None, same: bool) -> None:
        summary, id_ = _string(detail.get("summary")), _string(detail.get("id")) or None
        last = self.found[-1] if self.found else None
        if last is None or not _is_open(last, id_) or last.form != "summary":
            last = Reasoning(form="summary", origin=origin, id=id_)
            self.found.append(last)
        if same and last.texts:
            last.texts[-1] += summary
        elif summary:
            last.texts.append(summary)

    def _encrypted(self, detail: JsonObject, origin: Origin | None) -> None:
        data, id_ = _string(detail.get("data")), _string(detail.get("id")) or None
        if not data:
            return
        sealed = envelope.unseal(data)
        vendor = origin.vendor if origin else ""
        last = self.found[-1] if self.found else None
        belongs = last is not None and _is_open(last, id_)
        if sealed is not None:
            if belongs:  # the readable text before it is in the envelope too
                self.found.pop()
            self.found.append(sealed)
        elif vendor in ITEM_VENDORS and last is not None and belongs:
            last.encrypted, last.id, last.origin = data, last.id or id_, last.origin or origin
        elif vendor in ITEM_VENDORS:
            self.found.append(Reasoning(form="summary", encrypted=data, id=id_, origin=origin))
        elif vendor == "google":
            self.found.append(Reasoning(signature=data, id=id_, origin=origin))
        else:
            self.found.append(Reasoning(redacted=data, id=id_, origin=origin))


def _is_open(reasoning: Reasoning, id_: str | None) -> bool:
    """Whether a further entry (with this id) may belong to `reasoning`."""
    closed = reasoning.encrypted or reasoning.redacted or reasoning.signature
    return not closed and (id_ is None or reasoning.id is None or reasoning.id == id_)


def origin_of(format_: object) -> Origin | None:
    """Whose state a `format` value names. A variant (Azure's, Bedrock's) is kept in the origin's `model`: what
    one of them encrypted the others cannot read.

    A client library that joins the fragments of a stream may have repeated the value: only its start counts.
    """
    if not isinstance(format_, str):
        return None
    for name, vendor in VENDORS.items():
        if format_.startswith(name):
            return Origin(vendor, "" if _FORMATS[vendor] == name else name)
    return None


def format_of(origin: Origin | None) -> str:
    """The `format` value for state of this origin; `unknown` where there is none."""
    if origin is None:
        return "unknown"
    return origin.model if origin.model in VENDORS else _FORMATS.get(origin.vendor, "unknown")


def write_details(reasoning: Reasoning, first_index: int) -> list[JsonObject]:
    """The entries of one reasoning block. Each has an `index` of its own, counted from `first_index`: client
    libraries join entries of one index, whatever their types."""
    writer = DetailsWriter(first_index)
    writer.begin(reasoning)
    entries: list[JsonObject] = []
    pieces = reasoning.texts if is_summary(reasoning) else [reasoning.text]
    for piece, text in enumerate(pieces):
        if text:
            entries.append(writer.text(text, piece))
    state = writer.end(reasoning)
    if state is not None and entries and state["index"] == entries[-1]["index"]:
        entries[-1].update(state)
    elif state is not None:
        entries.append(state)
    return entries


def is_summary(reasoning: Reasoning) -> bool:
    """Whether the text goes in `reasoning.summary` entries. Claude's and Gemini's is `reasoning.text` always."""
    vendor = reasoning.origin.vendor if reasoning.origin else ""
    return reasoning.form == "summary" and vendor not in ("anthropic", "google")


def needs_envelope(reasoning: Reasoning) -> bool:
    """Whether the state of `reasoning` has no native entry: no `format` names its vendor, or its origin is bound
    to one backend, which no `format` can say."""
    origin = reasoning.origin or Origin("")
    if reasoning.encrypted and origin.model and origin.model not in VENDORS:
        return True
    has_state = bool(reasoning.signature or reasoning.redacted or reasoning.encrypted)
    return has_state and format_of(origin) == "unknown"


class DetailsWriter:
    """Writes reasoning as `reasoning_details` entries while it comes, block after block.

    `id` and `format` are told once per entry: client libraries join the text members of fragments.
    """

    def __init__(self, next_index: int = 0) -> None:
        self.next_index = next_index
        self._block = Reasoning()
        self._is_open = False
        self._piece = 0

    def begin(self, block: Reasoning) -> None:
        """The next block, of which only form, origin and id need be known yet."""
        self._block = block
        self._is_open = False
        self._piece = 0

    def text(self, text: str, piece: int) -> JsonObject:
        """The entry, or fragment of one, for more text."""
        summary = is_summary(self._block)
        if piece != self._piece and summary:
            self._is_open = False
        if piece != self._piece and self._is_open:
            text = "\n\n" + text
        self._piece = piece
        entry: JsonObject = {
            "type": "reasoning.summary" if summary else "reasoning.text",
            "summary" if summary else "text": text,
        }
        if self._is_open:
            entry["index"] = self.next_index - 1
        else:
            self._is_open = True
            self._identify(entry)
        return entry

    def end(self, block: Reasoning) -> JsonObject | None:
        """The entry for the state that only its issuer can read, known when the block ends; None without any."""
        data = block.redacted or block.encrypted
        if needs_envelope(block):
            entry: JsonObject = {"type": "reasoning.encrypted", "data": envelope.seal(block)}
        elif block.signature and self._is_open and not is_summary(block):
            last = self.next_index - 1
            return {"type": "reasoning.text", "signature": block.signature, "index": last}
        elif block.signature:
            entry = {"type": "reasoning.text", "text": "", "signature": block.signature}
        elif data:
            entry = {"type": "reasoning.encrypted", "data": data}
        else:
            return None
        self._block = block
        self._identify(entry)
        return entry

    def _identify(self, entry: JsonObject) -> None:
        entry["format"] = format_of(self._block.origin)
        entry["index"] = self.next_index
        if self._block.id:
            entry["id"] = self._block.id
        self.next_index += 1


def read_thinking_blocks(blocks: object) -> list[Reasoning]:
    """LiteLLM's `thinking_blocks`: Anthropic's thinking and redacted_thinking blocks."""
    found = []
    for block in blocks if isinstance(blocks, list) else []:
        if isinstance(block, dict):
            reasoning = read_thinking_block(block)
            if reasoning is not None:
                found.append(reasoning)
    return found


def read_thinking_block(block: JsonObject) -> Reasoning | None:
    """One of Anthropic's thinking blocks; its state may be an envelope. None when it holds nothing."""
    text, signature = _string(block.get("thinking")), _string(block.get("signature"))
    data = _string(block.get("data"))
    sealed = envelope.unseal(signature or data)
    if sealed is not None:
        return sealed
    if not (text or signature or data):
        return None
    return Reasoning(
        texts=[text] if text else [],
        signature=signature or None,
        redacted=data or None,
        origin=Origin("anthropic") if signature or data else None,
    )


def write_thinking_block(reasoning: Reasoning) -> JsonObject:
    """`reasoning` as one of Anthropic's blocks."""
    if reasoning.redacted:
        return {"type": "redacted_thinking", "data": reasoning.redacted}
    return {"type": "thinking", "thinking": reasoning.text, "signature": reasoning.signature or ""}


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""
