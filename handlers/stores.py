"""The store that SKYBRIDGE_STORE names, and the accounts over it.

`sqlite:PATH`, `dynamodb:TABLE` (AWS_REGION; AWS_ENDPOINT_URL_DYNAMODB for an emulator) or
`azure-table:https://ACCOUNT.table.core.windows.net/TABLE` (the managed identity; AZURE_STORAGE_KEY for an emulator).
Imported only where a store, quotas or identities are configured.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from core.configuration import Configuration, ConfigurationError
from core.errors import NotConfigured
from core.ports import BackendRequest, Clock, Log, Random, Store, StoreFault, Transport
from core.slotted import slotted
from handlers.accounts import AccountPorts, Accounts
from handlers.callers import Callers, KeyCache, TokenVerifier
from handlers.pricing import read_pricing
from handlers.quotas import DEFAULT_SHARDS, read_quotas

FORMS = "sqlite:PATH, dynamodb:TABLE or azure-table:https://ACCOUNT.table.core.windows.net/TABLE"


@slotted(frozen=True)
class Machine:
    """What stores are made from."""

    variables: Mapping[str, str]
    transport: Transport
    clock: Clock
    random: Random


def open_store(reference: str, machine: Machine, shards: int = DEFAULT_SHARDS) -> Store:
    """The store at `reference`; nothing is connected yet. `shards`: over how many items a counter is spread that is
    found to be hot. Raises ConfigurationError."""
    kind, _, place = reference.partition(":")
    make = _KINDS.get(kind)
    if make is None or not place:
        raise ConfigurationError("SKYBRIDGE_STORE", f"expected {FORMS}; got {reference!r}")
    return make(place, machine, shards)


def _sqlite(place: str, machine: Machine, shards: int) -> Store:
    from pathlib import Path  # noqa: PLC0415  # the other kinds have no file

    from handlers.io.sqlite_store import SqliteStore  # noqa: PLC0415  # one kind of store is loaded

    return SqliteStore(Path(place))


def _dynamodb(place: str, machine: Machine, shards: int) -> Store:
    from handlers.io.authenticators import SigV4  # noqa: PLC0415  # one kind of store is loaded
    from handlers.io.aws_credentials import environment_credentials  # noqa: PLC0415
    from handlers.io.dynamodb_store import DynamoStore, is_throttled  # noqa: PLC0415
    from handlers.io.shards import Spread  # noqa: PLC0415
    from handlers.io.store_http import CloudClient  # noqa: PLC0415

    variables = machine.variables
    region = variables.get("AWS_REGION") or variables.get("AWS_DEFAULT_REGION") or "us-east-1"
    endpoint = variables.get("AWS_ENDPOINT_URL_DYNAMODB") or variables.get("AWS_ENDPOINT_URL")
    credentials = environment_credentials(variables, machine.transport, machine.clock)
    signer = SigV4(credentials, region, "dynamodb", machine.clock)
    client = CloudClient(
        f"DynamoDB table {place}", machine.transport, machine.clock, machine.random,
        _as_store_fault(f"DynamoDB table {place}", signer.authorize), is_throttled,
    )  # fmt: skip
    address = (endpoint or f"https://dynamodb.{region}.amazonaws.com").rstrip("/")
    return DynamoStore(client, address, place, Spread(shards, machine.random))


def _azure_table(place: str, machine: Machine, shards: int) -> Store:
    from handlers.io import azure_table, table_store  # noqa: PLC0415  # one kind of store is loaded
    from handlers.io.identities import Outside  # noqa: PLC0415
    from handlers.io.shards import Spread  # noqa: PLC0415
    from handlers.io.storage_token import storage_token  # noqa: PLC0415
    from handlers.io.store_http import CloudClient  # noqa: PLC0415

    endpoint, _, table = place.rstrip("/").rpartition("/")
    if "://" not in endpoint or not table.isalnum():
        raise ConfigurationError("SKYBRIDGE_STORE", f"expected {FORMS}; got {place!r}")
    key = machine.variables.get("AZURE_STORAGE_KEY")
    if key:
        # An emulator has the account in the path before the table: http://127.0.0.1:10002/ACCOUNT/TABLE.
        account = endpoint.rpartition("/")[2].partition(".")[0]
        authorize = azure_table.SharedKey(account, key, machine.clock).authorize
    else:
        authorize = storage_token(Outside(machine.variables, machine.transport, machine.clock)).authorize
    client = CloudClient(
        f"Azure table {table}", machine.transport, machine.clock, machine.random,
        _as_store_fault(f"Azure table {table}", authorize), azure_table.is_throttled,
    )  # fmt: skip
    return table_store.TableStore(client, endpoint, table, Spread(shards, machine.random))


_KINDS: Mapping[str, Callable[[str, Machine, int], Store]] = {
    "sqlite": _sqlite,
    "dynamodb": _dynamodb,
    "azure-table": _azure_table,
}


type Authorize = Callable[[BackendRequest], Awaitable[None]]


def _as_store_fault(name: str, authorize: Authorize) -> Authorize:
    """Without a credential, or while an identity's endpoint is away, a store cannot be asked: that is a StoreFault."""

    async def run(request: BackendRequest) -> None:
        try:
            await authorize(request)
        except NotConfigured as fault:
            raise StoreFault(f"{name}: {fault.message}") from fault

    return run


def make_accounts(configuration: Configuration, reference: str, machine: Machine, log: Log) -> Accounts:
    """The accounts of a gateway; `reference` "" keeps nothing. Raises ConfigurationError."""
    quotas = read_quotas(configuration.quotas)
    store = open_store(reference, machine, quotas.shards) if reference else None
    if store is None and configuration.quotas:
        raise ConfigurationError("quotas", f"limits and budgets need a store: set SKYBRIDGE_STORE to {FORMS}")
    keys = None if store is None else KeyCache(store, machine.clock, log)
    platform = ""
    if machine.variables.get("SKYBRIDGE_AUTH") == "platform":
        platform = "lambda" if "AWS_LAMBDA_FUNCTION_NAME" in machine.variables else "app-service"
    admins = _listed(machine.variables.get("SKYBRIDGE_ADMINS", ""))
    callers = Callers(keys, machine.clock, platform=platform, tokens=_tokens(machine), admins=admins)
    ports = AccountPorts(store, machine.clock, machine.random, log)
    return Accounts(ports, callers, quotas, read_pricing(configuration))


def _listed(text: str) -> tuple[str, ...]:
    return tuple(each.strip() for each in text.split(",") if each.strip())


def _tokens(machine: Machine) -> TokenVerifier | None:
    issuer = machine.variables.get("SKYBRIDGE_OIDC_ISSUER", "")
    if not issuer:
        return None
    from handlers.issuer import Issuer  # noqa: PLC0415  # only where one is configured

    audience = machine.variables.get("SKYBRIDGE_OIDC_AUDIENCE", "")
    if not audience:
        raise ConfigurationError("SKYBRIDGE_OIDC_AUDIENCE", "tokens of an issuer are accepted for one audience: set it")
    return Issuer(issuer, audience, machine.transport, machine.clock)
