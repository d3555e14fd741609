"""What stands inside the history of a Messages request and its surface does not take: the scope of cache marks, and
members and blocks of turns that need a beta. `tools.0.cache_control.ephemeral.scope: Extra inputs are not permitted`.

Imported for requests that may hold such a thing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from core.formats.messages.read_blocks import read_opaque
from core.formats.messages.surfaces import MESSAGE_MEMBERS, Surface
from core.json_edit import JsonObject

_SCOPE: Final[dict[str, tuple[str, ...]]] = {"scope": ("prompt-caching-scope-",)}
_BLOCKS: Final[dict[str, tuple[str, ...]]] = {
    "tool_addition": ("mid-conversation-tool-changes-",),
    "tool_removal": ("mid-conversation-tool-changes-",),
}


class History:
    """Makes the members of one request fit for `surface`. `lost` gets the names of what the client loses."""

    def __init__(self, surface: Surface) -> None:
        self._surface = surface
        self.lost: dict[str, None] = {}

    def members(self, values: JsonObject) -> JsonObject:
        """Those of the request's members `values` that have to change, changed."""
        served: JsonObject = {}
        for name in ("system", "tools"):
            served[name] = self._blocks(values.get(name))
        served["messages"] = _each(values.get("messages"), self._message)
        served["cache_control"] = self._marked(values).get("cache_control")
        return {name: value for name, value in served.items() if value != values.get(name)}

    def _message(self, message: Any) -> Any:
        if not isinstance(message, dict):
            return message
        kept, dropped = self._surface.split(message, MESSAGE_MEMBERS)
        self.lost.update(dict.fromkeys(f"messages.{name}" for name in dropped))
        return {**kept, "content": self._blocks(kept["content"])} if "content" in kept else kept

    def _blocks(self, blocks: Any) -> Any:
        return _each(blocks, self._block)

    def _block(self, block: Any) -> Any:
        if not isinstance(block, dict):
            return block
        kind = block.get("type")
        if isinstance(kind, str) and not self._surface.takes(kind, _BLOCKS):
            words = read_opaque(block).text
            if words is not None:
                self.lost[f"messages.{kind}"] = None
                return {"type": "text", "text": words}
        block = self._marked(block)
        return {**block, "content": self._blocks(block["content"])} if "content" in block else block

    def _marked(self, holder: JsonObject) -> JsonObject:
        mark = holder.get("cache_control")
        if not isinstance(mark, dict):
            return holder
        kept, dropped = self._surface.split(mark, _SCOPE)
        self.lost.update(dict.fromkeys(f"cache_control.{name}" for name in dropped))
        return {**holder, "cache_control": kept}


def _each(values: Any, serve: Callable[[Any], Any]) -> Any:
    """`serve` of every one of `values`, where they are a list: what is none is the backend's to refuse."""
    return [serve(value) for value in values] if isinstance(values, list) else values
