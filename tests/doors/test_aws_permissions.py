"""The role of template.yaml against the calls that the gateway makes: each is allowed, and nothing else is."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import AsyncIterator, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
import pytest

from core.errors import NotConfigured
from core.ports import BackendRequest, Charge, Hold
from handlers.io.aws_credentials import environment_credentials
from handlers.io.body_archive import open_archive
from handlers.io.body_log import KeptExchange
from handlers.io.dynamodb_store import DynamoStore
from handlers.io.http_client import HttpTransport
from handlers.io.identities import Outside as IdentityOutside
from handlers.io.identities import aws_web_identity
from handlers.io.secrets import CloudSecrets
from handlers.io.shards import Spread
from handlers.io.shipping import Outside
from tests.doors.aws_calls import GRANTED, permissions
from tests.doors.aws_conditions import deployed
from tests.doors.test_aws_template import OPTIONS, ROOT, TOOLS, run_tools, statements
from tests.gateways import Bench, RecordingLog, body_of
from tests.scripted import FixedRandom, Play, ScriptedTransport, VirtualClock
from tests.stores import real_stores

REGION, ACCOUNT = "eu-west-1", "111122223333"
TABLE = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/skybridge-Table"
GUARDRAIL = f"arn:aws:bedrock:{REGION}:{ACCOUNT}:guardrail/made"
MODEL = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
# What the template's references stand for in this test.
REFERENCES: dict[str, str | list[str]] = {
    "Table": TABLE,
    "StreamingLogs": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/skybridge/s/streaming:*",
    "ApiLogs": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/skybridge/s/apis:*",
    "GatewayKeys": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:GatewayKeys-AbCdEf",
    "UpstreamKeys": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:UpstreamKeys-AbCdEf",
    "SecretArns": [f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:mine-AbCdEf"],
    "ParameterArns": [f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/mine"],
    "GuardrailArns": [GUARDRAIL],
    "FederatedAudiences": ["api://AzureADTokenExchange"],
}
# A path of bedrock-runtime, and the permission that AWS asks for there.
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonbedrock.html
BEDROCK_ACTIONS = (
    (r"/model/[^/]+/(converse|invoke)", "bedrock:InvokeModel"),
    (r"/model/[^/]+/(converse-stream|invoke-with-response-stream)", "bedrock:InvokeModelWithResponseStream"),
    (r"/(anthropic|openai)/v1/[a-z/]+", "bedrock:InvokeModel"),
)

pytestmark = [
    pytest.mark.doors,
    pytest.mark.skipif(not (TOOLS / "sam").exists(), reason="no .venv-aws: make test sets it up"),
]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path: Path = tmp_path_factory.mktemp("template") / "template.unlinted.yaml"
    path.write_text((ROOT / "template.yaml").read_text())
    [expanded] = run_tools([path])
    return expanded


@pytest.fixture(scope="module")
def policy(template: dict[str, Any]) -> list[dict[str, Any]]:
    """The role's statements with every option, and ARNs where the template has references."""
    listed = template["parameters"]["BedrockResources"]["Default"]
    references = REFERENCES | {"BedrockResources": [each.strip() for each in listed.split(",")]}
    return [
        row | {"Resource": list(arns(row["Resource"], references)), "Action": in_list(row["Action"])}
        for row in statements(template["resources"], OPTIONS).values()
    ]


def in_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def arns(resource: Any, references: dict[str, str | list[str]]) -> Iterator[str]:
    for each in in_list(resource):
        if isinstance(each, str):
            yield each
        elif "Fn::Sub" in each:
            text = each["Fn::Sub"].replace("${AWS::Partition}", "aws").replace("${AWS::AccountId}", ACCOUNT)
            yield text.replace("${BodyArchiveBucket}", "bucket")
        else:
            yield from in_list(references[each.get("Ref") or each["Fn::GetAtt"][0]])


