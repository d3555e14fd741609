"""What every test may ask for."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.leaks import forget, leak_in

# How long an example takes says something about the machine only. `make test-all` asks for the thorough profile.
settings.register_profile("normal", deadline=None, max_examples=60)
settings.register_profile("thorough", deadline=None, max_examples=300)
settings.load_profile("normal")

type CheckGolden = Callable[[Path, Any], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write golden files anew instead of comparing them")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that printed or logged a credential has failed, whatever else it found."""
    report = yield
    lines = [line for _, text in report.sections if leak_in(text) for line in text.splitlines() if leak_in(line)]
    if report.passed and lines:
        report.outcome = "failed"
        report.longrepr = f"a credential was logged: {lines[0]}"
    if report.when == "teardown":
        forget()
    return report


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> CheckGolden:
    """Compares a value with the JSON file that says what it must be; with --update-golden, writes the file."""
    update = request.config.getoption("--update-golden")

    def check(path: Path, value: Any) -> None:
        if update:
            path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", "utf-8")
        assert value == json.loads(path.read_text("utf-8")), f"{path.name}: run pytest --update-golden if this is meant"

    return check
