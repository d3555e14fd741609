"""What a request costs on the platform that this process runs on: Lambda's or Azure's price for time and memory.

Approximately so: on Lambda a request's time is that from its arrival to its answer's end, without the platform's own
part and the environment's start.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextvars import ContextVar

from core.compute import COMPUTE_PRICES, ComputePrice, SharedTime, billed_milliseconds, work_cost
from core.overload import InFlight
from core.ports import Clock
from core.slotted import replace
from core.usage import UsageRecord

# The template tells an Azure instance how large it is, and whether some are kept ready; nothing else does.
DEFAULT_INSTANCE = "2048"

_mark: ContextVar[float] = ContextVar("skybridge.compute_mark", default=0.0)


def compute_price(variables: Mapping[str, str]) -> tuple[ComputePrice, int]:
    """The price of this platform, and the megabytes of an instance."""
    memory = variables.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
    if memory is None:
        price = COMPUTE_PRICES.get(variables.get("SKYBRIDGE_COMPUTE", ""), COMPUTE_PRICES["flex"])
        return price, int(variables.get("SKYBRIDGE_INSTANCE_MB") or DEFAULT_INSTANCE)
    machine = "arm64" if os.uname().machine in ("arm64", "aarch64") else "x86_64"
    price = COMPUTE_PRICES[f"lambda/{machine}"]
    if variables.get("AWS_LAMBDA_MAX_CONCURRENCY", "1") not in ("", "1"):
        price = replace(price, gigabyte_second=0)  # Managed Instances: EC2 is paid for, not time
    return price, int(memory)


def cost_of(record: UsageRecord, variables: Mapping[str, str]) -> int:
    """The picodollars of one request."""
    price, megabytes = compute_price(variables)
    milliseconds = record.compute_milliseconds
    if milliseconds is None:
        milliseconds = billed_milliseconds(record.seconds, price)
    return work_cost(price, megabytes, milliseconds, record.sent() if record.sent is not None else 0)


class SharedInFlight(InFlight):
    """Counts requests, and tells each its share of the instance's time, which is paid for once however many share it.

    `record` is called for a request right after `leave`.
    """

    def __init__(self, limit: int | None, clock: Clock, price: ComputePrice) -> None:
        super().__init__(limit)
        self._clock = clock
        self._time = SharedTime(price)
        self._share = 0.0

    def enter(self, caller: str) -> None:
        super().enter(caller)
        _mark.set(self._time.enter(self._clock.monotonic()))

    def leave(self, caller: str) -> None:
        super().leave(caller)
        self._share = self._time.leave(_mark.get(), self._clock.monotonic())

    def record(self, record: UsageRecord) -> None:
        """Writes the share into the record."""
        record.compute_milliseconds = self._share
