"""What a pass-through route needs of the Converse format: errors both ways, and observers of answers.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html and
https://docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from core.errors import (
    KIND_OF_STATUS,
    GatewayError,
    Kind,
    RawError,
    UpstreamFault,
    retry_after_seconds,
    upstream_fault,
    words_of,
)
from core.formats.contract import ErrorAnswer, Observation
from core.formats.converse.usage import read_stop, read_usage
from core.framing.eventstream import CorruptFrame, Decoder, Frame, encode
from core.http import HeaderList
from core.json_edit import JsonObject
from core.usage import Usage

STREAM_CONTENT_TYPE = "application/vnd.amazon.eventstream"

# The format has no keep-alive of its own. An event that the service model does not know is passed over by AWS's
# SDKs: botocore gives nothing for it, the others an "unknown" member.
PING = encode({":event-type": "ping", ":content-type": "application/json", ":message-type": "event"}, b"{}")

TOO_LONG = "Input is too long for requested model."
_TOO_LONG_WORDINGS = (
    "input is too long",
    "prompt is too long",
    "exceed context limit",
    "maximum context length",
    "too many input tokens",
    "input tokens exceeded",
    "exceeds the maximum length",
    "longer than the maximum",
)
_FILTER_WORDINGS = ("content filter", "content policy", "blocked by")

# By the name in x-amzn-errortype, or a stream's `:exception-type`, in lower case.
_KIND_OF_NAME: dict[str, Kind] = {
    "validationexception": "bad_request",
    "serializationexception": "bad_request",
    "accessdeniedexception": "permission",
    "notauthorized": "permission",
    "optinrequired": "permission",
    "unrecognizedclientexception": "authentication",
    "invalidsignatureexception": "authentication",
    "signaturedoesnotmatch": "authentication",
    "incompletesignature": "authentication",
    "incompletesignatureexception": "authentication",
    "expiredtokenexception": "authentication",
    "expiredtoken": "authentication",
    "invalidclienttokenid": "authentication",
    "missingauthenticationtokenexception": "authentication",
    "missingauthenticationtoken": "authentication",
    "resourcenotfoundexception": "model_not_found",
    "unknownoperationexception": "not_found",
    "modeltimeoutexception": "timeout",
    "requestexpired": "authentication",
    "conflictexception": "conflict",
    "throttlingexception": "rate_limit",
    "throttledexception": "rate_limit",
    "toomanyrequestsexception": "rate_limit",
    "modelnotreadyexception": "overloaded",
    "serviceunavailableexception": "overloaded",
    "servicequotaexceededexception": "quota",
    "requestentitytoolargeexception": "too_large",
    "modelerrorexception": "upstream",
    "modelstreamerrorexception": "upstream",
    "internalserverexception": "upstream",
    "internalfailure": "upstream",
}

# The status that a stream's exception stands for: the stream has no status line of its own any more.
_STATUS_OF_NAME = {
    "validationexception": 400,
    "throttlingexception": 429,
    "modelstreamerrorexception": 424,
    "serviceunavailableexception": 503,
    "modeltimeoutexception": 408,
}

# kind -> status and exception that boto3 knows it by.
_WRITTEN: dict[Kind, tuple[int, str]] = {
    "bad_request": (400, "ValidationException"),
    "context_length": (400, "ValidationException"),
    "content_filter": (400, "ValidationException"),
    "authentication": (403, "UnrecognizedClientException"),
    "permission": (403, "AccessDeniedException"),
    "billing": (400, "ServiceQuotaExceededException"),
    "quota": (400, "ServiceQuotaExceededException"),
    "model_not_found": (404, "ResourceNotFoundException"),
    "not_found": (404, "ResourceNotFoundException"),
    "method_not_allowed": (405, "UnknownOperationException"),
    "timeout": (408, "ModelTimeoutException"),
    "conflict": (400, "ConflictException"),
    "too_large": (413, "ValidationException"),
    "rate_limit": (429, "ThrottlingException"),
    "overloaded": (503, "ServiceUnavailableException"),
    "configuration": (503, "ServiceUnavailableException"),
    "upstream": (424, "ModelErrorException"),
    "internal": (500, "InternalServerException"),
    # A limit that stands until it is raised: throttling would be asked again at once.
    "spend_limit": (400, "ServiceQuotaExceededException"),
    "cancelled": (499, "InternalServerException"),
}

# A stream can end with one of five exceptions only.
_STREAM_EXCEPTIONS: dict[str, str] = {
    "ValidationException": "validationException",
    "ThrottlingException": "throttlingException",
    "ServiceQuotaExceededException": "throttlingException",
    "ServiceUnavailableException": "serviceUnavailableException",
    "ModelErrorException": "modelStreamErrorException",
    "ModelTimeoutException": "modelStreamErrorException",
}


# CountTokens says it of all inference profiles, and of models that are not Claude: another candidate may count.
_COUNTS_NOT = "support counting tokens"


def read_error(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamFault:
    """The fault behind a backend's answer of `status` >= 400. `headers` have lower-case names."""
    parsed = object_of(body)
    name = headers.get("x-amzn-errortype") or parsed.get("__type") or parsed.get("code") or ""
    message = _message_of(parsed) or words_of(status, body)
    fault = _fault(_plain_name(name), message, status, parsed)
    fault.retry_after = retry_after_seconds(headers)
    fault.retryable = fault.retryable or _COUNTS_NOT in message
    fault.raw = RawError(status, headers, body)
    return fault


