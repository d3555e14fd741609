"""Reads a chunk that differs from an earlier one in its text alone, without parsing all of it.

Nearly every chunk of a stream is such a one. What is around the text is compared with what was seen before; any
difference, and the chunk is parsed in full.
"""

from __future__ import annotations

import re

from core.conversation import JsonObject

_CONTENT = re.compile(r'"delta": ?\{"content": ?(?=")')
# A JSON string without escapes, which most are, or with any.
_STRING = re.compile(r'"([^"\\\x00-\x1f]*)"')


class PlainChunks:
    """Knows the last plain chunk's frame: all before its text, and after it to the end of `choices`."""

    __slots__ = ("_head", "_tail")

    def __init__(self) -> None:
        self._head = ""
        self._tail = ""

    def text_of(self, data: str) -> str:
        """The chunk's text, "" unless it is plain and like the one before."""
        head, tail = self._head, self._tail
        if not head or not data.startswith(head):
            return ""
        match = _STRING.match(data, len(head))
        if match is None or not data.startswith(tail, match.end()):
            return ""
        # Behind the choices: usage or an error would be an object; `"usage":null` and obfuscation are none.
        if data.find("{", match.end() + len(tail)) >= 0 or data.find('"error"', match.end() + len(tail)) >= 0:
            return ""
        return match[1]

    def learn(self, data: str, chunk: JsonObject) -> None:
        """Remembers the frame of `chunk`, the parsed `data`, if it is plain."""
        choices = chunk.get("choices")
        if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
            return
        choice = choices[0]
        delta = choice.get("delta")
        if not isinstance(delta, dict) or delta.keys() != {"content"}:
            return
        if choice.get("finish_reason") or choice.get("index") not in (0, None):
            return
        start = _CONTENT.search(data)
        match = start and _STRING.match(data, start.end())
        if start and match and chunk.get("usage") is None:
            self._head = data[: start.end()]
            self._tail = data[match.end() : data.index("]", match.end()) + 1]
