"""Principals of the platforms and tokens of an issuer."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest

from core.access import AccessRules, Caller, is_admin
from core.bill import day_of, folder_of
from core.errors import NotConfigured, Refused
from core.http import Request
from handlers import callers as callers_module
from handlers import issuer as issuer_module
from handlers.aws_events import read_event
from handlers.callers import Callers, KeyCache
from handlers.composition import compose
from handlers.io.clock import SystemClock
from handlers.io.sqlite_store import SqliteStore
from handlers.issuer import Issuer
from tests.core.auth.test_jwt import CLAIMS, NOW, jwk, token
from tests.gateways import RecordingLog
from tests.scripted import Play, ScriptedTransport, VirtualClock

ARN = "arn:aws:sts::123456789012:assumed-role/app/session"
CLOSED = AccessRules(stored=True)


def principal(*claims: tuple[str, str]) -> dict[str, str]:
    document = {"auth_typ": "aad", "claims": [{"typ": name, "val": value} for name, value in claims]}
    return {"x-ms-client-principal": base64.b64encode(json.dumps(document).encode()).decode()}


async def identified(headers: dict[str, str], arn: str = "", platform: str = "app-service") -> Caller:
    request = Request("POST", "/v1/messages", "", headers, principal=arn)
    return await Callers(None, VirtualClock(), platform=platform).identify(request, CLOSED)


async def test_an_iam_principal_is_a_caller() -> None:
    role = "arn:aws:sts::123456789012:assumed-role/app"
    assert await identified({}, ARN) == Caller(ARN, "iam", ARN, role)
    user = "arn:aws:iam::123456789012:user/team/ann"
    assert await identified({}, user) == Caller(user, "iam", user, user)


@pytest.mark.parametrize("arn", [ARN, ""])
async def test_a_page_of_another_site_does_not_borrow_the_platforms_cookie(arn: str) -> None:
    """App Service authentication sends its cookie along with whatever a browser is made to send."""
    with pytest.raises(Refused, match="another site"):
        await identified({"sec-fetch-site": "cross-site"}, arn)
    assert (await identified({"sec-fetch-site": "same-origin", "origin": "https://gateway.example"}, arn)).id


@pytest.mark.parametrize(
    ("headers", "identity", "name"),
    [
        (principal(("oid", "o1"), ("preferred_username", "ann@example"), ("x", "y")), "o1", "ann@example"),
        (principal(("http://schemas.microsoft.com/identity/claims/objectidentifier", "o2"), ("appid", "a")), "o2", "a"),
        ({**principal(), "x-ms-client-principal-id": "o3", "x-ms-client-principal-name": "app"}, "o3", "app"),
        ({**principal(), "x-ms-client-principal-name": "bob"}, "bob", "bob"),
    ],
)
async def test_an_entra_principal_is_a_caller(headers: dict[str, str], identity: str, name: str) -> None:
    assert await identified(headers) == Caller(identity, "entra", name, name)


async def test_a_platform_that_names_nobody_has_still_let_the_request_pass() -> None:
    assert (await identified({})).kind == "platform"
    with pytest.raises(Refused):
        await identified({"x-api-key": "made-up"})


async def test_nobody_gets_in_by_the_platforms_header_where_the_platform_sets_none() -> None:
    with pytest.raises(Refused):
        await identified(principal(("oid", "o1")), ARN, platform="")


async def test_nobody_gets_in_by_app_services_header_on_lambda() -> None:
    """There a client's own header arrives as it is."""
    assert (await identified(principal(("oid", "o1")), platform="lambda")).kind == "platform"
    assert (await identified(principal(("oid", "o1")), ARN, platform="lambda")).id == ARN


@pytest.mark.parametrize("text", ["!", "e30=", "W10=", "eyJjbGFpbXMiOlszXX0="])
async def test_a_principal_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="cannot be read"):
        await identified({"x-ms-client-principal": text})
    with pytest.raises(Refused, match="names nobody"):
        await identified(principal())


async def test_administrators_are_named_by_patterns_of_ids_and_names() -> None:
    async def is_admin_of(pattern: str, headers: dict[str, str], arn: str = "") -> bool:
        callers = Callers(None, VirtualClock(), platform="app-service", admins=("nobody", pattern))
        return is_admin(await callers.identify(Request("GET", "/", "", headers, principal=arn), CLOSED))

    ann = principal(("oid", "o1"), ("preferred_username", "ann@example"))
    assert await is_admin_of("arn:aws:sts::123456789012:assumed-role/app/*", {}, ARN)
    assert await is_admin_of("o1", ann) and await is_admin_of("ann@example", ann)
    for pattern in ("arn:aws:sts::123456789012:assumed-role/ap", "ann", "O1", ""):
        assert not await is_admin_of(pattern, {}, ARN) and not await is_admin_of(pattern, ann)
    assert not await is_admin_of("*", {}), "whom the platform does not name"


