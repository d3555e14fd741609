"""What the tests of the Converse format share: the recordings, and the targets that they were made with."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

from core.formats.contract import Call, Reply, Target
from core.formats.converse import read_request
from core.models.resolve import facts_for
from tests.wire.recordings import Recorded, recorded_pairs

FOLDERS = ("pydantic-ai-cassettes", "otel-botocore-bedrock", "openllmetry-bedrock")


def recorded() -> list[Recorded]:
    """Every recorded Converse exchange whose bodies are whole."""
    return [pair for folder in FOLDERS for pair in recorded_pairs(folder, "/converse") if _is_whole(pair)]


def _is_whole(pair: Recorded) -> bool:
    # Two cassettes hold a body that was cut short before it was recorded.
    try:
        return isinstance(pair.request_json, dict)
    except ValueError:
        return False


def model_of(pair: Recorded) -> str:
    return unquote(pair.url.split("/model/")[1].split("/")[0])


def target_of(model: str, *, stream: bool = False) -> Target:
    return Target(model, "bedrock", "bedrock", facts_for(model), stream)


def reply_to(model: str, body: dict[str, Any] | None = None) -> Reply:
    request = body if body is not None else {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}
    conversation = read_request(request, Call(model=model, stream=False))
    return Reply(model, "x" * 20, 1_700_000_000, conversation, "req-1")


def without_nothing(body: dict[str, Any]) -> dict[str, Any]:
    """`body` without empty `system` and `inferenceConfig`, which say nothing, and with schemas parsed."""
    kept = {name: value for name, value in body.items() if value or name not in ("system", "inferenceConfig")}
    if "outputConfig" in kept:
        kept = json.loads(json.dumps(kept))
        definition = kept["outputConfig"]["textFormat"]["structure"]["jsonSchema"]
        definition["schema"] = json.loads(definition["schema"])
    return kept
