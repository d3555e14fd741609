"""The one story of a request: authenticate, find the route, try candidates, commit, relay, account.

The gateway holds no state of a request and no platform: a door gives it a Request and sends the Response.
"""

from __future__ import annotations

from core import access, listings
from core.configuration import Configuration
from core.errors import ClientFault, GatewayError, NotConfigured, Refused
from core.formats import load_wire
from core.http import HeaderList, Request, Response
from core.overload import InFlight
from core.routes import Endpoint, NoRoute, match
from core.routing.health import Health
from core.routing.state import Issuers
from core.run import Ports, Run
from core.slotted import field, slotted
from core.usage import UsageRecord

__all__ = ["Gateway", "Ports"]


@slotted
class Gateway:
    """The gateway over one configuration."""

    configuration: Configuration
    ports: Ports
    rules: access.AccessRules = field(default_factory=access.AccessRules)
    health: Health = field(init=False)
    in_flight: InFlight = field(init=False)
    stop_at: float | None = None
    faults_enabled: bool = False
    issuers: Issuers = field(default_factory=Issuers)

    def __post_init__(self) -> None:
        self.health = Health(self.ports.clock.monotonic, self.ports.random.uniform)
        self.in_flight = InFlight(self.configuration.limits.max_in_flight)

    def drain(self, grace: float) -> None:
        """The process is about to end: new requests are refused, streams get `grace` seconds to finish and are
        then ended with an error event."""
        self.stop_at = self.ports.clock.monotonic() + grace

    async def handle(self, request: Request) -> Response:
        """Answers `request`. Every failure becomes an answer in the client's format; nothing is raised."""
        request_id = self._new_request_id()
        endpoint = match(request.method, request.path, request.headers)
        try:
            if isinstance(endpoint, NoRoute):
                raise _no_route(request, endpoint)
            if endpoint.operation not in _ASKS_A_MODEL:
                return await self._page(endpoint, request, request_id)
            return await self._generate(request, endpoint, await self._identify(request), request_id)
        except GatewayError as error:
            if self.ports.refused is not None:
                self.ports.refused(endpoint.format, error.kind)
            return self.error_response(error, endpoint.format, request_id)

    async def _page(self, endpoint: Endpoint, request: Request, request_id: str) -> Response:
        """All but what a model is asked for as it stands. Raises GatewayError."""
        if endpoint.operation in _OPEN_OPERATIONS:
            return await self._public(endpoint, request, request_id)
        if endpoint.operation == "backend_health":
            return await self._backend_page(endpoint, request_id)
        caller = await self._identify(request)
        if endpoint.operation == "backend_details":
            return await self._backend_page(endpoint, request_id)
        if endpoint.operation in ("models", "model"):
            return self._listing(endpoint, request.query, request_id)
        if endpoint.operation in ("usage", "metrics"):
            return await self._report(endpoint, request, caller, request_id)
        if endpoint.operation == "compact":
            return await self._compact(request, caller, request_id)
        return await self._kept_page(request, endpoint, caller, request_id)

    def refuse(self, request: Request, error: GatewayError) -> Response:
        """The answer to a request that a door turns away before its body was read."""
        endpoint = match(request.method, request.path, request.headers)
        return self.error_response(error, endpoint.format, self._new_request_id())

    def error_event(self, request: Request, error: GatewayError) -> bytes:
        """The event that ends a stream which a door could not go on with."""
        endpoint = match(request.method, request.path, request.headers)
        return load_wire(_error_format(endpoint.format)).error_event(error, self._new_request_id())

    def _new_request_id(self) -> str:
        """It begins with the time, so that records lie in a store as they come: a store in a file writes a third of the
        pages that it would write for names at random."""
        return f"req_{int(self.ports.clock.time() * 1000):011x}{self.ports.random.token(16)}"

    def error_response(
        self, error: GatewayError, format_name: str, request_id: str, extra: HeaderList | None = None
    ) -> Response:
        """`error` as a client of `format_name` reads it."""
        answer = load_wire(_error_format(format_name)).write_error(error, request_id)
        extra = extra or [("x-request-id", request_id)]
        own = {name for name, _ in extra}  # the gateway's own limits it tells alone, for one
        headers = [*(item for item in answer.headers if item[0] not in own), *extra, _AS_IT_SAYS]
        said = {name for name, _ in headers}
        headers.extend(item for item in error.headers.items() if item[0] not in said)
        return Response(answer.status, headers, answer.body)

    async def _public(self, endpoint: Endpoint, request: Request, request_id: str) -> Response:
        if endpoint.operation == "console":
            return await self._console(request, request_id)
        body = listings.public_page(endpoint.operation, self.configuration)
        headers = [("content-type", "application/json"), ("x-request-id", request_id), _AS_IT_SAYS]
        return Response(200, headers, body)

    async def _console(self, request: Request, request_id: str) -> Response:
        """The application beside the endpoints. Its pages are open, its API is not."""
        if self.ports.console is None:
            raise ClientFault("not_found", "This gateway has no console.")
        caller = await self._identify(request) if request.path.startswith("/api/") else None
        return await self.ports.console(request, caller, request_id)

    async def answer_for(self, caller: access.Caller, request: Request, source: str) -> tuple[Response, UsageRecord]:
        """Answers a request that the console makes for `caller`, whom it has from here. The record is complete when
        the answer is: `source` says which part of the console asked. Raises GatewayError before the first byte."""
        endpoint = match(request.method, request.path, request.headers)
        assert isinstance(endpoint, Endpoint)  # the console asks for endpoints that there are
        run, record = self._start(request, endpoint, caller, self._new_request_id())
        record.source = source
        try:
            return await run.answer(), record
        except BaseException as failure:
            self._end(run, record, failure)
            raise

    async def _backend_page(self, endpoint: Endpoint, request_id: str) -> Response:
        from core import dedicated  # noqa: PLC0415  # off the hot path

        assert endpoint.backend is not None  # the table's rows name one
        if endpoint.operation == "backend_health":
            found = dedicated.health_page(self.configuration, endpoint.backend, self.health)
        else:
            found = await dedicated.detailed_page(self.configuration, endpoint.backend, self.health, self.ports)
        headers = [("content-type", "application/json"), ("x-request-id", request_id)]
        return Response(found.status, headers, found.body)

    def _listing(self, endpoint: Endpoint, query: str, request_id: str) -> Response:
        body = listings.model_page(endpoint, self.configuration, query)
        return Response(200, [("content-type", "application/json"), ("x-request-id", request_id)], body)

    async def _identify(self, request: Request) -> access.Caller:
        """Who is calling. Raises Refused."""
        accounts = self.ports.accounts
        if accounts is not None:
            return await accounts.identify(request, self.rules)
        presented = access.presented_keys(request)
        return access.service_caller(self.rules, request, presented, self.ports.clock.time())

    async def _report(
        self, endpoint: Endpoint, request: Request, caller: access.Caller, request_id: str
    ) -> Response:
        if endpoint.operation == "metrics":
            body, media_type = self._metrics(caller), METRICS_TYPE
        else:
            body, media_type = await self._usage(caller, request.query), "application/json"
        return Response(200, [("content-type", media_type), ("x-request-id", request_id)], body)

    async def _usage(self, caller: access.Caller, query: str) -> bytes:
        accounts = self.ports.accounts
        if accounts is None:
            raise NotConfigured("No store is configured, so no usage is kept: set SKYBRIDGE_STORE.")
        return await accounts.usage(caller, query)

    def _metrics(self, caller: access.Caller) -> bytes:
        """What all callers did together: no key of the store's sees it."""
        if self.ports.metrics is None:
            raise ClientFault("not_found", "This gateway has no metrics page: see docs/observability.md.")
        if caller.kind not in ("service", "anonymous"):
            raise Refused("permission", "The metrics page is for the gateway's own key.")
        return self.ports.metrics()

    async def _kept_page(
        self, request: Request, endpoint: Endpoint, caller: access.Caller, request_id: str
    ) -> Response:
        from core import kept_responses  # noqa: PLC0415  # off the hot path

        kept = None if self.ports.responses is None else self.ports.responses()
        body = await kept_responses.page(kept, caller.id, endpoint, request.query)
        return Response(200, [("content-type", "application/json"), ("x-request-id", request_id)], body)

    async def _compact(self, request: Request, caller: access.Caller, request_id: str) -> Response:
        from core import compact_requests  # noqa: PLC0415  # off the hot path

        asked, said = compact_requests.as_generation(request)
        endpoint = Endpoint("generate", "responses", stream=False)
        return await compact_requests.as_compaction(await self._generate(asked, endpoint, caller, request_id), said)

    async def _generate(
        self, request: Request, endpoint: Endpoint, caller: access.Caller, request_id: str
    ) -> Response:
        run, record = self._start(request, endpoint, caller, request_id)
        try:
            return await run.answer()
        except GatewayError as error:
            response = run.relayed_error(error) or self.error_response(
                error, endpoint.format, request_id, run.headers()
            )
            record.status = response.status  # the client's: a backend's 401 is no 401 of theirs
            self._end(run, record, error)
            return response
        except BaseException as failure:
            # The client has gone (the door cancels) or the process ends: what was used is still recorded.
            self._end(run, record, failure)
            raise

    def _start(
        self, request: Request, endpoint: Endpoint, caller: access.Caller, request_id: str
    ) -> tuple[Run, UsageRecord]:
        if self.stop_at is not None:
            raise Refused("overloaded", "This instance is shutting down.", retry_after=1.0)
        self.in_flight.enter(caller.id)
        record = UsageRecord(
            request_id, endpoint.operation, endpoint.format, self.ports.clock.time(),
            user_agent=request.headers.get("user-agent", ""), caller=caller.id, key=caller.shown, owner=caller.owner,
            labels=caller.labels, session=request.headers.get("x-claude-code-session-id", ""),
            agent=request.headers.get("x-claude-code-agent-id", ""), request_bytes=len(request.body),
        )
        if request.sent is not None:
            record.sent = request.sent
        return Run(self, request, endpoint, record, caller), record

    @staticmethod
    def _end(run: Run, record: UsageRecord, failure: BaseException) -> None:
        if isinstance(failure, Exception):
            run.close()
            status, words = 500, f"a defect: {type(failure).__name__}"
            if isinstance(failure, GatewayError):
                status, words = failure.status, failure.message
            record.status = record.status or status
            record.errors.append(words)
            run.account("failed")
        else:
            run.abandon()