def frame_error(frame: Frame) -> UpstreamFault:
    """The fault that an `exception` or `error` frame of a stream reports."""
    headers = frame.headers
    parsed = object_of(frame.payload)
    name = _plain_name(headers.get(":exception-type") or headers.get(":error-code") or "")
    message = _message_of(parsed) or headers.get(":error-message")
    message = message or f"the backend ended its stream with {name or 'an error'}"
    return _fault(name, message, _STATUS_OF_NAME.get(name, 500), parsed)


def is_error(frame: Frame) -> bool:
    """Whether `frame` ends its stream with an error."""
    return frame.headers.get(":message-type") in ("exception", "error")


def write_error(error: GatewayError, request_id: str) -> ErrorAnswer:
    """`error` as Bedrock would answer it, so that boto3 raises the exception that its callers look for."""
    status, name, body = _written(error)
    headers: HeaderList = [
        ("content-type", "application/json"),
        ("x-amzn-errortype", name),
        ("x-amzn-requestid", request_id),
    ]
    if error.retry_after is not None:
        headers.append(("retry-after", str(math.ceil(error.retry_after))))
    headers.extend(error.headers.items())
    return ErrorAnswer(status, headers, json.dumps(body).encode())


def error_event(error: GatewayError, request_id: str) -> bytes:
    """The exception frame that ends a stream after its commit point."""
    _, name, body = _written(error)
    exception = _STREAM_EXCEPTIONS.get(name, "internalServerException")
    if exception == "modelStreamErrorException":
        body = {
            "message": body["message"],
            "originalMessage": body["message"],
            "originalStatusCode": _status_code(error),
        }
    headers = {
        ":exception-type": exception,
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    return encode(headers, json.dumps(body).encode())


def _counts_of(answer: JsonObject) -> Usage:
    """The usage of a whole answer or of a stream's `metadata`, with the tier beside it."""
    usage, tier = read_usage(answer.get("usage")), answer.get("serviceTier")
    kind = tier.get("type") if isinstance(tier, dict) else None
    usage.tier = kind if isinstance(kind, str) else None
    return usage


def observe_response(body: bytes) -> Observation:
    """What a whole answer says of its stop reason and usage; it names no model. Never raises."""
    parsed = object_of(body)
    observation = Observation(usage=_counts_of(parsed))
    if "stopReason" in parsed:
        observation.stop = read_stop(parsed["stopReason"], parsed.get("additionalModelResponseFields"))
    return observation


class StreamObserver:
    """Reads a copy of a Converse stream; see core.formats.contract.StreamObserver.

    Payloads of content are never parsed: their event type says that there is some. The stream has its proper
    end with `messageStop`; the usage comes after it.
    """

    def __init__(self) -> None:
        self.observation = Observation()
        self.started = False
        self.finished = False
        self.error: UpstreamFault | None = None
        self._decoder = Decoder()

    def feed(self, frames: bytes) -> None:
        """Reads frames; what is no frame is passed over, and everything after it."""
        if self._decoder.fault is not None:
            return
        try:
            for frame in self._decoder.feed(frames):
                self._read(frame)
        except CorruptFrame:
            return

    def _read(self, frame: Frame) -> None:
        kind = frame.headers.get(":event-type")
        if kind in ("contentBlockDelta", "contentBlockStart"):
            self.started = True
        elif kind == "messageStop":
            event = object_of(frame.payload)
            self.observation.stop = read_stop(event.get("stopReason"), event.get("additionalModelResponseFields"))
            self.finished = True
        elif kind == "metadata":
            self.observation.usage = _counts_of(object_of(frame.payload))
        elif is_error(frame):
            self.error = frame_error(frame)


def object_of(text: bytes) -> JsonObject:
    """The JSON object in `text`, an empty one where there is none. Never raises."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _fault(name: str, message: str, status: int, details: JsonObject) -> UpstreamFault:
    kind = _kind(name, message.lower(), status)
    fault = upstream_fault(kind, message, status)
    fault.details = details or None
    return fault


def _kind(name: str, message: str, status: int) -> Kind:
    kind = _KIND_OF_NAME.get(name) or KIND_OF_STATUS.get(status)
    if kind is None:
        kind = "bad_request" if 400 <= status < 500 else "upstream"
    if kind == "bad_request":
        found = _bad_request_kind(message)
        return "too_large" if found == "bad_request" and status == 413 else found
    if kind == "rate_limit" and "per day" in message:
        return "quota"
    return kind


def _bad_request_kind(message: str) -> Kind:
    if any(wording in message for wording in _TOO_LONG_WORDINGS):
        return "context_length"
    if any(wording in message for wording in _FILTER_WORDINGS):
        return "content_filter"
    if "model identifier is invalid" in message:
        return "model_not_found"
    return "bad_request"


def _written(error: GatewayError) -> tuple[int, str, JsonObject]:
    kind, message = error.kind, error.message
    if isinstance(error, UpstreamFault) and kind in ("authentication", "permission"):
        # It is the gateway's credential that was refused, not the caller's.
        kind, message = "internal", "The backend refused the gateway's credential."
    if kind == "context_length" and "input is too long" not in message.lower():
        message = f"{TOO_LONG} {message}"
    status, name = _WRITTEN[kind]
    body: JsonObject = {"message": message}
    if name == "ModelErrorException":
        body["originalStatusCode"] = _status_code(error)
    return status, name, body


def _status_code(error: GatewayError) -> int:
    return error.status if 100 <= error.status <= 599 else 502


def _plain_name(name: Any) -> str:
    # `ValidationException:http://internal…`, `com.amazonaws#ValidationException`, validationException
    text = name if isinstance(name, str) else ""
    return text.split(":", 1)[0].rsplit("#", 1)[-1].strip().lower()


def _message_of(body: JsonObject) -> str | None:
    for name in ("message", "Message", "originalMessage"):
        value = body.get(name)
        if isinstance(value, str) and value:
            return value
    return None
