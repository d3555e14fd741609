"""The application behind a real server, over real sockets."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.backend_server import JSON, RESET, BackendServer, Script
from tests.samples import PATHS, TYPES, answer_body, request_body, stream_frames
from tests.served import served

FORMATS = sorted(PATHS)


def document(url: str, format_name: str, **limits: Any) -> dict[str, Any]:
    options = {"type": TYPES[format_name], "base_url": url, "api_key": "k"}
    return {"backends": {"b": options}, "models": {"m": {"backend": "b"}}, "limits": limits}


@pytest.mark.parametrize("format_name", FORMATS)
async def test_bytes_are_the_same_on_both_sides(tmp_path: Path, format_name: str) -> None:
    frames = stream_frames(format_name)
    scripts = [Script([answer_body(format_name)], headers=JSON), Script(frames)]
    async with BackendServer(scripts) as backend, served(tmp_path, document(backend.url, format_name)) as gateway:
        async with httpx.AsyncClient(base_url=gateway.url) as client:
            whole = await client.post(PATHS[format_name], content=request_body(format_name))
            assert whole.content == answer_body(format_name)
            streamed = await client.post(PATHS[format_name], content=request_body(format_name, stream=True))
            assert streamed.content == b"".join(frames)
            assert streamed.headers["content-type"].startswith("text/event-stream")
        assert [item.body for item in backend.received] == [
            request_body(format_name),
            request_body(format_name, stream=True),
        ]


async def test_bytes_arrive_before_the_backends_last(tmp_path: Path) -> None:
    frames = stream_frames("messages")
    gate = asyncio.Event()
    async with BackendServer([Script([*frames[:3], gate, *frames[3:]])]) as backend:
        async with served(tmp_path, document(backend.url, "messages")) as gateway:
            async with httpx.AsyncClient(base_url=gateway.url) as client:
                async with client.stream(
                    "POST", "/v1/messages", content=request_body("messages", stream=True)
                ) as response:
                    got = b""
                    async for data in response.aiter_raw():
                        got += data
                        if got == b"".join(frames[:3]):
                            gate.set()
                    assert got == b"".join(frames)


@pytest.mark.parametrize("stage", ["head", "stream", "whole"])
async def test_leaving_closes_the_backend_at_once(tmp_path: Path, stage: str) -> None:
    frames = stream_frames("messages")
    never = asyncio.Event()
    chunks: list[Any] = [*frames[:3], never] if stage == "stream" else [never]
    script = Script(chunks, headers=JSON) if stage == "whole" else Script(chunks)
    body = request_body("messages", stream=stage != "whole")
    async with BackendServer([script]) as backend, served(tmp_path, document(backend.url, "messages")) as gateway:
        reader, writer = await asyncio.open_connection(*gateway.url.removeprefix("http://").split(":"))
        head = f"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        if stage == "stream":
            await reader.readuntil(b"text_delta")
        else:
            while not backend.received:
                await asyncio.sleep(0.005)
        writer.transport.abort()
        async with asyncio.timeout(1.0):
            await backend.closed.wait()
            while not gateway.records:
                await asyncio.sleep(0.005)
        assert gateway.records[0].outcome == "abandoned"


async def test_a_reset_backend_is_answered_by_the_next(tmp_path: Path) -> None:
    scripts = [Script([RESET]), Script([answer_body("messages")], headers=JSON)]
    async with BackendServer(scripts) as backend:
        config = document(backend.url, "messages")
        config["models"]["m"] = {"candidates": [{"backend": "b"}, {"backend": "b", "priority": 2}]}
        async with served(tmp_path, config) as gateway, httpx.AsyncClient(base_url=gateway.url) as client:
            response = await client.post("/v1/messages", content=request_body("messages"))
            assert response.status_code == 200
            assert response.headers["x-skybridge-attempts"] == "2"


async def test_bodies_over_the_limit_are_413(tmp_path: Path) -> None:
    async def chunked() -> Any:
        for _ in range(30):
            yield b"x" * 100

    async with BackendServer([]) as backend:
        async with served(tmp_path, document(backend.url, "messages", max_body_bytes=1000)) as gateway:
            async with httpx.AsyncClient(base_url=gateway.url) as client:
                for content in (b"x" * 1001, chunked()):
                    response = await client.post("/v1/messages", content=content)
                    assert response.status_code == 413
                    assert response.json()["error"]["type"] == "request_too_large"
                    assert response.headers["x-request-id"].startswith("req_")
                response = await client.post("/v1/responses", content=b"x" * 1001)
                assert response.json()["error"]["message"]


async def test_head_and_repeated_headers(tmp_path: Path) -> None:
    async with BackendServer([Script([answer_body("messages")], headers=JSON)]) as backend:
        async with served(tmp_path, document(backend.url, "messages")) as gateway:
            async with httpx.AsyncClient(base_url=gateway.url) as client:
                head = await client.head("/")
                assert (head.status_code, head.content) == (200, b"")
                await client.post(
                    "/v1/messages",
                    content=request_body("messages"),
                    headers=[("anthropic-beta", "a"), ("anthropic-beta", "b")],
                )
                assert backend.received[0].headers["anthropic-beta"] == "a, b"
                assert backend.received[0].headers["x-api-key"] == "k"


async def test_a_defect_of_ours_is_a_500_in_the_clients_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with BackendServer([Script(stream_frames("messages"))]) as backend:
        async with served(tmp_path, document(backend.url, "messages")) as gateway:
            lines: list[dict[str, object]] = []
            gateway.composition.gateway.ports.log.event = (  # type: ignore[method-assign]
                lambda level, event, /, **fields: lines.append({"level": level, "event": event, **fields})
            )
            def broken(data: object) -> None:
                raise RuntimeError("a defect")

            async with httpx.AsyncClient(base_url=gateway.url) as client:
                gateway.composition.gateway.ports.record = broken
                streamed = await client.post("/v1/messages", content=request_body("messages", stream=True))
                assert streamed.content.endswith(b"\n\n") and b"event: error" in streamed.content
                whole = await client.post("/v1/messages", content=request_body("messages", model="zz"))
                assert (whole.status_code, whole.json()["error"]["type"]) == (500, "api_error")
            assert "a defect" in str(lines[0]["trace"])


async def test_aws_sdks_sign_with_the_gateways_key(tmp_path: Path) -> None:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import ClientError

    config = {"backends": {"d": {"type": "demo"}}, "models": {"demo": {"backend": "d"}}}
    async with served(tmp_path, config, {"SERVICE_API_KEY": "the-key"}) as gateway:

        def converse(secret: str) -> str:
            client = boto3.client(
                "bedrock-runtime", region_name="us-east-1", endpoint_url=gateway.url, aws_access_key_id="any",
                aws_secret_access_key=secret, config=Config(retries={"max_attempts": 0}),
            )  # fmt: skip
            with closing(client):
                answer = client.converse(modelId="demo", messages=[{"role": "user", "content": [{"text": "Hello"}]}])
            return str(answer["output"]["message"]["content"][0]["text"])

        assert "Hello" in await asyncio.to_thread(converse, "the-key")
        with pytest.raises(ClientError, match="403|401|signature|Signature"):
            await asyncio.to_thread(converse, "not-the-key")