_ASKS_A_MODEL = frozenset({"generate", "embeddings", "count_tokens"})
# Prometheus's text format (core.telemetry.prometheus, which is loaded where somebody asks for the page).
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# Of what anybody is answered: a browser must not take it for a page.
# https://fetch.spec.whatwg.org/#x-content-type-options-header
_AS_IT_SAYS = ("x-content-type-options", "nosniff")
_OPEN_OPERATIONS = frozenset({"health", "ready", "root", "quiet", "console"})


def _error_format(format_name: str) -> str:
    """InvokeModel's errors are Bedrock's own, whatever its bodies are."""
    return "converse" if format_name == "invoke" else format_name


def _no_route(request: Request, no_route: NoRoute) -> GatewayError:
    if no_route.allow:
        allowed = ", ".join(no_route.allow)
        error = ClientFault("method_not_allowed", f"{request.method} is not allowed here; use {allowed}.")
        if request.headers.get("upgrade", "").lower() == "websocket":
            # The one answer after which Codex goes on over HTTP at once; after a 405 it tries five times more.
            # https://www.rfc-editor.org/rfc/rfc9110.html#name-426-upgrade-required
            error = ClientFault("method_not_allowed", f"There are no WebSockets here; use {allowed}.", status=426)
            error.headers["upgrade"] = "HTTP/1.1"
        error.headers["allow"] = allowed
        return error
    asked = f"{request.method} {request.path}"
    return ClientFault("not_found", f"There is no {asked} on this gateway; /docs lists its paths.")
