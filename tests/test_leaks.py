"""The watch for credentials finds them, and a backend's quote of its key does not get through."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from core.framing.eventstream import encode, frames_of
from core.redaction import redacted, redacted_frames, without_secrets
from tests.gateways import Bench
from tests.leaks import MARK, LeakGuard, forget, leak_in, plant, secret
from tests.scripted import Play
from tests.served import served


@pytest.mark.parametrize(
    "messages",
    [
        [{"type": "http.response.start", "status": 200, "headers": [(b"x-a", f"sk-{MARK}-1".encode())]}],
        [{"type": "http.response.body", "body": f"a {MARK}".encode()}],
        [{"body": MARK[:4].encode()}, {"body": MARK[4:].encode()}],
    ],
)  # fmt: skip
async def test_the_watch_finds_credentials(messages: list[dict[str, Any]]) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    async def send(message: Any) -> None:
        return None

    guard = LeakGuard(app)
    await guard({}, None, send)
    assert guard.leaks


def test_the_watch_knows_what_a_gateway_was_given() -> None:
    plant({"backends": {"b": {"api_key": "planted-1", "base_url": "http://not-one"}}, "keys": [{"name": "not-a-key"}]})
    plant({"AWS_SECRET_ACCESS_KEY": "planted-2", "IDENTITY_HEADER": "planted-3", "LOG_LEVEL": "not-one-either"})
    assert [leak_in(f"x planted-{number} y") for number in (1, 2, 3)] == ["planted-1", "planted-2", "planted-3"]
    assert leak_in("not-one-either http://not-one not-a-key") is None
    forget()
    assert leak_in("planted-1") is None and leak_in(f"a{MARK}") == MARK


async def test_no_credential_of_a_caller_is_told_or_logged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Right and wrong ones, wherever a client may put them; at the level that logs most."""
    variables = {"SERVICE_API_KEY": secret("service"), "LOG_LEVEL": "debug"}
    wrong = secret("wrong")
    places: list[dict[str, Any]] = [
        {"headers": {"authorization": f"Bearer {wrong}"}}, {"headers": {"x-api-key": wrong}},
        {"headers": {"api-key": wrong}}, {"headers": {"x-goog-api-key": wrong}}, {"params": {"key": wrong}},
        {"headers": {"authorization": f"Basic {wrong}"}}, {"headers": {"cookie": f"key={wrong}"}},
        {"headers": {"authorization": f"Bearer {secret('service')}"}}, {"headers": {"x-api-key": secret("service")}},
    ]  # fmt: skip
    demo = {"backends": {"d": {"type": "demo"}}, "models": {"m": {"backend": "d"}}}
    async with served(tmp_path, demo, variables) as gateway, httpx.AsyncClient(base_url=gateway.url) as http:
        for place in places:
            for path in ("/v1/messages", "/v1/chat/completions", "/v1beta/models/m:generateContent", "/nowhere"):
                answer = await http.post(path, json={"model": "m", "messages": []}, **place)
                assert MARK not in answer.text + str(answer.headers)
                assert answer.status_code >= 400
    told = capsys.readouterr()
    assert MARK not in told.out + told.err + repr(gateway.records)
    assert gateway.records


