"""Both clouds trust each other's identities, and nobody else's: the AWS side of it. Each check has its mistake."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.doors.aws_conditions import deployed
from tests.doors.test_aws_template import CHECKOV, ROOT, TOOLS, run_tools

FROM_AZURE = ROOT / "infra" / "aws" / "from-azure.yaml"
TEXT = FROM_AZURE.read_text()
GIVEN = {"TenantId": "TENANT", "Audience": "api://skybridge", "PrincipalId": "PRINCIPAL", "Provider": "PROVIDER"}
MODELS = {"Ref": "BedrockResources"}
ASKS = ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"]

pytestmark = [
    pytest.mark.doors,
    pytest.mark.skipif(not (TOOLS / "sam").exists(), reason="no .venv-aws: make test sets it up"),
]

# What is wrong, the text in the template, and what it is replaced by.
MISTAKES = {
    "a misspelt property": ("ClientIdList:", "ClientIdsList:"),
    "an undefined reference": ("!Ref Audience", "!Ref Audiences"),
    "any audience": ('      "sts.windows.net/${TenantId}/:aud": "${Audience}",\n                ', ""),
    "anybody of the tenant": (',\n                      "sts.windows.net/${TenantId}/:sub": "${PrincipalId}"', ""),
    "somebody like it": ('"StringEquals"', '"StringLike"'),
    "another tenant's issuer": ("https://sts.windows.net/${TenantId}/\n", "https://sts.windows.net/common/\n"),
    "without its slash": ("https://sts.windows.net/${TenantId}/\n", "https://sts.windows.net/${TenantId}\n"),
    "no web identity": ('"sts:AssumeRoleWithWebIdentity"', '"sts:AssumeRole"'),
    "everybody": ('{"Federated": "${Provider}"}', '"*"'),
    "no JSON": ('"2012-10-17",\n              "Statement"', '"2012-10-17"\n              "Statement"'),
    "more than asking": ("[bedrock:InvokeModel, ", "['bedrock:*', "),
    "every model": ("Resource: !Ref BedrockResources", 'Resource: "*"'),
    "a provider that is there": ("Condition: MakesProvider\n    Properties", "Properties"),
}


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The template and its mistaken versions, in one run of the tools."""
    folder: Path = tmp_path_factory.mktemp("templates")
    versions = {"right": TEXT}
    for name, (text, mistake) in MISTAKES.items():
        assert text in TEXT, name
        versions[name] = TEXT.replace(text, mistake)
    paths = []
    for number, version in enumerate(versions.values()):
        paths.append(folder / f"{number}.yaml")
        paths[-1].write_text(version)
    return dict(zip(versions, run_tools(paths), strict=True))


def problems(template: dict[str, Any]) -> Iterator[str]:
    yield from template["findings"]
    made, found = (deployed(template["resources"], true) for true in ({"MakesProvider"}, set()))
    if set(made) != {"Tenant", "Role"} or set(found) != {"Role"}:
        yield f"made: {set(made)}, {set(found)}"
    provider = made["Tenant"]["Properties"]
    if (provider.get("Url"), provider.get("ClientIdList")) != (
        {"Fn::Sub": "https://sts.windows.net/${TenantId}/"}, [{"Ref": "Audience"}],
    ):  # fmt: skip
        yield f"provider: {provider}"
    role = made["Role"]["Properties"]
    if trust_of(role) != [{
        "Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity", "Principal": {"Federated": "PROVIDER"},
        "Condition": {"StringEquals": {"sts.windows.net/TENANT/:aud": "api://skybridge",
                                       "sts.windows.net/TENANT/:sub": "PRINCIPAL"}},
    }]:  # fmt: skip
        yield f"trust: {trust_of(role)}"
    [policy] = role["Policies"]
    if policy["PolicyDocument"]["Statement"] != [{"Effect": "Allow", "Action": ASKS, "Resource": MODELS}]:
        yield f"may: {policy}"


def trust_of(role: dict[str, Any]) -> Any:
    text, names = role["AssumeRolePolicyDocument"]["Fn::Sub"]
    if set(names) != {"Provider"}:
        return names
    for name, value in GIVEN.items():
        text = text.replace(f"${{{name}}}", value)
    try:
        return json.loads(text)["Statement"]
    except ValueError as fault:
        return str(fault)


def test_the_role_is_for_one_identity_of_one_tenant(read: dict[str, dict[str, Any]]) -> None:
    assert list(problems(read["right"])) == []


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found(mistake: str, read: dict[str, dict[str, Any]]) -> None:
    assert list(problems(read[mistake])) != []


def test_the_function_is_told_of_azure_where_it_may_prove_itself(tmp_path: Path) -> None:
    path = tmp_path / "template.unlinted.yaml"
    path.write_text((ROOT / "template.yaml").read_text())
    [template] = run_tools([path])
    azure = {"AZURE_TENANT_ID": {"Ref": "AzureTenantId"}, "AZURE_CLIENT_ID": {"Ref": "AzureClientId"}}
    for true, wanted in (({"IsFederated"}, azure), (set(), {})):
        function = deployed(template["resources"], true)["StreamingFunction"]["Properties"]
        variables = function["Environment"]["Variables"]
        assert {name: value for name, value in variables.items() if name in azure} == wanted


@pytest.mark.slow
@pytest.mark.skipif(not CHECKOV.exists(), reason="no .venv-checkov: make test-all sets it up")
def test_checkov_finds_nothing_that_is_not_explained() -> None:
    command = [str(CHECKOV), "--config-file", str(ROOT / "infra" / "checkov.yaml"), "--file", str(FROM_AZURE)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
