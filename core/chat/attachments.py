"""Files beside a message: what may be attached, and whether it is what it says it is."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Final, Literal

from core.chat.messages import Attachment
from core.errors import ClientFault

MOST: Final = 20
LARGEST: Final[Mapping[str, int]] = {"image": 10 * 1024 * 1024, "document": 32 * 1024 * 1024}

# The media types, and what files of them begin with (https://mimesniff.spec.whatwg.org/#image-type-pattern-matching).
BEGINNINGS: Final[Mapping[str, tuple[bytes, ...]]] = {
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/gif": (b"GIF87a", b"GIF89a"),
    "image/webp": (b"RIFF",),
    "application/pdf": (b"%PDF-",),
}
TYPES: Final[Mapping[str, tuple[str, ...]]] = {
    "image": ("image/png", "image/jpeg", "image/gif", "image/webp"),
    "document": ("application/pdf",),
}
_SPELLINGS: Final = {"image/jpg": "image/jpeg"}


def read_attachment(
    kind: Literal["image", "document"], media_type: str, data: str, about: tuple[str, str]
) -> Attachment:
    """An attachment of a request; `about` is its name and where it stands ("attachments[0]"). Raises ClientFault that
    names the member: 413 for a file that is too large, else 400."""
    name, place = about
    media_type = media_type.partition(";")[0].strip().lower()
    media_type = _SPELLINGS.get(media_type, media_type)
    if media_type not in TYPES[kind]:
        raise _fault(f"{place}.media_type", f"must be one of {', '.join(TYPES[kind])} for a file of type '{kind}'")
    if len(data) * 3 // 4 > LARGEST[kind] + 3:
        most = LARGEST[kind] // (1024 * 1024)
        field = f"{place}.data"
        raise ClientFault("too_large", f"The field '{field}' is larger than {most} MB.", param=field)
    try:
        content = base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError):
        raise _fault(f"{place}.data", "must be base64") from None
    if not content.startswith(BEGINNINGS[media_type]):
        raise _fault(f"{place}.data", f"is no file of the type {media_type}")
    return Attachment(kind, media_type, base64.b64encode(content).decode(), name)


def _fault(field: str, problem: str) -> ClientFault:
    return ClientFault("bad_request", f"The field '{field}' {problem}.", param=field)
