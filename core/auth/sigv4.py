"""AWS Signature Version 4, both ways: signing a request to AWS, and checking one that an AWS SDK signed.

Rules: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
Pure: the time of signing is an argument, and a secret never leaves this module but as a signature.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from hashlib import sha256
from time import gmtime, strftime, strptime

from core.auth.credentials import Credentials
from core.errors import Refused
from core.http import HeaderList, Request
from core.slotted import slotted

ALGORITHM = "AWS4-HMAC-SHA256"
DATE_FORMAT = "%Y%m%dT%H%M%SZ"
MAX_SKEW_SECONDS = 300

# A proxy or the transport may add or change these on the way, which would break the signature.
UNSIGNED_HEADERS = frozenset(
    {
        "authorization",
        "connection",
        "expect",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "x-amzn-trace-id",
    }
)

# Services whose canonical path is the path as it is on the wire: neither normalised nor encoded again.
_VERBATIM_PATH_SERVICES = frozenset({"s3", "s3express", "s3-object-lambda", "s3-outposts"})

_NO_MATCH = "the request signature does not match: check the secret access key"
_SPACES = re.compile(r"\s+")
_MODEL_PATH = r"/model/(.+)/([^/]+)"
_UNRESERVED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~"


@slotted(frozen=True)
class SignedParts:
    """What of a request goes into its signature.

    `path` is percent-encoded as on the wire and has no query; `query` has no question mark; header names are
    in any case; `headers` must hold `host`.
    """

    method: str
    path: str
    query: str
    headers: HeaderList
    body: bytes = b""


@slotted(frozen=True)
class Scope:
    """For what a signature holds: `amz_date` (YYYYMMDDTHHMMSSZ), region and the service's signing name."""

    amz_date: str
    region: str
    service: str

    @property
    def text(self) -> str:
        return f"{self.amz_date[:8]}/{self.region}/{self.service}/aws4_request"


@slotted(frozen=True)
class Authorization:
    """An `authorization` header of this algorithm, taken apart. `date` is the scope's day, YYYYMMDD."""

    access_key_id: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str


def amz_date(now: float) -> str:
    """Seconds since the epoch as `x-amz-date` writes them."""
    return strftime(DATE_FORMAT, gmtime(now))


def canonical_path(path: str, service: str = "", *, normalize: bool = True) -> str:
    """The canonical URI of a wire path. Except for S3 it is encoded once more: `%3A` becomes `%253A`."""
    if service in _VERBATIM_PATH_SERVICES:
        return path or "/"
    plain = _without_dots(path) if normalize else path or "/"
    if not plain.strip(_UNRESERVED + "/"):
        return plain
    from urllib.parse import quote  # noqa: PLC0415  # few paths need it

    return quote(plain, safe="/~")


def _without_dots(path: str) -> str:
    # RFC 3986, 5.2.4, and empty segments go too: AWS folds `//` into `/`.
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del segments[-1:]
        elif segment not in ("", "."):
            segments.append(segment)
    end = "/" if segments and path.endswith(("/", "/.", "/..")) else ""
    return f"/{'/'.join(segments)}{end}"


def canonical_query(query: str) -> str:
    """The parameters, each encoded anew and sorted by encoded name, then by encoded value."""
    if not query:
        return ""
    pairs = []
    for parameter in query.split("&"):
        name, _, value = parameter.partition("=")
        pairs.append((_encode_again(name), _encode_again(value)))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _encode_again(text: str) -> str:
    if not text.strip(_UNRESERVED):
        return text
    from urllib.parse import quote, unquote_to_bytes  # noqa: PLC0415  # few queries need it

    return quote(unquote_to_bytes(text), safe="-_.~")


def canonical_headers(headers: HeaderList, names: Iterable[str]) -> str:
    """The header block for `names` (lower case, sorted): spaces folded, repeated headers joined in order."""
    values: dict[str, list[str]] = {}
    for name, value in headers:
        values.setdefault(name.lower(), []).append(_SPACES.sub(" ", value.strip()))
    return "".join(f"{name}:{','.join(values.get(name, ()))}\n" for name in names)


def canonical_request(parts: SignedParts, path: str, names: Iterable[str], payload_hash: str) -> str:
    """The text whose hash is signed. `path` is canonical already; `names` are the signed headers, sorted."""
    names = tuple(names)
    return "\n".join(
        (
            parts.method.upper(),
            path,
            canonical_query(parts.query),
            canonical_headers(parts.headers, names),
            ";".join(names),
            payload_hash,
        )
    )


def string_to_sign(scope: Scope, canonical: str) -> str:
    """What the signing key signs."""
    return "\n".join((ALGORITHM, scope.amz_date, scope.text, sha256(canonical.encode()).hexdigest()))


@lru_cache(maxsize=64)
def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """The key for one day, region and service. It is the same all day, so four of five HMACs are saved."""
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def signature(secret: str, scope: Scope, text: str) -> str:
    """The signature of a string to sign, in hexadecimal."""
    key = signing_key(secret, scope.amz_date[:8], scope.region, scope.service)
    return hmac.digest(key, text.encode(), "sha256").hex()


