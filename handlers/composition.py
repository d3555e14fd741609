"""The composition root: settings in, a running application out. Every impure thing is made here, once."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, cast

from core.access import AccessRules, Caller, service_keys
from core.configuration import Configuration, ConfigurationError, read_configuration
from core.counting.transport import EstimateTransport
from core.errors import NotConfigured
from core.forms import chosen_configuration, implied_configuration, offers_demo_only
from core.http import Request, Response
from core.ports import BackendRequest, Clock, Exchange, KeptResponses, Log, Media, Store, Transport
from core.slotted import slotted
from core.usage import Cost, UsageRecord
from handlers.asgi import AsgiApp, make_app
from handlers.io.backend_auth import BackendAuthorizer
from handlers.io.background import BackgroundTransport
from handlers.io.batches import BatchTransport
from handlers.io.clock import SystemClock, SystemRandom
from handlers.io.configuration_files import SECRET_SCHEMES, configuration_path, read_document, with_secrets
from handlers.io.http_client import HttpTransport
from handlers.io.log import JsonLog, write_record

if TYPE_CHECKING:
    from core.gateway import Gateway
    from handlers.accounts import Accounts
    from handlers.console import Console
    from handlers.pricing import Pricing
    from handlers.telemetry import Keeper

NO_KEY = (
    "SERVICE_API_KEY not set in environment: the gateway does not serve a public address without a key. "
    "Set it, or set SKYBRIDGE_AUTH=platform where the platform authenticates callers (AWS_IAM, Entra)."
)

# Settings of the chat API, in any form of configuration.
_CHAT_VARIABLES = ("DEFAULT_SYSTEM_PROMPT", "MAX_TOKENS", "RATE_LIMIT")

# Settings that say who may call besides the service key.
_IDENTITIES = ("SKYBRIDGE_AUTH", "SKYBRIDGE_OIDC_ISSUER")

# Settings that have bodies kept, and those that have requests measured or traced.
_BODIES = ("SKYBRIDGE_BODY_LOG", "SKYBRIDGE_BODY_ARCHIVE")
_MEASURED = ("SKYBRIDGE_METRICS", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
# Variables of Azure Functions' workers.
_AZURE = ("FUNCTIONS_EXTENSION_VERSION", "AzureWebJobsScriptRoot")
_LAMBDA_MEMORY = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"

# Bytes of randomness that the local door fetches at once; a cloud's snapshot may be copied with what is fetched.
RANDOM_AHEAD = 4096

# The limits of a function URL's request (6 MB) leave no room for more on Lambda.
LAMBDA_BODY_LIMIT = 6 * 1024 * 1024


type After = Callable[[], Awaitable[None]]


@slotted
class Composition:
    """The application and what its owner must close."""

    app: AsgiApp
    gateway: Gateway
    http: HttpTransport
    authorizer: BackendAuthorizer
    log: JsonLog
    config_path: str | None
    accounts: Accounts | None = None

    @property
    def source(self) -> str:
        """Where the configuration comes from, for the operator."""
        if self.config_path is not None:
            return self.config_path
        active = self.gateway.configuration.active
        return f"configured by the environment{f' ({active})' if active else ''}"

    def warm(self) -> None:
        """Work that is better done before the first request than in it: what credentials and https take."""
        configuration = self.gateway.configuration
        for backend in configuration.registry.backends.values():
            self.authorizer.prepare(backend)
        if _needs_tls(configuration):
            self.http.prepare_tls()

    async def finish(self) -> None:
        """Writes what is still held before the process ends: records that the store did not take, what was observed."""
        if self.accounts is not None:
            await self.accounts.flush()
        if self.gateway.ports.finish is not None:
            await self.gateway.ports.finish()


class _LazyPrice:
    """The price list, read when an answer first tells its price. With rows of its own, which may be wrong, it is read
    at once."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._pricing: Pricing | None = None
        if configuration.prices:
            self._read()

    def _read(self) -> Pricing:
        module = import_module("handlers.pricing")
        self._pricing = cast("Pricing", module.read_pricing(self._configuration))
        return self._pricing

    def __call__(self, record: UsageRecord) -> Cost | None:
        """What an answer costs; None where no price is known."""
        return (self._pricing or self._read()).record(record)


class _LazyDemo:
    """The demo backend, imported when a request first goes there."""

    def __init__(self, clock: SystemClock, variables: Mapping[str, str]) -> None:
        self._clock = clock
        self._pace = _number(variables, "SKYBRIDGE_DEMO_PACE", 0.02)
        self._transport: Transport | None = None

    async def send(self, request: BackendRequest) -> Exchange:
        if self._transport is None:
            demo = import_module("core.providers.demo.transport")
            self._transport = cast(Transport, demo.DemoTransport(self._clock, self._pace))
        return await self._transport.send(request)


