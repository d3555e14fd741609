"""template.yaml: valid for SAM, and what it expands to does what the doors need. Each check has its mistake."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.telemetry.emf import UNITS
from core.usage import Cost, UsageRecord
from handlers.io.lambda_log import LambdaLog
from handlers.io.log import write_record
from tests.doors.aws_conditions import deployed
from tests.scripted import VirtualClock

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".venv-aws" / "bin"
TEMPLATE = (ROOT / "template.yaml").read_text()
CLOUDFRONT = ROOT / "infra" / "aws" / "cloudfront.yaml"

# Every function; a public URL; and the URL that asks for signatures, with nothing else.
EVERYTHING = {"UrlIsPublic", "WithHttpApi", "WithRestApi", "WithInstances", "InstancesArePublic", "WithBedrock"}
SIGNED = {"WithInstances", "WithBedrock"}
# What the role may do on request.
OPTIONS = {
    "WithBedrock", "WithMantle", "WithGuardrails", "WithSecrets", "WithParameters", "WithBodyArchive", "IsFederated",
}  # fmt: skip
# A reference: the key itself is in no variable.
KEY = {"Fn::Sub": "aws-secret://${GatewayKeys}"}
# What a request's line in the log has (handlers.io.log.write_record).
LOGGED = {"first_byte_ms", "cost_usd", "status", "outcome"}
WRAPPER = "/var/task/streaming-wrapper"

pytestmark = [
    pytest.mark.doors,
    pytest.mark.skipif(not (TOOLS / "sam").exists(), reason="no .venv-aws: make test sets it up"),
]

# What is wrong, the text in the template, and what it is replaced by. These are for the linter to find.
LINTED = {
    "invoke mode misspelt": ("InvokeMode: RESPONSE_STREAM", "InvokeMode: RESPONSE_STREAMING"),
    "retention odd": ("RetentionInDays: !Ref LogRetentionDays", "RetentionInDays: 31"),
    "runtime unknown": ("Runtime: python3.13", "Runtime: python3.31"),
    "undefined reference": ("!Ref GatewayKeys, !Ref Up", "!Ref GatewayKey5, !Ref Up"),
    "undefined condition": ("Condition: InstancesArePublic", "Condition: InstancesPublic"),
    "property misspelt": ("PointInTimeRecoveryEnabled", "PointInTimeRecoverEnabled"),
    "alarm misspelt": ("TreatMissingData: notBreaching", "TreatMissingData: notBreeching"),
}
# And these for the checks below.
UNLINTED = {
    "invoke mode buffered": ("InvokeMode: RESPONSE_STREAM", "InvokeMode: BUFFERED"),
    "url always public": ("AuthType: !Ref UrlAuth", "AuthType: NONE"),
    "signed and public": ("Condition: UrlIsPublic\n", "Condition: WithBedrock\n"),
    "a permission for others": ("InvokedViaFunctionUrl: true", "InvokedViaFunctionUrl: false"),
    "no gate at all": ('[UrlIsPublic, "", platform]', '[UrlIsPublic, platform, ""]'),
    "no key": ('!Sub "aws-secret://${GatewayKeys}"\n        MODEL', '""\n        MODEL'),
    "key in clear": ("aws-secret://${GatewayKeys}", "{{resolve:secretsmanager:${GatewayKeys}}}"),
    "key asked for twice": ('${GatewayKeys}", ""]', '${GatewayKeys}", key]'),
    "wrapper elsewhere": (WRAPPER, "/opt/streaming-wrapper"),
    "wrapper on all": ("MODEL_CONFIG_PATH: !Ref ModelConfigPath", f"AWS_LAMBDA_EXEC_WRAPPER: {WRAPPER}"),
    "handler missing": ("handlers.aws_buffered.handler", "handlers.aws_buffered.main"),
    "logs elsewhere": ("LogGroup: !Ref StreamingLogs", "LogGroup: /aws/lambda/other"),
    "payload version": ('PayloadFormatVersion: "2.0"', 'PayloadFormatVersion: "1.0"'),
    "rest api buffers": ("ResponseTransferMode: RESPONSE_STREAM", "ResponseTransferMode: BUFFERED"),
    "rest answers buffer": ("SKYBRIDGE_RESPONSE_MODE: streaming", "SKYBRIDGE_RESPONSE_MODE: auto"),
    "rest api gives up": ("TimeoutInMillis: 900000", "TimeoutInMillis: 29000"),
    "key guessable": ("^$|^\\S{16,4096}$", "^$|^\\S{1,4096}$"),
    "key of spaces": ("^$|^\\S{16,4096}$", "^$|^.{16,4096}$"),
    "key made short": ("PasswordLength: 48", "PasswordLength: 8"),
    "key made never": ("- { PasswordLength: 48, ExcludePunctuation: true }", "- !Ref AWS::NoValue"),
    "key given dropped": ("!If [KeyIsGiven, !Ref GatewayKey, !Ref AWS::NoValue]", "!Ref AWS::NoValue"),
    "key shown": ("NoEcho: true", "NoEcho: false"),
    "architecture": ("Default: arm64", "Default: x86_64"),
    "permission missing": ("- bedrock:InvokeModelWithResponseStream", "- bedrock:ListFoundationModels"),
    "permission for all": ("Resource: !GetAtt Table.Arn", 'Resource: "*"'),
    "actions for all": ("- dynamodb:UpdateItem", "- dynamodb:*"),
    "secrets for all": ("Resource: [!Ref GatewayKeys, !Ref UpstreamKeys]", 'Resource: "*"'),
    "role of another": ("Role: !GetAtt GatewayRole.Arn", "Role: arn:aws:iam::111122223333:role/made"),
    "models always": ("- WithBedrock\n", "- UrlIsPublic\n"),
    "tokens for all": ("- IsFederated\n", "- UrlIsPublic\n"),
    "tokens for any audience": ("ForAllValues:StringEquals", "ForAllValues:StringNotEquals"),
    "table provisioned": ("BillingMode: PAY_PER_REQUEST", "BillingMode: PROVISIONED"),
    "table key": ("AttributeName: sk", "AttributeName: rk"),
    "table forgets nothing": ("AttributeName: expires", "AttributeName: ttl"),
    "table not recoverable": ("PointInTimeRecoveryEnabled: true", "PointInTimeRecoveryEnabled: false"),
    "table in clear": ("SSEEnabled: true", "SSEEnabled: false"),
    "table deleted": ("DeletionPolicy: RetainExceptOnCreate", "DeletionPolicy: Delete"),
    "another table": ("SKYBRIDGE_STORE: !Sub dynamodb:${Table}", "SKYBRIDGE_STORE: dynamodb:skybridge"),
    "no stop": ("!If [IsReserved, !Ref ReservedConcurrency, !Ref AWS::NoValue]", "!Ref AWS::NoValue"),
    "no snapshots": ("[WithSnapStart, PublishedVersions, None]", "[WithSnapStart, None, None]"),
    "snapshots not used": ("!If [WithVersions, !Ref StreamingFunction.Alias,", "!If [WithEmail, !Ref Table,"),
    "nothing kept running": ("- WithProvisioned\n", "- WithEmail\n"),
    "instances unknown": ("Arn: !Ref CapacityProviderArn", "Arn: arn:aws:lambda:eu-west-1:1:capacity-provider:x"),
    "alarm to nobody": ("AlarmActions: [!Ref AlarmTopic]", "AlarmActions: []"),
    "spend not logged": ("$.cost_usd > 0", "$.costs > 0"),
    "no p99": ("ExtendedStatistic: p99", "Statistic: Average"),
    "another metric": ("MetricName: FailedRequests\n          Metric", "MetricName: Failed\n          Metric"),
    "dashboard broken": ('"stat": "p50"}', '"stat": "p50"'),
}
MISTAKES = LINTED | UNLINTED


@pytest.fixture(scope="module")
def expanded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The template and its mistaken versions as SAM expands them, in one run of the tools."""
    folder = tmp_path_factory.mktemp("templates")
    versions = {"right": TEMPLATE}
    for name, (text, mistake) in MISTAKES.items():
        assert text in TEMPLATE, name
        versions[name] = TEMPLATE.replace(text, mistake)
    paths = []
    for number, (name, version) in enumerate(versions.items()):
        paths.append(folder / f"{number}{'.unlinted' if name in UNLINTED else ''}.yaml")
        paths[-1].write_text(version)
    return dict(zip([*versions, "cloudfront"], run_tools([*paths, CLOUDFRONT]), strict=True))


