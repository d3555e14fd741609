"""The name of `thinking.block_binding`'s one member, which Bedrock calls by another: either refuses the other's.

https://docs.aws.amazon.com/bedrock/latest/userguide/claude-messages-thinking-block-binding.html
"""

from __future__ import annotations

from typing import Any, Final

BLOCK_BINDING: Final = "block_binding"
_ANTHROPIC: Final = "prefix_mismatch_behavior"
_BEDROCK: Final = "mismatch_behavior"


def with_binding(thinking: dict[str, Any], *, on_bedrock: bool) -> dict[str, Any]:
    """`thinking`, or what stands beside its type, with that member named for the surface; itself where it is."""
    binding = thinking.get(BLOCK_BINDING)
    old, new = (_ANTHROPIC, _BEDROCK) if on_bedrock else (_BEDROCK, _ANTHROPIC)
    if not isinstance(binding, dict) or old not in binding:
        return thinking
    renamed = {new if name == old else name: value for name, value in binding.items()}
    return {**thinking, BLOCK_BINDING: renamed}
