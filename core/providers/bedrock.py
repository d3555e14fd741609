"""Bedrock's own settings of a request: guardrail, service tier, latency, metadata. The operator sets them as options of
a backend or a candidate; they stand in headers, or for Converse in the body.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html and
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from core.http import HeaderList

# Options of a backend that a candidate may set for itself.
OPTION_NAMES = frozenset({"guardrail", "bedrock_service_tier", "performance", "request_metadata"})

_PREFIX = "x-amzn-bedrock-"


def option_headers(options: Mapping[str, Any], format_name: str) -> HeaderList:
    """The headers that say what `options` ask for; none for Converse, which has members for it."""
    headers: HeaderList = []
    if format_name == "converse" or not options:
        return headers
    guardrail = options.get("guardrail")
    if isinstance(guardrail, Mapping):
        headers.append((f"{_PREFIX}guardrailidentifier", str(guardrail.get("identifier", ""))))
        headers.append((f"{_PREFIX}guardrailversion", str(guardrail.get("version", "DRAFT"))))
        if guardrail.get("trace"):
            headers.append((f"{_PREFIX}trace", _trace(guardrail["trace"]).upper()))
    if options.get("bedrock_service_tier"):
        headers.append((f"{_PREFIX}service-tier", str(options["bedrock_service_tier"])))
    if options.get("performance"):
        headers.append((f"{_PREFIX}performanceconfig-latency", str(options["performance"])))
    if options.get("request_metadata"):
        headers.append((f"{_PREFIX}request-metadata", json.dumps(options["request_metadata"])))
    return headers


def option_members(options: Mapping[str, Any], format_name: str) -> dict[str, Any]:
    """The members of a Converse body that say what `options` ask for; they take the place of the client's."""
    if format_name != "converse":
        return {}
    return {
        member: write(options[name]) for name, (member, write) in _MEMBERS.items() if options.get(name)
    }


def _guardrail(value: Any) -> dict[str, Any]:
    version = str(value.get("version", "DRAFT"))
    written = {"guardrailIdentifier": value.get("identifier", ""), "guardrailVersion": version}
    if value.get("trace"):
        written["trace"] = _trace(value["trace"])
    return written


def _trace(value: Any) -> str:
    """YAML reads a bare `on` as true; the API's word is `enabled`."""
    return "enabled" if value is True else str(value)


_MEMBERS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "guardrail": ("guardrailConfig", _guardrail),
    "bedrock_service_tier": ("serviceTier", lambda value: {"type": value}),
    "performance": ("performanceConfig", lambda value: {"latency": value}),
    "request_metadata": ("requestMetadata", lambda value: value),
}
