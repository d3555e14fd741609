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

# Bookkeeping that the reader leaves in the `extra` of messages, blocks and tools. It says where an item began
# and how it was identified; another format loses nothing with it, so nobody need be warned.
SILENT_EXTRAS: frozenset[str] = frozenset(
    {"id", "status", "type", "item", "raw", "namespace", "additional_tools", "input", "logprobs"}
)

# Top-level members whose absence changes nothing that the client can see: bookkeeping of the client's own.
SILENT_MEMBERS: frozenset[str] = frozenset({"client_metadata", "stream_options"})

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