def test_credentials_are_taken_out_of_what_a_backend_says() -> None:
    headers = [("authorization", "Bearer sk-0123456789"), ("x-api-key", "short"), ("accept", "application/json")]
    said = b'{"message":"wrong key sk-0123456789, in short: application/json"}'
    assert redacted(said, headers) == b'{"message":"wrong key ***, in short: application/json"}'
    assert redacted(b"\xff plain", headers) == b"\xff plain"
    assert without_secrets(r"a\"b quoted", [("api-key", 'a"b quoted')]) == "***"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Incorrect API key provided: sk-proj-****************WXYZ.", "Incorrect API key provided: ***."),
        ("Bearer abcdefghijklmnop.qrst was refused", "Bearer *** was refused"),
        ("GET /x?X-Amz-Signature=0a1b&v=1 failed", "GET /x?X-Amz-Signature=***&v=1 failed"),
        ("at https://c.blob/x?sv=1&sig=ab%2F&se=2", "at https://c.blob/x?sv=1&sig=***&se=2"),
        ("no way to http://ann:pass@proxy:3128/", "no way to http://***@proxy:3128/"),
        ("Limit reached in organization org-AbCdEf123456 on tokens", "Limit reached in organization org-*** on tokens"),
        ("Project `proj_AbCdEf123456` has no access", "Project `proj_***` has no access"),
        ("no quota for arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.x",
         "no quota for arn:aws:bedrock:us-east-1:***:inference-profile/us.x"),
        ("Your account 123456789012 is not authorized", "Your account *** is not authorized"),
        ("account id: 123456789012.", "account id: ***."),
        ("/subscriptions/00000000-1111-2222-3333-444444444444/resourceGroups/rg",
         "/subscriptions/***/resourceGroups/rg"),
        ("limit of your organization (00000000-1111-2222-3333-444444444444)", "limit of your organization (***)"),
        ("key AKIAIOSFODNN7EXAMPLE, AIzaSyA0123456789012345678901234567890", "key ***, ***"),
        ("token dapi0123456789abcdef0123 and eyJhbGciOiJI.eyJzdWIiOiIx.sig", "token *** and ***"),
    ],
)  # fmt: skip
def test_other_credentials_and_accounts_are_found_by_their_shape(said: str, told: str) -> None:
    assert without_secrets(said, []) == told


@pytest.mark.parametrize(
    "said",
    [
        "prompt is too long: 123456789012 tokens > 200000 maximum",
        "messages.1.content.0: Invalid signature in thinking block; skip_thought_signature_validator",
        "tool toolu_01ABCDEFGHIJKLMNOP was not answered; request req_011CSHoEeqs5C35K2UUqR7Fy",
        "The model `sk-learn` does not exist. Risk-averse organizations bear arms.",
        "https://docs.example.com/errors/00000000-1111-2222-3333-444444444444",
    ],
)
def test_what_is_no_secret_stays(said: str) -> None:
    assert without_secrets(said, []) == said


def test_frames_of_a_stream_stay_whole() -> None:
    key = [("x-api-key", f"sk-{MARK}-1")]
    good, bad = encode({":event-type": "chunk"}, b"{}"), encode({":exception-type": "e"}, f"no sk-{MARK}-1".encode())
    [first, second] = frames_of(redacted_frames(good + bad, key, binary=True))
    assert (first.payload, second.payload) == (b"{}", b"no ***")
    assert redacted_frames(good, key, binary=True) == good
    assert redacted_frames(b"no frames at all", key, binary=True) == b"no frames at all"
    assert redacted_frames(b'data: {"error":"sk-%b-1"}\n\n' % MARK.encode(), key, binary=False) == (
        b'data: {"error":"***"}\n\n'
    )


async def test_whose_account_it_is_is_not_told() -> None:
    """Neither in the headers that a backend sends nor in the gateway's own name for the model."""
    arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"
    backend = {"type": "bedrock", "format": "converse"}
    document = {"backends": {"b": backend}, "models": {"m": {"backend": "b", "api_model": arn}}}
    headers = {
        "content-type": "application/json", "x-amzn-errortype": "ThrottlingException",
        "openai-organization": "org-1", "anthropic-organization-id": "o",
        "llm_provider-openai-organization": "org-2", "openai-processing-ms": "5", "x-ratelimit-limit-requests": "7",
        "x-codex-turn-state": "t", "x-reasoning-included": "true",
        "llm_provider-set-cookie": "a=b", "openai-project": "p", "anthropic-workspace-id": "w",
    }  # fmt: skip
    bench = Bench(document, [Play(status=429, headers=headers, chunks=[b'{"message":"slow down"}'])])
    body = b'{"messages":[{"role":"user","content":[{"text":"x"}]}]}'
    response = await bench.post("/model/m/converse", body)
    told = dict(response.headers)
    assert told["x-skybridge-model"] == arn.replace("123456789012", "***")
    assert (told["openai-processing-ms"], told["x-ratelimit-limit-requests"]) == ("5", "7")
    assert (told["x-codex-turn-state"], told["x-reasoning-included"]) == ("t", "true")  # which Codex reads
    accounts = ("organization", "organization-id", "workspace-id", "project", "cookie")
    assert not [name for name in told if name.endswith(accounts)]
