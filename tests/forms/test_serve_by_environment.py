"""`skybridge check` over a configuration that stands in the environment alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from handlers import cli


def test_check_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("MODEL_CONFIG_PATH", "DATABRICKS_HOST", "DATABRICKS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    Path(".env.production").write_text("DATABRICKS_ENABLED=true\n", "utf-8")
    monkeypatch.setattr("os.environ", {})
    assert cli.main(["check", "--env", "production"]) == 0
    shown = capsys.readouterr()
    assert "valid" in shown.out
    assert "DATABRICKS_ENABLED is deprecated: use PROXY_BACKEND=AZURE_DATABRICKS instead" in shown.err
    assert "Azure Databricks backend selected but missing configuration" in shown.err
