"""docs/translation.md says what the ledgers say; its tables are written from them by `pytest --update-golden`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.translation.test_loss import FOLDER, FORMATS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "translation.md"
START = "<!-- The tables below are written from tests/wire/loss by `pytest --update-golden`. -->\n"
NAMES = {
    "chat_completions": "Chat Completions",
    "responses": "Responses",
    "messages": "Messages",
    "converse": "Converse",
    "generate_content": "Gemini",
}


def tables() -> str:
    """One table for each client format: the features that some backend's format does not carry whole."""
    return "\n".join(table(client) for client in FORMATS)


def table(client: str) -> str:
    ledgers = {backend: ledger(client, backend) for backend in FORMATS if backend != client}
    features = json.loads((FOLDER / f"features-{client}.json").read_text("utf-8"))["features"]
    rows = [
        f"| {feature} | " + " | ".join(outcome(book, feature) for book in ledgers.values()) + " |"
        for feature in features
        if any(feature not in book["carried"] for book in ledgers.values())
    ]
    whole = [feature for feature in features if all(feature in book["carried"] for book in ledgers.values())]
    head = "| feature | " + " | ".join(NAMES[backend] for backend in ledgers) + " |"
    models = ", ".join(f"`{book['model']}`" for book in ledgers.values())
    return "\n".join(
        [
            f"## {NAMES[client]} clients\n",
            f"Backends: {models}. Carried everywhere: {', '.join(whole)}.\n",
            head,
            "|---" * (len(ledgers) + 1) + "|",
            *rows,
            "",
        ]
    )


def ledger(client: str, backend: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{client}-{backend}.json").read_text("utf-8"))


def outcome(book: dict[str, Any], feature: str) -> str:
    if feature in book["refused"]:
        return "refused"
    return "dropped" if feature in book["dropped"] else "yes"


def test_the_page_says_what_the_ledgers_say(request: pytest.FixtureRequest) -> None:
    head, _, below = PAGE.read_text("utf-8").partition(START)
    if request.config.getoption("--update-golden"):
        PAGE.write_text(f"{head}{START}\n{tables()}", "utf-8")
        below = f"\n{tables()}"
    assert below == f"\n{tables()}", "run pytest --update-golden"


def test_the_readme_links_to_the_page() -> None:
    assert "docs/translation.md" in (ROOT / "README.md").read_text("utf-8")