def allowed(policy: list[dict[str, Any]], action: str, resource: str, audience: str = "") -> bool:
    """IAM's decision, for policies of Allow statements whose only condition is about audiences."""
    return any(
        action in row["Action"]
        and any(fnmatchcase(resource, pattern) for pattern in row["Resource"])
        and ("Condition" not in row or audience in REFERENCES["FederatedAudiences"])
        for row in policy
    )


@pytest.fixture
async def recorded_calls() -> AsyncIterator[set[tuple[str, str]]]:
    """(action, resource) of every call that a store makes in its life, judged by moto as it goes."""
    calls: set[tuple[str, str]] = set()
    with real_stores.moto() as endpoint:
        transport = HttpTransport(environment={})
        # As CloudFormation makes it: the table is there before the gateway starts.
        table = {
            "TableName": "skybridge-Table",
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        }
        headers = {
            "x-amz-target": "DynamoDB_20120810.CreateTable",
            "content-type": "application/x-amz-json-1.0",
            "authorization": "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/dynamodb/aws4_request",
        }
        assert httpx.post(endpoint, json=table, headers=headers, trust_env=False).status_code == 200
        client = real_stores.signed_client(transport, "dynamodb")
        sign = client.authorize

        async def record(request: BackendRequest) -> None:
            found = permissions(dict(request.headers)["x-amz-target"], request.body)
            calls.update((action, f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{name}") for action, name in found)
            await sign(request)

        client.authorize = record
        await use(DynamoStore(client, endpoint, "skybridge-Table", Spread(2, FixedRandom(0.5), always=True)))
        await transport.aclose()
        yield calls


async def use(store: DynamoStore) -> None:
    """Everything that a function does with its store. `prepare` is the command line's, and the operator's right."""
    await store.write("keys", {"a": {"n": 1}})
    await store.write("sessions", {"a": {"n": 1}, "b": {"n": 1}}, expires=1_900_000_000.0)
    await store.read("keys", "a")
    await store.read_all("keys")
    assert await store.read_page("sessions", "a", 1)
    assert not await store.replace("keys", "a", (None, {"n": 2}))
    assert await store.replace("keys", "a", ({"n": 1}, {"n": 2}))
    await store.delete("keys", "a")
    hold = Hold("h", (Charge("usd", 5, 10, 2_000_000_000.0),), 1_900_000_000.0)
    await store.reserve(hold, 1_800_000_000.0)
    await store.settle([(hold, {"usd": 3})])
    await store.totals(["usd"], 1_800_000_000.0)
    await store.purge(1_800_000_000.0)
    await store.close()


def test_all_of_the_store_is_used() -> None:
    source = inspect.getsource(use)
    methods = {name for name, each in vars(DynamoStore).items() if callable(each) and not name.startswith("_")}
    assert {name for name in methods if f"store.{name}(" not in source} == {"prepare"}


def test_the_role_may_do_what_is_listed_and_no_more(policy: list[dict[str, Any]]) -> None:
    assert {action for row in policy for action in row["Action"]} == GRANTED


async def test_the_role_may_do_what_the_store_does_and_no_more(
    policy: list[dict[str, Any]], recorded_calls: set[tuple[str, str]]
) -> None:
    assert [call for call in recorded_calls if not allowed(policy, *call)] == []
    granted = {action for row in policy for action in row["Action"] if action.startswith("dynamodb:")}
    assert granted == {action for action, _ in recorded_calls}


async def bedrock_calls() -> set[tuple[str, str]]:
    """(action, resource) of every form of call that the gateway sends to bedrock-runtime."""
    calls: set[tuple[str, str]] = set()
    question = [{"role": "user", "content": "Hello"}]
    for form in ("messages", "converse", "invoke"):
        for stream in (False, True):
            backend = {"type": "bedrock", "region": REGION, "format": form}
            bench = Bench(
                {"backends": {"b": backend}, "models": {"m": {"backend": "b", "api_model": MODEL}}},
                [Play(status=400, headers={"content-type": "application/json"}, chunks=[b"{}"])],
            )
            body = {"model": "m", "max_tokens": 9, "messages": question, "stream": stream}
            await body_of(await bench.post("/v1/messages", json.dumps(body).encode()))
            for request in bench.transport.requests:
                path = unquote(urlsplit(request.url).path)
                actions = [action for pattern, action in BEDROCK_ACTIONS if re.fullmatch(pattern, path)]
                assert actions, path
                if "/v1/" in path and stream:
                    actions = ["bedrock:InvokeModelWithResponseStream"]
                calls.add((actions[0], f"arn:aws:bedrock:{REGION}:{ACCOUNT}:inference-profile/{MODEL}"))
    return calls


async def test_the_role_may_invoke_as_the_gateway_does_and_no_more(policy: list[dict[str, Any]]) -> None:
    calls = await bedrock_calls()
    assert [call for call in calls if not allowed(policy, *call)] == []
    # A profile's models must be allowed too, in whatever region it sends the request to.
    model = MODEL.removeprefix("eu.")
    assert allowed(policy, "bedrock:InvokeModel", f"arn:aws:bedrock:eu-north-1::foundation-model/{model}")
    granted = {action for row in policy for action in row["Action"] if action.startswith("bedrock:Invoke")}
    assert granted == {action for action, _ in calls}


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("dynamodb:Scan", TABLE),
        ("dynamodb:DeleteTable", TABLE),
        ("dynamodb:CreateTable", TABLE),
        ("dynamodb:UpdateTimeToLive", TABLE),
        ("dynamodb:GetItem", TABLE + "-other"),
        ("secretsmanager:GetSecretValue", f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:another-AbCdEf"),
        ("ssm:GetParameter", f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/other"),
        ("secretsmanager:PutSecretValue", str(REFERENCES["UpstreamKeys"])),
        ("bedrock:InvokeModel", f"arn:aws:bedrock:{REGION}::foundation-model/meta.llama3-70b-instruct-v1:0"),
        ("bedrock:CreateProvisionedModelThroughput", f"arn:aws:bedrock:{REGION}::foundation-model/{MODEL}"),
        ("bedrock:ApplyGuardrail", GUARDRAIL + "2"),
        ("logs:CreateLogGroup", str(REFERENCES["StreamingLogs"])),
        ("logs:PutLogEvents", f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda/other:*"),
        ("sts:AssumeRole", f"arn:aws:iam::{ACCOUNT}:role/admin"),
        ("s3:GetObject", "arn:aws:s3:::bucket/skybridge/key"),
        ("s3:PutObject", "arn:aws:s3:::bucket/key"),
        ("s3:PutObject", "arn:aws:s3:::other/skybridge/key"),
    ],
)
def test_the_role_may_not(action: str, resource: str, policy: list[dict[str, Any]]) -> None:
    assert not allowed(policy, action, resource)


async def test_the_role_may_archive_bodies_where_the_function_does(policy: list[dict[str, Any]]) -> None:
    """The address that the template gives the function, and the object that it puts there."""
    template = (ROOT / "template.yaml").read_text()
    [address] = re.findall(r'SKYBRIDGE_BODY_ARCHIVE: !If \[WithBodyArchive, !Sub "([^"]+)"', template)
    clock = VirtualClock()
    keys = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "made", "AWS_LAMBDA_FUNCTION_NAME": "f"}
    transport = ScriptedTransport([Play(status=200, headers={})], clock)
    outside = Outside(keys, transport, clock, FixedRandom(), RecordingLog())
    archive = open_archive(address.replace("${BodyArchiveBucket}", "bucket"), outside)
    archive.put(KeptExchange({}, b"{}", b"{}", personal=False))
    await archive.shipper.after_answer()
    [request] = transport.requests
    target = urlsplit(request.url)
    assert (request.method, target.hostname) == ("PUT", "bucket.s3.us-east-1.amazonaws.com")
    assert allowed(policy, "s3:PutObject", f"arn:aws:s3:::bucket{target.path}")


@pytest.mark.parametrize(
    ("reference", "answer"),
    [
        (f"aws-secret://{REFERENCES['GatewayKeys']}", {"SecretString": "value"}),
        (f"aws-secret://{REFERENCES['UpstreamKeys']}#KEY", {"SecretString": '{"KEY": "value"}'}),
        (f"aws-secret://{REFERENCES['SecretArns'][0]}", {"SecretString": "value"}),
        ("aws-ssm://mine", {"Parameter": {"Value": "value"}}),
    ],
    ids=["the gateway's", "the backends'", "another", "a parameter"],
)
async def test_the_role_may_read_what_the_configuration_refers_to(
    reference: str, answer: dict[str, Any], policy: list[dict[str, Any]]
) -> None:
    clock = VirtualClock()
    transport = ScriptedTransport([Play(status=200, headers={}, chunks=[json.dumps(answer).encode()])], clock)
    variables = {"AWS_REGION": REGION, "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "made"}
    assert await CloudSecrets(variables, transport, clock, FixedRandom()).resolve(reference) == "value"
    [request] = transport.requests
    [(action, name)] = permissions(dict(request.headers)["x-amz-target"], request.body)
    service = action.partition(":")[0]
    assert urlsplit(request.url).hostname == f"{service}.{REGION}.amazonaws.com"
    named = name if name.startswith("arn:") else f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/{name}"
    assert allowed(policy, action, named)


async def identity_token(audience: str) -> tuple[str, str]:
    """(action, audience) of the call by which the function proves who it is."""
    clock = VirtualClock()
    transport = ScriptedTransport([Play(status=403, headers={}, chunks=[b"{}"])], clock)
    variables = {"AWS_REGION": REGION, "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "made"}
    credentials = environment_credentials(variables, transport, clock)
    with pytest.raises(NotConfigured):
        await aws_web_identity(IdentityOutside(variables, transport, clock), credentials, audience)()
    [request] = transport.requests
    form = {name: value for name, [value] in parse_qs(request.body.decode()).items()}
    assert int(form["DurationSeconds"]) <= 3600  # what the role's condition asks for
    service = str(urlsplit(request.url).hostname).partition(".")[0]
    return f"{service}:{form['Action']}", form["Audience.member.1"]


async def test_identity_tokens_are_for_the_audiences_that_were_named(policy: list[dict[str, Any]]) -> None:
    [named] = REFERENCES["FederatedAudiences"]
    action, audience = await identity_token(named)
    assert allowed(policy, action, "*", audience)
    assert not allowed(policy, *(await identity_token("https://elsewhere.example"))[:1], "*", "https://elsewhere.example")


def test_nothing_is_proved_where_nobody_federates(template: dict[str, Any]) -> None:
    least = statements(template["resources"], OPTIONS - {"IsFederated"})
    assert not [row for row in least.values() if "sts:" in json.dumps(row)]


@pytest.mark.parametrize("option", sorted(OPTIONS))
def test_an_option_is_one_statement(option: str, template: dict[str, Any]) -> None:
    with_it, without = (set(statements(template["resources"], true)) for true in ({option}, set()))
    assert len(with_it - without) == 1 and without <= with_it


def test_the_role_may_write_its_log_and_apply_the_guardrails(policy: list[dict[str, Any]]) -> None:
    """What Lambda and Bedrock do in the function's name: no call of the gateway's own shows it."""
    for group in ("StreamingLogs", "ApiLogs"):
        for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
            assert allowed(policy, action, str(REFERENCES[group]))
    assert allowed(policy, "bedrock:ApplyGuardrail", GUARDRAIL)


def test_only_lambda_may_take_the_role(template: dict[str, Any]) -> None:
    role = deployed(template["resources"], set())["GatewayRole"]["Properties"]
    [trusted] = role["AssumeRolePolicyDocument"]["Statement"]
    assert (trusted["Principal"], trusted["Action"]) == ({"Service": "lambda.amazonaws.com"}, "sts:AssumeRole")
    assert "ManagedPolicyArns" not in role
