"""InvokeModel's whole answers are Anthropic's own."""

from __future__ import annotations

from core.formats.messages.response import read_response, write_response

__all__ = ["read_response", "write_response"]
