"""Runs the real Azure Functions worker (azure-functions-runtime) in a process of its own.

`python azure_worker.py SOCKET_FD`: one JSON object a line, `{"id", "name", "request"}` in and
`{"id", "response"}` out. It stands where Azure's proxy worker stands, with plain objects in place of the
protobuf classes. The name `inspect` is no worker request: it tells the tests what the worker holds.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import sys
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any


class Record(SimpleNamespace):
    """Any protobuf message: its fields are attributes, and a oneof is told by the one that is there."""

    def WhichOneof(self, group: str) -> str | None:
        del group
        return next(iter(vars(self)), None)


class Parameter(Record):
    """ParameterBinding: `name` is no member of its oneof `rpc_data`."""

    def WhichOneof(self, group: str) -> str | None:
        del group
        return "data"


class Messages:
    """The worker's `protos`: every message class by its name, and the enumerations that the worker reads."""

    BindingInfo = type("BindingInfo", (Record,), {"in": 0, "out": 1, "inout": 2, "undefined": 0})
    StatusResult = type("StatusResult", (Record,), {"Failure": 0, "Success": 1, "Cancelled": 2})

    def __getattr__(self, name: str) -> type[Record]:
        return type(name, (Record,), {})


def to_json(value: Any) -> Any:
    """A message's fields, as deep as they go."""
    if isinstance(value, Record):
        return {name: to_json(member) for name, member in vars(value).items()}
    if isinstance(value, dict):
        return {name: to_json(member) for name, member in value.items()}
    if isinstance(value, list):
        return [to_json(member) for member in value]
    return value


def invocation(request: dict[str, Any]) -> Record:
    """An InvocationRequest of HTTP V2: the route's parameters, nothing of the HTTP request itself."""
    http = Record(method="", url="", headers={}, body=Record(), params=request["params"], query={})
    trigger = Parameter(name=request["trigger"], data=Record(http=http))
    return Record(
        invocation_id=request["invocation_id"],
        function_id=request["function_id"],
        input_data=[trigger],
        trigger_metadata={},
        trace_context=Record(trace_parent="", trace_state="", attributes={}),
        retry_context=Record(retry_count=0, max_retry_count=0, exception=None),
    )


async def ask_worker(runtime: Any, name: str, request: dict[str, Any]) -> Any:
    """Hands one request to the worker and gives its response."""
    content = invocation(request) if name == "invocation_request" else Record(**request)
    envelope = Record(
        name=name,
        request=Record(**{name: content}),
        properties={"protos": Messages(), "host": "127.0.0.1"},
    )
    return to_json(await getattr(runtime, name)(envelope))


def inspection() -> dict[str, Any]:
    """What the worker holds, and what of the project it has loaded."""
    from azure_functions_runtime.http_v2 import http_coordinator

    return {
        "context_references": len(http_coordinator._context_references),
        "tasks": len(asyncio.all_tasks()),
        "modules": sorted(sys.modules),
        "function_app": getattr(sys.modules.get("function_app"), "__file__", None),
        "core": getattr(sys.modules.get("core"), "__file__", None),
        "path": sys.path,
        "kept_log": HOST_LOG.kept,
    }


# The invocation whose task this is, as Azure's proxy worker tells it with each log line.
INVOCATION: ContextVar[str] = ContextVar("invocation", default="")


class HostLog(logging.Handler):
    """What the host keeps of the worker's log: lines of users' loggers that belong to an invocation under way."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.executing: set[str] = set()
        self.kept: list[list[str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        if INVOCATION.get() in self.executing and not record.name.startswith("azure_functions"):
            self.kept.append([record.levelname, record.name, record.getMessage()])


HOST_LOG = HostLog()


async def main(descriptor: int) -> None:
    import azure_functions_runtime as runtime

    logging.basicConfig(level=logging.INFO)
    logging.getLogger().handlers[0].setLevel(os.environ.get("WORKER_LOG_LEVEL", "ERROR"))
    logging.getLogger().addHandler(HOST_LOG)
    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=descriptor))
    running: set[asyncio.Task[None]] = set()

    async def serve(message: dict[str, Any]) -> None:
        if message["name"] == "inspect":
            response = inspection()
        else:
            invocation_id = message["request"].get("invocation_id", "")
            INVOCATION.set(invocation_id)
            HOST_LOG.executing.add(invocation_id or "none")
            response = await ask_worker(runtime, message["name"], message["request"])
            HOST_LOG.executing.discard(invocation_id)
        writer.write(json.dumps({"id": message["id"], "response": response}).encode() + b"\n")

    while line := await reader.readline():
        task = asyncio.create_task(serve(json.loads(line)))
        running.add(task)
        task.add_done_callback(running.discard)


if __name__ == "__main__":
    # Where Azure puts the app and what its remote build installed.
    root = os.environ["AzureWebJobsScriptRoot"]  # noqa: SIM112  # the host spells it so
    sys.path[:0] = [root, os.path.join(root, ".python_packages", "lib", "site-packages")]
    asyncio.run(main(int(sys.argv[1])))
