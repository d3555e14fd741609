"""Which `anthropic-beta` values a backend surface accepts. An unknown one is a 400 on Bedrock and Vertex.

The surfaces: `anthropic` (first party), `foundry` (Azure), `converse` and `invoke` (Bedrock), `mantle`
(Bedrock's Messages endpoint), `vertex`, `databricks`. Dates of the same beta are listed one by one, because
surfaces adopt them one by one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

ALL: Final = "A F C I M V D"
SURFACE_LETTERS: Final[dict[str, str]] = {
    "anthropic": "A",
    "foundry": "F",
    "converse": "C",
    "invoke": "I",
    "mantle": "M",
    "vertex": "V",
    "databricks": "D",
}

# The surfaces on which each beta is accepted.
ACCEPTED: Final[dict[str, str]] = {
    "advisor-tool-2026-03-01": "A",
    "advanced-tool-use-2025-11-20": "A F",
    "claude-code-20250219": "A F M",
    "code-execution-2025-08-25": "A F",
    "compact-2026-01-12": "A I M V D",
    "compact-2026-09-04": "A F",
    "computer-use-2025-01-24": ALL,
    "computer-use-2025-11-24": ALL,
    "context-1m-2025-08-07": ALL,
    "context-management-2025-06-27": "A F I M V D",
    "dangerous-tool-use-2026-09-03": "A F I M V D",
    "effort-2025-11-24": "A F C I M D",
    "fast-mode-2026-02-01": "A",
    "files-api-2025-04-14": "A F",
    "fine-grained-tool-streaming-2025-05-14": "A C I M D",
    "inline-tools-2026-09-15": "A V",
    "interleaved-thinking-2025-05-14": "A F M V D",
    "mcp-client-2025-04-04": "A F",
    "mcp-client-2025-11-20": "A F",
    "mid-conversation-output-config-2026-07-01": "A I",
    "mid-conversation-tool-changes-2026-07-01": "A F I V",
    "output-128k-2025-02-19": "A M D",
    "per-turn-control-2026-07-01": "A F M V",
    "prompt-caching-scope-2026-01-05": "A F",
    "skills-2025-10-02": "A F",
    "structured-outputs-2025-11-13": "A F C M D",
    "thinking-binding-controls-2026-08-01": ALL,
    "thinking-display-updates-2026-08-18": ALL,
    "token-efficient-tools-2025-02-19": "A M D",
    "tool-examples-2025-10-29": "A M",
    "tool-search-tool-2025-10-19": "I M V",
    "web-fetch-2025-09-10": "A F",
    "web-search-2025-03-05": "A F M V D",
}

# A beta that another surface knows under another name.
RENAMED: Final[dict[str, tuple[str, str]]] = {
    "advanced-tool-use-2025-11-20": ("tool-search-tool-2025-10-19", "I M V"),
}


# Bedrock takes it with the models that think within a budget and refuses it with newer ones: its own clients know which
# they ask (https://docs.aws.amazon.com/bedrock/latest/userguide/claude-messages-extended-thinking.html).
_BY_MODEL: Final = "interleaved-thinking-2025-05-14"

# Top-level members of a Messages request -> the betas, by prefix, of which one must have been sent with it.
TOP_MEMBERS: Final[dict[str, tuple[str, ...]]] = {
    "context_management": ("context-management-", "compact-"),
    "compaction": ("compact-",),
    "mcp_servers": ("mcp-client-",),
    "container": ("code-execution-", "skills-"),
    "speed": ("fast-mode-",),
    "fallbacks": ("server-side-fallback-",),
    "safeguards": ("dangerous-tool-use-",),
    "thread": ("message-threads-",),
    "inference_geo": (),
    "diagnostics": (),
}
# Those of them that a request may not lose: its tools, and the conversation before it.
NOT_LOST: Final[dict[str, str]] = {
    "mcp_servers": "does not connect to MCP servers",
    "thread": "keeps no threads: send the whole conversation",
}


def unserved_members(members: Iterable[str], kept: Iterable[str]) -> list[str]:
    """Those of a request's top-level `members` that every surface but Anthropic's own refuses with the betas `kept`
    alone."""
    betas = list(kept)
    return [
        member
        for member in members
        if member in TOP_MEMBERS and not any(beta.startswith(TOP_MEMBERS[member]) for beta in betas)
    ]


def accepted_betas(surface: str, betas: Iterable[str]) -> tuple[list[str], list[str]]:
    """Splits `betas` into those to send to `surface` (renamed where it has its own word) and those dropped.

    Anthropic itself gets all of them: it knows betas that this table does not. Order is kept, repeats are
    not.
    """
    letter = SURFACE_LETTERS.get(surface, "")
    kept: list[str] = []
    dropped: list[str] = []
    for beta in betas:
        sent = _name_on(letter, beta)
        if sent is None:
            dropped.append(beta)
        elif sent not in kept:
            kept.append(sent)
    return kept, dropped


def without_refused(surface: str, betas: Iterable[str]) -> tuple[list[str], list[str]]:
    """The same split, but for clients that speak to the surface itself: what the table does not have is sent."""
    listed = list(betas)
    _, dropped = accepted_betas(surface, [beta for beta in listed if beta in ACCEPTED and beta != _BY_MODEL])
    return [beta for beta in listed if beta not in dropped], dropped


def _name_on(letter: str, beta: str) -> str | None:
    if letter == "A" or (letter and letter in ACCEPTED.get(beta, "").split()):
        return beta
    name, letters = RENAMED.get(beta, ("", ""))
    return name if letter and letter in letters.split() else None
