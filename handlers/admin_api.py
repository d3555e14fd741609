"""Who calls, backends and keys, for operators.

Keys are for administrators: holders of the service key and of keys made with `admin`, and everybody where a gateway
without keys serves its own machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends
from starlette.responses import JSONResponse, Response

from core.access import Caller, is_admin
from core.backend_report import backend_rows
from core.errors import ClientFault, NotConfigured, Refused
from core.key_terms import read_overlap, read_terms, shown_key, shown_keys
from core.keys import Key
from core.limits import Subject, charges_of, left
from core.ports import StoreFault
from core.routing.health import KEPT_TIMES
from core.version import VERSION
from handlers.admin_models import (
    Backends,
    FaultAnswer,
    KeyChange,
    KeyCreation,
    KeyRecord,
    Keys,
    Me,
    NewKey,
    Rotation,
)
from handlers.console_ground import CallerOf, Ground, GroundOf
from handlers.cooldowns import FOLDER as COOLDOWNS
from handlers.key_desk import KeyDesk, KeyEnded, NoSuchKey

# A list of keys tells what is left of so many limits; more would hold the store up.
MOST_COUNTERS: Final = 300

_WORDS: Final = {
    400: "The request is wrong; `details.field` says where.",
    401: "No key, or a wrong one.",
    403: "Not for this caller.",
    404: "There is no such thing.",
    409: "Not in the state that it is in.",
    429: "Too many requests.",
    503: "Not configured, or a store or backend that cannot be reached.",
}


def faults(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors of an operation, for the OpenAPI document."""
    return {status: {"model": FaultAnswer, "description": _WORDS[status]} for status in (400, 401, *statuses)}


router = APIRouter(prefix="/api/v1", tags=["management"])

_AUTHENTICATED_BY: Final = {
    "anonymous": "none", "service": "service_key", "key": "key", "oidc": "jwt", "iam": "iam", "entra": "entra",
    "platform": "platform",
}  # fmt: skip


@router.get("/me", response_class=JSONResponse, responses={200: {"model": Me}, **faults(503)})
async def me(caller: CallerOf, ground: GroundOf) -> JSONResponse:
    """Tells who you are to this gateway."""
    everybody = ground.gateway.rules.open and caller.kind in ("service", "anonymous")
    return JSONResponse({
        "key": caller.id if caller.kind == "key" else None,
        "name": "local" if everybody else caller.shown or caller.id, "owner": caller.owner,
        "admin": is_admin(caller),
        "authenticated_by": "none" if everybody else _AUTHENTICATED_BY[caller.kind],
        "store": ground.store_kind, "version": VERSION,
    })  # fmt: skip


@router.get("/backends", response_class=JSONResponse, responses={200: {"model": Backends}, **faults(503)})
async def backends(caller: CallerOf, ground: GroundOf) -> JSONResponse:
    """Lists the backends with what the answering process has seen of them since its start, and the cooldowns that all
    processes know of. Addresses and error messages are for administrators."""
    gateway = ground.gateway
    now = gateway.ports.clock.time()
    shared = await _shared_cooldowns(ground, now)
    rows = backend_rows(gateway.configuration, gateway.health, now, private=is_admin(caller))
    return JSONResponse({
        "backends": rows, "scope": "process", "since": now - gateway.health.age(), "latency_of": KEPT_TIMES,
        "shared_cooldowns": shared,
    })  # fmt: skip


async def _shared_cooldowns(ground: Ground, now: float) -> list[dict[str, Any]] | None:
    """What the others have met; this process learns of it too. A store that is away is no reason to tell nothing."""
    if ground.store is None:
        return None
    try:
        documents = await ground.store.read_all(COOLDOWNS)
    except StoreFault as fault:
        ground.gateway.ports.log.event("warning", "store_fault", during="backends", error=str(fault))
        return None
    rows = []
    for document in documents.values():
        until = float(document["until"])
        if until > now:
            key = (str(document["backend"]), str(document["region"]), str(document["model"]))
            ground.gateway.health.learn(key, until - now)
            rows.append({"backend": key[0], "region": key[1], "api_model": key[2], "until": until})
    return rows


def _key_desk(caller: CallerOf, ground: GroundOf) -> KeyDesk:
    """The keys, for administrators. Raises Refused (403), or NotConfigured (503) where there is no store."""
    if not is_admin(caller):
        raise Refused("permission", "Keys are for administrators: use the service key, or a key made with `admin`.")
    store, ports, accounts = ground.need_store(), ground.gateway.ports, ground.accounts
    assert accounts is not None  # whose store it is
    return KeyDesk(store, ports.clock, ports.random, ports.log, _called(caller), accounts.forget_keys)