def _number(variables: Mapping[str, str], name: str, default: float) -> float:
    """A variable that is a number. Raises ConfigurationError."""
    text = variables.get(name) or str(default)
    try:
        return float(text)
    except ValueError as error:
        raise ConfigurationError(name, f"expected a number; got {text!r}") from error


class _LazyConsole:
    """The console, imported when a request first asks for it."""

    def __init__(self, gateway: Gateway, accounts: Accounts | None, reference: str) -> None:
        self._gateway = gateway
        self._accounts = accounts
        self._reference = reference
        self._console: Console | None = None

    async def __call__(self, request: Request, caller: Caller | None, request_id: str) -> Response:
        if self._console is None:
            make = import_module("handlers.console").make_console
            self._console = cast("Console", make(self._gateway, self._accounts, self._reference))
        return await self._console.handle(request, caller, request_id)


class _LazyMedia:
    """The fetcher of media, imported when a request first needs it."""

    def __init__(self, transport: Transport, clock: SystemClock) -> None:
        self._transport = transport
        self._clock = clock
        self._media: Media | None = None

    async def fetch(self, url: str) -> tuple[str, bytes]:
        if self._media is None:
            module = import_module("handlers.io.media")
            self._media = cast(Media, module.MediaFetcher(self._transport, self._clock))
        return await self._media.fetch(url)


class _LazyResponses:
    """Where answers of the Responses API are kept, imported when a client of it first needs one kept."""

    def __init__(self, store: Store, clock: Clock, log: Log, days: float) -> None:
        self._about = (store, clock, log, days)
        self._keeper: KeptResponses | None = None

    def __call__(self) -> KeptResponses:
        if self._keeper is None:
            module = import_module("handlers.kept_responses")
            self._keeper = cast("KeptResponses", module.ResponseKeeper(*self._about))
        return self._keeper

    async def flush(self) -> None:
        """Writes what waits, if anything was ever kept."""
        if self._keeper is not None:
            await self._keeper.flush()


def compose(
    variables: Mapping[str, str] | None = None,
    config: str | None = None,
    *,
    local: bool = False,
    default_store: str = "",
    ahead: bool = False,
) -> Composition:
    """Builds the gateway from `variables` (the process's environment by default).

    `local` allows a gateway without keys: its door binds to loopback only. `default_store` keeps the accounts where
    SKYBRIDGE_STORE names no other place; it alone makes no keys necessary. `ahead` has a thread load certificates.
    Raises ConfigurationError for what cannot be used, NotConfigured where keys are needed and there are none.
    """
    named = os.environ if variables is None else variables
    variables = with_secrets(named, named)
    configuration, path = find_configuration(variables, config)
    _apply_variables(configuration, variables)
    rules = _checked_rules(variables, local)
    clock, random = SystemClock(), SystemRandom(RANDOM_AHEAD if local else 0)
    log = _make_log(clock, variables)
    announce(configuration, log)
    http = _make_http(configuration, ahead)
    from core.gateway import Gateway, Ports  # noqa: PLC0415  # the largest part, while a thread reads certificates

    reference = variables.get("SKYBRIDGE_STORE") or default_store
    accounts = _make_accounts(configuration, reference, (variables, http, clock, random), log)
    keepers: list[Keeper] = [] if accounts is None else [accounts]

    def record(usage: UsageRecord) -> None:
        for keeper in keepers:
            keeper.record(usage)
        write_record(log, usage)

    transports = _make_transports(http, clock, variables)
    authorizer = BackendAuthorizer(variables, http, clock)
    media = _LazyMedia(http, clock)
    ports = Ports(transports, clock, random, log, authorizer.authorize, record, media, BackgroundTransport)
    ports.accounts, ports.price = accounts, _LazyPrice(configuration)
    if accounts is not None and accounts.store is not None:
        ports.metered = True
        ports.responses = _LazyResponses(accounts.store, clock, log, configuration.limits.responses_days)
    gateway = Gateway(configuration, ports, rules, faults_enabled=variables.get("SKYBRIDGE_FAULTS") == "1")
    _account_compute(accounts, gateway, variables, keepers)
    ports.console = _LazyConsole(gateway, accounts, reference)
    served, beside = _observe(gateway, variables, keepers, local=local)
    beside.extend(_following_keys(gateway, named))
    app = make_app(served, _after_answers(accounts, gateway, beside))
    return Composition(app, gateway, http, authorizer, log, path, accounts)


