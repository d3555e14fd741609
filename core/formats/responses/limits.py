"""Words and members of the Responses format that its readers and writers share, as data.

What of a request no other format can give is in core.translation.knobs.
"""

from __future__ import annotations

# The tiers that a request may ask for and an answer may name.
SERVICE_TIERS: frozenset[str] = frozenset({"auto", "default", "flex", "scale", "priority", "fast", "ultrafast"})

# Members that other formats share by name and meaning, so that they are sent on whatever the client speaks
# (`truncation` is also a default that a model's configuration may set).
SHARED_MEMBERS: frozenset[str] = frozenset(
    {
        "truncation",
        "safety_identifier",
        "prompt_cache_options",
        "prompt_cache_retention",
        "moderation",
        "max_tool_calls",
    }
)
