"""The streaming door on AWS Lambda: `python -m handlers.aws_streaming`, where the managed runtime's loop was.

The managed Python runtime does not stream, so the function's AWS_LAMBDA_EXEC_WRAPPER starts this module
instead of /var/runtime/bootstrap.py. It keeps what that did: the import path, init errors, SnapStart, the
trace id; and asks for AWS_LAMBDA_MAX_CONCURRENCY invocations at once, in one process. SKYBRIDGE_RESPONSE_MODE
(auto, streaming, buffered) overrides what the events tell about their front: `streaming` for a REST API that
is set to stream, `buffered` for a function URL that is not.
"""

from __future__ import annotations

import gc

from handlers.deferred import defer

if __name__ == "__main__":
    gc.disable()  # nothing that start-up makes is garbage; looking for it costs a tenth of the start
    defer()

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping, MutableMapping

from handlers.aws_invocation import App, Handler, guarded
from handlers.aws_runtime_api import Invocation, RuntimeApi, RuntimeApiFault, error_document
from handlers.io.clock import SystemClock
from handlers.io.lambda_log import CURRENT, ColdStart, LambdaInvocation, LambdaLog

type CreateApp = Callable[[], App]

LAYER_PATHS = ("/opt/python/lib/python3.13/site-packages", "/opt/python")
# The managed runtime's exit codes for a failed SnapStart hook before the snapshot and after the restore.
EXIT_BEFORE_SNAPSHOT = 64
EXIT_AFTER_RESTORE = 65
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
PROVISIONED = "provisioned-concurrency"
# Seconds, as the managed runtime waits in its multi-concurrent mode.
NEXT_PAUSES = (0.1, 0.2, 0.4, 0.8)


def main() -> None:
    """Serves the gateway until the platform ends the process."""
    set_import_path(sys.path, os.environ)
    sys.exit(run(_create_gateway, os.environ))


def _create_gateway() -> App:
    from handlers.asgi import create_app  # noqa: PLC0415 what goes wrong in this import is an init error

    return create_app()


def run(create_app: CreateApp, environment: MutableMapping[str, str]) -> int:
    """Serves the app that `create_app` makes; returns the process's exit code."""
    return asyncio.run(Runtime(create_app, environment).serve())


def set_import_path(path: list[str], environment: Mapping[str, str]) -> None:
    """bootstrap.py's order: the function, then layers, then Python, then what the managed runtime brings."""
    front = [environment["LAMBDA_TASK_ROOT"]] if "LAMBDA_TASK_ROOT" in environment else []
    if "PYTHONPATH" not in environment:
        front += LAYER_PATHS
    back = [environment.get("LAMBDA_RUNTIME_DIR", "/var/runtime")]
    path[:] = [*front, *(entry for entry in path if entry not in front + back), *back]


def response_mode(environment: Mapping[str, str]) -> str:
    """auto, streaming or buffered. `sam local` never streams. Raises ValueError for any other word."""
    if environment.get("AWS_SAM_LOCAL") == "true":
        return "buffered"
    mode = environment.get("SKYBRIDGE_RESPONSE_MODE") or "auto"
    if mode not in ("auto", "streaming", "buffered"):
        raise ValueError(f"SKYBRIDGE_RESPONSE_MODE is {mode!r}: expected auto, streaming or buffered")
    return mode


def concurrency(environment: Mapping[str, str]) -> int:
    """How many invocations this environment takes at once: more than one on Managed Instances only."""
    count = environment.get("AWS_LAMBDA_MAX_CONCURRENCY", "")
    return max(1, int(count)) if count.isdigit() else 1


def log(level: str, event: str, /, **fields: object) -> None:
    """One line of the door's own, in the shape of the gateway's."""
    LambdaLog(SystemClock(), "info", os.environ, depth=2).event(level, event, **fields)