def _make_http(configuration: Configuration, ahead: bool) -> HttpTransport:
    http = HttpTransport()
    if ahead and _needs_tls(configuration):
        http.begin_tls()
    return http


def _make_accounts(
    configuration: Configuration,
    reference: str,
    machine: tuple[Mapping[str, str], HttpTransport, SystemClock, SystemRandom],
    log: Log,
) -> Accounts | None:
    """Where a store, quotas or identities are configured; `machine` is what stores are made from."""
    if not (reference or configuration.quotas or any(machine[0].get(name) for name in _IDENTITIES)):
        return None
    stores = import_module("handlers.stores")
    return cast("Accounts", stores.make_accounts(configuration, reference, stores.Machine(*machine), log))


def _needs_tls(configuration: Configuration) -> bool:
    """Whether a backend is asked over https."""
    return any(backend.base_url.startswith("https:") for backend in configuration.registry.backends.values())


def _following_keys(gateway: Gateway, named: Mapping[str, str]) -> list[After]:
    """What follows the secret that the service key is, where it is a reference. `named`: the variables as they are."""
    reference = named.get("SERVICE_API_KEY", "")
    if not reference.startswith(SECRET_SCHEMES):
        return []
    ports = gateway.ports
    secrets = import_module("handlers.io.secrets").CloudSecrets(
        named, ports.transports["https"], ports.clock, ports.random
    )
    keys = import_module("handlers.service_key")
    return [keys.ServiceKey(reference, secrets, gateway.rules, ports.clock, ports.log).flush]


def _checked_rules(variables: Mapping[str, str], local: bool) -> AccessRules:
    """Who may call. Raises NotConfigured where everyone might."""
    rules = read_access_rules(variables)
    if rules.open and not local and variables.get("SKYBRIDGE_AUTH") != "platform":
        raise NotConfigured(NO_KEY)
    return rules


def _apply_variables(configuration: Configuration, variables: Mapping[str, str]) -> None:
    """What the environment adds to a configuration of any form."""
    if any(variables.get(name) for name in _CHAT_VARIABLES):
        configuration.chat = import_module("core.forms.chat_backend").chat_defaults(variables)
    if configuration.limits.max_body_bytes is None and "AWS_LAMBDA_RUNTIME_API" in variables:
        configuration.limits.max_body_bytes = LAMBDA_BODY_LIMIT


def _make_transports(http: HttpTransport, clock: SystemClock, variables: Mapping[str, str]) -> dict[str, Transport]:
    """The transports by URL scheme."""
    demo: Transport = _LazyDemo(clock, variables)
    batches = BatchTransport(http)
    return {
        "http": http, "https": http, "demo": demo, "batch+http": batches, "batch+https": batches,
        "batch+demo": BatchTransport(demo), "estimate": EstimateTransport(),
    }  # fmt: skip


def _make_log(clock: SystemClock, variables: Mapping[str, str]) -> JsonLog:
    """The log in the shape that the platform's own tools read."""
    level = log_level(variables)
    if "AWS_LAMBDA_FUNCTION_NAME" in variables:
        return cast(JsonLog, import_module("handlers.io.lambda_log").LambdaLog(clock, level, variables))
    if any(variables.get(name) for name in _AZURE):
        return cast(JsonLog, import_module("handlers.io.azure_log").AzureLog(clock, level))
    return JsonLog(clock, level)


def _account_compute(
    accounts: Accounts | None, gateway: Gateway, variables: Mapping[str, str], keepers: list[Keeper]
) -> None:
    """Has records say what the platform's function costs. On Lambda nothing is loaded before the first is written."""
    if accounts is None or not any(variables.get(name) for name in (*_AZURE, _LAMBDA_MEMORY)):
        return
    accounts.compute = lambda usage: cast(int, import_module("handlers.compute").cost_of(usage, variables))
    if _LAMBDA_MEMORY not in variables:
        module = import_module("handlers.compute")
        price, _ = module.compute_price(variables)
        shared = module.SharedInFlight(gateway.configuration.limits.max_in_flight, gateway.ports.clock, price)
        gateway.in_flight = shared
        keepers.insert(0, shared)


