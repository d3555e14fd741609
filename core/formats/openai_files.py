"""Names of files as both of OpenAI's formats need them."""

from __future__ import annotations


def file_name(name: str | None, suffix: str | None, otherwise: str) -> str:
    """A name that ends with `suffix`, or where no suffix is known the name as it is; a file without a name gets one,
    which ends with `otherwise` then. OpenAI refuses a file without a name and tells its kind by the ending, which
    titles and Bedrock's names of documents lack."""
    if name is None:
        return f"document.{suffix or otherwise}"
    return name if suffix is None or name.lower().endswith(f".{suffix}") else f"{name}.{suffix}"
