"""What a gateway on Lambda asks of AWS when keys are made, limits counted, sessions and responses kept: no more than
its role may do (test_aws_permissions)."""

from __future__ import annotations

from pathlib import Path

import pytest

from handlers.io.http_client import HttpTransport
from tests.doors.aws_calls import GRANTED, all_permissions
from tests.doors.deployed import KEY, administer
from tests.doors.lambda_clients import url_client
from tests.doors.lambda_emulator import LambdaEmulator
from tests.doors.test_aws_package import build as aws_build
from tests.doors.test_aws_package import package as package
from tests.doors.test_aws_package import python as python
from tests.stores import real_stores

pytestmark = pytest.mark.doors


async def test_the_role_may_do_all_that_is_administered(package: Path, python: str) -> None:
    calls: list[tuple[str, bytes]] = []
    with real_stores.moto(calls) as moto:
        transport = HttpTransport(environment={})
        await real_stores.dynamo_store(transport, moto, "administered").prepare()  # the template makes it
        await transport.aclose()
        calls.clear()
        environment = {
            "SKYBRIDGE_STORE": "dynamodb:administered", "AWS_ENDPOINT_URL": moto, "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b",
            "LAMBDA_TASK_ROOT": str(package), "HOME": "/tmp", "SERVICE_API_KEY": KEY,
        }  # fmt: skip
        emulator = LambdaEmulator(folder=package)
        command = (str(package / aws_build.WRAPPER), python, "/var/runtime/bootstrap.py")
        async with emulator.run(*command, **environment), url_client(emulator) as client:
            emulator.restore()
            await administer(client)
            await emulator.ready()
    asked = all_permissions(calls)
    assert {action for action, _ in asked} <= GRANTED
    assert {name for _, name in asked} == {"administered"}
    assert {"dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem"} <= {action for action, _ in asked}
