"""A client's request to a backend's body, and the way back for the answer: what the gateway calls."""

from __future__ import annotations

from core.conversation import Conversation, Dropped, FormatName
from core.errors import Unsupported
from core.formats import load_format
from core.formats.contract import Target, Written
from core.slotted import slotted
from core.translation.paths import client_path, refused_path
from core.translation.prepare import Restore, prepare
from core.translation.rules import rules_for


@slotted
class Translated:
    """The body for the backend with all warnings in `written.dropped`, in the client's own terms, and the way
    back for its answer."""

    written: Written
    restore: Restore


def translate_request(conversation: Conversation, format_name: str, target: Target) -> Translated:
    """Writes `conversation` in the format `format_name` for `target`.

    Raises Unsupported where this target cannot carry the request, and ClientFault where no target could.
    """
    try:
        prepared = prepare(conversation, target, rules_for(format_name, target))
        written = load_format(format_name).write_request(prepared.conversation, target)
    except Unsupported as refused:
        raise _told(refused, conversation.format) from refused
    # Writers name some members neutrally; a client looks for its own.
    named = [Dropped(client_path(conversation.format, item.path), item.reason) for item in written.dropped]
    written.dropped = [*prepared.dropped, *named]
    return Translated(written, prepared.restore)


def _told(refused: Unsupported, format_name: FormatName) -> Unsupported:
    """`refused` with the client's name of what cannot be carried, in its message too: not every format's errors
    have a member for it."""
    path = refused_path(format_name, refused.feature)
    named = refused.message.startswith((f"{refused.feature}:", f"{refused.feature} "))
    rest = refused.message.removeprefix(refused.feature) if named else f": {refused.message}"
    return Unsupported(path, path + rest)
