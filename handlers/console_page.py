"""The web page and its files, as they are in the folder `console` beside this module."""

from __future__ import annotations

from mimetypes import guess_type
from pathlib import Path

from fastapi import APIRouter
from starlette.responses import Response as WebResponse

from core.errors import ClientFault

router = APIRouter(include_in_schema=False)

FOLDER = Path(__file__).with_name("console")


@router.get("/")
async def page() -> WebResponse:
    """The page for browsers; other clients of `/` are answered by the gateway."""
    return _file("index.html")


@router.get("/console/{name}")
async def file(name: str) -> WebResponse:
    """A file of the page. Raises ClientFault (404)."""
    return _file(name)


def _file(name: str) -> WebResponse:
    path = FOLDER / name
    if path.parent != FOLDER or not path.is_file():
        raise ClientFault("not_found", f"The console has no file {name}.")
    return WebResponse(path.read_bytes(), media_type=guess_type(name)[0] or "application/octet-stream")
