"""What the HTTP fronts of Lambda send, as the parts of one HTTP request.

Function URLs and HTTP APIs send payload 2.0, REST APIs (and HTTP APIs on demand) payload 1.0, load balancers
their own. Anything else is no HTTP request.
https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import Any, Literal

type Front = Literal["function-url", "http-api", "rest-api", "load-balancer"]
type Object = dict[str, Any]

# RFC 3986, 3.3: what may stand in a path as it is.
UNRESERVED = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~")
PATH_CHARACTERS = UNRESERVED | frozenset(b"!$&'()*+,;=:@/")
QUERY_CHARACTERS = PATH_CHARACTERS - frozenset(b"&=+;") | frozenset(b"?")
HEXADECIMAL = frozenset(b"0123456789abcdefABCDEF")


class BadEvent(ValueError):
    """The event looks like an HTTP request, but a part of it is not what its front sends."""


class HttpEvent:
    """One HTTP request. `raw_path` is percent-encoded; `multi_value` is the form of the answer's headers."""

    __slots__ = ("body", "client", "front", "headers", "method", "multi_value", "principal", "query", "raw_path")

    def __init__(self, front: Front, method: str, raw_path: str, query: str) -> None:
        self.front = front
        self.method = method.upper()
        self.raw_path = encode_path(raw_path) or b"/"
        self.query = query.encode("utf-8", "surrogatepass")
        self.headers: list[tuple[bytes, bytes]] = []
        self.client: str | None = None
        self.principal = ""
        self.body = b""
        self.multi_value = False

    def header(self, name: bytes) -> str | None:
        """The first value of the header `name` (lower case)."""
        for key, value in self.headers:
            if key == name:
                return value.decode("latin-1")
        return None

    def scope(self) -> Object:
        """The ASGI connection scope. https://asgi.readthedocs.io/en/latest/specs/www.html"""
        host = self.header(b"host")
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": self.method,
            "scheme": self.header(b"x-forwarded-proto") or "https",
            "path": decode_path(self.raw_path),
            "raw_path": self.raw_path,
            "query_string": self.query,
            "root_path": "",
            "headers": self.headers,
            "client": None if self.client is None else (self.client, 0),
            "server": None if host is None else (host.partition(":")[0], 443),
        }


def read_event(event: object) -> HttpEvent | None:
    """The HTTP request in `event`, None when it holds none. Raises BadEvent where a part is malformed."""
    if not isinstance(event, dict) or not isinstance(event.get("requestContext"), dict):
        return None
    context: Object = event["requestContext"]
    if isinstance(context.get("http"), dict):
        request = _read_version_2(event, context)
    elif not isinstance(event.get("httpMethod"), str):
        return None
    elif "elb" in context:
        request = _read_load_balancer(event)
    else:
        request = _read_version_1(event, context)
    request.body = _read_body(event)
    return request


def is_notice(event: object) -> bool:
    """True for what an HTTP front sends without asking for anything, such as word that a stream has ended.

    Its form is not documented: it has the front's request context, or calls itself a completion.
    """
    if not isinstance(event, dict):
        return False
    names = (event.get("type"), event.get("eventType"), event.get("event"))
    return "requestContext" in event or any("completion" in str(name).lower() for name in names)


def _read_version_2(event: Object, context: Object) -> HttpEvent:
    http: Object = context["http"]
    from_url = ".lambda-url." in str(context.get("domainName", ""))
    path = _text(event.get("rawPath", "/"), "rawPath")
    if not from_url:
        path = _without_stage(path, context)
    request = HttpEvent(
        "function-url" if from_url else "http-api",
        _text(http.get("method", "GET"), "method"),
        path,
        _text(event.get("rawQueryString") or "", "rawQueryString"),
    )
    request.headers = _single_headers(event)
    cookies = event.get("cookies")
    if cookies:
        request.headers.append(_header("cookie", "; ".join(map(str, _each(cookies)))))
    request.client = _client(http)
    request.principal = _iam_principal(context)
    return request


def _read_version_1(event: Object, context: Object) -> HttpEvent:
    from_http_api = event.get("version") == "1.0"
    path = _text(event.get("path") or "/", "path")
    if from_http_api:
        path = _without_stage(path, context)
    request = HttpEvent(
        "http-api" if from_http_api else "rest-api",
        event["httpMethod"],
        path,
        _join_query(_pairs(event, "multiValueQueryStringParameters", "queryStringParameters"), encode=True),
    )
    request.headers = _repeated_headers(event)
    request.multi_value = True
    request.client = _client(context.get("identity"))
    request.principal = _iam_principal(context)
    return request


