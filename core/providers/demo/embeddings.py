"""The demo's embeddings: https://platform.openai.com/docs/api-reference/embeddings.

A text's vector is the sum of its words' hashed directions, of length one: always the same, and texts that share
words lie closer together than texts that do not, so that a search over them finds something.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
import struct
from collections.abc import Iterable
from typing import Any

from core.providers.demo.ask import JsonObject
from core.providers.demo.checks import OPENAI, Fields
from core.providers.demo.tokens import count_text

_DIMENSIONS = 1536
_MOST_DIMENSIONS = 4096
_MOST_INPUTS = 2048
_WORD = re.compile(r"\w+")


def answer(body: JsonObject) -> JsonObject:
    """The answer to an embeddings request. Raises ClientFault as OpenAI answers 400."""
    fields = Fields(OPENAI, body)
    model = fields.text("model")
    dimensions = fields.number("dimensions", "integer", 1, _MOST_DIMENSIONS) or _DIMENSIONS
    packed = fields.choice("encoding_format", ("float", "base64")) == "base64"
    inputs = _read_inputs(fields)
    data = [
        {"object": "embedding", "index": index, "embedding": _written(embed(words, dimensions), packed)}
        for index, (words, _) in enumerate(inputs)
    ]
    tokens = sum(count for _, count in inputs)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": model, "usage": usage}


def _read_inputs(fields: Fields) -> list[tuple[list[str], int]]:
    """The inputs as (words, tokens): a text, token numbers, or a list of either."""
    value = fields.value.get("input")
    if value is None:
        fields.required("input", "string")
    if isinstance(value, str) or _are_tokens(value):
        value = [value]
    if not isinstance(value, list) or not 0 < len(value) <= _MOST_INPUTS:
        raise fields.fault("input", f"Invalid '{{path}}': expected a string or a list of 1 to {_MOST_INPUTS}.")
    return [_read_input(fields, each) for each in value]


def _are_tokens(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(type(each) is int for each in value)


def _read_input(fields: Fields, value: object) -> tuple[list[str], int]:
    if isinstance(value, list) and _are_tokens(value):
        return [str(token) for token in value], len(value)
    if not isinstance(value, str) or not value:
        raise fields.fault("input", "Invalid '{path}': each input must be a string that is not empty.")
    return _WORD.findall(value.lower()) or [value], count_text(value)


def embed(words: Iterable[str], dimensions: int) -> list[float]:
    """The vector of a text's words: `dimensions` floats, length one."""
    vector = [0.0] * dimensions
    for word in words:
        digest = hashlib.sha512(word.encode("utf-8", "replace")).digest()
        for start in range(0, len(digest), 4):
            number = int.from_bytes(digest[start : start + 4])
            vector[(number >> 1) % dimensions] += 1.0 if number & 1 else -1.0
    length = math.sqrt(sum(value * value for value in vector))
    if not length:  # directions can cancel each other out in few dimensions
        vector[0] = length = 1.0
    return [value / length for value in vector]


def _written(vector: list[float], packed: bool) -> Any:
    """The vector as JSON numbers, or as base64 of little-endian 32-bit floats."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode() if packed else vector
