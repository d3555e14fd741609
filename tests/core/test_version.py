"""One version, in the code and in the project's file."""

from __future__ import annotations

import tomllib
from pathlib import Path

from core.version import VERSION


def test_the_code_and_the_project_agree() -> None:
    project = tomllib.loads((Path(__file__).resolve().parents[2] / "pyproject.toml").read_text("utf-8"))
    assert project["project"]["version"] == VERSION