def run_tools(paths: list[Path]) -> list[dict[str, Any]]:
    command = [str(TOOLS / "python"), str(Path(__file__).with_name("lambda_template.py")), *map(str, paths)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    answers: list[dict[str, Any]] = json.loads(printed)
    return answers


def of_type(resources: dict[str, Any], kind: str) -> dict[str, Any]:
    return {name: row["Properties"] for name, row in resources.items() if row["Type"] == kind}


def url_problems(resources: dict[str, Any]) -> Iterator[str]:
    """Public, or not: what everyone may do, and which function asks for the gateway's key."""
    public, signed = deployed(resources, EVERYTHING), deployed(resources, SIGNED)
    for url in of_type(public, "AWS::Lambda::Url").values():
        if (url["InvokeMode"], url["AuthType"]) != ("RESPONSE_STREAM", {"Ref": "UrlAuth"}):
            yield f"url: {url['InvokeMode']}, {url['AuthType']}"
    targets = [{"Fn::GetAtt": ["StreamingFunction", "Arn"]}, {"Ref": "InstancesFunctionAliaslive"}]
    found = [
        (row["FunctionName"], row["Action"], row.get("FunctionUrlAuthType"), row.get("InvokedViaFunctionUrl"))
        for row in of_type(public, "AWS::Lambda::Permission").values()
        if row["Principal"] == "*"
    ]
    for target in targets:
        allowed = [row[1:] for row in found if row[0] == target]
        wanted = [("lambda:InvokeFunction", None, True), ("lambda:InvokeFunctionUrl", "NONE", None)]
        if sorted(allowed, key=str) != wanted:
            yield f"everyone may: {allowed} on {target}"
    if [row for row in of_type(signed, "AWS::Lambda::Permission").values() if row["Principal"] == "*"]:
        yield "everyone may call a URL that should ask for signatures"
    for resources_then, gate, keys in ((public, "", KEY), (signed, "platform", "")):
        for name in ("StreamingFunction", "InstancesFunction"):
            given = resources_then[name]["Properties"]["Environment"]["Variables"]
            if (given.get("SKYBRIDGE_AUTH"), given["SERVICE_API_KEY"]) != (gate, keys):
                yield f"{name} lets callers in by {given.get('SKYBRIDGE_AUTH')}, {given['SERVICE_API_KEY']}"


def key_problems(resources: dict[str, Any]) -> Iterator[str]:
    """There always is a key: the one that was given, or one that is made up."""
    made, given = (deployed(resources, true)["GatewayKeys"]["Properties"] for true in (set(), {"KeyIsGiven"}))
    if made.get("GenerateSecretString", {}).get("PasswordLength", 0) < 32 or "SecretString" in made:
        yield f"with no key given: {made}"
    if given.get("SecretString") != {"Ref": "GatewayKey"} or "GenerateSecretString" in given:
        yield f"with a key given: {given}"


def function_problems(resources: dict[str, Any]) -> Iterator[str]:
    functions = of_type(deployed(resources, EVERYTHING), "AWS::Lambda::Function")
    logs = [{"Ref": group} for group in of_type(resources, "AWS::Logs::LogGroup")]
    streaming = {"StreamingFunction", "RestFunction", "InstancesFunction"}
    for name, row in functions.items():
        given = row["Environment"]["Variables"]
        if given.get("AWS_LAMBDA_EXEC_WRAPPER") != (WRAPPER if name in streaming else None):
            yield f"{name}: wrapper {given.get('AWS_LAMBDA_EXEC_WRAPPER')}"
        if given["SERVICE_API_KEY"] != KEY:
            yield f"{name} has no key"
        if given["SKYBRIDGE_STORE"] != {"Fn::Sub": "dynamodb:${Table}"}:
            yield f"{name} keeps its state in {given['SKYBRIDGE_STORE']}"
        if (row["Handler"], row["Runtime"]) != ("handlers.aws_buffered.handler", "python3.13"):
            yield f"{name} runs {row['Handler']} on {row['Runtime']}"
        if row["LoggingConfig"]["LogGroup"] not in logs:
            yield f"{name} logs to a group of no known retention"
        if row["Role"] != {"Fn::GetAtt": ["GatewayRole", "Arn"]}:
            yield f"{name} has the role {row['Role']}"
    if set(functions) != streaming | {"BufferedFunction"}:
        yield f"functions: {set(functions)}"


def api_problems(resources: dict[str, Any]) -> Iterator[str]:
    everything = deployed(resources, EVERYTHING)
    [http] = of_type(everything, "AWS::ApiGatewayV2::Api").values()
    [methods] = http["Body"]["paths"].values()
    integration = methods["x-amazon-apigateway-any-method"]["x-amazon-apigateway-integration"]
    if integration["payloadFormatVersion"] != "2.0":
        yield "the HTTP API sends another payload version"
    [rest] = of_type(everything, "AWS::ApiGateway::RestApi").values()
    if set(rest["Body"]["paths"]) != {"/", "/{proxy+}"}:
        yield f"the REST API has the paths {set(rest['Body']['paths'])}"
    for methods in rest["Body"]["paths"].values():
        integration = methods["x-amazon-apigateway-any-method"]["x-amazon-apigateway-integration"]
        if (integration.get("responseTransferMode"), integration["timeoutInMillis"]) != ("STREAM", 900_000):
            yield f"the REST API answers by {integration}"
        if not integration["uri"]["Fn::Sub"].endswith("/response-streaming-invocations"):
            yield "the REST API does not invoke for a stream"
    given = everything["RestFunction"]["Properties"]["Environment"]["Variables"]
    if given.get("SKYBRIDGE_RESPONSE_MODE") != "streaming":
        yield "the REST API's function buffers"
    if set(of_type(deployed(resources, SIGNED), "AWS::Lambda::Function")) != {"StreamingFunction", "InstancesFunction"}:
        yield "a front that was not asked for, and that asks for no signature"


def option_problems(resources: dict[str, Any]) -> Iterator[str]:
    alias = {"Ref": "StreamingFunctionAliaslive"}
    quick = deployed(resources, EVERYTHING | {"WithVersions", "WithSnapStart", "WithProvisioned", "IsReserved"})
    plain = deployed(resources, EVERYTHING)
    for found, target in ((quick, alias), (plain, {"Fn::GetAtt": ["StreamingFunction", "Arn"]})):
        if found["StreamingUrl"]["Properties"]["TargetFunctionArn"] != target:
            yield f"the URL calls {found['StreamingUrl']['Properties']['TargetFunctionArn']}"
    snapshots = [found["StreamingFunction"]["Properties"]["SnapStart"]["ApplyOn"] for found in (quick, plain)]
    if snapshots != ["PublishedVersions", "None"]:
        yield f"SnapStart: {snapshots}"
    aliases = [found["StreamingFunctionAliaslive"]["Properties"] for found in (quick, plain)]
    kept = [row.get("ProvisionedConcurrencyConfig") for row in aliases]
    if kept != [{"ProvisionedConcurrentExecutions": {"Ref": "ProvisionedConcurrency"}}, None]:
        yield f"kept running: {kept}"
    for name in ("StreamingFunction", "BufferedFunction", "RestFunction"):
        reserved = [found[name]["Properties"].get("ReservedConcurrentExecutions") for found in (quick, plain)]
        if reserved != [{"Ref": "ReservedConcurrency"}, None]:
            yield f"{name} is bounded by {reserved}"
    [provider] = plain["InstancesFunction"]["Properties"]["CapacityProviderConfig"].values()
    if provider["CapacityProviderArn"] != {"Ref": "CapacityProviderArn"}:
        yield f"Managed Instances: {provider}"


def statements(resources: dict[str, Any], true: set[str]) -> dict[str, dict[str, Any]]:
    """The role's statements by their Sid, when exactly the conditions `true` hold."""
    [role] = of_type(deployed(resources, true), "AWS::IAM::Role").values()
    [policy] = role["Policies"]
    return {row["Sid"]: row for row in policy["PolicyDocument"]["Statement"]}


def role_problems(resources: dict[str, Any]) -> Iterator[str]:
    least = statements(resources, {"UrlIsPublic"})
    most = statements(resources, OPTIONS)
    if set(least) != {"WriteLogs", "KeepState", "ReadSecrets"}:
        yield f"with nothing asked for it may: {set(least)}"
    if len(most) - len(least) != len(OPTIONS):
        yield f"with everything asked for it may: {set(most)}"
    resource = {name: row["Resource"] for name, row in (least | most).items()}
    wanted = {
        "WriteLogs": [{"Fn::GetAtt": ["StreamingLogs", "Arn"]}, {"Fn::GetAtt": ["ApiLogs", "Arn"]}],
        "KeepState": {"Fn::GetAtt": ["Table", "Arn"]},
        "ReadSecrets": [{"Ref": "GatewayKeys"}, {"Ref": "UpstreamKeys"}],
        "ReadOtherSecrets": {"Ref": "SecretArns"},
        "ReadParameters": {"Ref": "ParameterArns"},
        "InvokeModels": {"Ref": "BedrockResources"},
        "InvokeModelsOfMantle": {"Fn::Sub": "arn:${AWS::Partition}:bedrock-mantle:*:${AWS::AccountId}:project/*"},
        "ApplyGuardrails": {"Ref": "GuardrailArns"},
        "ArchiveBodies": {"Fn::Sub": "arn:${AWS::Partition}:s3:::${BodyArchiveBucket}/skybridge/*"},
        "ProveWhoItIs": "*",
    }
    if resource != wanted:
        yield f"reaches {resource}"
    condition = most.get("ProveWhoItIs", {}).get("Condition", {})
    if condition.get("ForAllValues:StringEquals") != {"sts:IdentityTokenAudience": {"Ref": "FederatedAudiences"}}:
        yield f"identity tokens for {condition}"
    for name, row in (least | most).items():
        actions = row["Action"] if isinstance(row["Action"], list) else [row["Action"]]
        if any("*" in action for action in actions):
            yield f"{name}: {actions}"
    if "bedrock:InvokeModelWithResponseStream" not in most.get("InvokeModels", {}).get("Action", []):
        yield "may not invoke models for a stream"


def table_problems(resources: dict[str, Any]) -> Iterator[str]:
    [(name, table)] = of_type(resources, "AWS::DynamoDB::Table").items()
    keys = {row["KeyType"]: row["AttributeName"] for row in table["KeySchema"]}
    wanted = {
        "keys": (keys, {"HASH": "pk", "RANGE": "sk"}),
        "billing": (table["BillingMode"], "PAY_PER_REQUEST"),
        "TTL": (table["TimeToLiveSpecification"], {"AttributeName": "expires", "Enabled": True}),
        "recovery": (table["PointInTimeRecoverySpecification"], {"PointInTimeRecoveryEnabled": True}),
        "encryption": (table["SSESpecification"], {"SSEEnabled": True}),
        "deletion": (resources[name]["DeletionPolicy"], "RetainExceptOnCreate"),
    }
    yield from (f"the table's {what}: {found}" for what, (found, right) in wanted.items() if found != right)


def watch_problems(resources: dict[str, Any]) -> Iterator[str]:
    alarms = of_type(resources, "AWS::CloudWatch::Alarm")
    metrics = {
        change["MetricName"]
        for row in of_type(resources, "AWS::Logs::MetricFilter").values()
        for change in row["MetricTransformations"]
    }
    watched = {row["MetricName"]: row.get("ExtendedStatistic", row.get("Statistic")) for row in alarms.values()}
    logged = {"FirstByteMilliseconds": "p99", "SpendUsd": "Sum", "FailedRequests": "Sum"}
    if watched != {"Errors": "Sum", "Throttles": "Sum"} | logged:
        yield f"watched: {watched}"
    if metrics != set(logged):
        yield f"metrics of the log: {metrics}"
    if not metrics <= set(UNITS):
        yield f"the gateway's own metrics have other names: {metrics - set(UNITS)}"
    for row in of_type(resources, "AWS::Logs::MetricFilter").values():
        named = set(re.findall(r"\$\.(\w+)", json.dumps(row))) - {"event"}
        if not named <= LOGGED:
            yield f"the log has no {named - LOGGED}"
    for name, row in alarms.items():
        if row["AlarmActions"] != [{"Ref": "AlarmTopic"}]:
            yield f"{name} tells nobody"
    [dashboard] = of_type(resources, "AWS::CloudWatch::Dashboard").values()
    try:
        json.loads(dashboard["DashboardBody"]["Fn::Sub"])
    except ValueError as fault:
        yield f"the dashboard is no JSON: {fault}"


CHECKS = (
    url_problems, key_problems, function_problems, api_problems, option_problems, role_problems, table_problems,
    watch_problems,
)  # fmt: skip


def problems(result: dict[str, Any]) -> list[str]:
    """What is wrong with an expanded template; what cfn-lint found comes first."""
    if result["findings"]:
        return list(result["findings"])
    parameters = result["parameters"]
    found = [] if parameters["GatewayKey"].get("NoEcho") is True else ["the gateway key can be read"]
    pattern = parameters["GatewayKey"]["AllowedPattern"]
    if [key for key in ("short", "fifteen-letters", "a b c d e f g h i") if re.search(pattern, key)]:
        found.append("a guessable key is taken")
    if parameters["UrlAuth"]["AllowedValues"] != ["NONE", "AWS_IAM"]:
        found.append("another way in")
    found += [] if parameters["Architecture"]["Default"] == "arm64" else ["not arm64"]
    return found + [problem for check in CHECKS for problem in check(result["resources"])]


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


def test_the_log_has_what_the_metrics_are_made_of() -> None:
    stream = io.StringIO()
    record = UsageRecord("r", "generate", "chat_completions", 0.0)
    record.cost = Cost(input=250_000_000)
    record.first_byte_seconds = 0.25
    write_record(LambdaLog(VirtualClock(), "info", {}, stream), record)
    line = json.loads(stream.getvalue())
    assert line["event"] == "request"
    assert set(line) >= LOGGED
    assert line["cost_usd"] == 0.00025


def test_every_function_can_be_built() -> None:
    targets = (ROOT / "infra" / "aws" / "Makefile").read_text()
    names = re.findall(r"^  (\w+Function):$", TEMPLATE, re.MULTILINE)
    assert len(names) == 4
    assert [name for name in names if f"build-{name}" not in targets] == []


def test_the_front_door_with_a_firewall_is_right(expanded: dict[str, dict[str, Any]]) -> None:
    assert expanded["cloudfront"]["findings"] == []
    resources = expanded["cloudfront"]["resources"]
    [distribution] = of_type(resources, "AWS::CloudFront::Distribution").values()
    behavior = distribution["DistributionConfig"]["DefaultCacheBehavior"]
    assert behavior["ViewerProtocolPolicy"] == "https-only"
    assert behavior["Compress"] is False
    [firewall] = of_type(resources, "AWS::WAFv2::WebACL").values()
    kinds = [next(iter(rule["Statement"])) for rule in firewall["Rules"]]
    assert kinds == ["ManagedRuleGroupStatement", "RateBasedStatement"]
    assert distribution["DistributionConfig"]["WebACLId"] == {"Fn::GetAtt": ["Firewall", "Arn"]}


CHECKOV = ROOT / ".venv-checkov" / "bin" / "checkov"


@pytest.mark.slow
@pytest.mark.skipif(not CHECKOV.exists(), reason="no .venv-checkov: make test-all sets it up")
@pytest.mark.parametrize("mistake", [None, ("PointInTimeRecoveryEnabled: true", "PointInTimeRecoveryEnabled: false")])
def test_checkov_finds_nothing_that_is_not_explained(mistake: tuple[str, str] | None, tmp_path: Path) -> None:
    template = tmp_path / "template.yaml"
    template.write_text(TEMPLATE.replace(*mistake) if mistake else TEMPLATE)
    command = [str(CHECKOV), "--config-file", str(ROOT / "infra" / "checkov.yaml")]
    command += ["--file", str(template), str(CLOUDFRONT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == (1 if mistake else 0), done.stdout + done.stderr


@pytest.mark.slow
def test_sam_builds_the_template(tmp_path: Path) -> None:
    base = ROOT / ".venv" / "bin"
    environment = {
        **os.environ,
        "SAM_CLI_TELEMETRY": "0",
        "AWS_DEFAULT_REGION": "us-east-1",
        # sam wants the interpreter itself, not a link in an environment or a shim.
        "PATH": f"{Path(os.path.realpath(base / 'python')).parent}:{os.environ['PATH']}",
    }
    command = [str(TOOLS / "sam"), "build", "--build-dir", str(tmp_path), "--template", str(ROOT / "template.yaml")]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("StreamingFunction", "BufferedFunction", "RestFunction", "InstancesFunction"):
        assert os.access(tmp_path / name / "streaming-wrapper", os.X_OK)
        assert list((tmp_path / name / "core" / "__pycache__").glob("gateway.*.pyc"))
