"""A member that nobody knows is put into every object of every feature's request, one at a time. For each target it is
in the written body, among the warnings, or the request is refused: silence is a bug.

Where the object itself, or what it stands in, is warned of whole, the warning covers what is in it:
`unknown-members.json` tells the places, by feature, where the name of the warning does not show that.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from core.errors import ClientFault, Unsupported
from core.translation.pipeline import translate_request
from tests.translation.test_loss import PAIRS, conversation_of, features, inlined, target_of

COVERED = json.loads(Path(__file__).with_name("unknown-members.json").read_text("utf-8"))
NAME, VALUE = "zz_unknown", "zz_value"
# Their warnings say nothing of one member in particular.
BROAD = {"messages", "content", "contents", "parts", "input", "tools", "system"}

type Place = tuple[str | int, ...]


def places(value: Any, path: Place = ()) -> Iterator[Place]:
    """Where the objects of `value` stand."""
    if isinstance(value, dict):
        yield path
        for name, member in value.items():
            yield from places(member, (*path, name))
    elif isinstance(value, list):
        for position, member in enumerate(value):
            yield from places(member, (*path, position))


def extended(body: dict[str, Any], place: Place) -> dict[str, Any]:
    copy: Any = deepcopy(body)
    holder = copy
    for step in place:
        holder = holder[step]
    holder[NAME] = VALUE
    result: dict[str, Any] = copy
    return result


def is_told(client: str, backend: str, body: dict[str, Any], feature: str, place: Place) -> bool:
    target = target_of(backend)
    try:
        conversation = inlined(conversation_of(client, body), backend, target)
        written = translate_request(conversation, backend, target).written
    except (Unsupported, ClientFault):
        return True
    if VALUE in json.dumps([written.body, written.headers]):
        return True
    words = [name for name in place if isinstance(name, str)]
    last = {item.path.replace("[]", "").rsplit(".", 1)[-1] for item in written.dropped}
    if NAME in last or last & set(words) - BROAD:
        return True
    covered = COVERED[client].get(feature)
    return covered is not None and ".".join(words).startswith(covered)


@pytest.mark.parametrize(("client", "backend"), PAIRS)
def test_no_member_is_lost_in_silence(client: str, backend: str) -> None:
    silent = [
        (feature, place)
        for feature, body in features(client)
        for place in places(body)
        if not is_told(client, backend, extended(body, place), feature, place)
    ]
    assert silent == []
