"""Fakes of the services that give tokens: a managed identity's endpoint, STS, Entra, Anthropic's and OpenAI's."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.backend_server import JSON, Received, Script
from tests.forms.backends import answer, failing

XML = {"content-type": "text/xml"}
WEB_IDENTITY = """<GetWebIdentityTokenResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <GetWebIdentityTokenResult>
    <WebIdentityToken>aws.jwt.token</WebIdentityToken><Expiration>2026-01-02T03:04:05Z</Expiration>
  </GetWebIdentityTokenResult>
  <ResponseMetadata><RequestId>1</RequestId></ResponseMetadata>
</GetWebIdentityTokenResponse>"""
ROLE = """<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleWithWebIdentityResult><Credentials>
    <AccessKeyId>ASIAFEDERATED</AccessKeyId><SecretAccessKey>s3cret</SecretAccessKey>
    <SessionToken>session-token</SessionToken><Expiration>2099-01-02T03:04:05Z</Expiration>
  </Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"""


class IdentityServices:
    """Answers each service's request, counts them, and answers anything else as a backend would.

    `lifetime` is what tokens are given for, in seconds; `broken` names services that answer 500;
    with `empty` every answer lacks what it should hold.
    """

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.forms: dict[str, dict[str, Any]] = {}
        self.lifetime = 3600
        self.broken: set[str] = set()
        self.now = 0.0
        self.empty = False

    def __call__(self, received: Received) -> Script:
        service = self._service_of(received)
        if not service:
            return answer(received)
        self.asked[service] += 1
        if service in self.broken:
            return failing(500, type="server_error")
        return Script([b"{}"], headers=JSON) if self.empty else self._give(service)

    def _service_of(self, received: Received) -> str:
        parts = urlsplit(received.target)
        if parts.path == "/msi/token":
            self.forms["managed"] = {name: values[0] for name, values in parse_qs(parts.query).items()}
            self.forms["managed"]["header"] = received.headers.get("x-identity-header")
            return "managed"
        if parts.path.endswith("/oauth2/v2.0/token") or parts.path == "/":
            form = {name: values[0] for name, values in parse_qs(received.body.decode()).items()}
            service = form.get("Action", "entra")
            self.forms[service] = form
            return service
        if parts.path in ("/v1/oauth/token", "/oauth/token"):
            service = "anthropic" if parts.path.startswith("/v1") else "openai"
            self.forms[service] = received.json
            return service
        return ""

    def _give(self, service: str) -> Script:
        documents = {"GetWebIdentityToken": WEB_IDENTITY, "AssumeRoleWithWebIdentity": ROLE}
        if service in documents:
            return Script([documents[service].encode()], headers=XML)
        token = f"{service}-token-{self.asked[service]}"
        body: dict[str, Any] = {"access_token": token, "token_type": "Bearer", "expires_in": self.lifetime}
        if service == "managed":
            body = {"access_token": token, "expires_on": str(int(self.now + self.lifetime)), "resource": "r"}
        return Script([json.dumps(body).encode()], headers=JSON)
