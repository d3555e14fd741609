"""Beta values, surface by surface."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.models.betas import ACCEPTED, SURFACE_LETTERS, accepted_betas

MATRIX = Path(__file__).parents[4] / "shared/recordings/prices/litellm-1.109.1-anthropic_beta_headers_config.json"
COLUMNS = {
    "foundry": "azure_ai",
    "converse": "bedrock_converse",
    "invoke": "bedrock",
    "mantle": "bedrock_mantle",
    "vertex": "vertex_ai",
    "databricks": "databricks",
}


def test_anthropic_gets_everything() -> None:
    assert accepted_betas("anthropic", ["new-2030-01-01", "effort-2025-11-24"]) == (
        ["new-2030-01-01", "effort-2025-11-24"],
        [],
    )


def test_bedrock_gets_what_it_knows_under_its_own_name() -> None:
    kept, dropped = accepted_betas(
        "invoke",
        [
            "advanced-tool-use-2025-11-20",
            "tool-search-tool-2025-10-19",
            "claude-code-20250219",
            "context-1m-2025-08-07",
        ],
    )
    assert kept == ["tool-search-tool-2025-10-19", "context-1m-2025-08-07"]
    assert dropped == ["claude-code-20250219"]


def test_an_unknown_surface_gets_none() -> None:
    assert accepted_betas("elsewhere", ["effort-2025-11-24"]) == ([], ["effort-2025-11-24"])


@pytest.mark.skipif(not MATRIX.exists(), reason="shared recordings are not here")
@pytest.mark.parametrize("surface", sorted(COLUMNS))
def test_against_the_recorded_matrix(surface: str) -> None:
    column = json.loads(MATRIX.read_text())[COLUMNS[surface]]
    for beta, sent in column.items():
        # The matrix has no opinion of its own on Claude Code's own flag on Azure.
        if beta == "claude-code-20250219" or beta not in ACCEPTED:
            continue
        assert accepted_betas(surface, [beta])[0] == ([sent] if sent else []), beta


def test_every_letter_is_a_surface() -> None:
    letters = set(SURFACE_LETTERS.values())
    assert all(set(value.split()) <= letters for value in ACCEPTED.values())
