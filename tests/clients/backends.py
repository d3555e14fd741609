"""The configuration of a gateway whose only backend is a scripted one, in each format."""

from __future__ import annotations

from typing import Any

# Type, path under which its SDK's base URL lies, further options, and a model of the kind that it serves.
_ROWS: dict[str, tuple[str, str, dict[str, str], str]] = {
    "messages": ("anthropic", "", {}, "claude-sonnet-4-5"),
    "chat_completions": ("openai", "/v1", {"format": "chat_completions"}, "gpt-4.1"),
    "responses": ("openai", "/v1", {"format": "responses"}, "gpt-5"),
    "converse": (
        "bedrock",
        "",
        {"format": "converse", "region": "us-east-1"},
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    ),
    "invoke": (
        "bedrock",
        "",
        {"format": "invoke", "region": "us-east-1"},
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    ),
    "generate_content": ("gemini", "", {}, "gemini-3-pro-preview"),
}


def document_for(format_name: str, url: str, *names: str) -> dict[str, Any]:
    """Every name (patterns too) is served by the backend at `url`, which speaks `format_name`."""
    model = _ROWS[format_name][-1]
    rows = {name: {"backend": "scripted", "api_model": model} for name in names or ("*",)}
    return {"backends": {"scripted": backend_for(format_name, url)}, "models": rows}


def backend_for(format_name: str, url: str) -> dict[str, Any]:
    """The backend at `url`, which speaks `format_name`."""
    kind, path, options, _ = _ROWS[format_name]
    return {"type": kind, "base_url": url + path, "api_key": "backend-key", **options}
