"""The emulator itself: a real AWS SDK is its client here, so that what it says is what Lambda says."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import boto3
import pytest
from botocore.config import Config

from handlers.aws_runtime_api import RuntimeApi, RuntimeApiFault
from tests.doors import lambda_apps as apps
from tests.doors.lambda_clients import hosted, url_client
from tests.doors.lambda_emulator import BUFFERED_LIMIT, LambdaEmulator, payload_2
from tests.handlers.test_aws_events import load

pytestmark = pytest.mark.doors


def sdk(emulator: LambdaEmulator) -> Any:
    return boto3.client(
        "lambda",
        endpoint_url=f"http://127.0.0.1:{emulator.front_port}",
        region_name="us-east-1",
        aws_access_key_id="made",
        aws_secret_access_key="up",
        config=Config(proxies={}, retries={"total_max_attempts": 1}),
    )


def invoke(emulator: LambdaEmulator, event: Any) -> dict[str, Any]:
    answer: dict[str, Any] = sdk(emulator).invoke(FunctionName="skybridge", Payload=json.dumps(event))
    return {"error": answer.get("FunctionError"), "payload": json.loads(answer["Payload"].read())}


def invoke_with_stream(emulator: LambdaEmulator, event: Any) -> list[dict[str, Any]]:
    answer = sdk(emulator).invoke_with_response_stream(FunctionName="skybridge", Payload=json.dumps(event))
    return list(answer["EventStream"])


async def test_invoke_as_the_sdk_sees_it() -> None:
    async with hosted(lambda: apps.echo) as emulator:
        answer = await asyncio.to_thread(invoke, emulator, load("rest-api"))
        assert (answer["error"], answer["payload"]["statusCode"]) == (None, 201)
        answer = await asyncio.to_thread(invoke, emulator, load("queue"))
        assert (answer["error"], answer["payload"]["errorType"]) == ("Unhandled", "Function.UnsupportedEvent")


async def test_invoke_with_response_stream_as_the_sdk_sees_it() -> None:
    async with hosted(lambda: apps.breaks) as emulator:
        event = load("function-url") | {"rawPath": "/middle"}
        *chunks, last = await asyncio.to_thread(invoke_with_stream, emulator, event)
    payloads = [chunk["PayloadChunk"]["Payload"] for chunk in chunks]
    assert json.loads(payloads[0])["statusCode"] == 200
    assert payloads[1:] == [b"\0" * 8, b"some "]
    assert last["InvokeComplete"]["ErrorCode"] == "Function.KeyError"
    assert "broken on purpose" in last["InvokeComplete"]["ErrorDetails"]


async def test_a_stream_that_ends_well_completes_without_an_error() -> None:
    async with hosted(lambda: apps.plain) as emulator:
        event = load("function-url") | {"rawPath": "/200/3"}
        *_, last = await asyncio.to_thread(invoke_with_stream, emulator, event)
    assert last == {"InvokeComplete": {}}


async def test_what_a_runtime_may_not_do_is_refused() -> None:
    emulator = LambdaEmulator(timeout=5)
    await emulator.listen()
    api, other = RuntimeApi(emulator.runtime_address), RuntimeApi(emulator.runtime_address)
    try:
        emulator.invoke({})
        invocation = await api.next()
        for refused, status in [
            (other.next(), 403),
            (api.respond("unknown", b""), 400),
            (api.respond(invocation.id, b"x" * (BUFFERED_LIMIT + 1)), 413),
            (api.respond(invocation.id, b"null"), 400),
            (api.request("GET", "/nowhere"), 404),
        ]:
            try:
                answer = await refused
            except RuntimeApiFault as fault:
                assert fault.status == status
            else:
                assert answer is not None and answer.status == status
    finally:
        api.close()
        other.close()
        await emulator.close()


async def test_a_body_that_is_cut_off_is_truncated() -> None:
    emulator = LambdaEmulator()
    await emulator.listen()
    api = RuntimeApi(emulator.runtime_address)
    try:
        held = emulator.invoke({})
        stream = await api.stream((await api.next()).id)
        await stream.write(b"part")
        assert await held.chunks.get() == b"part"
        stream.close()
        end = await held.chunks.get()
        assert not isinstance(end, bytes) and end.error == "Runtime.TruncatedResponse"
    finally:
        api.close()
        await emulator.close()


async def test_a_function_that_is_too_slow_is_killed() -> None:
    emulator = LambdaEmulator(timeout=0.2)
    async with emulator.run("sleep", "60"):
        _, end = await emulator.answer({})
        assert (end.error, await emulator.exited()) == ("Sandbox.Timedout", -9)


async def test_a_function_url_that_does_not_stream_reads_the_object() -> None:
    environment = {"SKYBRIDGE_RESPONSE_MODE": "buffered"}
    async with hosted(lambda: apps.binary, environment) as emulator, url_client(emulator) as client:
        response = await client.post("/?image/png", content=b"\x00\xff")
        assert (response.status_code, response.content) == (200, b"\x00\xff")


def test_a_text_body_is_text_in_the_event() -> None:
    from tests.doors.lambda_emulator import HttpRequest

    event = payload_2(HttpRequest("POST", "/x?y", {"content-type": "application/json"}, b"{}"))
    assert (event["body"], event["isBase64Encoded"], event["rawQueryString"]) == ("{}", False, "y")
