"""Turns that Anthropic's server tools pause (`stop_reason: pause_turn`), gone on with for clients of other formats.

Such a turn is not over: the same request is sent again with what was said so far as the last message, unchanged. A
Messages client does so itself; no other format has a word for it. Here the answers of one turn are joined to one body,
so that nothing behind it sees a pause: blocks are counted through, usage is the sum.
https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from core.framing.sse import FrameBuffer, records_of
from core.json_edit import JsonObject, dump, load
from core.ports import BackendRequest, Exchange, Head, Transport, TransportFault
from core.slotted import replace

# A turn that pauses more often is given to the client as it stands.
MOST_RESUMES = 10
PAUSE = "pause_turn"


def may_pause(body: JsonObject) -> bool:
    """Whether a request of the Messages API offers a tool that Anthropic runs."""
    tools = body.get("tools")
    return isinstance(tools, list) and any(str(tool.get("type") or "custom") != "custom" for tool in tools)


class ResumingTransport:
    """core.ports.Transport to a Messages backend, whose paused turns go on."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def send(self, request: BackendRequest) -> Exchange:
        """As the transport's own. Raises TransportFault."""
        return _Resuming(self._transport, request, await self._transport.send(request))


class _Resuming:
    """core.ports.Exchange over the exchanges of one turn."""

    def __init__(self, transport: Transport, request: BackendRequest, exchange: Exchange) -> None:
        self._transport = transport
        self._request = request
        self._exchange = exchange
        self._answer: _Whole | _Stream | None = None
        self._awaits_head = False
        self._resumes = 0

    async def head(self, wait: float) -> Head | None:
        head = await self._exchange.head(wait)
        if head is not None and head.status == 200:
            streamed = head.headers.get("content-type", "").startswith("text/event-stream")
            self._answer = _Stream() if streamed else _Whole()
        return head

    async def read(self, wait: float) -> bytes | None:
        answer = self._answer
        if answer is None:
            return await self._exchange.read(wait)
        if self._awaits_head:
            head = await self._exchange.head(wait)
            if head is None:
                return None
            if head.status != 200:
                raise TransportFault("body", f"the paused turn could not go on: status {head.status}")
            self._awaits_head = False
        data = await self._exchange.read(wait)
        if data is None:
            return None
        out = answer.feed(data, may_resume=self._resumes < MOST_RESUMES)
        if answer.paused:
            await self._resume(answer)
            return out or None
        return out or (None if data else b"")

    async def _resume(self, answer: _Whole | _Stream) -> None:
        self._exchange.close()
        self._resumes += 1
        self._request = replace(self._request, body=continued(self._request.body, answer.take_content()))
        self._exchange = await self._transport.send(self._request)
        self._awaits_head = True

    def close(self) -> None:
        self._exchange.close()


def continued(body: bytes, content: list[JsonObject]) -> bytes:
    """The request again, with what was answered as (more of) its last message."""
    values = load(body)
    messages = values["messages"]
    if messages and messages[-1]["role"] == "assistant" and isinstance(messages[-1]["content"], list):
        messages[-1] = {"role": "assistant", "content": [*messages[-1]["content"], *content]}
    else:
        messages.append({"role": "assistant", "content": content})
    return dump(values)


class _Whole:
    """The whole answers of one turn."""

    def __init__(self) -> None:
        self.paused = False
        self._body = b""
        self._content: list[JsonObject] = []
        self._new: list[JsonObject] = []
        self._usage: JsonObject = {}

    def feed(self, data: bytes, *, may_resume: bool) -> bytes:
        """The joined answer, at the end of the last one."""
        self._body += data
        if data:
            return b""
        body, self._body = self._body, b""
        try:
            answer = load(body) if body else None
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict) or not isinstance(answer.get("content"), list):
            return body
        self._new = answer["content"]
        self._content += self._new
        self._usage = added(self._usage, answer.get("usage") or {})
        self.paused = may_resume and answer.get("stop_reason") == PAUSE
        if self.paused:
            return b""
        return dump({**answer, "content": self._content, "usage": self._usage})

    def take_content(self) -> list[JsonObject]:
        """The blocks of the answer that has just paused."""
        self.paused = False
        return said(self._new)


