"""A chain of models: what each step is asked, made from the first message and the answer before."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from core.chat.messages import Said
from core.errors import GatewayError
from core.formats.api.wire import status_of
from core.slotted import replace

# What a step sees where it says nothing else.
FIRST_TEMPLATE: Final = "{input}"
NEXT_TEMPLATE: Final = "{input}\n\n---\nThe previous model in this chain answered:\n\n{previous}"

_PLACES: Final = re.compile(r"\{(input|previous)\}")

HANDED_ON: Final = "The last message is an assistant's: the model was given it as the previous step's answer."


def filled(template: str, given: str, previous: str) -> str:
    """`template` with {input} and {previous} filled in, each once: what is filled in is not looked at again, and other
    braces stay as they are."""
    values = {"input": given, "previous": previous}
    return _PLACES.sub(lambda found: values[found.group(1)], template)


def step_prompt(template: str | None, index: int, given: str, previous: str) -> str:
    """What step `index` (from 0) is asked."""
    return filled(template or (NEXT_TEMPLATE if index else FIRST_TEMPLATE), given, previous)


def handed_on(messages: Sequence[Said]) -> tuple[list[Said], bool]:
    """Messages that end with an assistant's: the question and that answer become one question. And whether they did."""
    if not messages or messages[-1].role != "assistant":
        return list(messages), False
    previous = messages[-1].content
    before = list(messages[:-1])
    question = before.pop() if before and before[-1].role == "user" else Said("user", "")
    asked = filled(NEXT_TEMPLATE, question.content, previous)
    return [*before, replace(question, content=asked)], True


def of_step(error: GatewayError, index: int, model: str) -> GatewayError:
    """`error` with the step that it came from in its message and details."""
    failed = GatewayError(
        error.kind, f"Step {index + 1} ({model}) failed: {error.message}", status=status_of(error), param=error.param,
        retry_after=error.retry_after,
    )  # fmt: skip
    failed.about = {**error.about, "step": index, "model": model}
    return failed
