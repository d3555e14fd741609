"""`skybridge doctor`: asks every backend and model of the configuration whether it works, and says what to do if not.

Each candidate is asked through the gateway itself, so that what works here works for clients.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from core.chat.asking import candidates_for
from core.configuration import Configuration
from core.errors import GatewayError
from core.gateway import Gateway, Ports
from core.http import Request, Response
from core.passthrough import limit_member
from core.ports import BackendRequest, Store, StoreFault
from core.routing.registry import Backend, Candidate, Registry, Route
from core.slotted import field, replace, slotted
from core.usage import UsageRecord
from handlers.callers import KEYS
from handlers.composition import compose

# A check may take this long, in seconds.
PATIENCE = 30.0
_BAR = 24
_NAME = "doctor"
# A form of variables has its own names first: two models and their other names, or two tiers.
_PROMISED = 4
# Responses takes no smaller limit (https://platform.openai.com/docs/api-reference/responses/create).
_LIMIT = 16
_TOOL = {
    "type": "function",
    "function": {"name": "look", "description": "Looks.", "parameters": {"type": "object", "properties": {}}},
}
_REMEDIES = {
    "configuration": "Set what the message names, in the environment or in the backend's options.",
    "name": "Check base_url and the network: the host's name must resolve from here.",
    "credential": "Check the backend's auth option and the identity or key behind it.",
    400: "The model does not take this: see the message; a candidate's defaults may be wrong for it.",
    404: "The model or deployment does not exist there, or this account was not given access to it: check api_model.",
    429: "The account's quota is used up: raise it, or add a candidate.",
    500: "The backend fails: see the message. If it lasts, its operator's status page may know more.",
    503: "The backend is overloaded or not configured: see the message.",
    504: "The backend did not answer in time: check base_url, firewalls and the region.",
    "connection": "Nothing usable answers at base_url: check host and port, firewalls, and that the server runs.",
    "refused": "The backend knows the credential and says no, or does not know it: check the key, or what the identity "
    "may do there (bedrock:InvokeModel*, Cognitive Services OpenAI User).",
    "store": "Check SKYBRIDGE_STORE: keys, limits and usage need it. `skybridge keys list` makes what is not there.",
    "stream": "Answers come whole but not as streams: something between here and the backend may cut or buffer them.",
}
# What the gateway's message begins with, and the remedy that knows more than the status.
_WORDS = (
    ("The backend's connection failed", "connection"),
    ("The backend refused the gateway's credential", "refused"),
)


class Output(Protocol):
    """Where the table or the progress goes."""

    def write(self, text: str, /) -> object: ...
    def flush(self) -> object: ...
    def isatty(self) -> bool: ...


@slotted
class Finding:
    """The checks of one candidate: name to `ok`, `skipped` or what went wrong; and what to do about it."""

    backend: str
    model: str
    checks: dict[str, str] = field(default_factory=dict)
    remedy: str = ""

    @property
    def ok(self) -> bool:
        return not self.remedy


class Failed(Exception):
    """A check did not pass. `remedy` is a key of the remedies."""

    def __init__(self, message: str, remedy: str | int) -> None:
        super().__init__(message)
        self.remedy = _REMEDIES.get(remedy, _REMEDIES[500])


class Skipped(Exception):
    """The check says nothing about this candidate."""


class Doctor:
    """Checks the candidates of a configuration with the gateway's own ports."""

    def __init__(self, configuration: Configuration, ports: Ports) -> None:
        self._configuration = configuration
        self._ports = ports

    def candidates(self) -> list[Candidate]:
        """Every pair of backend and model once, and the backends that no model goes to. Where variables configure the
        gateway, the names that their form promises: it knows many more of Claude's, which no account has all of."""
        registry = self._configuration.registry
        routes = [*registry.routes.values(), *(route for _, _, route in registry.patterns)]
        if self._configuration.active:
            routes = routes[:_PROMISED]
        found: dict[tuple[str, str], Candidate] = {}
        for route in routes:
            for candidate in candidates_for(route):
                found.setdefault((candidate.backend.name, candidate.api_model), candidate)
        used = {name for name, _ in found}
        spare = [Candidate(backend, "") for name, backend in registry.backends.items() if name not in used]
        return [*found.values(), *spare]

    async def examine(self, candidate: Candidate) -> Finding:
        """All checks in their order; after one that fails the others are not tried."""
        finding = Finding(candidate.backend.name, candidate.api_model or "(any)")
        for name, check in _CHECKS:
            if finding.remedy:
                finding.checks[name] = "-"
                continue
            try:
                await check(self, candidate)
                finding.checks[name] = "ok"
            except Skipped:
                finding.checks[name] = "skipped"
            except Failed as failure:
                finding.checks[name], finding.remedy = str(failure), failure.remedy
        return finding

    async def configured(self, candidate: Candidate) -> None:
        if candidate.backend.missing:
            raise Failed(candidate.backend.missing, "configuration")

    async def resolved(self, candidate: Candidate) -> None:
        scheme, _, rest = candidate.backend.base_url.partition("://")
        if scheme not in ("http", "https"):
            raise Skipped
        authority = rest.partition("/")[0]
        host, colon, port = authority.rpartition(":")
        if not colon or authority.endswith("]"):
            host, port = authority, ""
        try:
            await asyncio.get_running_loop().getaddrinfo(host.strip("[]"), int(port) if port.isdigit() else 443)
        except OSError as error:
            raise Failed(f"{host} does not resolve: {error.strerror}", "name") from error

    async def authorized(self, candidate: Candidate) -> None:
        request = BackendRequest("GET", candidate.backend.base_url + "/", [], b"")
        try:
            await self._ports.authorize(candidate.backend, request)
        except GatewayError as error:
            raise Failed(error.message, "credential") from error

    async def answers(self, candidate: Candidate) -> None:
        if _embeds(candidate) and candidate.backend.provider.embeddings is not None:
            await self._ask(candidate, {"model": _NAME, "input": "ok"}, "/v1/embeddings")
        elif _embeds(candidate):
            raise Skipped
        else:
            await self._ask(candidate, _question(candidate))

    async def streams(self, candidate: Candidate) -> None:
        if _embeds(candidate):
            raise Skipped
        body = await self._ask(candidate, {**_question(candidate), "stream": True})
        if b"[DONE]" not in body or b'"error":{' in body.replace(b" ", b""):
            raise Failed(f"the stream did not end well: {_message(_last_data(body))}", "stream")

    async def calls_tools(self, candidate: Candidate) -> None:
        if _embeds(candidate):
            raise Skipped
        await self._ask(candidate, {**_question(candidate), "tools": [_TOOL]})

    async def _ask(
        self, candidate: Candidate, question: Mapping[str, Any], path: str = "/v1/chat/completions"
    ) -> bytes:
        if not candidate.api_model:
            raise Skipped
        backend: Backend = candidate.backend
        registry = Registry({backend.name: backend}, {_NAME: Route(_NAME, [candidate])})
        records: list[UsageRecord] = []
        # No key is asked for, and nothing is put on anybody's account.
        gateway = Gateway(Configuration(registry), replace(self._ports, accounts=None, record=records.append))
        deadline = self._ports.clock.monotonic() + PATIENCE
        request = Request("POST", path, "", {}, json.dumps(question).encode(), deadline)
        response = await gateway.handle(request)
        body = await _whole(response)
        if response.status >= 400:
            told = _message(body)
            remedy = next((key for words, key in _WORDS if told.startswith(words)), _remedy_of(response.status))
            # The operator may know what clients may not: the backend's own words.
            own = records[-1].errors[-1].removeprefix(f"{backend.name}: ") if records and records[-1].errors else told
            raise Failed(f"{response.status}: {told}" + (f" It says: {own[:300]}" if own != told else ""), remedy)
        return body


