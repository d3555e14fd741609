"""Conversations of agents, generated and made by hand in every client's format: every backend's judge accepts what
is sent, and nothing said is lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core.conversation import FormatName
from core.errors import ClientFault, Unsupported
from core.formats import load_format
from core.formats.contract import Call, Target
from core.models.resolve import facts_for
from core.translation.pipeline import translate_request
from tests.translation.essence import lost
from tests.translation.pairs import BACKENDS
from tests.translation.recorded import FORMATS
from tests.translation.request_judges import REQUEST_JUDGES
from tests.translation.test_loss import FORMATS as CLIENTS
from tests.translation.test_loss import MODELS, inlined
from tests.translation.test_prefixes import bodies
from tests.wire.recordings import needs_recordings

pytestmark = needs_recordings

_REQUESTS = Path(__file__).resolve().parents[1] / "wire" / "requests"


def made(client: str) -> list[tuple[str, dict[str, Any]]]:
    """The project's own request fixtures: Claude Code's, Codex's, the AI SDK's, and those that use everything."""
    paths = sorted((_REQUESTS / client).glob("made-*.json"))
    found = [(path.stem, json.loads(path.read_text("utf-8"))) for path in paths]
    return [(name, body) for name, body in found if isinstance(body, dict)]


def sent_and_lost(client: str, body: dict[str, Any], backend: str) -> None:
    """Translates, asks the judge, reads again and compares."""
    options, model = BACKENDS[backend]
    model = MODELS.get(backend, model)
    target = Target(model, "there", options["type"], facts_for(model))
    call = Call("m", False, {"anthropic-version": "2023-06-01"})
    conversation = inlined(load_format(client).read_request(json.loads(json.dumps(body)), call), backend, target)
    written = translate_request(conversation, backend, target).written
    REQUEST_JUDGES[backend](written.body)
    again = Call(model, False, {"anthropic-version": "2023-06-01"})
    back = load_format(backend).read_request(json.loads(json.dumps(written.body)), again)
    assert not lost(conversation, back)


@pytest.mark.parametrize("backend", FORMATS)
@pytest.mark.parametrize("client", CLIENTS)
def test_generated_conversations(client: FormatName, backend: str) -> None:
    if client == backend:
        return  # passes through
    for seed in range(10, 16):
        sent_and_lost(client, bodies(client, seed)[-1], backend)


# What makes a fixture that uses everything unfit for another vendor, in its refusal's words.
_OWN_ONLY = (
    "exists with its own vendor",
    "not supported by this model's backend",
    "nothing that could hold",
    "file id is known to the vendor",
    "no web search of its own",
    "does not take",
    "S3 location",
    "stores responses",
    "Bedrock does not run",
    "cannot be sent",
    "no structured output beside tools",
)


@pytest.mark.parametrize("backend", FORMATS)
@pytest.mark.parametrize("client", CLIENTS)
def test_made_requests(client: str, backend: str) -> None:
    requests = made(client)
    assert requests
    for name, body in requests:
        if client == backend:
            continue
        try:
            sent_and_lost(client, body, backend)
        except (Unsupported, ClientFault) as error:
            assert error.param, name
            assert any(words in error.message for words in _OWN_ONLY), (name, error.message)
            # The requests of real clients are refused nowhere.
            assert "every" in name or name == "made-thinking-auto", (name, error.message)
