"""Neutral events to a stream of Responses events.

https://platform.openai.com/docs/api-reference/responses-streaming
Every item is announced, filled, repeated whole in its `.done` events and once more in the terminal snapshot;
`sequence_number` rises by one with each event. Codex builds its transcript from `response.output_item.done`,
OpenAI's SDK its answer from the terminal snapshot.
"""

from __future__ import annotations

import json
from json.encoder import encode_basestring, encode_basestring_ascii
from typing import Any

from core.conversation import Answer, Block, JsonObject, Reasoning, Refusal, Text, ToolCall
from core.events import Event, Failed, Finished, PartDelta, PartEnded, PartStarted, Started
from core.formats.contract import Reply
from core.formats.responses.output import OutputWriter, Spoken, begins_item, is_spoken, unsaid_refusal
from core.formats.responses.response import cut_short, ending, opening
from core.formats.responses.usage import write_stop
from core.formats.responses.wire import PING, error_frame, failure_of, frame
from core.json_edit import split_half


class StreamEncoder:
    """See core.formats.contract.StreamEncoder."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._sequence = 0
        self._answer = Answer(id="", model=reply.model)
        self._writer = OutputWriter(reply, own=False)
        self._own = False
        self._opened: JsonObject | None = None
        self._output: list[JsonObject] = []
        self._refused = False
        # The message item that is open, as its parts so far; more of them may follow. A call that is whole, until it is
        # known whether the answer's limit cut it.
        self._spoken: list[Spoken] = []
        self._called: JsonObject | None = None
        self._part_count = 0
        self._annotation_count = 0
        # The open part: its block, whether its item has been announced, and the frame around its deltas.
        self._block: Block | None = None
        self._announced = False
        self._piece = -1
        self._piece_text: list[str] = []
        self._pieces: list[str] = []
        self._delta_kind = ""
        self._prefix = ""
        self._suffix = ""
        self._half = ""  # of a surrogate pair, at the end of the last delta

    def emit(self, event: Event) -> bytes:
        """The frames for `event`; b"" where the format has none."""
        if isinstance(event, PartDelta) and event.kind == self._delta_kind and event.piece == self._piece:
            return self._delta(event.value)
        match event:
            case PartStarted():
                return self._open() + self._start_part(event.block)
            case PartDelta():
                return self._first_delta(event)
            case PartEnded():
                return self._end_part(event.block)
            case Started():
                return self._start(event)
            case Finished():
                return self._open() + self._finish(event)
            case Failed():
                return self._fail(event)
            case _:
                return PING

    def close(self) -> bytes:
        """Nothing stands after the terminal event."""
        return b""

    # --- frames ---------------------------------------------------------------------------------------------

    def _frame(self, kind: str, members: JsonObject) -> bytes:
        number = self._sequence
        self._sequence += 1
        return frame(kind, {"type": kind, **members, "sequence_number": number})

    def _delta(self, value: str) -> bytes:
        """The common case: one more piece of what is open."""
        if self._delta_kind == "reasoning":
            self._piece_text.append(value)
        if self._half:
            return self._joined(value)
        number = self._sequence
        try:
            data = f"{self._prefix}{encode_basestring(value)}{self._suffix}{number}}}\n\n".encode()
        except UnicodeEncodeError:
            return self._joined(value)
        self._sequence = number + 1
        return data

    def _joined(self, value: str) -> bytes:
        """A piece with half of a surrogate pair in it: a first half at its end waits for the next piece."""
        value, self._half = split_half(self._half + value)
        return self._escaped(value) if value else b""

    def _escaped(self, value: str) -> bytes:
        number = self._sequence
        self._sequence = number + 1
        return f"{self._prefix}{encode_basestring_ascii(value)}{self._suffix}{number}}}\n\n".encode()

    def _rest(self) -> bytes:
        """The half that nothing followed."""
        half, self._half = self._half, ""
        return self._escaped(half) if half else b""

    def _prepare(self, delta_kind: str, event: str, item: JsonObject, place: JsonObject) -> None:
        """Makes the frame around the deltas of kind `delta_kind`; `place` are the indices beside output_index."""
        self._delta_kind = delta_kind
        head = {"type": event, "item_id": item["id"], "output_index": len(self._output), **place}
        self._prefix = f'event: {event}\ndata: {_compact(head)[:-1]},"delta":'
        logprobs = ',"logprobs":[]' if delta_kind == "text" else ""
        self._suffix = f'{logprobs},"sequence_number":'

    # --- the answer -----------------------------------------------------------------------------------------

    def _start(self, event: Started) -> bytes:
        self._own = event.format == "responses"
        self._writer = OutputWriter(self._reply, own=self._own)
        self._answer = Answer(
            id=event.id, model=event.model, created=event.created, format=event.format, extra=event.extra
        )
        return self._open()

    def _open(self) -> bytes:
        """`response.created`, once: OpenAI's SDK refuses a stream that begins with anything else."""
        if self._opened is not None:
            return b""
        self._opened = opening(self._answer, self._reply)
        snapshot = {**self._opened, "status": "in_progress", "output": [], "usage": None}
        return self._frame("response.created", {"response": snapshot}) + self._frame(
            "response.in_progress", {"response": snapshot}
        )

    def _finish(self, event: Finished) -> bytes:
        refused = self._refused
        refusal = unsaid_refusal(event.stop, refused=refused)
        frames = b""
        if refusal is not None:
            frames += self._start_part(Refusal("")) + self._delta(refusal.text) + self._end_part(refusal)
        cut = not self._own and write_stop(event.stop, refused=refused)[0] == "incomplete"
        frames += self._end_message(cut=cut)
        answer = self._answer
        answer.extra = {**answer.extra, **event.extra}
        answer.stop, answer.usage, answer.service_tier = event.stop, event.usage, event.service_tier
        response = ending(answer, self._reply, self._output, refused=refused)
        status = response["status"]
        kind = status if status in ("incomplete", "failed") else "completed"
        return frames + self._frame(f"response.{kind}", {"response": response})

    def _fail(self, event: Failed) -> bytes:
        """An `error` frame, at which OpenAI's SDK raises, then `response.failed`, at which Codex stops."""
        frames = self._end_called() + error_frame(event.error, self._sequence)
        self._sequence += 1
        response = {
            **(self._opened or opening(self._answer, self._reply)),
            "status": "failed",
            "error": failure_of(event.error),
            "output": self._output,
            "usage": None,
        }
        return frames + self._frame("response.failed", {"response": response})

    # --- parts ----------------------------------------------------------------------------------------------

    def _start_part(self, block: Block) -> bytes:
        self._block = block
        self._announced = False
        self._piece, self._pieces, self._piece_text = 0, [], []
        if is_spoken(block):
            return self._start_spoken(block)
        frames = self._end_message()
        if isinstance(block, ToolCall):
            frames += self._start_call(block)
        return frames

    def _first_delta(self, event: PartDelta) -> bytes:
        """Deltas that are not simply more of the same."""
        block = self._block
        if event.kind == "citation" and isinstance(block, Text):
            # Where a foreign citation ends is known with the text's end; see _end_spoken.
            return self._annotation(event.value.raw) if self._own else b""
        if event.kind == "reasoning" and isinstance(block, Reasoning):
            return self._rest() + self._start_piece(block, event.piece) + self._delta(event.value)
        return b""  # a signature: it is in the block that ends the part

    def _end_part(self, block: Block) -> bytes:
        return self._rest() + self._ended(block)

    def _ended(self, block: Block) -> bytes:
        self._delta_kind = ""
        if is_spoken(block):
            return self._end_spoken(block)
        if isinstance(block, ToolCall):
            return self._end_call(block)
        if isinstance(block, Reasoning):
            return self._end_reasoning(block)
        item = self._writer.item(block, len(self._output))
        if item is None:
            return b""
        announced = {name: value for name, value in item.items() if name != "result"}
        if "status" in item:
            announced["status"] = "in_progress"
        return self._added(announced) + self._done(item)

    def _added(self, item: JsonObject) -> bytes:
        self._announced = True
        return self._frame("response.output_item.added", {"output_index": len(self._output), "item": item})

    def _done(self, item: JsonObject) -> bytes:
        frames = self._frame("response.output_item.done", {"output_index": len(self._output), "item": item})
        self._output.append(item)
        return frames

    # --- messages -------------------------------------------------------------------------------------------

    def _start_spoken(self, block: Spoken) -> bytes:
        frames = self._end_called()
        if self._spoken and begins_item(block):
            frames += self._end_message()
        if not self._spoken:
            shell = self._writer.shell(block, len(self._output))
            frames += self._added({**shell, "status": "in_progress", "content": []})
            self._part_count = 0
        self._spoken.append(block)
        self._annotation_count = 0
        item = self._writer.shell(self._spoken[0], len(self._output))
        place = {"content_index": self._part_count}
        if isinstance(block, Text):
            self._prepare("text", "response.output_text.delta", item, place)
        elif isinstance(block, Refusal):
            self._prepare("refusal", "response.refusal.delta", item, place)
            self._refused = True
        return frames + self._part_frame("response.content_part.added", self._writer.part(block))

    def _end_spoken(self, block: Spoken) -> bytes:
        self._spoken[-1] = block
        part = self._writer.part(block)
        frames = b""
        if isinstance(block, Text):
            logprobs = part.get("logprobs", [])
            text = {"content_index": self._part_count, "text": block.text, "logprobs": logprobs}
            if not self._own:
                frames += b"".join(self._annotation(annotation) for annotation in part["annotations"])
            frames += self._item_frame("response.output_text.done", text)
        elif isinstance(block, Refusal):
            refusal = {"content_index": self._part_count, "refusal": block.text}
            frames = self._item_frame("response.refusal.done", refusal)
        frames += self._part_frame("response.content_part.done", part)
        self._part_count += 1
        return frames

    def _end_message(self, *, cut: bool = False) -> bytes:
        """Ends the open message item, now that no further part of it follows. `cut`: the answer is incomplete."""
        if not self._spoken:
            return self._end_called(cut=cut)
        item = self._writer.message(self._spoken, len(self._output))
        self._spoken = []
        return self._done(cut_short(item) if cut else item)

    def _annotation(self, annotation: JsonObject) -> bytes:
        place = {"content_index": self._part_count, "annotation_index": self._annotation_count}
        self._annotation_count += 1
        return self._item_frame("response.output_text.annotation.added", {**place, "annotation": annotation})

    def _item_frame(self, kind: str, members: JsonObject) -> bytes:
        """A frame about the open message item."""
        item = self._writer.shell(self._spoken[0], len(self._output))
        return self._frame(kind, {"item_id": item["id"], "output_index": len(self._output), **members})

    def _part_frame(self, kind: str, part: JsonObject) -> bytes:
        return self._item_frame(kind, {"content_index": self._part_count, "part": part})

    # --- reasoning ------------------------------------------------------------------------------------------

    def _reasoning_head(self, block: Reasoning) -> JsonObject:
        return {"id": self._writer.reasoning_id(block, len(self._output)), "type": "reasoning", "summary": []}

    def _is_raw(self, block: Reasoning) -> bool:
        """Only OpenAI's servers tell a raw chain from a summary; other thoughts are shown as a summary."""
        return self._own and block.form == "raw"

    def _start_piece(self, block: Reasoning, piece: int) -> bytes:
        frames = b""
        head = self._reasoning_head(block)
        if not self._announced:
            frames += self._added(head)
        frames += self._end_piece(block)
        self._piece = piece
        if self._is_raw(block):
            self._prepare(
                "reasoning", "response.reasoning_text.delta", head, {"content_index": len(self._pieces)}
            )
            return frames
        place = {"summary_index": len(self._pieces)}
        self._prepare("reasoning", "response.reasoning_summary_text.delta", head, place)
        part = {"type": "summary_text", "text": ""}
        return frames + self._reasoning_frame("response.reasoning_summary_part.added", head, {**place, "part": part})

    def _end_piece(self, block: Reasoning) -> bytes:
        if not self._piece_text:
            return b""
        text = "".join(self._piece_text)
        head = self._reasoning_head(block)
        index = len(self._pieces)
        self._pieces.append(text)
        self._piece_text = []
        if self._is_raw(block):
            raw = {"content_index": index, "text": text}
            return self._reasoning_frame("response.reasoning_text.done", head, raw)
        part = {"type": "summary_text", "text": text}
        return self._reasoning_frame(
            "response.reasoning_summary_text.done", head, {"summary_index": index, "text": text}
        ) + self._reasoning_frame(
            "response.reasoning_summary_part.done", head, {"summary_index": index, "part": part}
        )

    def _end_reasoning(self, block: Reasoning) -> bytes:
        frames = self._end_piece(block)
        item = self._writer.item(block, len(self._output))
        if item is None:
            return frames
        if not self._announced:
            frames += self._added(self._reasoning_head(block))
        return frames + self._done(item)

    def _reasoning_frame(self, kind: str, head: JsonObject, members: JsonObject) -> bytes:
        return self._frame(kind, {"item_id": head["id"], "output_index": len(self._output), **members})

    # --- calls ----------------------------------------------------------------------------------------------

    def _start_call(self, block: ToolCall) -> bytes:
        item = self._writer.call(block, len(self._output))
        payload, event = _CALL_EVENTS[block.kind]
        self._prepare("arguments", f"{event}.delta", item, {})
        return self._added({**item, "status": "in_progress", payload: ""})

    def _end_call(self, block: ToolCall) -> bytes:
        item = self._writer.call(block, len(self._output))
        payload, event = _CALL_EVENTS[block.kind]
        frames = b""
        if item[payload] and not block.arguments:  # "{}" stands for no arguments, and deltas must add up
            self._delta_kind = "arguments"
            frames = self._delta(item[payload])
            self._delta_kind = ""
        done = {"item_id": item["id"], "output_index": len(self._output), payload: item[payload]}
        if block.kind == "function":
            done["name"] = block.name
        frames += self._frame(f"{event}.done", done)
        if self._own:
            return frames + self._done(item)
        self._called = item
        return frames

    def _end_called(self, *, cut: bool = False) -> bytes:
        """Ends the call that is whole, where one is. `cut`: the answer is incomplete, and this its last item."""
        item, self._called = self._called, None
        if item is None:
            return b""
        return self._done(cut_short(item) if cut else item)


_CALL_EVENTS = {
    "function": ("arguments", "response.function_call_arguments"),
    "custom": ("input", "response.custom_tool_call_input"),
}


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