def _question(candidate: Candidate) -> dict[str, Any]:
    """The cheapest one, with the limit in the words of the candidate's server."""
    asked: dict[str, Any] = {"model": _NAME, "messages": [{"role": "user", "content": "Say ok."}]}
    return {**asked, limit_member(candidate): _LIMIT}


def _embeds(candidate: Candidate) -> bool:
    return "embed" in candidate.api_model


type Check = Callable[[Doctor, Candidate], Awaitable[None]]

_CHECKS: tuple[tuple[str, Check], ...] = (
    ("configuration", Doctor.configured),
    ("name", Doctor.resolved),
    ("credential", Doctor.authorized),
    ("answer", Doctor.answers),
    ("stream", Doctor.streams),
    ("tools", Doctor.calls_tools),
)


def _remedy_of(status: int) -> int:
    return status if status in _REMEDIES else 400 if status < 500 else 500


async def _whole(response: Response) -> bytes:
    if isinstance(response.body, bytes):
        return response.body
    return b"".join([data async for data in response.body])


def _last_data(body: bytes) -> bytes:
    """The last event of a stream."""
    found = [line for line in body.splitlines() if line.startswith(b"data: {")]
    return found[-1].removeprefix(b"data: ") if found else body


def _message(body: bytes) -> str:
    """The error's own words, in a line."""
    text = body.decode("utf-8", "replace")
    try:
        found = json.loads(text)["error"]["message"]
    except (ValueError, KeyError, TypeError):
        found = text
    return " ".join(str(found).split())[:300]


