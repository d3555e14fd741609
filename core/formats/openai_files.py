"""Names of files as both of OpenAI's formats need them."""

from __future__ import annotations

from typing import Final

# OpenAI goes by a file's name where its data comes without a media type.
_MEDIA_OF_SUFFIX: Final = {
    "pdf": "application/pdf",
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "json": "application/json",
    "html": "text/html",
    "xml": "text/xml",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
}
_SUFFIX_OF_MEDIA: Final = {media_type: suffix for suffix, media_type in _MEDIA_OF_SUFFIX.items()}


_TELLS_NOTHING: Final = frozenset({"", "application/octet-stream"})


def media_type_of(name: str | None, stated: str = "") -> str:
    """The media type of the file `name`: as `stated`, unless that says nothing and the name's ending does."""
    if name is None or stated not in _TELLS_NOTHING:
        return stated
    return _MEDIA_OF_SUFFIX.get(name.rpartition(".")[2].lower(), stated)


def suffix_of(media_type: str) -> str | None:
    """The ending of names of such files, None where none is known."""
    return _SUFFIX_OF_MEDIA.get(media_type)


def file_name(name: str | None, suffix: str | None, otherwise: str) -> str:
    """A name that ends with `suffix`, or where no suffix is known the name as it is; a file without a name gets one,
    which ends with `otherwise` then. OpenAI refuses a file without a name and tells its kind by the ending, which
    titles and Bedrock's names of documents lack."""
    if name is None:
        return f"document.{suffix or otherwise}"
    return name if suffix is None or name.lower().endswith(f".{suffix}") else f"{name}.{suffix}"
