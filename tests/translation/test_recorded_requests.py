"""Every recorded request, translated to every other format: accepted by the backend's judge, and nothing said is
lost on the way.

A request that uses what only its own vendor has (server tools, stored responses, guardrails) is refused by name.
"""

from __future__ import annotations

import json
import re
from copy import deepcopy

import pytest

from core.conversation import Conversation
from core.errors import ClientFault, Unsupported
from core.formats import load_format
from core.formats.contract import Call, Target, Written
from core.models.resolve import facts_for
from core.translation.pipeline import translate_request
from tests.translation.essence import lost
from tests.translation.pairs import BACKENDS
from tests.translation.recorded import FORMATS, Exchange, exchanges
from tests.translation.request_judges import REQUEST_JUDGES
from tests.wire.recordings import needs_recordings

pytestmark = needs_recordings

# Why a recorded request is refused elsewhere.
REASONS = re.compile(
    r"exists with its own vendor only|has no web search of its own|Bedrock does not run the tool"
    r"|reads no URLs, and this one was not fetched"  # the gateway fetches them before it translates
    r"|could hold a 'compaction' block|does not connect to MCP servers|keeps no threads"
    r"|does not take (audio|video)|no structured output beside tools"
    r"|needs a backend that stores responses"
    r"|^(guardrailConfig|container|mcp_servers|background|conversation) "
)

# How much of what was recorded each client format's requests must survive, so that a refusal of too much shows.
MOST_REFUSED = {"chat_completions": 12, "responses": 62, "messages": 46, "converse": 26, "generate_content": 2}
MOST_REFUSED["invoke"] = 0


def written_for(conversation: Conversation, backend: str, stream: bool = False) -> tuple[Written, Target]:
    """`conversation` as the backend of `backend` gets it."""
    options, model = BACKENDS[backend]
    target = Target(model, "there", options["type"], facts_for(model), stream)
    return translate_request(conversation, backend, target).written, target


def reread(written: Written, backend: str, target: Target) -> Conversation:
    """What a gateway of the backend's own format makes of the request."""
    call = Call(target.model, target.stream, {"anthropic-version": "2023-06-01"})
    return load_format(backend).read_request(json.loads(json.dumps(written.body)), call)


def _conversations(client: str) -> list[tuple[Exchange, Conversation]]:
    form = load_format(client)
    found = []
    for exchange in exchanges(client):
        # The gateway refuses a request without a message before it is read.
        if exchange.request is not None and exchange.request.get("messages") != []:
            call = Call(exchange.model, exchange.streamed, {})
            found.append((exchange, form.read_request(deepcopy(exchange.request), call)))
    return found


@pytest.mark.parametrize("client", FORMATS)
def test_recorded_requests_reach_every_backend(client: str) -> None:
    conversations = _conversations(client)
    assert conversations
    for backend in FORMATS:
        refused = 0
        for exchange, conversation in conversations:
            if backend == client:
                continue
            where = f"{exchange.name} to {backend}"
            try:
                written, target = written_for(conversation, backend, exchange.streamed)
            except (Unsupported, ClientFault) as error:
                assert error.param, where
                assert REASONS.search(error.message), (where, error.message)
                refused += 1
                continue
            REQUEST_JUDGES[backend](written.body)
            assert not lost(conversation, reread(written, backend, target)), where
        assert refused <= MOST_REFUSED[client], (backend, refused)
