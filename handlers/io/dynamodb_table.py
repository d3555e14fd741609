"""Signed JSON calls to one DynamoDB table (no SDK on the request path).

https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/Welcome.html
"""

from __future__ import annotations

import json
from typing import Any

from core.ports import StoreFault
from core.slotted import slotted
from handlers.io.store_http import Answer, Call, CloudClient

# The last one: an item is part of somebody's transaction at this moment.
_THROTTLES = (
    "ThrottlingException", "ProvisionedThroughputExceededException", "RequestLimitExceeded",
    "TransactionConflictException",
)  # fmt: skip

type Item = dict[str, Any]


def is_throttled(answer: Answer) -> bool:
    """Whether DynamoDB asks to come again: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html"""
    return answer.status == 400 and any(name in error_type(answer) for name in _THROTTLES)


def error_type(answer: Answer) -> str:
    """The name of the exception, with what is before it; "" where there is none."""
    try:
        return str(json.loads(answer.body).get("__type", ""))
    except ValueError:
        return ""


@slotted
class DynamoTable:
    """The table `name` behind `endpoint` (the region's, or an emulator's)."""

    client: CloudClient
    endpoint: str
    name: str

    async def call(self, operation: str, *, named: bool = True, **members: Any) -> Any:
        """The answer to an operation, with the table's name where it is `named`. Raises StoreFault."""
        answer = await self.send(operation, **({"TableName": self.name, **members} if named else members))
        if answer.status != 200:
            raise self.fault(operation, answer)
        return json.loads(answer.body)

    async def send(self, operation: str, **members: Any) -> Answer:
        """The answer, whatever its status."""
        headers = [
            ("content-type", "application/x-amz-json-1.0"),
            ("x-amz-target", f"DynamoDB_20120810.{operation}"),
        ]
        return await self.client.send(Call("POST", f"{self.endpoint}/", headers, json.dumps(members).encode()))

    def fault(self, operation: str, answer: Answer) -> StoreFault:
        """What to raise for an answer that is of no use."""
        reason = error_type(answer).rpartition("#")[2] or f"status {answer.status}"
        return StoreFault(f"the DynamoDB table {self.name}: {operation} answered {reason}")