def add_command(commands: Any) -> argparse.ArgumentParser:
    """Adds `doctor` to the command line's subparsers."""
    doctor: argparse.ArgumentParser = commands.add_parser("doctor", help="ask every backend whether it works")
    doctor.add_argument("--config", help="models.yaml or router JSON")
    doctor.add_argument("--json", action="store_true", help="print the findings as JSON")
    return doctor


def run(options: argparse.Namespace, variables: Mapping[str, str]) -> int:
    """Examines everything; gives 0 when all is well, 1 otherwise."""
    findings = asyncio.run(examine_all({**variables, "LOG_LEVEL": "error"}, options.config, sys.stderr))
    if options.json:
        rows = [{"backend": item.backend, "model": item.model, "ok": item.ok, "checks": item.checks,
                 "remedy": item.remedy or None} for item in findings]  # fmt: skip
        shown = json.dumps({"ok": all(item.ok for item in findings), "findings": rows}, indent=1)
    else:
        shown = table(findings)
    sys.stdout.write(shown + "\n")
    return 0 if all(item.ok for item in findings) else 1


async def examine_all(variables: Mapping[str, str], config: str | None, progress: Output) -> list[Finding]:
    """The findings of every candidate; `progress` shows a bar where it is a terminal."""
    composition = compose(variables, config, local=True)
    doctor = Doctor(composition.gateway.configuration, composition.gateway.ports)
    findings: list[Finding] = []
    candidates = doctor.candidates()
    try:
        for index, candidate in enumerate(candidates):
            _show(progress, index, len(candidates), f"{candidate.backend.name} {candidate.api_model}")
            findings.append(await doctor.examine(candidate))
        _show(progress, len(candidates), len(candidates), "")
        accounts = composition.accounts
        if accounts is not None and accounts.store is not None:
            findings += await _examine_store(accounts.store, variables.get("SKYBRIDGE_STORE", ""))
    finally:
        await composition.http.aclose()
    return findings


async def _examine_store(store: Store, reference: str) -> list[Finding]:
    """What is wrong with the store, nothing where it answers. Closes it."""
    try:
        await store.read_page(KEYS, "", 1)
    except StoreFault as fault:
        checks = {name: "-" for name, _ in _CHECKS} | {"configuration": str(fault)}
        return [Finding("store", reference, checks, _REMEDIES["store"])]
    finally:
        await store.close()
    return []


def _show(progress: Output, done: int, total: int, what: str) -> None:
    if not progress.isatty():
        return
    filled = _BAR * done // max(1, total)
    end = "\n" if done == total else ""
    progress.write(f"\r[{'#' * filled}{'.' * (_BAR - filled)}] {done}/{total} {what[:40]:<40}{end}")
    progress.flush()


def table(findings: Sequence[Finding]) -> str:
    """The findings as text: a row each, and below it what went wrong and what to do."""
    names = [name for name, _ in _CHECKS]
    rows = [["backend", "model", *names]]
    rows += [[item.backend, item.model, *(_cell(item.checks[name]) for name in names)] for item in findings]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row, item in zip(rows, [None, *findings], strict=True):
        lines.append("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        if item is not None and not item.ok:
            wrong = next(text for text in item.checks.values() if text not in ("ok", "skipped"))
            lines += [f"    {wrong}", f"    -> {item.remedy}"]
    return "\n".join(lines)


def _cell(outcome: str) -> str:
    return outcome if outcome in ("ok", "skipped", "-") else "FAILED"
