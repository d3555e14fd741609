"""What the demo's three readers have in common: names, schemas, attachments, stop sequences."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from core.providers.demo.ask import JsonObject
from core.providers.demo.checks import Fields, bad_request

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)?[^,]*,")
_MOST_STOPS = 4

# What agents put into a user's turn beside what the user wrote.
_HIDDEN = re.compile(r"<(system-reminder|environment_context|user_instructions)>.*?</\1>", re.DOTALL)


def drop_hidden(text: str) -> str:
    """What the user wrote, without what an agent put around it."""
    return _HIDDEN.sub("", text).strip()


def read_name(fields: Fields) -> str:
    """The `name` of a tool or a schema."""
    name: str = fields.text("name")
    if not _NAME.fullmatch(name):
        message = f"Invalid '{{path}}': string does not match pattern '^{_NAME.pattern}$'."
        raise fields.fault("name", message)
    return name


def read_schema(fields: Fields, name: str) -> JsonObject:
    """An optional JSON Schema of an object, {} when it is absent."""
    schema: JsonObject = fields.optional(name, "object") or {}
    kind = schema.get("type", "object")
    if kind != "object":
        message = f"Invalid schema for '{{path}}': schema must be of type 'object', got {kind!r}."
        raise fields.fault(name, message, "invalid_function_parameters")
    return schema


def read_stop(fields: Fields) -> list[str]:
    """OpenAI's `stop`: a string or up to four."""
    alone = isinstance(fields.value.get("stop"), str)
    stop = [fields.required("stop", "string")] if alone else fields.strings("stop")
    if len(stop) > _MOST_STOPS:
        raise fields.fault("stop", f"Invalid '{{path}}': at most {_MOST_STOPS} sequences.", "array_above_max_length")
    return [sequence for sequence in stop if sequence]


def attachment_of_url(fields: Fields, name: str, noun: str) -> str:
    """How an image or file that is given as a URL is spoken of. Its URL must be http(s) or hold the data."""
    url: str = fields.required(name, "string")
    data = _DATA_URL.match(url)
    if data is not None:
        size = (len(url) - data.end()) * 3 // 4
        return f"{noun} ({data.group(1) or 'of no type'}, about {size} bytes)"
    if not url.startswith(("http://", "https://")):
        raise fields.fault(name, "Invalid '{path}': expected a URL or a data URL.", "invalid_image_url")
    return f"{noun} ({url[:80]})"


def refuse_unsupported(fields: Fields, only: Mapping[str, Any]) -> None:
    """Refuses members that would change what the answer is: each may be absent, null or the one value given."""
    for name, value in only.items():
        if fields.has(name) and fields.value[name] != value:
            message = f"Unsupported parameter: '{fields.at(name)}' is not supported with this model."
            raise bad_request(message, fields.at(name), "unsupported_parameter")
