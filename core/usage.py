"""Token counts in one convention, whatever the format counts.

`input_tokens` excludes everything that was read from or written to a prompt cache (Anthropic's and Bedrock's
convention; OpenAI's and Gemini's prompt counts include it). `output_tokens` includes reasoning.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Usage:
    """Tokens of one answer. None means that the backend did not say; `raw` is its own usage object."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_5m_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    reasoning_tokens: int | None = None
    raw: dict[str, Any] = field(default_factory=dict)

    @property
    def cache_write_tokens(self) -> int:
        """Tokens written to the cache, at any time to live."""
        return (self.cache_write_5m_tokens or 0) + (self.cache_write_1h_tokens or 0)

    @property
    def total_input_tokens(self) -> int:
        """The whole prompt: uncached, read from the cache and written to it."""
        return (self.input_tokens or 0) + (self.cache_read_tokens or 0) + self.cache_write_tokens

    @property
    def total_tokens(self) -> int:
        return self.total_input_tokens + (self.output_tokens or 0)

    def merge(self, later: Usage) -> None:
        """Takes over every count that `later` states: stream reports are cumulative, not increments."""
        for name in (
            "input_tokens",
            "output_tokens",
            "cache_read_tokens",
            "cache_write_5m_tokens",
            "cache_write_1h_tokens",
            "reasoning_tokens",
        ):
            value = getattr(later, name)
            if value is not None:
                setattr(self, name, value)
        self.raw = {**self.raw, **later.raw}
