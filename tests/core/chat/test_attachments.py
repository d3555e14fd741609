"""Files beside a message."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from core.chat import attachments
from core.chat.attachments import read_attachment
from core.errors import ClientFault

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 20


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


@pytest.mark.parametrize(
    ("kind", "media_type", "content"),
    [
        ("image", "image/png", PNG), ("image", "image/jpg", b"\xff\xd8\xff\xe0"), ("image", "image/GIF", b"GIF89a1"),
        ("image", "image/webp", b"RIFF1234WEBP"), ("document", "application/pdf; x=y", b"%PDF-1.7"),
    ],
)  # fmt: skip
def test_files_that_are_what_they_say(kind: Any, media_type: str, content: bytes) -> None:
    lines = "\n".join([encoded(content)[:8], encoded(content)[8:]])
    found = read_attachment(kind, media_type, lines, ("a", "attachments[0]"))
    assert base64.b64decode(found.data) == content and found.name == "a" and found.type == kind
    assert found.media_type in attachments.TYPES[kind]


@pytest.mark.parametrize(
    ("kind", "media_type", "data", "field", "status"),
    [
        ("image", "image/svg+xml", encoded(b"<svg/>"), "media_type", 400),
        ("image", "application/pdf", encoded(b"%PDF-"), "media_type", 400),
        ("document", "image/png", encoded(PNG), "media_type", 400),
        ("image", "image/png", "not base64!", "data", 400),
        ("image", "image/png", "é", "data", 400),
        ("image", "image/png", encoded(b"%PDF-1"), "data", 400),
        ("image", "image/png", "A" * (14 * 1024 * 1024), "data", 413),
    ],
)
def test_files_that_are_refused(kind: Any, media_type: str, data: str, field: str, status: int) -> None:
    with pytest.raises(ClientFault) as caught:
        read_attachment(kind, media_type, data, ("", "attachments[2]"))
    assert caught.value.param == f"attachments[2].{field}" and caught.value.status == status
    assert f"attachments[2].{field}" in caught.value.message
