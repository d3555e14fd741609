"""The pages about deployments and the workflow: what they name is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
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


def workflow_problems(text: str) -> list[str]:
    """What GitHub, or a careful reader of its documentation, would refuse in a workflow.

    https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax
    """
    document = yaml.safe_load(text)
    found = [f"member {name}" for name in set(document) - {"name", True, "permissions", "concurrency", "jobs"}]
    if document["permissions"] != {"contents": "read"}:
        found.append(f"may everywhere: {document['permissions']}")
    if set(document[True]) != {"push", "pull_request"}:  # YAML 1.1 reads `on` so; pull_request_target sees secrets
        found.append(f"runs on {set(document[True])}")
    for name, job in document["jobs"].items():
        found += [f"{name}: member {each}" for each in set(job) - _JOB_MEMBERS]
        found += [f"{name}: needs {each}" for each in job.get("needs", ()) if each not in document["jobs"]]
        found += [f"{name}: {problem}" for problem in job_problems(job)]
    return found


_JOB_MEMBERS = {"runs-on", "timeout-minutes", "steps", "if", "needs", "environment", "permissions"}
_STEP_MEMBERS = {"uses", "with", "run", "id", "env", "name"}


def job_problems(job: dict[str, Any]) -> Iterator[str]:
    if "timeout-minutes" not in job or "latest" in job["runs-on"]:
        yield "runs without a limit, or on whatever is the latest"
    if "id-token" in job.get("permissions", {}) and "startsWith(github.ref, 'refs/tags/v')" not in job["if"]:
        yield "a branch gets tokens for the clouds"
    ids = {step["id"] for step in job["steps"] if "id" in step}
    for step in job["steps"]:
        if set(step) - _STEP_MEMBERS or ("uses" in step) == ("run" in step):
            yield f"step {sorted(step)}"
        if not re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step.get("uses", "a/a@v1")):
            yield f"an action of no version: {step['uses']}"
        if step.get("uses", "").startswith("actions/checkout@") and step["with"] != {"persist-credentials": False}:
            yield "the checkout keeps its token"
        if "${{" in step.get("run", ""):
            yield "an expression inside a script: it would be run"
        yield from (f"no step {each}" for each in re.findall(r"steps\.(\w+)\.", str(step)) if each not in ids)
        targets = re.findall(r"\bmake ([a-z -]+)", step.get("run", ""))
        known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        yield from (f"no target {each}" for line in targets for each in line.split() if each not in known)


BROKEN = {
    "writes": ("permissions:\n  contents: read\n\nconc", "permissions: write-all\n\nconc"),
    "strangers with secrets": ("  pull_request:\n", "  pull_request_target:\n"),
    "tokens for branches": ("if: startsWith(github.ref, 'refs/tags/v') && vars.AWS", "if: vars.AWS"),
    "an action of a branch": ("azure/login@v2", "azure/login@main"),
    "no such job": ("needs: [test, audit, build]", "needs: [test, audit, builds]"),
    "no such step": ("steps.infrastructure.outputs", "steps.infra.outputs"),
    "no such target": ("make build-aws build-azure", "make build-aws build-all"),
    "a script of others' words": ('"$RESOURCE_GROUP"', '"${{ vars.AZURE_RESOURCE_GROUP }}"'),
    "the checkout's token": ("persist-credentials: false", "persist-credentials: true"),
    "for ever": ("    timeout-minutes: 15\n", ""),
    "misspelt": ("    timeout-minutes: 15", "    timeout-minute: 15"),
    "the latest": ("runs-on: ubuntu-24.04", "runs-on: ubuntu-latest"),
}


def test_the_workflow_is_sound() -> None:
    assert workflow_problems(WORKFLOW.read_text()) == []


@pytest.mark.parametrize("mistake", BROKEN)
def test_a_mistake_in_the_workflow_is_found(mistake: str) -> None:
    text, wrong = BROKEN[mistake]
    assert text in WORKFLOW.read_text()
    assert workflow_problems(WORKFLOW.read_text().replace(text, wrong)) != []


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
