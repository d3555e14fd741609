"""The pages about deployments and the workflow: what they name is there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pycep import BicepParser

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"


class _Cloud(yaml.SafeLoader):
    """Reads CloudFormation's tags as what they stand on."""


_Cloud.add_multi_constructor("!", lambda loader, suffix, node: None)


def template() -> dict[str, Any]:
    document: dict[str, Any] = yaml.load((ROOT / "template.yaml").read_text(), _Cloud)
    return document


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_links_to_is_there(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_page_about_aws_has_every_parameter_and_alarm() -> None:
    page = (ROOT / "docs" / "deploy-aws.md").read_text()
    assert [name for name in template()["Parameters"] if f"`{name}`" not in page] == []
    alarms = [name for name, row in template()["Resources"].items() if row["Type"] == "AWS::CloudWatch::Alarm"]
    assert [name for name in alarms if f"| {name.removesuffix('Alarm')} |" not in page] == []


def test_the_page_about_azure_has_every_parameter() -> None:
    page = (ROOT / "docs" / "deploy-azure.md").read_text()
    declared = BicepParser().parse(text=(ROOT / "infra" / "azure" / "main.bicep").read_text())["parameters"]
    own = {"location", "name", "tags", "modelConfigPath", "budgetStart"}  # say themselves what they are
    assert [name for name in declared if name not in own and f"`{name}`" not in page] == []


def test_samconfig_deploys_with_a_changeset_to_confirm() -> None:
    text = (ROOT / "samconfig.toml").read_text()
    assert 'capabilities = "CAPABILITY_IAM"' in text
    assert "confirm_changeset = true" in text


def test_the_workflow_checks_builds_and_deploys_tags_without_stored_keys() -> None:
    text = WORKFLOW.read_text()
    jobs = yaml.safe_load(text)["jobs"]
    commands = {name: " ".join(step.get("run", "") for step in job["steps"]) for name, job in jobs.items()}
    assert "make lint test" in commands["test"]
    assert "make audit" in commands["audit"]
    assert "make build-aws build-azure" in commands["build"]
    for name in ("deploy-aws", "deploy-azure"):
        assert set(jobs[name]["needs"]) == {"test", "audit", "build"}
        assert "startsWith(github.ref, 'refs/tags/v')" in jobs[name]["if"]
        assert jobs[name]["permissions"] == {"contents": "read", "id-token": "write"}
    assert all("permissions" not in jobs[name] for name in ("test", "audit", "build"))
    assert yaml.safe_load(text)["permissions"] == {"contents": "read"}
    # The only secret is the clients' key; no cloud's.
    assert set(re.findall(r"secrets\.(\w+)", text)) == {"GATEWAY_KEY"}
    assert "aws-access-key-id" not in text
    assert "creds:" not in text