async def test_holders_of_tokens_may_be_administrators() -> None:
    issued = Issued(issuer_plays(jwk()), admins=("app-1", "*@x"))
    assert is_admin(await issued.ask(token()))
    assert is_admin(await issued.ask(token({**CLAIMS, "sub": "b", "email": "e@x"})))
    unverified = await issued.ask(token({**CLAIMS, "sub": "b", "email": "e@x", "email_verified": False}))
    assert not is_admin(unverified) and unverified.owner == "b"


def issuer_plays(*keys: dict[str, Any]) -> list[Play]:
    documents = [{"jwks_uri": "https://issuer.example/keys"}, {"keys": list(keys)}]
    return [Play(chunks=[json.dumps(document).encode()]) for document in documents]


class Issued:
    """An issuer whose documents are scripted."""

    def __init__(
        self, plays: list[Play], admins: tuple[str, ...] = (), issuer: str = "https://issuer.example"
    ) -> None:
        self.clock = VirtualClock()
        self.transport = ScriptedTransport(plays, self.clock)
        self.clock.now = NOW - 1_700_000_000.0
        tokens = Issuer(issuer, "skybridge", self.transport, self.clock)
        self.callers = Callers(None, self.clock, tokens=tokens, admins=admins)

    async def ask(self, text: str) -> Caller:
        request = Request("POST", "/v1/messages", "", {"authorization": f"Bearer {text}"})
        return await self.callers.identify(request, CLOSED)


async def test_a_token_of_the_issuer_is_a_caller_and_its_keys_are_kept() -> None:
    issued = Issued(issuer_plays(jwk()))
    for _ in range(2):
        assert await issued.ask(token({**CLAIMS, "email": "e@x"})) == Caller("app-1", "oidc", "e@x", "e@x")
    assert (await issued.ask(token())).shown == "app-1"
    assert len(issued.transport.requests) == 2


async def test_a_key_that_is_not_known_yet_is_looked_for_once_a_minute() -> None:
    issued = Issued([*issuer_plays(jwk(kid="old")), *issuer_plays(jwk())])
    for _ in range(2):
        with pytest.raises(Refused, match="does not publish"):
            await issued.ask(token())
    issued.clock.now += 60
    assert (await issued.ask(token())).id == "app-1"


async def test_a_token_is_verified_once_a_minute_and_not_believed_beyond_its_end() -> None:
    issued = Issued(issuer_plays(jwk()))
    short = token({**CLAIMS, "exp": NOW + 5})
    await issued.ask(short)
    issued.clock.now += 70
    with pytest.raises(Refused, match="expired"):
        await issued.ask(short)
    issued = Issued([*issuer_plays(jwk(), jwk(kid="k2")), *issuer_plays(jwk(kid="k2"))])
    lasting = token({**CLAIMS, "exp": NOW + 9000})
    assert (await issued.ask(lasting)).id == "app-1"
    issued.clock.now += 3590
    assert (await issued.ask(lasting)).id == "app-1", "verified anew, with the keys of an hour"
    issued.clock.now += 59
    assert (await issued.ask(lasting)).id == "app-1", "believed for a minute, whatever the issuer publishes now"
    issued.clock.now += 2
    with pytest.raises(Refused, match="does not publish"):
        await issued.ask(lasting)


async def test_a_token_that_does_not_say_which_key_it_is_signed_with() -> None:
    """OpenID Connect Core, 10.1: it may leave that out where the issuer has one."""
    unnamed = token(header={"alg": "RS256"})
    issued = Issued([*issuer_plays(jwk()), *issuer_plays(jwk(), jwk(kid="k2"))])
    assert (await issued.ask(unnamed)).id == "app-1"
    issued.clock.now += 3600
    with pytest.raises(Refused, match="does not publish"):
        await issued.ask(token({**CLAIMS, "exp": NOW + 9000}, {"alg": "RS256"}))


@pytest.mark.parametrize("end", ["", "/"])
async def test_a_slash_at_the_end_of_an_issuer_is_no_difference(end: str) -> None:
    """Auth0's and Entra's older tokens have one."""
    issued = Issued(issuer_plays(jwk()), issuer=f"https://issuer.example{end}")
    for stated in ("https://issuer.example", "https://issuer.example/"):
        assert (await issued.ask(token({**CLAIMS, "iss": stated}))).id == "app-1"
    with pytest.raises(Refused, match="another issuer"):
        await issued.ask(token({**CLAIMS, "iss": "https://issuer.example//"}))
    assert issued.transport.requests[0].url == "https://issuer.example/.well-known/openid-configuration"


async def test_an_issuer_that_is_away_leaves_its_keys() -> None:
    issued = Issued([*issuer_plays(jwk()), Play(404, chunks=[b""]), Play(404, chunks=[b""]), *issuer_plays(jwk())])
    lasting = token({**CLAIMS, "exp": NOW + 9000})
    assert (await issued.ask(lasting)).id == "app-1"
    for seconds in (3600, 59, 2, 120):
        issued.clock.now += seconds
        assert (await issued.ask(lasting)).id == "app-1"
    assert len(issued.transport.requests) == 6