def _called(caller: Caller) -> str:
    return f"{caller.shown or caller.kind} ({caller.id})"


type DeskOf = Annotated[KeyDesk, Depends(_key_desk)]


@contextmanager
def _answered() -> Iterator[None]:
    """What the store cannot do becomes an answer of this API's."""
    try:
        yield
    except NoSuchKey as fault:
        raise ClientFault("not_found", str(fault), param="key_id") from None
    except KeyEnded as fault:
        raise ClientFault("conflict", str(fault), param="key_id") from None
    except StoreFault as fault:
        raise NotConfigured("The gateway's store cannot be asked now; try again in a moment.") from fault


@router.get("/keys", response_class=JSONResponse, responses={200: {"model": Keys}, **faults(403, 503)})
async def list_keys(desk: DeskOf) -> JSONResponse:
    """Lists the keys, the newest first, with what is left of their limits and budgets."""
    with _answered():
        keys = await desk.all()
        rows = shown_keys(keys, desk.clock.time())
        return JSONResponse({"keys": await _with_quotas(rows, {key.id: key for key in keys}, desk)})


@router.post(
    "/keys", status_code=201, response_class=JSONResponse, responses={201: {"model": NewKey}, **faults(403, 503)}
)
async def create_key(terms: KeyCreation, desk: DeskOf) -> JSONResponse:
    """Makes a key. Its text is in this answer and nowhere else."""
    with _answered():
        made = read_terms(terms.model_dump(exclude_unset=True), desk.blank(), desk.clock.time())
        return _shown(*await desk.issue(made), desk)


@router.patch(
    "/keys/{key_id}", response_class=JSONResponse, responses={200: {"model": KeyRecord}, **faults(403, 404, 409, 503)}
)
async def change_key(key_id: str, terms: KeyChange, desk: DeskOf) -> JSONResponse:
    """Changes a key's terms. Every instance follows within 30 seconds."""
    with _answered():
        before = await desk.find(key_id)
        now = desk.clock.time()
        stated = terms.model_dump(exclude_unset=True)
        *older, newest = await desk.change(before, [read_terms(stated, key, now) for key in before])
        (row,) = await _with_quotas([shown_key(newest, now, older)], {newest.id: newest}, desk)
        return JSONResponse(row)


@router.post(
    "/keys/{key_id}/rotate", status_code=201, response_class=JSONResponse,
    responses={201: {"model": NewKey}, **faults(403, 404, 409, 503)},
)  # fmt: skip
async def rotate_key(key_id: str, desk: DeskOf, rotation: Rotation | None = None) -> JSONResponse:
    """Makes a new key with the terms, the limits and the spending of an old one, which works for a while yet."""
    with _answered():
        stated = {} if rotation is None else rotation.model_dump(exclude_unset=True)
        return _shown(*await desk.rotate(key_id, read_overlap(stated)), desk)


@router.delete("/keys/{key_id}", status_code=204, responses=faults(403, 404, 503))
async def revoke_key(key_id: str, desk: DeskOf) -> Response:
    """Ends a key. Every instance refuses it within 30 seconds."""
    with _answered():
        await desk.revoke(key_id)
        return Response(status_code=204)


def _shown(secret: str, key: Key, desk: KeyDesk) -> JSONResponse:
    record = shown_key(key, desk.clock.time())
    return JSONResponse({"key": secret, **record}, 201, {"cache-control": "no-store"})


async def _with_quotas(
    rows: Sequence[dict[str, Any]], keys: Mapping[str, Key], desk: KeyDesk
) -> list[dict[str, Any]]:
    """The records with what is left of each key's own limits. One call asks the store for all counters."""
    now = desk.clock.time()
    subjects = {row["id"]: Subject("key", row["id"], keys[row["id"]].quota, row["prefix"]) for row in rows}
    counters: list[str] = []
    for subject in subjects.values():
        counters += (charge.counter for charge in charges_of([subject], 0, 0, now))
    totals = await desk.store.totals(counters[:MOST_COUNTERS], now) if counters else {}
    told = []
    for row in rows:
        subject = subjects[row["id"]]
        known = all(charge.counter in totals for charge in charges_of([subject], 0, 0, now))
        quota = left([subject], totals, now) if known and subject.quota else None
        spent = next((quota[name]["used"] for name in _BUDGETS if quota and name in quota), None)
        told.append({**row, "quota": quota, "spent_usd": spent})
    return told


# The longest first.
_BUDGETS: Final = ("usd_total", "usd_per_month", "usd_per_day")
