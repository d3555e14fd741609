"""Token counts in one convention, whatever the format counts.

`input_tokens` excludes everything that was read from or written to a prompt cache (Anthropic's and Bedrock's
convention; OpenAI's and Gemini's prompt counts include it). `output_tokens` includes reasoning.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from core.slotted import field, slotted

if TYPE_CHECKING:
    from core.ports import Hold


# The status of a request whose client left before its answer began: nginx's, which nobody is told.
CLIENT_LEFT = 499


def token_count(value: Any) -> int | None:
    """A number of tokens as a backend states it; None for what is none: a bool, a fraction, a negative number, or one
    that is larger than JSON carries exactly."""
    return value if type(value) is int and 0 <= value < 2**53 else None


@slotted
class Usage:
    """Tokens of one answer. None means that the backend did not say; `raw` is its own usage object, `tier` the service
    tier that the answer was given at, which is not always the one that was asked for."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_5m_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    reasoning_tokens: int | None = None
    raw: dict[str, Any] = field(default_factory=dict)
    tier: str | None = None

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
        """Takes over everything that `later` states: stream reports are cumulative, not increments."""
        if later.input_tokens is not None:
            self.input_tokens = later.input_tokens
        if later.output_tokens is not None:
            self.output_tokens = later.output_tokens
        if later.cache_read_tokens is not None:
            self.cache_read_tokens = later.cache_read_tokens
        if later.cache_write_5m_tokens is not None:
            self.cache_write_5m_tokens = later.cache_write_5m_tokens
        if later.cache_write_1h_tokens is not None:
            self.cache_write_1h_tokens = later.cache_write_1h_tokens
        if later.reasoning_tokens is not None:
            self.reasoning_tokens = later.reasoning_tokens
        if later.tier is not None:
            self.tier = later.tier
        self.raw = {**self.raw, **later.raw}


@slotted(frozen=True)
class Cost:
    """What an answer costs, by part, in whole picodollars (1e-12 USD)."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0

    @property
    def total(self) -> int:
        return self.input + self.output + self.cache_read + self.cache_write_5m + self.cache_write_1h

    @property
    def usd(self) -> str:
        """The total in USD, exactly, without trailing zeros: "0.000123"."""
        return in_usd(self.total)


def in_usd(picodollars: int) -> str:
    """Picodollars as USD, exactly and without trailing zeros."""
    sign, whole = ("-", -picodollars) if picodollars < 0 else ("", picodollars)
    dollars, rest = divmod(whole, 10**12)
    return f"{sign}{dollars}.{rest:012}".rstrip("0").rstrip(".")


@slotted
class Wasted:
    """Tokens that are on the bill and in no answer's counts: of a hedge that lost, of a stream that broke, of what a
    vendor did beside its answer (a summary of the context)."""

    backend: str
    api_model: str
    usage: Usage


@slotted
class UsageRecord:
    """What one request did and used, for the log and the bill. Times are in seconds, `started` since the epoch.

    `finish`: the neutral stop reason; `outcome`: `complete`, `failed`, `cut` (after the commit) or `abandoned`
    (the client left). `caller` is whose counters it is on, `key` what people recognise a key by; `session` and
    `agent` are Claude Code's, or the chat API's; `source` is the part of the console that asked, "" for a client of an
    endpoint. `tier` is the service tier that was asked for. `hold` is what was reserved for it.
    `compute_milliseconds` is its share of the instance's time where that is shared; `sent` tells the bytes of the
    answer where the platform asks for money for them.
    """

    request_id: str
    operation: str
    client_format: str
    started: float
    model: str = ""
    backend: str = ""
    api_model: str = ""
    backend_format: str = ""
    streamed: bool = False
    attempts: int = 0
    status: int = 0
    outcome: str = "failed"
    finish: str | None = None
    usage: Usage = field(default_factory=Usage)
    first_byte_seconds: float | None = None
    seconds: float = 0.0
    dropped: list[str] = field(default_factory=list)
    edits: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    user_agent: str = ""
    wasted: list[Wasted] = field(default_factory=list)
    caller: str = ""
    key: str = ""
    owner: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    session: str = ""
    agent: str = ""
    region: str = ""
    tier: str = ""
    cost: Cost | None = None
    request_bytes: int = 0
    source: str = ""
    hold: Hold | None = None
    compute_milliseconds: float | None = None
    sent: Callable[[], int] | None = None
