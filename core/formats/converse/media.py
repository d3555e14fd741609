"""The format names of images, documents, audio and video, and the media types that they stand for.

Where two names share a media type, the first is the one that is written.
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html
"""

from __future__ import annotations

IMAGE_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp"}

_OFFICE = "application/vnd.openxmlformats-officedocument"
DOCUMENT_TYPES = {
    "pdf": "application/pdf",
    "csv": "text/csv",
    "doc": "application/msword",
    "docx": f"{_OFFICE}.wordprocessingml.document",
    "xls": "application/vnd.ms-excel",
    "xlsx": f"{_OFFICE}.spreadsheetml.sheet",
    "html": "text/html",
    "txt": "text/plain",
    "md": "text/markdown",
}

VIDEO_TYPES = {
    "mp4": "video/mp4",
    "mov": "video/quicktime",
    "mkv": "video/x-matroska",
    "webm": "video/webm",
    "flv": "video/x-flv",
    "mpeg": "video/mpeg",
    "mpg": "video/mpeg",
    "wmv": "video/x-ms-wmv",
    "three_gp": "video/3gpp",
}

AUDIO_TYPES = {
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "opus": "audio/opus",
    "aac": "audio/aac",
    "m4a": "audio/x-m4a",
    "mp4": "audio/mp4",
    "webm": "audio/webm",
    "pcm": "audio/pcm",
    "mka": "audio/x-matroska",
    "mkv": "audio/x-matroska",
    "mpeg": "audio/mpeg",
    "mpga": "audio/mpeg",
    "x-aac": "audio/aac",
}

_ALIASES = {
    "image/jpg": "image/jpeg",
    "audio/mp3": "audio/mpeg",
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/l16": "audio/pcm",
    "text/x-markdown": "text/markdown",
}


def _names(types: dict[str, str]) -> dict[str, str]:
    names: dict[str, str] = {}
    for name, media_type in types.items():
        names.setdefault(media_type, name)
    return names


_IMAGE_NAMES = _names(IMAGE_TYPES)
_DOCUMENT_NAMES = _names(DOCUMENT_TYPES)
_VIDEO_NAMES = _names(VIDEO_TYPES)
_AUDIO_NAMES = _names(AUDIO_TYPES)

NAMES = {"image": _IMAGE_NAMES, "document": _DOCUMENT_NAMES, "video": _VIDEO_NAMES, "audio": _AUDIO_NAMES}
TYPES = {"image": IMAGE_TYPES, "document": DOCUMENT_TYPES, "video": VIDEO_TYPES, "audio": AUDIO_TYPES}


def format_name(kind: str, media_type: str) -> str | None:
    """The format's name for `media_type`, None when it has none. Text of any other type is a `txt` document."""
    plain = media_type.partition(";")[0].strip().lower()
    name = NAMES[kind].get(_ALIASES.get(plain, plain))
    if name is None and kind == "document" and (plain.startswith("text/") or plain == "application/json"):
        return "txt"
    return name
