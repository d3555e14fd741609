"""template.yaml: valid for SAM, and what it expands to does what the doors need. Each check has its mistake."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".venv-aws" / "bin"
TEMPLATE = (ROOT / "template.yaml").read_text()

pytestmark = [
    pytest.mark.doors,
    pytest.mark.skipif(not (TOOLS / "sam").exists(), reason="no .venv-aws: make test sets it up"),
]

# What is wrong, the text in the template, and what it is replaced by.
MISTAKES = {
    "invoke mode misspelt": ("InvokeMode: RESPONSE_STREAM", "InvokeMode: RESPONSE_STREAMING"),
    "invoke mode buffered": ("InvokeMode: RESPONSE_STREAM", "InvokeMode: BUFFERED"),
    "url not public": ("AuthType: NONE", "AuthType: AWS_IAM"),
    "wrapper elsewhere": ("/var/task/streaming-wrapper", "/opt/streaming-wrapper"),
    "wrapper on both": ("MODEL_CONFIG_PATH: !Ref ModelConfigPath", "AWS_LAMBDA_EXEC_WRAPPER: /var/task/x"),
    "handler missing": ("handlers.aws_buffered.handler", "handlers.aws_buffered.main"),
    "permission missing": ("- bedrock:InvokeModelWithResponseStream", "- bedrock:ListFoundationModels"),
    "permission for all": ("arn:${AWS::Partition}:bedrock:*::foundation-model/*", "${AWS::Partition}*"),
    "key shown": ("NoEcho: true", "NoEcho: false"),
    "timeout too long": ("Timeout: 900", "Timeout: 901"),
    "retention odd": ("RetentionInDays: !Ref LogRetentionDays", "RetentionInDays: 31"),
    "logs elsewhere": ("LogGroup: !Ref StreamingLogs", "LogGroup: /aws/lambda/other"),
    "runtime unknown": ("Runtime: python3.13", "Runtime: python3.31"),
    "payload version": ('PayloadFormatVersion: "2.0"', 'PayloadFormatVersion: "1.0"'),
    "undefined reference": ("!Ref GatewayKey", "!Ref GatewayKeys"),
}


@pytest.fixture(scope="module")
def expanded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The template and its mistaken versions as SAM expands them, in one run of the tools."""
    folder = tmp_path_factory.mktemp("templates")
    versions = {"right": TEMPLATE}
    for name, (text, mistake) in MISTAKES.items():
        assert text in TEMPLATE, name
        versions[name] = TEMPLATE.replace(text, mistake)
    paths = []
    for number, version in enumerate(versions.values()):
        paths.append(folder / f"{number}.yaml")
        paths[-1].write_text(version)
    command = [str(TOOLS / "python"), str(Path(__file__).with_name("lambda_template.py")), *map(str, paths)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return dict(zip(versions, json.loads(printed), strict=True))


def of_type(resources: dict[str, Any], kind: str) -> dict[str, Any]:
    return {name: row["Properties"] for name, row in resources.items() if row["Type"] == kind}


def url_problems(resources: dict[str, Any]) -> list[str]:
    [url] = of_type(resources, "AWS::Lambda::Url").values()
    permissions = of_type(resources, "AWS::Lambda::Permission").values()
    public = {
        row["Action"]: "FunctionUrlAuthType" in row or row.get("InvokedViaFunctionUrl")
        for row in permissions
        if row["Principal"] == "*"
    }
    problems = []
    if url["InvokeMode"] != "RESPONSE_STREAM" or url["AuthType"] != "NONE":
        problems.append(f"url: {url['InvokeMode']}, {url['AuthType']}")
    if public != {"lambda:InvokeFunctionUrl": True, "lambda:InvokeFunction": True}:
        problems.append(f"public permissions, and whether they are the url's: {public}")
    return problems


def function_problems(resources: dict[str, Any]) -> list[str]:
    functions = of_type(resources, "AWS::Lambda::Function")
    logs = of_type(resources, "AWS::Logs::LogGroup")
    problems = []
    variables = {name: row["Environment"]["Variables"] for name, row in functions.items()}
    wrappers = {name: row.get("AWS_LAMBDA_EXEC_WRAPPER") for name, row in variables.items()}
    if wrappers != {"StreamingFunction": "/var/task/streaming-wrapper", "BufferedFunction": None}:
        problems.append(f"wrappers: {wrappers}")
    for name, row in functions.items():
        if row["Handler"] != "handlers.aws_buffered.handler" or row["Runtime"] != "python3.13":
            problems.append(f"{name} runs {row['Handler']} on {row['Runtime']}")
        if row["LoggingConfig"]["LogGroup"] not in [{"Ref": group} for group in logs]:
            problems.append(f"{name} logs to a group of no known retention")
        if variables[name]["SERVICE_API_KEY"] != {"Ref": "GatewayKey"}:
            problems.append(f"{name} has no gateway key")
    return problems


def role_problems(resources: dict[str, Any]) -> list[str]:
    problems = []
    for name, role in of_type(resources, "AWS::IAM::Role").items():
        [policy] = role["Policies"]
        [statement] = policy["PolicyDocument"]["Statement"]
        if not {"bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"} <= set(statement["Action"]):
            problems.append(f"{name} may not invoke models")
        if not all(":bedrock:" in row["Fn::Sub"] for row in statement["Resource"]):
            problems.append(f"{name} may reach more than Bedrock")
    return problems


def problems(result: dict[str, Any]) -> list[str]:
    """What is wrong with an expanded template; what cfn-lint found comes first."""
    if result["findings"]:
        return list(result["findings"])
    resources = result["resources"]
    [api] = of_type(resources, "AWS::ApiGatewayV2::Api").values()
    [methods] = api["Body"]["paths"].values()
    integration = methods["x-amazon-apigateway-any-method"]["x-amazon-apigateway-integration"]
    found = [] if integration["payloadFormatVersion"] == "2.0" else ["the HTTP API sends another payload version"]
    found += [] if result["parameters"]["GatewayKey"].get("NoEcho") is True else ["the gateway key can be read"]
    return found + url_problems(resources) + function_problems(resources) + role_problems(resources)


def test_the_template_is_right(expanded: dict[str, dict[str, Any]]) -> None:
    assert problems(expanded["right"]) == []


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found(mistake: str, expanded: dict[str, dict[str, Any]]) -> None:
    assert problems(expanded[mistake]) != []


def test_sam_takes_the_template() -> None:
    environment = {**os.environ, "SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "us-east-1"}
    command = [str(TOOLS / "sam"), "validate", "--lint", "--template", str(ROOT / "template.yaml")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "is a valid SAM Template" in done.stdout
