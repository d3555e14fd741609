"""Which traces are recorded: the samplers that OTEL_TRACES_SAMPLER names.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#general-sdk-configuration
"""

from __future__ import annotations

from collections.abc import Callable

from core.telemetry.context import TraceContext

type Sampler = Callable[[str, TraceContext | None], bool]

_NAMES = ("always_on", "always_off", "traceidratio")


def read_sampler(name: str, argument: str) -> Sampler:
    """The sampler: from a trace's id and the caller's place to whether it is recorded. "" is the default,
    `parentbased_always_on`. Raises ValueError that says what is expected."""
    name = name.strip().lower() or "parentbased_always_on"
    root = name.removeprefix("parentbased_")
    if root not in _NAMES:
        known = ", ".join((*_NAMES, *(f"parentbased_{each}" for each in _NAMES)))
        raise ValueError(f"OTEL_TRACES_SAMPLER: expected one of {known}; got {name!r}")
    decide = _root(root, argument)
    if root == name:
        return lambda trace_id, caller: decide(trace_id)

    def parent_based(trace_id: str, caller: TraceContext | None) -> bool:
        if caller is not None and caller.sampled is not None:
            return caller.sampled
        return decide(trace_id)

    return parent_based


def _root(name: str, argument: str) -> Callable[[str], bool]:
    if name != "traceidratio":
        return lambda trace_id: name == "always_on"
    try:
        ratio = float(argument or "1")
    except ValueError:
        ratio = -1.0
    if not 0.0 <= ratio <= 1.0:
        raise ValueError(f"OTEL_TRACES_SAMPLER_ARG: expected a number from 0 to 1; got {argument!r}")
    bound = round(ratio * 2**64)
    # The rightmost 8 bytes, as the SDKs take them: all services of a trace decide alike.
    return lambda trace_id: int(trace_id[16:], 16) < bound
