"""Reads the recordings of real traffic that lie beside the checkout, for tests of every format.

They do not belong to the project: where the folder is absent, the tests that want it are skipped, visibly.
`recorded_pairs` may be called while tests are collected: without the folder it gives one skipped case.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "recordings"
PRESENT = FOLDER.is_dir()

needs_recordings = pytest.mark.skipif(not PRESENT, reason="the folder ../shared/recordings is absent")

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(slots=True, frozen=True)
class Recorded:
    """One request and its answer. Bodies are the bytes after content decoding; header names are lower case.

    `name` is unique in its folder: the cassette's path without its suffix, and the pair's place in it.
    Bodies that a cassette holds parsed are dumped again, so their bytes are JSON-equal to what was sent only.
    """

    name: str
    url: str
    request_headers: dict[str, str]
    request_body: bytes
    status: int
    response_headers: dict[str, str]
    response_body: bytes

    @property
    def request_json(self) -> Any:
        return json.loads(self.request_body)

    @property
    def response_json(self) -> Any:
        return json.loads(self.response_body)

    @property
    def streamed(self) -> bool:
        """Whether the answer is a stream: server-sent events or an AWS event stream."""
        kind = self.response_headers.get("content-type", "")
        return "event-stream" in kind or "eventstream" in kind


def recorded_pairs(folder: str, url_part: str = "") -> list[Recorded]:
    """Every pair below `folder` whose URL contains `url_part`, by name; none without the recordings."""
    return [pair for pair in _pairs_below(folder) if url_part in pair.url]


def parameters(pairs: list[Recorded]) -> list[Any]:
    """`pairs` for `pytest.mark.parametrize`, named; one skipped case when there are none."""
    if not pairs:
        return [pytest.param(None, id="absent", marks=pytest.mark.skip(reason="no recordings"))]
    return [pytest.param(pair, id=pair.name) for pair in pairs]


def recorded_file(path: str) -> bytes:
    """The bytes of one file; skips the calling test when the recordings are absent."""
    if not PRESENT:
        pytest.skip("the folder ../shared/recordings is absent")
    return (FOLDER / path).read_bytes()


@cache
def _pairs_below(folder: str) -> tuple[Recorded, ...]:
    root = FOLDER / folder
    return tuple(pair for path in sorted(root.rglob("*.yaml")) for pair in _pairs_of(path, root))


def _pairs_of(path: Path, root: Path) -> list[Recorded]:
    cassette = yaml.load(path.read_bytes(), _Loader)
    name = path.relative_to(root).with_suffix("").as_posix()
    pairs = []
    for place, interaction in enumerate(cassette["interactions"]):
        if "request" not in interaction:  # a gRPC recording has samples instead
            continue
        request, response = interaction["request"], interaction["response"]
        response_headers = _headers(response["headers"])
        pairs.append(
            Recorded(
                name=f"{name}#{place}",
                url=request["uri"],
                request_headers=_headers(request["headers"]),
                request_body=_body(request),
                status=response["status"]["code"],
                response_headers=response_headers,
                response_body=_unzipped(_body(response)),
            )
        )
    return pairs


def _headers(headers: dict[str, Any]) -> dict[str, str]:
    return {name.lower(): ", ".join(map(_text, _list(values))) for name, values in headers.items()}


def _list(values: Any) -> list[Any]:
    return values if isinstance(values, list) else [values]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _body(message: dict[str, Any]) -> bytes:
    if "parsed_body" in message:
        return json.dumps(message["parsed_body"], ensure_ascii=False).encode()
    body = message.get("body")
    if isinstance(body, dict) and set(body) == {"string"}:
        body = body["string"]
    if isinstance(body, dict):
        return json.dumps(body, ensure_ascii=False).encode()
    return body if isinstance(body, bytes) else (body or "").encode()


def _unzipped(body: bytes) -> bytes:
    # Some cassettes keep `content-encoding: gzip` with a body that was unzipped already: the bytes tell.
    return gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body
