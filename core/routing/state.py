"""Encrypted reasoning goes back to the endpoint that issued it, because no other one can read it.

Responses backends encrypt a model's reasoning with a key of the resource. Where a model has several of them, the
gateway remembers which one issued each piece: it is asked first, and to another one the piece is not sent.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from core.formats.envelope import PREFIX, unseal
from core.json_edit import read_object
from core.ports import BackendRequest, Exchange, Head, Transport
from core.routing.registry import Candidate
from core.slotted import replace

if TYPE_CHECKING:  # a pass-through never loads the neutral conversation
    from core.conversation import Conversation

# Pieces that are remembered, about 100 bytes each.
MOST_PIECES = 20_000
# A piece that is longer than this is not waited for.
LONGEST_PIECE = 4 * 1024 * 1024

_MARKER = b'"encrypted_content"'
_PIECE = re.compile(rb'"(?:encrypted_content|id)"\s*:\s*"([^"\\]*(?:\\.[^"\\]*)*)"')
_ENVELOPE = re.compile(re.escape(PREFIX.encode()) + rb"[A-Za-z0-9_-]+")
# Items whose own ids refer to the stored reasoning before them.
_OUTPUT_ITEMS = frozenset({"function_call", "custom_tool_call", "message"})


class Issuers:
    """Which backend issued which piece of state; the longest unused are forgotten first. Pieces are kept as digests."""

    def __init__(self, most: int = MOST_PIECES) -> None:
        self._most = most
        self._by_digest: dict[bytes, str] = {}

    def learn(self, piece: str, backend: str) -> None:
        """`backend` has just issued `piece`."""
        digest = _digest(piece)
        self._by_digest.pop(digest, None)
        self._by_digest[digest] = backend
        if len(self._by_digest) > self._most:
            del self._by_digest[next(iter(self._by_digest))]

    def issuer(self, piece: str) -> str | None:
        """The name of the backend that issued `piece`, None when it is not known (any more)."""
        digest = _digest(piece)
        backend = self._by_digest.pop(digest, None)
        if backend is not None:
            self._by_digest[digest] = backend
        return backend


def _digest(piece: str) -> bytes:
    return blake2b(piece.encode("utf-8", "surrogatepass"), digest_size=12).digest()


class Carried:
    """The state that one request carries: its plain pieces with the backends that issued them (None: not known), and
    the backend to ask first, `pinned`."""

    def __init__(self, issued: dict[str, str | None], pinned: str | None) -> None:
        self._issued = issued
        self.pinned = pinned

    def foreign_to(self, candidate: Candidate) -> frozenset[str]:
        """The pieces that the candidate cannot read."""
        name = candidate.backend.name
        return frozenset(piece for piece, issuer in self._issued.items() if issuer != name)


def is_stateful(format_name: str, candidates: Sequence[Candidate]) -> bool:
    """Whether requests of `format_name` reach several backends that issue state."""
    if len(candidates) < 2:
        return False
    return len({candidate.backend.name for candidate in candidates if reads_state(candidate, format_name)}) > 1


def carried_state(issuers: Issuers, format_name: str, values: dict[str, Any], body: bytes) -> Carried | None:
    """The state in a request of `format_name` with the members `values`, None when there is none."""
    issued = {piece: issuers.issuer(piece) for piece in _plain_pieces(format_name, values)}
    known = [*_sealed_issuers(body), *(issuer for issuer in issued.values() if issuer is not None)]
    pinned = known[-1] if known else None
    previous = values.get("previous_response_id") if format_name == "responses" else None
    if isinstance(previous, str):
        pinned = issuers.issuer(previous) or pinned
    return Carried(issued, pinned) if issued or pinned else None


def reads_state(candidate: Candidate, format_name: str) -> bool:
    """Whether a request of `format_name` reaches the candidate as a Responses request."""
    backend, model = candidate.backend, candidate.api_model
    if backend.speaks(format_name, model):
        return format_name == "responses"
    return backend.richest_format(model) == "responses"


def _plain_pieces(format_name: str, values: dict[str, Any]) -> list[str]:
    items = values.get("input") if format_name == "responses" else None
    found = [_piece_of(item) for item in items] if isinstance(items, list) else []
    return [piece for piece in found if piece is not None and not piece.startswith(PREFIX)]


def _piece_of(item: Any) -> str | None:
    if not isinstance(item, dict) or item.get("type") != "reasoning":
        return None
    piece = item.get("encrypted_content")
    return piece if isinstance(piece, str) and piece else None


def _sealed_issuers(body: bytes) -> list[str]:
    """The backends named by envelopes of encrypted reasoning, the newest last. What is inside an envelope of another
    backend is left out by the writer of the request."""
    opened = (unseal(found.group(0).decode("ascii")) for found in _ENVELOPE.finditer(body))
    return [
        reasoning.origin.model
        for reasoning in opened
        if reasoning is not None and reasoning.encrypted and reasoning.origin is not None and reasoning.origin.model
    ]


def without_pieces(body: bytes, foreign: frozenset[str]) -> tuple[bytes, list[str]]:
    """A Responses request without the reasoning items that hold one of its `foreign` pieces, and where those stood.
    Items after them lose their ids, which refer to the reasoning that is gone."""
    document = read_object(body)
    kept: list[Any] = []
    dropped: list[str] = []
    for place, item in enumerate(document.values["input"]):
        if _piece_of(item) in foreign:
            dropped.append(f"input[{place}]")
        elif dropped and isinstance(item, dict) and item.get("type") in _OUTPUT_ITEMS:
            kept.append({name: value for name, value in item.items() if name != "id"})
        else:
            kept.append(item)
    document.set("input", kept)
    return document.edited(), dropped


def without_blocks(conversation: Conversation, foreign: frozenset[str]) -> tuple[Conversation, list[str]]:
    """A conversation without the reasoning blocks that hold a `foreign` piece, and a warning where there were some."""
    if not foreign:
        return conversation, []
    if not any(_is_foreign(block, foreign) for message in conversation.messages for block in message.content):
        return conversation, []
    messages = [
        replace(message, content=[block for block in message.content if not _is_foreign(block, foreign)])
        for message in conversation.messages
    ]
    return replace(conversation, messages=[message for message in messages if message.content]), ["messages"]


def _is_foreign(block: object, foreign: frozenset[str]) -> bool:
    return getattr(block, "encrypted", None) in foreign  # reasoning is the only kind that has it


class LearningTransport:
    """core.ports.Transport to a Responses backend; remembers what state its answers hold."""

    def __init__(self, transport: Transport, issuers: Issuers, backend: str) -> None:
        self._transport = transport
        self._issuers = issuers
        self._backend = backend

    async def send(self, request: BackendRequest) -> Exchange:
        """As the transport's own. Raises TransportFault."""
        return _LearningExchange(await self._transport.send(request), self._issuers, self._backend)


class _LearningExchange:
    """core.ports.Exchange whose body is read along."""

    def __init__(self, exchange: Exchange, issuers: Issuers, backend: str) -> None:
        self._exchange = exchange
        self._issuers = issuers
        self._backend = backend
        self._rest = b""

    async def head(self, wait: float) -> Head | None:
        return await self._exchange.head(wait)

    async def read(self, wait: float) -> bytes | None:
        data = await self._exchange.read(wait)
        if data:
            self._learn(self._rest + data)
        return data

    def close(self) -> None:
        self._exchange.close()

    def _learn(self, data: bytes) -> None:
        """Any split of the body: what may be the beginning of a piece is kept for the next call."""
        end = 0
        for found in _PIECE.finditer(data):
            end = found.end()
            piece = found.group(1).decode("utf-8", "replace").replace("\\/", "/")
            if piece.startswith("resp_") or found.group(0).startswith(_MARKER):
                self._issuers.learn(piece, self._backend)
        begun = data.find(_MARKER, end)
        if begun < 0:
            begun = max(end, len(data) - 160)
        self._rest = data[begun:] if len(data) - begun <= LONGEST_PIECE else b""
