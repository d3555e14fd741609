"""Requests to AWS as IAM sees them: which action on which resource; and what the role of template.yaml may do."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

# All that the role may do, with every option of the template. Each has a call in test_aws_permissions that needs it.
GRANTED = {
    "bedrock-mantle:CreateInference", "bedrock:ApplyGuardrail", "bedrock:InvokeModel",
    "bedrock:InvokeModelWithResponseStream",
    "dynamodb:BatchGetItem", "dynamodb:BatchWriteItem", "dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem",
    "dynamodb:Query", "dynamodb:UpdateItem",
    "logs:CreateLogStream", "logs:PutLogEvents",
    "s3:PutObject", "secretsmanager:GetSecretValue", "ssm:GetParameter", "sts:GetWebIdentityToken",
}  # fmt: skip
_SERVICES = {"DynamoDB_20120810": "dynamodb", "secretsmanager": "secretsmanager", "AmazonSSM": "ssm"}


def permissions(target: str, body: bytes) -> Iterator[tuple[str, str]]:
    """(action, the resource's name) of one request by its X-Amz-Target."""
    service, _, operation = target.partition(".")
    named = json.loads(body)
    names = [named[key] for key in ("TableName", "SecretId", "Name") if key in named]
    found = [(operation, name) for name in [*names, *named.get("RequestItems", ())]]
    # A transaction needs the permissions of what it is made of, and none of its own.
    parts = [part for item in named.get("TransactItems", ()) for part in item.items()]
    found += [(f"{each}Item", part["TableName"]) for each, part in parts]
    assert found, target
    yield from ((f"{_SERVICES[service]}:{each}", name) for each, name in found)


def all_permissions(calls: Iterable[tuple[str, bytes]]) -> set[tuple[str, str]]:
    return {each for target, body in calls for each in permissions(target, body)}
