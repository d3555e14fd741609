"""What each vendor refuses with a 400, as rules over a whole request: what a real backend would say to the gateway.

Written from the vendors' documentation and error messages, without the code under test. `complaints` gives one line
per rule that a request breaks; an empty list means that the vendor would take it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.wire.rules.bedrock import converse, invoke
from tests.wire.rules.claude import messages
from tests.wire.rules.gemini import generate_content
from tests.wire.rules.openai import chat_completions, responses

type Rules = Callable[[str, Any, Mapping[str, str]], list[str]]

RULES: Mapping[str, Rules] = {
    "messages": messages,
    "invoke": invoke,
    "converse": converse,
    "chat_completions": chat_completions,
    "responses": responses,
    "generate_content": generate_content,
}


def complaints(format_name: str, model: str, body: Any, headers: Mapping[str, str]) -> list[str]:
    """The rules of `format_name`'s vendor that a request for `model` breaks."""
    return RULES[format_name](model, body, headers)
