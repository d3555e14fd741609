"""The project's own fixtures: tests/wire/{requests,responses,streams,errors}/<format>/made-*."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

_ROOT = Path(__file__).resolve().parent


def fixture(kind: str, name: str) -> bytes:
    """The bytes of one fixture; `name` is `<format>/<file>`."""
    return (_ROOT / kind / name).read_bytes()


def fixture_json(kind: str, name: str) -> Any:
    """One fixture, parsed."""
    return json.loads(fixture(kind, name))


def fixture_parameters(kind: str, format_name: str, suffix: str) -> list[Any]:
    """The bytes of every fixture of a kind and format, for `pytest.mark.parametrize`, with file stems as ids."""
    paths = sorted((_ROOT / kind / format_name).glob(f"made-*{suffix}"))
    assert paths, f"no fixtures in {kind}/{format_name}"
    return [pytest.param(path.read_bytes(), id=path.name.removesuffix(suffix)) for path in paths]
