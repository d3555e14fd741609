"""The ledgers of tests/wire/loss: for each feature of a client's format, whether a backend's format carries it, which
members are dropped on the way, or why it is refused.

`pytest --update-golden` writes them; a change of one is a change of what users lose.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from core.conversation import Conversation, Source
from core.errors import ClientFault, Unsupported
from core.formats import load_format
from core.formats.contract import Call, Target
from core.models.resolve import facts_for
from core.translation.content import urls_to_inline, with_inlined
from core.translation.pipeline import translate_request
from core.translation.rules import rules_for
from tests.conftest import CheckGolden
from tests.gateways import Bench
from tests.scripted import Play
from tests.translation.essence import lost
from tests.translation.pairs import BACKENDS, bench_of, request_of
from tests.translation.request_judges import REQUEST_JUDGES
from tests.wire.recordings import needs_recordings

FOLDER = Path(__file__).resolve().parents[1] / "wire" / "loss"
FORMATS = ("chat_completions", "responses", "messages", "converse", "generate_content")

# A present-day model behind each format.
MODELS = {
    "chat_completions": "gpt-4.1",
    "responses": "gpt-5.4",
    "messages": "claude-opus-4-6",
    "converse": "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "generate_content": "gemini-3-pro-preview",
}
PAIRS = [(client, backend) for client in FORMATS for backend in FORMATS if client != backend]


def features(client: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every feature's name and the request that uses it."""
    document = json.loads((FOLDER / f"features-{client}.json").read_text("utf-8"))
    for name, members in document["features"].items():
        yield name, {**deepcopy(document["base"]), **members}


def conversation_of(client: str, body: dict[str, Any]) -> Conversation:
    """The neutral conversation; a feature that its own format refuses is a mistake in the list."""
    call = Call("m", bool(body.get("stream")), {"anthropic-version": "2023-06-01"})
    return load_format(client).read_request(deepcopy(body), call)


def target_of(backend: str) -> Target:
    return Target(MODELS[backend], "there", BACKENDS[backend][0]["type"], facts_for(MODELS[backend]))


def inlined(conversation: Conversation, backend: str, target: Target) -> Conversation:
    """As the gateway does it: media that the backend wants as bytes are fetched first."""
    wanted = urls_to_inline(conversation, rules_for(backend, target))
    kinds = {source.data: "application/pdf" if source.data.endswith("pdf") else "image/png" for source in wanted}
    return with_inlined(conversation, {url: Source("base64", "AAAA", kind) for url, kind in kinds.items()})


@needs_recordings
@pytest.mark.parametrize(("client", "backend"), PAIRS)
def test_the_ledger_of_a_pair(client: str, backend: str, golden: CheckGolden) -> None:
    target = target_of(backend)
    carried: list[str] = []
    dropped: dict[str, list[str]] = {}
    refused: dict[str, str] = {}
    for feature, body in features(client):
        conversation = inlined(conversation_of(client, body), backend, target)
        try:
            written = translate_request(conversation, backend, target).written
        except (Unsupported, ClientFault) as error:
            assert error.param and error.param in error.message, feature
            refused[feature] = error.message
            continue
        REQUEST_JUDGES[backend](written.body)
        call = Call(target.model, False, {"anthropic-version": "2023-06-01"})
        back = load_format(backend).read_request(json.loads(json.dumps(written.body)), call)
        assert not lost(conversation, back), feature
        if written.dropped:
            dropped[feature] = [f"{item.path}: {item.reason}" for item in written.dropped]
        else:
            carried.append(feature)
    ledger = {"model": target.model, "carried": carried, "dropped": dropped, "refused": refused}
    golden(FOLDER / f"{client}-{backend}.json", ledger)


@pytest.mark.parametrize("client", FORMATS)
async def test_a_backend_of_the_same_format_loses_nothing(client: str, golden: CheckGolden) -> None:
    """The bytes of every feature's request go through, but for the model's name."""
    carried = []
    for feature, body in features(client):
        bench: Bench = bench_of(client, Play(status=500, headers={}), "served")
        path, sent = request_of(client, False, body)
        await bench.post(path, sent, anthropic_version="2023-06-01")
        [received] = bench.transport.requests
        assert received.body == sent.replace(b'"model": "m"', b'"model": "served"'), feature
        carried.append(feature)
    golden(FOLDER / f"{client}-{client}.json", {"model": "any", "carried": carried, "dropped": {}, "refused": {}})
