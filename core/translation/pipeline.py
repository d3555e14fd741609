"""A client's request to a backend's body, and the way back for the answer: what the gateway calls."""

from __future__ import annotations

from typing import Final

from core.conversation import Conversation, Dropped, FormatName
from core.errors import ClientFault, Unsupported
from core.formats import load_format
from core.formats.contract import Target, Written
from core.slotted import slotted
from core.translation.losses import says_nothing
from core.translation.paths import client_path, refused_path
from core.translation.prepare import Restore, prepare
from core.translation.rules import rules_for
from core.translation.survey import Survey, survey_of
from core.translation.unspoken import unspoken

# Objects of a request of which a reader keeps what it has no neutral member for.
_KEPT_WHOLE: Final = (
    "generationConfig",
    "toolConfig",
    "additionalModelRequestFields",
    "inferenceConfig",
    "outputConfig",
    "serviceTier",
    "output_config",
    "text",
)


@slotted
class Translated:
    """The body for the backend with all warnings in `written.dropped`, in the client's own terms, and the way
    back for its answer."""

    written: Written
    restore: Restore


def translate_request(
    conversation: Conversation, format_name: str, target: Target, survey: Survey | None = None
) -> Translated:
    """Writes `conversation` in the format `format_name` for `target`. `survey` is of its messages; it is made where the
    caller has none.

    Raises Unsupported where this target cannot carry the request, and ClientFault where no target could.
    """
    survey = survey_of(conversation.messages) if survey is None else survey
    try:
        rules = rules_for(format_name, target)
        prepared = prepare(conversation, target, rules, survey)
        written = load_format(format_name).write_request(prepared.conversation, target)
    except Unsupported as refused:
        raise _told(refused, conversation.format) from refused
    except RecursionError as error:
        raise ClientFault("bad_request", "The request is nested too deeply for the target.") from error
    written.dropped = prepared.dropped + [new for item in written.dropped for new in _named(item, conversation)]
    if conversation.format != rules.format:
        written.dropped += unspoken(conversation, survey, written)
    return Translated(written, prepared.restore)


def _named(item: Dropped, conversation: Conversation) -> list[Dropped]:
    """The warning with the client's own name, where a writer named the member neutrally; one for each member of an
    object that the reader kept whole. What is null or an empty list was never asked for, nor is text
    alone; a `safety_identifier` is the user where there is no other."""
    path = client_path(conversation.format, item.path)
    value = conversation.extra.get(path, item)
    if says_nothing(value) or value == ["text"] or (path == "safety_identifier" and value == conversation.user):
        return []
    inner = value if path in _KEPT_WHOLE and isinstance(value, dict) else {}
    return [Dropped(f"{path}.{name}", item.reason) for name in inner] or [Dropped(path, item.reason)]


def _told(refused: Unsupported, format_name: FormatName) -> Unsupported:
    """`refused` with the client's name of what cannot be carried, in its message too: not every format's errors
    have a member for it."""
    path = refused_path(format_name, refused.feature)
    named = refused.message.startswith((f"{refused.feature}:", f"{refused.feature} "))
    rest = refused.message.removeprefix(refused.feature) if named else f": {refused.message}"
    return Unsupported(path, path + rest)