def _observe(
    gateway: Gateway, variables: Mapping[str, str], keepers: list[Keeper], *, local: bool
) -> tuple[Gateway, list[After]]:
    """Has requests kept, measured and traced where `variables` ask for it, and loads nothing of that otherwise. Gives
    the gateway for the door, and what is run after each answer."""
    ports = gateway.ports
    if local and not variables.get("SKYBRIDGE_METRICS"):
        # Who is never asked counts nothing.
        ports.metrics = lambda: cast(bytes, import_module("handlers.telemetry").begin_page(gateway, keepers))
    served, after, finish = gateway, list[After](), list[After]()
    if local and gateway.configuration.body_log:
        variables = {"SKYBRIDGE_BODY_LOG": gateway.configuration.body_log, **variables}
    if not _asked(variables, (*_BODIES, *_MEASURED)):
        return served, after
    make = import_module("handlers.io.shipping").Outside
    outside = make(variables, ports.transports["https"], ports.clock, ports.random, ports.log)
    if _asked(variables, _BODIES):
        module = import_module("handlers.io.body_log")
        try:
            bodies = module.make_body_log(outside)
        except OSError as error:
            problem = f"the folder cannot be made: {error}. `off` keeps no bodies"
            raise ConfigurationError("SKYBRIDGE_BODY_LOG", problem) from error
        keepers.append(bodies)
        served = cast("Gateway", module.BodyLoggingGateway(gateway, bodies))
        after.extend(bodies.after)
        finish.extend(bodies.finish)
    if _asked(variables, _MEASURED):
        ports.metered = True
        observers = import_module("handlers.telemetry").observe(gateway, outside)
        keepers.append(observers)
        after.extend(observers.after)
        finish.extend(observers.finish)
    ports.finish = _in_turn(finish)
    return served, after


def _asked(variables: Mapping[str, str], names: tuple[str, ...]) -> bool:
    """Whether one of the settings is there, and not `off`."""
    return any(variables.get(name, "off") not in ("", "off") for name in names)


def _after_answers(accounts: Accounts | None, gateway: Gateway, beside: list[After]) -> After | None:
    """What is run after each answer: usage goes to the store, what is known of backends to the other instances, and
    what was observed `beside` to wherever it is wanted."""
    steps: list[After] = [] if accounts is None else [accounts.flush]
    if accounts is not None and accounts.store is not None:
        cooldowns = import_module("handlers.cooldowns")
        shared = cooldowns.SharedCooldowns(accounts.store, gateway.health, gateway.ports.clock, gateway.ports.log)
        steps.extend((shared.flush, cast(_LazyResponses, gateway.ports.responses).flush))
    steps.extend(beside)
    return _in_turn(steps) if len(steps) > 1 else next(iter(steps), None)


def _in_turn(steps: list[After]) -> After:
    return cast(After, import_module("handlers.cooldowns").after_all(*steps))


def find_configuration(variables: Mapping[str, str], config: str | None) -> tuple[Configuration, str | None]:
    """The configuration that applies (`core.forms` has the order), and its file, None where it has none.

    Raises ConfigurationError.
    """
    if not (config or variables.get("MODEL_CONFIG_PATH")):
        chosen = chosen_configuration(variables)
        if chosen is not None:
            return chosen, None
    path = configuration_path(variables, config)
    if path is not None:
        found = load_configuration(path, variables)
        if config or variables.get("MODEL_CONFIG_PATH") or not offers_demo_only(found):
            return found, path
    implied = implied_configuration(variables)
    if implied is not None:
        return implied, None
    return load_configuration(path, variables), path


def announce(configuration: Configuration, log: Log) -> None:
    """Logs what was configured, and what is wrong with it. No line holds a credential."""
    for event, fields in configuration.notices:
        log.event("info", event, **fields)
    for warning in configuration.warnings:
        log.event("warning", warning)


def log_level(variables: Mapping[str, str]) -> str:
    """LOG_LEVEL; DEBUG=true is its older spelling of debug."""
    debug = variables.get("DEBUG", "").strip().lower() in ("1", "true", "yes", "on")
    return variables.get("LOG_LEVEL") or ("debug" if debug else "info")


def load_configuration(path: str | None, variables: Mapping[str, str]) -> Configuration:
    """The configuration at `path`. Raises ConfigurationError that names the file."""
    if path is None:
        raise ConfigurationError("", "no configuration was found: set MODEL_CONFIG_PATH or write models.yaml")
    document = with_secrets(read_document(path), variables)
    try:
        return read_configuration(document, variables)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error.key}" if error.key else path, error.message) from error


def read_access_rules(variables: Mapping[str, str]) -> AccessRules:
    """The gateway's own keys: SERVICE_API_KEY, several separated by commas, and whether a store holds more."""
    keys = service_keys(variables.get("SERVICE_API_KEY", ""))
    return AccessRules(keys, stored=bool(variables.get("SKYBRIDGE_STORE")))