class _Stream:
    """The streams of one turn."""

    def __init__(self) -> None:
        self.paused = False
        self._frames = FrameBuffer()
        self._blocks: list[JsonObject] = []
        self._partial = ""
        self._offset = 0
        self._begun = False
        self._before: JsonObject = {}
        self._usage: JsonObject = {}

    def feed(self, data: bytes, *, may_resume: bool) -> bytes:
        """What the joined stream says by now."""
        frames = self._frames.feed(data) if data else self._frames.close()
        return b"".join(self._event(record.data, may_resume) for record in records_of(frames))

    def _event(self, data: str, may_resume: bool) -> bytes:
        try:
            event = load(data)
        except (ValueError, RecursionError):
            return _frame("error" if '"error"' in data else "ping", data)
        kind = event.get("type") if isinstance(event, dict) else None
        if kind == "message_start":
            return self._start(event)
        if kind == "message_delta":
            return self._end(event, may_resume)
        if kind == "message_stop" and self.paused:
            return b""
        if isinstance(kind, str) and kind.startswith("content_block_"):
            self._block(kind, event)
            event["index"] = self._offset + event.get("index", 0)
        return _frame(str(kind), event)

    def _start(self, event: JsonObject) -> bytes:
        self._usage = event.get("message", {}).get("usage") or {}
        begun, self._begun = self._begun, True
        return b"" if begun else _frame("message_start", event)

    def _end(self, event: JsonObject, may_resume: bool) -> bytes:
        self._usage = {**self._usage, **(event.get("usage") or {})}
        total = added(self._before, self._usage)
        if may_resume and event.get("delta", {}).get("stop_reason") == PAUSE:
            self.paused = True
            self._before = total
            return b""
        return _frame("message_delta", {**event, "usage": total})

    def _block(self, kind: str, event: JsonObject) -> None:
        if kind == "content_block_start":
            self._blocks.append(dict(event.get("content_block") or {}))
            self._partial = ""
        elif self._blocks and kind == "content_block_delta":
            self._grow(self._blocks[-1], event.get("delta") or {})
        elif self._blocks and self._partial:
            try:
                self._blocks[-1]["input"] = json.loads(self._partial)
            except ValueError:
                self._blocks[-1]["input"] = {}

    def _grow(self, block: JsonObject, delta: Mapping[str, Any]) -> None:
        for name, value in delta.items():
            if name == "partial_json":
                self._partial += value
            elif name == "citation":
                block["citations"] = [*(block.get("citations") or []), value]
            elif name in _JOINED:
                block[name] = block.get(name, "") + value

    def take_content(self) -> list[JsonObject]:
        """The blocks of the stream that has just paused."""
        self.paused = False
        blocks, self._blocks = self._blocks, []
        self._offset += len(blocks)
        self._frames = FrameBuffer()
        return said(blocks)


_JOINED = frozenset({"text", "thinking", "signature"})


def said(blocks: list[JsonObject]) -> list[JsonObject]:
    """The blocks that may be sent back: texts that are empty are refused."""
    return [block for block in blocks if block.get("type") != "text" or block.get("text")]


def added(before: JsonObject, more: JsonObject) -> JsonObject:
    """The sum of two usages; what is no count is the later one's."""
    total = dict(before)
    for name, value in more.items():
        old = total.get(name)
        if isinstance(value, int) and isinstance(old, int):
            total[name] = old + value
        elif isinstance(value, dict) and isinstance(old, dict):
            total[name] = added(old, value)
        elif value is not None:
            total[name] = value
    return total


def _frame(kind: str, event: Any) -> bytes:
    data = event if isinstance(event, str) else dump(event).decode()
    return f"event: {kind}\ndata: {data}\n\n".encode()