async def test_all_who_come_at_once_wait_for_one_fetch() -> None:
    issued = Issued(issuer_plays(jwk()))
    tokens = [token({**CLAIMS, "sub": f"app-{number}"}) for number in range(9)]
    leaving = asyncio.create_task(issued.ask(tokens[0]))
    await asyncio.sleep(0)
    others = asyncio.gather(*map(issued.ask, tokens[1:]))
    leaving.cancel()
    assert [caller.id for caller in await others] == [f"app-{number}" for number in range(1, 9)]
    assert len(issued.transport.requests) == 2


async def test_an_issuer_that_is_away_is_asked_once_a_minute_whatever_keys_are_made_up() -> None:
    issued = Issued([*issuer_plays(jwk()), Play(404, chunks=[b""]), *issuer_plays(jwk(), jwk(kid="new"))])
    fresh = token({**CLAIMS, "exp": NOW + 9000}, {"alg": "RS256", "kid": "new"})
    assert (await issued.ask(token())).id == "app-1"
    issued.clock.now += 61
    for _ in range(3):
        with pytest.raises(NotConfigured, match="answered 404"):
            await issued.ask(fresh)
    assert len(issued.transport.requests) == 3
    issued.clock.now += 60
    assert (await issued.ask(fresh)).id == "app-1"


async def test_only_so_many_tokens_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issuer_module, "VERIFIED_TOKENS", 2)
    issued = Issued(issuer_plays(jwk()))
    for number in range(4):
        await issued.ask(token({**CLAIMS, "sub": f"app-{number}"}))
    assert len(issued.callers._tokens._verified) == 2  # type: ignore[union-attr]


async def test_tokens_that_do_not_hold() -> None:
    issued = Issued(issuer_plays(jwk()))
    for text, words in [
        (token({**CLAIMS, "exp": NOW - 100}), "expired"),
        (token({**CLAIMS, "sub": ""}), "no subject"),
        ("eyJ.x.y", "not valid"),
    ]:
        with pytest.raises(Refused, match=words):
            await issued.ask(text)


@pytest.mark.parametrize("play", [Play(404, chunks=[b"{}"]), Play(chunks=[b"<html>"]), Play(chunks=[b"[]"])])
async def test_an_issuer_that_does_not_answer(play: Play) -> None:
    with pytest.raises(NotConfigured, match="SKYBRIDGE_OIDC_ISSUER"):
        await Issued([play]).ask(token())


async def test_the_cache_of_keys_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    class Empty:
        async def read(self, folder: str, name: str) -> None:
            return None

    monkeypatch.setattr(callers_module, "CACHED_KEYS", 2)
    cache = KeyCache(Empty(), VirtualClock(), RecordingLog())  # type: ignore[arg-type]
    for number in range(5):
        assert await cache.find(f"sk-sky-{number}") is None
    assert len(cache._known) == 2


@pytest.mark.parametrize(
    ("context", "arn"),
    [
        ({"http": {"method": "GET"}, "authorizer": {"iam": {"userArn": ARN}}}, ARN),
        ({"http": {"method": "GET"}, "authorizer": {"iam": {"userArn": 3}}}, ""),
        ({"http": {"method": "GET"}, "authorizer": {"jwt": {}}}, ""),
        ({"http": {"method": "GET"}}, ""),
        ({"identity": {"userArn": ARN}}, ARN),
        ({"identity": {"userArn": None}}, ""),
    ],
)
def test_the_principal_of_an_event(context: dict[str, Any], arn: str) -> None:
    event = read_event({"requestContext": context, "rawPath": "/", "httpMethod": "GET", "path": "/"})
    assert event is not None and event.principal == arn


async def test_the_application_hands_the_principal_on_and_no_header_makes_one(tmp_path: Path) -> None:
    path = tmp_path / "models.json"
    path.write_text('{"models":{"m":{"backend":"d"}},"backends":{"d":{"type":"demo"}}}', "utf-8")
    place = f"sqlite:{tmp_path / 'made.db'}"
    variables = {"SKYBRIDGE_AUTH": "platform", "SKYBRIDGE_STORE": place, "LOG_LEVEL": "error"}
    composition = compose(variables, str(path))
    body = b'{"model":"m","messages":[{"role":"user","content":"x"}]}'

    async def receive() -> Any:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        return None

    scope: dict[str, Any] = {
        "type": "http", "method": "POST", "path": "/v1/chat/completions", "query_string": b"",
        "headers": [(b"x-skybridge-principal", b"made-up")], "extensions": {"skybridge.principal": ARN},
    }  # fmt: skip
    await composition.app(scope, receive, send)
    store = SqliteStore(tmp_path / "made.db")
    (row,) = [row for day in (0, 1) for row in (await store.read_all(folder_of(_day(day)))).values()]
    assert (row["key"], row["owner"], row["cost"]) == (ARN, ARN.removesuffix("/session"), 0)
    accounts = composition.accounts
    assert accounts is not None and accounts.store is not None
    await accounts.store.close()
    await store.close()
    await composition.http.aclose()


def _day(back: int) -> str:
    return day_of(SystemClock().time() - 86_400 * back)