def _iam_principal(context: Object) -> str:
    """The ARN that AWS_IAM has authenticated: function URLs and HTTP APIs in `authorizer.iam`, REST APIs in `identity`.

    https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
    """
    authorizer, identity = context.get("authorizer"), context.get("identity")
    found = authorizer.get("iam") if isinstance(authorizer, dict) else identity
    arn = found.get("userArn") if isinstance(found, dict) else None
    return arn if isinstance(arn, str) else ""


def _read_load_balancer(event: Object) -> HttpEvent:
    request = HttpEvent(
        "load-balancer",
        event["httpMethod"],
        _text(event.get("path") or "/", "path"),
        # A load balancer hands on the query's names and values without decoding them.
        _join_query(_pairs(event, "multiValueQueryStringParameters", "queryStringParameters"), encode=False),
    )
    request.headers = _repeated_headers(event)
    request.multi_value = "multiValueHeaders" in event
    forwarded = request.header(b"x-forwarded-for")
    # The load balancer appends the address that it saw; what stands before it is the client's word.
    request.client = forwarded.rpartition(",")[2].strip() if forwarded else None
    return request


def _without_stage(path: str, context: Object) -> str:
    """An HTTP API puts the stage in front of the path, unless it is the default one."""
    prefix = f"/{context.get('stage')}"
    if path == prefix or path.startswith(f"{prefix}/"):
        return path[len(prefix) :] or "/"
    return path


def _single_headers(event: Object) -> list[tuple[bytes, bytes]]:
    headers = event.get("headers") or {}
    if not isinstance(headers, dict):
        raise BadEvent("headers: expected an object")
    return [_header(name, value) for name, value in headers.items() if value is not None]


def _repeated_headers(event: Object) -> list[tuple[bytes, bytes]]:
    return [_header(name, value) for name, value in _pairs(event, "multiValueHeaders", "headers")]


def _header(name: str, value: object) -> tuple[bytes, bytes]:
    return name.lower().encode("utf-8", "surrogatepass"), str(value).encode("utf-8", "surrogatepass")


def _client(source: object) -> str | None:
    address = source.get("sourceIp") if isinstance(source, dict) else None
    return address if isinstance(address, str) else None


def _pairs(event: Object, repeated: str, single: str) -> list[tuple[str, str]]:
    """The members of the object `repeated` (of lists), or else of `single` (of strings), in order."""
    lists = event.get(repeated)
    if isinstance(lists, dict):
        return [(name, str(value)) for name, values in lists.items() for value in _each(values)]
    values = event.get(single) or {}
    if not isinstance(values, dict):
        raise BadEvent(f"{single}: expected an object")
    return [(name, str(value)) for name, value in values.items() if value is not None]


def _each(values: object) -> Iterable[object]:
    return values if isinstance(values, list) else () if values is None else (values,)


def _join_query(pairs: list[tuple[str, str]], *, encode: bool) -> str:
    if encode:
        pairs = [(_encode_query(name), _encode_query(value)) for name, value in pairs]
    return "&".join(f"{name}={value}" for name, value in pairs)


def _read_body(event: Object) -> bytes:
    body = event.get("body")
    if body is None:
        return b""
    text = _text(body, "body")
    if not event.get("isBase64Encoded"):
        return text.encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as fault:
        raise BadEvent("body: not the base64 that isBase64Encoded promises") from fault


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise BadEvent(f"{name}: expected a string")
    return value


def encode_path(path: str) -> bytes:
    """A path as it stands in a request line: what may not stand there is percent-encoded, all else is left.

    HTTP APIs decode the path before they send it; the other fronts leave it as the client wrote it, so that
    encoding only what was certainly decoded is right for both.
    """
    raw = path.encode("utf-8", "surrogatepass")
    if PATH_CHARACTERS.issuperset(raw):
        return raw
    parts = []
    for index, byte in enumerate(raw):
        escaped = byte == 0x25 and len(raw) > index + 2 and HEXADECIMAL.issuperset(raw[index + 1 : index + 3])
        parts.append(chr(byte) if escaped or byte in PATH_CHARACTERS else f"%{byte:02X}")
    return "".join(parts).encode("ascii")


def decode_path(raw_path: bytes) -> str:
    """A percent-encoded path (valid: from encode_path) as text, as ASGI's `path` has it."""
    first, *others = raw_path.split(b"%")
    decoded = b"".join([first, *(bytes([int(part[:2], 16)]) + part[2:] for part in others)])
    return decoded.decode("utf-8", "replace")


def _encode_query(text: str) -> str:
    raw = text.encode("utf-8", "surrogatepass")
    return "".join(chr(byte) if byte in QUERY_CHARACTERS else f"%{byte:02X}" for byte in raw)