class Runtime:
    """The life of one execution environment: init, restore, invocations, the end."""

    def __init__(self, create_app: CreateApp, environment: MutableMapping[str, str]) -> None:
        self._create_app = create_app
        self._environment = environment
        self._address = environment["AWS_LAMBDA_RUNTIME_API"]
        self._concurrency = concurrency(environment)
        self._stopping = False
        self._idle: set[asyncio.Task[None]] = set()
        self._cold = ColdStart(environment)
        self._handler: Handler | None = None
        self._warm: Callable[[], None] | None = None

    async def serve(self) -> int:
        """Runs until SIGTERM (0) or until the Runtime API cannot be asked any more (1)."""
        api = RuntimeApi(self._address)
        fault = await guarded(self._make_handler(), None)
        if fault is not None:
            return await self._give_up(api, "/init/error", error_document(fault), 1)
        if self._environment.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
            code = await self._restore(api)
            if code:
                return code
        self._take_warm_work()
        gc.freeze()
        gc.enable()
        return await self._poll_all()

    def _take_warm_work(self) -> None:
        """An app may have work for which the environment should not be held up, but that is good to have done: it is
        done while the first question is under way; where environments are made in advance (and frozen as soon as
        they have asked), before it."""
        assert self._handler is not None
        self._warm = getattr(self._handler.app, "warm", None)
        if self._warm is not None and self._environment.get("AWS_LAMBDA_INITIALIZATION_TYPE") == PROVISIONED:
            self._warm()
            self._warm = None

    async def _make_handler(self) -> None:
        self._handler = Handler(self._create_app(), response_mode(self._environment), log)

    async def _give_up(self, api: RuntimeApi, path: str, error: dict[str, object], code: int) -> int:
        log("error", f"reported to {path}", **error)
        fault = await guarded(api.report(path, error), None)
        if fault is not None:
            log("error", "the Runtime API did not take the report", **error_document(fault))
        return code

    async def _restore(self, api: RuntimeApi) -> int:
        """SnapStart: this process is written to disk, and continues in many environments later.

        The app that was made before is thrown away with all that it had opened, read or drawn by lot.
        """
        fault = await guarded(run_hooks("get_before_snapshot", newest_first=True), None)
        if fault is None:
            fault = await guarded(api.restore_next(), None)
        if fault is not None:
            error = {**error_document(fault), "errorType": "Runtime.BeforeSnapshotError"}
            return await self._give_up(api, "/init/error", error, EXIT_BEFORE_SNAPSHOT)
        api.close()
        renew_randomness()
        fault = await guarded(run_hooks("get_after_restore", newest_first=False), None)
        if fault is None:
            fault = await guarded(self._make_handler(), None)
        if fault is not None:
            error = {**error_document(fault), "errorType": "Runtime.AfterRestoreError"}
            return await self._give_up(api, "/restore/error", error, EXIT_AFTER_RESTORE)
        return 0

    async def _poll_all(self) -> int:
        loop = asyncio.get_running_loop()
        # Not loop.add_signal_handler, which loads `inspect` to look at what it is given.
        previous = signal.signal(signal.SIGTERM, lambda *_: loop.call_soon_threadsafe(self.stop))
        try:
            return await self._poll_until_stopped()
        finally:
            signal.signal(signal.SIGTERM, previous)

    async def _poll_until_stopped(self) -> int:
        pollers = [asyncio.create_task(self._poll(first=number == 0)) for number in range(self._concurrency)]
        await asyncio.wait(pollers, return_when=asyncio.FIRST_EXCEPTION)
        self.stop()
        await asyncio.wait(pollers)
        await self._finish()
        faults = [poller.exception() for poller in pollers if not poller.cancelled()]
        for fault in filter(None, faults):
            log("error", "the runtime loop ended", **error_document(fault))
        return 1 if any(faults) else 0

    async def _finish(self) -> None:
        """Has the app write what it still holds."""
        assert self._handler is not None
        finish = getattr(self._handler.app, "finish", None)
        fault = None if finish is None else await guarded(finish(), None)
        if fault is not None:
            log("error", "the last work failed", **error_document(fault))

    def stop(self) -> None:
        """SIGTERM, or a poller that failed: who waits for an invocation stops at once, who has one answers it first."""
        self._stopping = True
        for poller in self._idle:
            poller.cancel()

    async def _poll(self, *, first: bool) -> None:
        handler = self._handler
        assert handler is not None
        poller = asyncio.current_task()
        assert poller is not None
        api = RuntimeApi(self._address)
        warm = self._warm if first else None
        try:
            while not self._stopping:
                self._idle.add(poller)
                invocation = await self._next(api, warm)
                self._idle.discard(poller)
                warm = None
                self._set_trace_id(invocation.trace_id)
                CURRENT.set(
                    LambdaInvocation(
                        invocation.id, invocation.function_arn, invocation.trace_id or "", self._cold.take()
                    )
                )
                await handler.handle(api, invocation)
        finally:
            api.close()

    async def _next(self, api: RuntimeApi, warm: Callable[[], None] | None) -> Invocation:
        """An invocation. One of many pollers asks again for a while before it ends the others."""
        for pause in NEXT_PAUSES if self._concurrency > 1 else ():
            try:
                return await api.next(warm)
            except RuntimeApiFault as fault:
                log("warning", "asking for the next invocation failed", errorMessage=str(fault))
                await asyncio.sleep(pause)
        return await api.next(warm)

    def _set_trace_id(self, trace_id: str | None) -> None:
        """The X-Ray SDKs read the environment; with several invocations at once only the scope can tell."""
        if trace_id is None or self._concurrency > 1:
            self._environment.pop("_X_AMZN_TRACE_ID", None)
        else:
            self._environment["_X_AMZN_TRACE_ID"] = trace_id


async def run_hooks(getter: str, *, newest_first: bool) -> None:
    """Runs what was registered with snapshot_restore_py, if anything imported it."""
    registry = sys.modules.get("snapshot_restore_py")
    if registry is not None:
        hooks = list(getattr(registry, getter)())
        for function, arguments, named in reversed(hooks) if newest_first else hooks:
            function(*arguments, **named)


def renew_randomness() -> None:
    """No two environments that come from one snapshot may draw the same numbers."""
    random = sys.modules.get("random")
    if random is not None:
        random.seed()
    ssl = sys.modules.get("ssl")
    if ssl is not None:
        ssl.RAND_add(os.urandom(64), 64.0)


if __name__ == "__main__":
    main()
