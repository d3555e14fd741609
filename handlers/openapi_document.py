"""`/openapi.json`: every endpoint of the gateway, and `/docs`: the same for people."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter
from fastapi.openapi.utils import get_openapi
from starlette.requests import Request as WebRequest
from starlette.responses import HTMLResponse, JSONResponse

from core.version import VERSION
from handlers.api_faults import WORDS
from handlers.console_page import SECURITY_HEADERS
from handlers.docs_page import docs_page
from handlers.openapi_endpoints import endpoint_paths, shared_responses
from handlers.openapi_schemas import SCHEMAS

router = APIRouter(include_in_schema=False)

DESCRIPTION: Final = (
    "An LLM gateway with no servers: any client format in, any backend out. The same key works on every path, in "
    "whichever header a client sends it."
)

_SECURITY: Final = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    "api-key": {"type": "apiKey", "in": "header", "name": "api-key"},
    "x-goog-api-key": {"type": "apiKey", "in": "header", "name": "x-goog-api-key"},
}

# What FastAPI adds on its own: validation is answered with 400 here.
_UNUSED: Final = ("HTTPValidationError", "ValidationError")


@router.get("/openapi.json")
async def openapi(request: WebRequest) -> JSONResponse:
    """The document."""
    return JSONResponse(document_of(request.app), headers={"cache-control": "no-cache"})


@router.get("/docs")
async def docs(request: WebRequest) -> HTMLResponse:
    """The document as a page. It needs no script and nothing from elsewhere."""
    return HTMLResponse(docs_page(document_of(request.app)), headers={**SECURITY_HEADERS, "cache-control": "no-cache"})


def document_of(app: Any) -> dict[str, Any]:
    """The OpenAPI document of the application and of the table of endpoints; made once."""
    if app.openapi_schema is None:
        document = get_openapi(title="Skybridge", version=VERSION, description=DESCRIPTION, routes=app.routes)
        for operations in document["paths"].values():
            for method, operation in operations.items():
                _complete(method, operation)
        document["paths"] |= endpoint_paths()
        components = document["components"]
        components["schemas"] |= SCHEMAS
        components["responses"] = shared_responses()
        components["securitySchemes"] = _SECURITY
        for name in _UNUSED:
            components["schemas"].pop(name, None)
        document["security"] = [{name: []} for name in _SECURITY]
        app.openapi_schema = document
    schema: dict[str, Any] = app.openapi_schema
    return schema


def _complete(method: str, operation: dict[str, Any]) -> None:
    """The first sentence of its description as its summary, and the statuses that any operation of the API may answer
    with."""
    summary, stop, rest = " ".join(operation.get("description", "").split()).partition(". ")
    operation["summary"] = summary.removesuffix(".")
    operation["description"] = rest if stop else ""
    responses = operation["responses"]
    responses.pop("422", None)
    fault = {"application/json": {"schema": {"$ref": "#/components/schemas/FaultAnswer"}}}
    for status in (400, 401, 500, 503, *((413,) if method in ("post", "patch", "put") else ())):
        responses.setdefault(str(status), {"description": WORDS[status], "content": fault})
