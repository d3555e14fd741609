"""Where AWS credentials are found, and how they stay fresh."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from moto.server import ThreadedMotoServer

from core.auth.credentials import Credentials
from core.errors import NotConfigured
from core.ports import BackendRequest, Clock, Head, TransportFault
from handlers.io.aws_credentials import (
    CredentialProvider,
    environment_credentials,
    sts_endpoint,
    web_identity_of,
)
from handlers.io.http_client import HttpTransport

START = 1_704_164_645.0  # 2024-01-02T03:04:05Z
ROLE = "arn:aws:iam::123456789012:role/gateway"


class StoppedClock(Clock):
    def __init__(self) -> None:
        self.now = START

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


class Scripted:
    """A Transport and its Exchanges: gives the answers in their order, and remembers the requests.

    An answer is (status, pieces of the body); None stands for silence, an exception for a broken connection.
    """

    def __init__(self, *answers: tuple[int, list[bytes | None]] | Exception | None) -> None:
        self.answers = list(answers)
        self.requests: list[BackendRequest] = []
        self.closed = 0
        self._status: int | None = None
        self._pieces: list[bytes | None] = []

    async def send(self, request: BackendRequest) -> Scripted:
        self.requests.append(request)
        answer = self.answers.pop(0)
        await asyncio.sleep(0)
        if isinstance(answer, Exception):
            raise answer
        self._status, self._pieces = (None, []) if answer is None else (answer[0], list(answer[1]))
        return self

    async def head(self, wait: float) -> Head | None:
        return None if self._status is None else Head(self._status)

    async def read(self, wait: float) -> bytes | None:
        return self._pieces.pop(0) if self._pieces else b""

    def close(self) -> None:
        self.closed += 1


def document(expiry: str = "2024-01-02T04:04:05Z", key: str = "ASIA1") -> bytes:
    """One hour from the start, unless `expiry` says otherwise."""
    members = {"AccessKeyId": key, "SecretAccessKey": "s3cret", "Token": "t", "Expiration": expiry}
    return json.dumps(members).encode()


def found(key: str = "ASIA1", expires_at: float = START + 3600) -> Credentials:
    return Credentials(key, "s3cret", "t", expires_at)


def provider(
    tmp_path: Path, transport: Scripted | None = None, clock: Clock | None = None, **environment: str
) -> CredentialProvider:
    environment.setdefault("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "absent"))
    return environment_credentials(environment, transport or Scripted(), clock or StoppedClock())


async def test_environment_variables_come_first(tmp_path: Path) -> None:
    names = {"AWS_ACCESS_KEY_ID": "AKIA1", "AWS_SECRET_ACCESS_KEY": "s3cret"}
    full = "http://127.0.0.1/creds"
    source = provider(tmp_path, AWS_CONTAINER_CREDENTIALS_FULL_URI=full, **names)
    assert await source.current() == Credentials("AKIA1", "s3cret")


async def test_nothing_found_names_all_that_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(NotConfigured) as caught:
        await provider(tmp_path, AWS_PROFILE="work").current()
    for name in (
        "AWS_ACCESS_KEY_ID",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_ROLE_ARN",
        "'work'",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ):
        assert name in caught.value.message
    assert caught.value.status == 503


async def test_a_profile_is_read_again_after_a_while(tmp_path: Path) -> None:
    path = tmp_path / "credentials"
    path.write_text("[work]\naws_access_key_id=AKIA1\naws_secret_access_key=s3cret\n")
    clock = StoppedClock()
    source = provider(tmp_path, clock=clock, AWS_SHARED_CREDENTIALS_FILE=str(path), AWS_PROFILE="work")
    assert (await source.current()).access_key_id == "AKIA1"
    path.write_text("[work]\naws_access_key_id=AKIA2\naws_secret_access_key=s3cret\n")
    assert (await source.current()).access_key_id == "AKIA1"
    clock.now += 301
    assert (await source.current()).access_key_id == "AKIA2"
    path.unlink()
    clock.now += 301
    assert (await source.current()).access_key_id == "AKIA2"


async def test_a_container_with_a_relative_address(tmp_path: Path) -> None:
    transport = Scripted((200, [document()[:10], document()[10:]]))
    source = provider(tmp_path, transport, AWS_CONTAINER_CREDENTIALS_RELATIVE_URI="/v2/credentials/1")
    assert await source.current() == found()
    (request,) = transport.requests
    assert (request.method, request.url) == ("GET", "http://169.254.170.2/v2/credentials/1")
    assert request.headers == [("accept", "application/json")]
    assert transport.closed == 1


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:9001/c", "http://[fd00:ec2::23]/v1", "http://169.254.170.23/v1/c", "https://creds.test/c"],
)
async def test_a_container_with_a_full_address_and_a_token(tmp_path: Path, url: str) -> None:
    transport = Scripted((200, [document()]), (200, [document(key="ASIA2")]))
    names = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": url, "AWS_CONTAINER_AUTHORIZATION_TOKEN": "tok"}
    assert await provider(tmp_path, transport, **names).current() == found()
    assert transport.requests[0].url == url
    assert ("authorization", "tok") in transport.requests[0].headers
    token_file = tmp_path / "token"
    token_file.write_text("from-file\n")
    names["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = str(token_file)
    await provider(tmp_path, transport, **names).current()
    assert ("authorization", "from-file") in transport.requests[1].headers


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://evil.test/c"}, "must be https"),
        (
            {
                "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/c",
                "AWS_CONTAINER_AUTHORIZATION_TOKEN": "a\r\nhost: evil",
            },
            "one line",
        ),
        (
            {
                "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/c",
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/absent/token",
            },
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE names cannot be read",
        ),
        (
            {"AWS_WEB_IDENTITY_TOKEN_FILE": "/absent/token", "AWS_ROLE_ARN": ROLE},
            "AWS_WEB_IDENTITY_TOKEN_FILE names cannot be read",
        ),
    ],
)
async def test_what_is_configured_wrongly(tmp_path: Path, environment: dict[str, str], message: str) -> None:
    with pytest.raises(NotConfigured, match=message):
        await provider(tmp_path, **environment).current()


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([(404, [b"no"])], "answered 404"),
        ([(500, [])] * 3, "answered 500"),
        ([TransportFault("connect", "refused")] * 3, "could not be reached: refused"),
        ([None] * 3, "no answer within"),
        ([(200, [None])] * 3, "no more of the answer"),
        ([(200, [b"x" * 70_000])] * 3, "too long"),
        ([(200, [b"{}"])], "no usable credentials"),
    ],
)
async def test_a_container_that_does_not_answer(tmp_path: Path, answers: list[object], message: str) -> None:
    transport = Scripted(*answers)  # type: ignore[arg-type]
    source = provider(tmp_path, transport, AWS_CONTAINER_CREDENTIALS_RELATIVE_URI="/c")
    with pytest.raises(NotConfigured, match=message):
        await source.current()
    assert transport.answers == []


async def test_a_hiccup_is_tried_again(tmp_path: Path) -> None:
    transport = Scripted(TransportFault("head", "reset"), (503, []), (200, [document()]))
    source = provider(tmp_path, transport, AWS_CONTAINER_CREDENTIALS_RELATIVE_URI="/c")
    assert await source.current() == found()


async def test_credentials_are_renewed_before_they_expire(tmp_path: Path) -> None:
    clock = StoppedClock()
    renewed = document("2024-01-02T05:04:05Z", "ASIA2")
    transport = Scripted((200, [document()]), (200, [renewed]))
    source = provider(tmp_path, transport, clock, AWS_CONTAINER_CREDENTIALS_RELATIVE_URI="/c")
    await source.current()
    clock.now = START + 3299
    assert (await source.current()).access_key_id == "ASIA1"
    clock.now = START + 3301
    assert (await source.current()).access_key_id == "ASIA2"


async def test_a_renewal_that_fails_leaves_the_old_ones_while_they_hold(tmp_path: Path) -> None:
    clock = StoppedClock()
    failures = [(404, [b""])] * 3
    transport = Scripted((200, [document()]), *failures)  # type: ignore[arg-type]
    source = provider(tmp_path, transport, clock, AWS_CONTAINER_CREDENTIALS_RELATIVE_URI="/c")
    await source.current()
    clock.now = START + 3400
    assert (await source.current()).access_key_id == "ASIA1"
    clock.now += 29
    await source.current()
    assert len(transport.requests) == 2
    clock.now += 2
    await source.current()
    assert len(transport.requests) == 3
    clock.now = START + 3601
    with pytest.raises(NotConfigured):
        await source.current()


async def test_short_lived_credentials_are_used_for_half_their_life(tmp_path: Path) -> None:
    clock = StoppedClock()
    transport = Scripted((200, [document("2024-01-02T03:05:05Z")]), (200, [document(key="ASIA2")]))
    source = provider(tmp_path, transport, clock, AWS_CONTAINER_CREDENTIALS_RELATIVE_URI="/c")
    await source.current()
    clock.now += 29
    assert (await source.current()).access_key_id == "ASIA1"
    clock.now += 2
    assert (await source.current()).access_key_id == "ASIA2"


async def test_many_callers_cause_one_request(tmp_path: Path) -> None:
    transport = Scripted((200, [document()]))
    source = provider(tmp_path, transport, AWS_CONTAINER_CREDENTIALS_RELATIVE_URI="/c")
    assert await asyncio.gather(*(source.current() for _ in range(20))) == [found()] * 20
    assert len(transport.requests) == 1


def test_the_provider_follows_its_door_into_another_loop(tmp_path: Path) -> None:
    clock = StoppedClock()
    transport = Scripted((200, [document()]), (200, [document(key="ASIA2")]))
    source = provider(tmp_path, transport, clock, AWS_CONTAINER_CREDENTIALS_RELATIVE_URI="/c")

    async def together() -> list[Credentials]:
        return await asyncio.gather(*(source.current() for _ in range(3)))

    asyncio.run(together())
    clock.now += 3500
    # One renews; the others go on with what still holds.
    assert {one.access_key_id for one in asyncio.run(together())} == {"ASIA1", "ASIA2"}
    assert {one.access_key_id for one in asyncio.run(together())} == {"ASIA2"}
    assert len(transport.requests) == 2


async def test_a_web_identity(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("a.b.c\n")
    xml = (
        "<R><Credentials><AccessKeyId>ASIA1</AccessKeyId><SecretAccessKey>s3cret</SecretAccessKey>"
        "<SessionToken>t</SessionToken><Expiration>2024-01-02T04:04:05Z</Expiration></Credentials></R>"
    )
    transport = Scripted((200, [xml.encode()]), (400, [b"<Error><Code>InvalidIdentityToken</Code></Error>"]))
    environment = {"AWS_WEB_IDENTITY_TOKEN_FILE": str(token), "AWS_ROLE_ARN": ROLE, "AWS_REGION": "eu-west-1"}
    assert await provider(tmp_path, transport, **environment).current() == found()
    (request,) = transport.requests
    assert request.url == "https://sts.eu-west-1.amazonaws.com/"
    assert parse_qs(request.body.decode()) == {
        "Action": ["AssumeRoleWithWebIdentity"],
        "Version": ["2011-06-15"],
        "RoleArn": [ROLE],
        "RoleSessionName": ["skybridge"],
        "WebIdentityToken": ["a.b.c"],
    }
    with pytest.raises(NotConfigured, match="AWS_ROLE_ARN be assumed: InvalidIdentityToken"):
        await provider(tmp_path, transport, **environment).current()
    token.write_text(" ")
    with pytest.raises(NotConfigured, match="is empty"):
        await provider(tmp_path, transport, **environment).current()


def test_where_sts_is() -> None:
    assert sts_endpoint({}) == "https://sts.amazonaws.com"
    assert sts_endpoint({"AWS_DEFAULT_REGION": "cn-north-1"}) == "https://sts.cn-north-1.amazonaws.com.cn"
    assert sts_endpoint({"AWS_ENDPOINT_URL": "http://h", "AWS_ENDPOINT_URL_STS": "http://s"}) == "http://s"
    assert sts_endpoint({"AWS_ENDPOINT_URL": "http://h", "AWS_REGION": "us-east-1"}) == "http://h"
    identity = web_identity_of({"AWS_WEB_IDENTITY_TOKEN_FILE": "f", "AWS_ROLE_ARN": ROLE, "AWS_ROLE_SESSION_NAME": "n"})
    assert identity is not None and identity.session_name == "n"
    assert web_identity_of({"AWS_ROLE_ARN": ROLE}) is None


@pytest.fixture(scope="module")
def moto_url() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


async def test_moto_gives_a_role_to_a_web_identity(tmp_path: Path, moto_url: str) -> None:
    token = tmp_path / "token"
    token.write_text("a.b.c")
    environment = {
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(token),
        "AWS_ROLE_ARN": ROLE,
        "AWS_ENDPOINT_URL_STS": moto_url,
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "absent"),
    }
    transport = HttpTransport(environment={})
    try:
        credentials = await environment_credentials(environment, transport, StoppedClock()).current()
    finally:
        await transport.aclose()
    assert credentials.access_key_id.startswith("ASIA")
    assert credentials.session_token
    assert credentials.expires_at is not None