def sign(parts: SignedParts, credentials: Credentials, scope: Scope) -> HeaderList:
    """The headers to add to the request: `x-amz-date`, the session token where there is one, `authorization`.

    Every header of `parts` is signed but UNSIGNED_HEADERS. Where `parts` has `x-amz-content-sha256`, its
    value is signed in place of the body's hash.
    """
    added: HeaderList = [("x-amz-date", scope.amz_date)]
    if credentials.session_token:
        added.append(("x-amz-security-token", credentials.session_token))
    replaced = {name for name, _ in added}
    kept = [(name.lower(), value) for name, value in parts.headers if name.lower() not in replaced]
    whole = SignedParts(parts.method, parts.path, parts.query, kept + added, parts.body)
    names = sorted({name for name, _ in whole.headers} - UNSIGNED_HEADERS)
    path = canonical_path(parts.path, scope.service)
    canonical = canonical_request(whole, path, names, _payload_hash(whole))
    signed = signature(credentials.secret_access_key, scope, string_to_sign(scope, canonical))
    credential = f"{credentials.access_key_id}/{scope.text}"
    value = f"{ALGORITHM} Credential={credential}, SignedHeaders={';'.join(names)}, Signature={signed}"
    return [*added, ("authorization", value)]


def _payload_hash(parts: SignedParts) -> str:
    for name, value in parts.headers:
        if name == "x-amz-content-sha256":
            return value
    return sha256(parts.body).hexdigest()


def parse_authorization(value: str) -> Authorization | None:
    """The parts of an `authorization` header; None when it is of another scheme.

    Raises Refused when it is of this scheme and incomplete.
    """
    algorithm, _, rest = value.strip().partition(" ")
    if algorithm != ALGORITHM:
        return None
    members = dict(member.strip().partition("=")[::2] for member in rest.split(","))
    try:
        # An access key id may hold slashes of its own; the scope is the last four pieces.
        key_id, date, region, service, terminator = members["Credential"].rsplit("/", 4)
        signed_headers = tuple(members["SignedHeaders"].split(";"))
        given = members["Signature"]
    except (KeyError, ValueError):
        raise _refused("the authorization header lacks Credential, SignedHeaders or Signature") from None
    if terminator != "aws4_request":
        raise _refused("the credential scope must end with aws4_request")
    return Authorization(key_id, date, region, service, signed_headers, given)


def verify(parts: SignedParts, claim: Authorization, secret: str, now: float, service: str = "bedrock") -> None:
    """Checks the signature `claim` of a request as an AWS service does; returns when it holds.

    `secret` belongs to `claim.access_key_id`; `now` is in seconds since the epoch. The body's own hash is
    always part of what is checked: an unsigned payload is refused. Raises Refused (kind `authentication`).
    """
    if not _signed_with(secret, claim, _texts_to_sign(parts, claim, now, service)):
        raise _refused(_NO_MATCH)


def signing_secret(request: Request, secrets: Iterable[str], now: float, service: str = "bedrock") -> str | None:
    """The one of `secrets` that `request` was signed with; None when it does not use this scheme.

    For keys that are secrets without an id: the access key id may be anything. Every secret is tried, whichever
    matches. Raises Refused when none does.
    """
    claim = parse_authorization(request.headers.get("authorization", ""))
    if claim is None:
        return None
    headers = list(request.headers.items())
    parts = SignedParts(request.method, request.path, request.query, headers, request.body)
    texts = _texts_to_sign(parts, claim, now, service)
    matching = [secret for secret in secrets if _signed_with(secret, claim, texts)]
    if not matching:
        raise _refused(_NO_MATCH)
    return matching[0]


def _texts_to_sign(parts: SignedParts, claim: Authorization, now: float, service: str) -> list[tuple[Scope, str]]:
    """What the client may have signed, one for each spelling of the path. Raises Refused."""
    headers = {name.lower(): value for name, value in parts.headers}
    stamp = headers.get("x-amz-date", "")
    _check_claim(claim, stamp, now, service)
    body_hash = sha256(parts.body).hexdigest()
    if headers.get("x-amz-content-sha256", body_hash) != body_hash:
        raise _refused("x-amz-content-sha256 does not match the body")
    scope = Scope(stamp, claim.region, claim.service)
    return [
        (scope, string_to_sign(scope, canonical_request(parts, path, claim.signed_headers, body_hash)))
        for path in (canonical_path(spelling, claim.service) for spelling in _path_spellings(parts.path))
    ]


def _signed_with(secret: str, claim: Authorization, texts: list[tuple[Scope, str]]) -> bool:
    matches = False
    for scope, text in texts:
        expected = signature(secret, scope, text)
        matches |= hmac.compare_digest(expected.encode(), claim.signature.encode())
    return matches


def _check_claim(claim: Authorization, stamp: str, now: float, service: str) -> None:
    from calendar import timegm  # noqa: PLC0415  # for Bedrock's clients only; `strptime` loads it anyway

    try:
        signed_at = timegm(strptime(stamp, DATE_FORMAT))
    except ValueError:
        raise _refused("a signed request needs x-amz-date as YYYYMMDDTHHMMSSZ") from None
    if abs(now - signed_at) > MAX_SKEW_SECONDS:
        raise _refused(f"signature expired or not yet valid: signed at {stamp}, now is {amz_date(now)}")
    if claim.date != stamp[:8]:
        raise _refused("the date of the credential scope differs from x-amz-date")
    if claim.service != service:
        raise _refused(f"the credential scope must name the service {service!r}, not {claim.service!r}")
    if not {"host", "x-amz-date"} <= set(claim.signed_headers):
        raise _refused("host and x-amz-date must be signed")
    if list(claim.signed_headers) != sorted(set(claim.signed_headers)):
        raise _refused("the signed headers must be sorted")


def _path_spellings(path: str) -> Iterator[str]:
    """The path as it came, and as the client sent it where a front door decoded the model id in it."""
    yield path
    match = re.fullmatch(_MODEL_PATH, path)
    if match is not None:
        from urllib.parse import quote, unquote  # noqa: PLC0415  # for Bedrock's clients only

        encoded = f"/model/{quote(unquote(match[1]), safe='')}/{match[2]}"
        if encoded != path:
            yield encoded


def _refused(message: str) -> Refused:
    return Refused("authentication", message, status=403)
