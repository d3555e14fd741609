"""The web page and its files, from the folder `console` beside this module.

The page asks for one script, made of all modules (handlers.console_bundle), and one style sheet. It names its files
under `console/<version>/`, where the version is a digest of all of them: a browser keeps them for a year, and a new
release is never mixed with an old one. The same files without a version are revalidated by their entity tag.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request as WebRequest
from starlette.responses import Response as WebResponse

from core.errors import ClientFault
from core.slotted import slotted
from handlers.console_bundle import bundle

router = APIRouter(include_in_schema=False)

FOLDER: Final = Path(__file__).with_name("console")
PAGE: Final = "index.html"
# What stands for the version in the page as it is in the folder.
_VERSION_MARK: Final = "console/current/"
# The one script, and the module that it begins with; the one style sheet, and what it is made of.
SCRIPT: Final = "console.js"
_ENTRY: Final = "app.js"
STYLES: Final = "console.css"
_STYLES_OF: Final = ("base.css", "shell.css", "chat.css", "data.css")
# A script that is no module, because it runs before the first paint.
_BY_ITSELF: Final = "theme-boot.js"

_TYPES: Final[Mapping[str, str]] = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml; charset=utf-8",
}

# https://www.w3.org/TR/CSP3/: nothing inline, nothing from elsewhere, in nobody's frame.
CONTENT_SECURITY_POLICY: Final = "; ".join((
    "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data: blob:", "connect-src 'self'",
    "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
))  # fmt: skip
SECURITY_HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
# Of a script or a style only the browser's own checks matter; a picture might be opened by itself.
_FILE_HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "x-content-type-options": "nosniff",
}
_FOR_A_YEAR: Final = "public, max-age=31536000, immutable"
_REVALIDATED: Final = "no-cache"


@slotted(frozen=True)
class _File:
    """A file as it goes out."""

    content_type: str
    plain: bytes
    tag: str


@slotted(frozen=True)
class _Site:
    """All files by name ("views/usage.js"), the page and the bundles among them, and the version that they are
    together."""

    version: str
    files: Mapping[str, _File]


@cache
def read_site(folder: Path = FOLDER) -> _Site:
    """Reads and bundles the files, once in a process. Raises OSError where the package is incomplete."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix in _TYPES and path.is_file())
    bodies = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    modules = {name: body.decode() for name, body in bodies.items() if _is_module(name)}
    bodies[SCRIPT] = bundle(modules, _ENTRY).encode()
    bodies[STYLES] = b"\n".join(bodies[name] for name in _STYLES_OF)
    digest = sha256()
    for name, body in bodies.items():
        digest.update(f"{name} {len(body)} ".encode() + body)
    version = f"v-{digest.hexdigest()[:12]}"
    bodies[PAGE] = bodies[PAGE].replace(_VERSION_MARK.encode(), f"console/{version}/".encode())
    return _Site(version, {name: _make_file(name, body) for name, body in bodies.items()})


def _is_module(name: str) -> bool:
    return name.endswith(".js") and name != _BY_ITSELF


def _make_file(name: str, body: bytes) -> _File:
    return _File(_TYPES[Path(name).suffix], body, sha256(body).hexdigest()[:20])


@cache
def packed(plain: bytes) -> bytes:
    """A file's bytes compressed, when it is first asked for."""
    return gzip.compress(plain, 9, mtime=0)


@router.get("/")
async def page(request: WebRequest) -> WebResponse:
    """The page for browsers; other clients of `/` are answered by the gateway."""
    return _answer(request, read_site().files[PAGE], {**SECURITY_HEADERS, "cache-control": _REVALIDATED})


@router.get("/console/{name:path}")
async def file(request: WebRequest, name: str) -> WebResponse:
    """A file of the page, with or without a version before its name. Raises ClientFault (404)."""
    site = read_site()
    version, slash, rest = name.partition("/")
    versioned = bool(slash) and version.startswith("v-")
    found = site.files.get(rest if versioned else name)
    if found is None or found is site.files[PAGE]:
        raise ClientFault("not_found", f"The console has no file {name}.")
    # A page of another release asks for files of its own version: it gets these, but not for a year.
    caching = _FOR_A_YEAR if version == site.version else _REVALIDATED
    return _answer(request, found, {**_FILE_HEADERS, "cache-control": caching})


def _answer(request: WebRequest, found: _File, headers: dict[str, str]) -> WebResponse:
    packs = _takes_gzip(request.headers.get("accept-encoding", ""))
    tag = f'"{found.tag}{"-gzip" if packs else ""}"'
    headers |= {"etag": tag, "vary": "accept, accept-encoding"}
    known = (each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(","))
    if tag in known:
        return WebResponse(status_code=304, headers=headers)
    headers["content-type"] = found.content_type
    if packs:
        headers["content-encoding"] = "gzip"
    return WebResponse(packed(found.plain) if packs else found.plain, headers=headers)


def _takes_gzip(accepted: str) -> bool:
    """https://www.rfc-editor.org/rfc/rfc9110#field.accept-encoding: `gzip;q=0` refuses it."""
    for each in accepted.lower().split(","):
        coding, _, weight = each.partition(";")
        if coding.strip() in ("gzip", "*"):
            return weight.strip().replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
