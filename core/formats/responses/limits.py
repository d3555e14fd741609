"""What a Responses request may ask for that no other format can give, as data for the translation layer."""

from __future__ import annotations

# Top-level members that change what the answer means, found in `Conversation.extra`. A request that sets one
# (to anything but false) is refused with a 400 naming it, unless the backend speaks Responses itself. Every
# other member of `extra` is a knob: dropped with a warning.
REFUSED_ELSEWHERE: dict[str, str] = {
    "background": "background answers are kept by the Responses API's own servers",
    "conversation": "conversations are kept by the Responses API's own servers",
    "prompt": "stored prompts are kept by the Responses API's own servers",
}

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
