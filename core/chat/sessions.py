"""A session's head: what is told of it, and whose turn it is. Decisions only; handlers.sessions reads and writes.

A turn claims the session by writing its lease into the head in the place of the head that it has read, which a store
does in one step. Whoever finds a lease that holds has lost (409). A turn that lives renews its lease; one that died
gives the session free when the lease is over, and whoever comes next puts its question on record as unanswered.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

from core.access import Caller
from core.errors import ClientFault
from core.slotted import replace, slotted

LEASE_SECONDS: Final = 60.0
RENEW_SECONDS: Final = 20.0
DAY: Final = 86_400.0
# Messages outlive their session by half its time, so that not every turn has to prolong all of them.
KEPT_LONGER: Final = 1.5

_OWN_ID: Final = re.compile(r"s_[A-Za-z0-9]{24}\Z")
_GIVEN_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")
_END_OF_TIME: Final = 10**14


@slotted(frozen=True)
class Lease:
    """A turn that is under way: its id, how many messages it asks with, and until when (epoch seconds) it is alive."""

    turn: str
    asked: int
    until: float


@slotted(frozen=True)
class Head:
    """What is kept of a session beside its messages. Times are epoch seconds.

    `epoch` tells a session from an earlier one of the same id, `count` is how many messages it has and `last` the name
    of the newest, which names the one before. `prompt` is where the system prompt is, `order` the session's place among
    its owner's, `kept_until` when the first of its messages may be dropped.
    """

    id: str
    epoch: str
    title: str
    model: str
    created: float
    updated: float
    expires: float
    count: int = 0
    order: str = ""
    kept_until: float = 0.0
    last: str = ""
    prompt: str = ""
    lease: Lease | None = None

    def document(self) -> dict[str, Any]:
        """As a store keeps it."""
        lease = None if self.lease is None else [self.lease.turn, self.lease.asked, self.lease.until]
        return {
            "id": self.id, "epoch": self.epoch, "title": self.title, "model": self.model, "created": self.created,
            "updated": self.updated, "expires": self.expires, "count": self.count, "order": self.order,
            "kept_until": self.kept_until, "last": self.last, "prompt": self.prompt,
            "lease": lease,
        }  # fmt: skip

    def shown(self) -> dict[str, Any]:
        """As the API tells it."""
        return {
            "id": self.id, "title": self.title, "model": self.model, "message_count": self.count,
            "created": self.created, "updated": self.updated, "expires": self.expires,
        }  # fmt: skip


def read_head(document: Mapping[str, Any]) -> Head:
    """The head that a store keeps as `document`."""
    values = dict(document)
    lease = values["lease"]
    values["lease"] = None if lease is None else Lease(*lease)
    return Head(**values)


def owner_of(caller: Caller) -> str:
    """Whose sessions a caller's are, as the name of a folder. Everyone at an open gateway is the same person."""
    if caller.kind == "anonymous":
        return "local"
    return hashlib.sha256(f"{caller.kind}\n{caller.id}".encode("utf-8", "surrogateescape")).hexdigest()[:32]


def new_id(token: str) -> str:
    """A session's id from 24 random letters."""
    return f"s_{token}"


def is_own_id(session_id: str) -> bool:
    """Whether the gateway has given out `session_id`: then it is not a client's to choose."""
    return _OWN_ID.match(session_id) is not None


def check_id(session_id: str) -> None:
    """Raises ClientFault (400) for a text that can be no session's id."""
    if not _GIVEN_ID.match(session_id):
        raise ClientFault(
            "bad_request",
            "The field 'session_id' must be 1 to 100 letters, digits, '.', '_' or '-', the first a letter or digit.",
            param="session_id",
        )


def no_session(session_id: str) -> ClientFault:
    """The 404, the same whether a session never was, has ended, or is somebody else's."""
    return ClientFault("not_found", f"There is no session '{session_id}'.", param="session_id")


def busy(head: Head) -> ClientFault:
    """The 409 for a turn that came while another one is under way."""
    fault = ClientFault(
        "conflict",
        f"Another turn of session '{head.id}' is under way, and turns do not mix: send the message again when it has "
        "ended.",
        retry_after=1.0,
    )
    fault.about = {"session_id": head.id}
    return fault


def nothing_asked(head: Head) -> ClientFault:
    """The 400 for a session without a question that could be answered again."""
    message = f"Session '{head.id}' has no question that could be answered again."
    return ClientFault("bad_request", message, param="regenerate")


def taken_over(head: Head) -> ClientFault:
    """The 409 for a turn whose lease was over before its answer was kept."""
    fault = ClientFault("conflict", f"Session '{head.id}' was changed while this turn was under way: it is not kept.")
    fault.about = {"session_id": head.id}
    return fault


def is_alive(head: Head | None, now: float) -> bool:
    """Whether there is a session: neither absent nor over."""
    return head is not None and head.expires > now


def claimed(head: Head, lease: Lease, now: float) -> Head:
    """`head` with the lease of a new turn. Raises ClientFault (409) while another one's holds."""
    if head.lease is not None and head.lease.until > now:
        raise busy(head)
    return replace(head, lease=lease)


def ended(head: Head, model: str, now: float, days: float) -> Head:
    """`head` after a turn."""
    moment = max(now, head.updated)
    return replace(
        head, model=model, updated=moment, expires=now + days * DAY,
        order=order_of(head.id, moment), lease=None, kept_until=head.kept_until or now + KEPT_LONGER * days * DAY,
    )  # fmt: skip


def order_of(session_id: str, updated: float) -> str:
    """The name of a session's entry in its owner's list: the last used one comes first."""
    return f"{_END_OF_TIME - 1 - int(updated * 1000):014d}-{session_id}"


def entry_of(head: Head) -> dict[str, Any]:
    """A session's entry in its owner's list. It has the title too, so that a search need not read every head."""
    return {"id": head.id, "expires": head.expires, "title": head.title}


def is_titled(title: str | None, wanted: str) -> bool:
    """Whether a title has the text `wanted`, in capitals or not. One that an entry does not tell may have it."""
    return title is None or wanted.casefold() in title.casefold()


def cursor_of(order: str) -> str:
    """Where a page ended, as the client gives it back."""
    return base64.urlsafe_b64encode(order.encode()).decode().rstrip("=")


def read_cursor(cursor: str) -> str:
    """Raises ClientFault (400) for a text that is no cursor."""
    try:
        order = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        order = ""
    if not re.match(r"\d{14}-[A-Za-z0-9._-]+\Z", order):
        raise ClientFault("bad_request", "The field 'cursor' is none that this gateway gave out.", param="cursor")
    return order
