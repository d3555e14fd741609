"""Spans to an OpenTelemetry collector: OTLP over HTTP, as JSON, through the gateway's own HTTP client.

The official SDK and its exporter are 14 MB of packages (protobuf and requests among them), 0.14 s of import and a
second HTTP client; what of it is needed here is this file. Settings are the SDK's own variables:
https://opentelemetry.io/docs/specs/otel/protocol/exporter/
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from core.configuration import ConfigurationError
from core.http import HeaderList
from core.ports import BackendRequest, TransportFault
from core.slotted import slotted
from core.telemetry.spans import Span, Value
from handlers.io.http_url import read_url
from handlers.io.shipping import Outside, Shipper, Shipping, ShippingFault, is_frozen
from handlers.io.short_calls import exchange

# Statuses that ask for another try (the protocol's "Failures", retryable).
_AGAIN = frozenset({429, 502, 503, 504})


@slotted(frozen=True)
class OtlpSettings:
    """Where spans go. Times are in seconds."""

    url: str
    headers: HeaderList
    timeout: float
    compress: bool
    resource: Mapping[str, Value]
    version: str = ""


def read_settings(variables: Mapping[str, str], resource: Mapping[str, Value]) -> OtlpSettings | None:
    """The settings of `variables`; None where no endpoint is set or the SDK is disabled. `resource`: what is known of
    this process. Raises ConfigurationError."""
    url = _endpoint(variables)
    if url is None:
        return None
    protocol = _either(variables, "PROTOCOL")
    if protocol not in ("", "http/json", "http/protobuf"):
        raise ConfigurationError("OTEL_EXPORTER_OTLP_PROTOCOL", f"only http/json can be sent; got {protocol!r}")
    milliseconds = _either(variables, "TIMEOUT") or "10000"
    if not milliseconds.isdecimal():
        raise ConfigurationError("OTEL_EXPORTER_OTLP_TIMEOUT", f"expected milliseconds; got {milliseconds!r}")
    headers = [("content-type", "application/json"), ("user-agent", "skybridge-otlp")]
    headers.extend((name.lower(), value) for name, value in _pairs(_either(variables, "HEADERS")).items())
    known = {**resource, **_pairs(variables.get("OTEL_RESOURCE_ATTRIBUTES", ""))}
    name = variables.get("OTEL_SERVICE_NAME")
    if name:
        known["service.name"] = name
    known.setdefault("service.name", "skybridge")
    compress = _either(variables, "COMPRESSION") == "gzip"
    return OtlpSettings(url, headers, int(milliseconds) / 1000, compress, known, str(known.get("service.version", "")))


def _endpoint(variables: Mapping[str, str]) -> str | None:
    if variables.get("OTEL_SDK_DISABLED", "").lower() == "true" or variables.get("OTEL_TRACES_EXPORTER") == "none":
        return None
    url = variables.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "")
    if not url:
        base = variables.get("OTEL_EXPORTER_OTLP_ENDPOINT", "")
        if not base:
            return None
        url = base.rstrip("/") + "/v1/traces"
    try:
        read_url(url)
    except ValueError as fault:
        raise ConfigurationError("OTEL_EXPORTER_OTLP_ENDPOINT", f"{fault}: http://HOST:PORT or https://HOST") from None
    return url


def _either(variables: Mapping[str, str], name: str) -> str:
    """The setting for traces alone, else the one for every signal."""
    return variables.get(f"OTEL_EXPORTER_OTLP_TRACES_{name}") or variables.get(f"OTEL_EXPORTER_OTLP_{name}") or ""


def _pairs(text: str) -> dict[str, str]:
    """`name=value,name=value`, both percent-encoded, as in W3C's baggage."""
    pairs = (part.partition("=") for part in text.split(",") if "=" in part)
    return {_unquoted(name.strip()): _unquoted(value.strip()) for name, _, value in pairs}


def _unquoted(text: str) -> str:
    if "%" not in text:
        return text
    from urllib.parse import unquote  # noqa: PLC0415  # few settings need it

    return unquote(text)


class OtlpExporter:
    """Sends batches of spans."""

    def __init__(self, settings: OtlpSettings, outside: Outside) -> None:
        self._settings = settings
        self._outside = outside
        variables = outside.variables
        shipping = Shipping(
            "export",
            _number(variables, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512),
            _number(variables, "OTEL_BSP_MAX_QUEUE_SIZE", 2048),
            _number(variables, "OTEL_BSP_SCHEDULE_DELAY", 5000) / 1000,
            is_frozen(variables),
        )
        self.shipper: Shipper[Span] = Shipper(shipping, self._send, outside.log)

    def put(self, spans: list[Span]) -> None:
        """Takes the spans of one request."""
        for span in spans:
            self.shipper.put(span)

    async def _send(self, spans: list[Span]) -> None:
        from core.telemetry.otlp import trace_request  # noqa: PLC0415  # after the first answer

        settings = self._settings
        document = trace_request(settings.resource, settings.version, spans)
        body = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")
        headers = list(settings.headers)
        if settings.compress:
            import gzip  # noqa: PLC0415  # where it is asked for

            body = gzip.compress(body, 6)
            headers.append(("content-encoding", "gzip"))
        request = BackendRequest("POST", settings.url, headers, body)
        try:
            status, _ = await exchange(self._outside.transport, self._outside.clock, request, settings.timeout)
        except TransportFault as fault:
            raise ShippingFault(str(fault)) from fault
        if status >= 300:
            raise ShippingFault(f"status {status}", lasting=status not in _AGAIN)  # an answer may quote a credential


def _number(variables: Mapping[str, str], name: str, default: int) -> int:
    value = variables.get(name) or str(default)
    if not value.isdecimal() or not int(value):
        raise ConfigurationError(name, f"expected a number; got {value!r}")
    return int(value)
