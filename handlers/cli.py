"""The command line: `skybridge serve`, `check`, `doctor`, `keys`, `usage` and `bench`."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TextIO

from core.configuration import ConfigurationError
from core.errors import NotConfigured
from core.ports import StoreFault
from core.routing.registry import Registry
from handlers.cli_options import LOCAL_STORE, duration, port
from handlers.io.log import put

# As many of the models' names as a start says.
_SHOWN_NAMES = 12
# What shells call a process that SIGINT ended, and one that wrote to a pipe that nobody reads (`| head`).
INTERRUPTED, UNREAD = 130, 141
BENCH = Path(__file__).resolve().parents[1] / "bench"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command. Gives 0 on success, 1 when something is wrong, 2 for unusable arguments, 130 when interrupted
    before it was done, 141 when nobody reads what it says."""
    _open_streams()
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser(serves=bool(arguments) and arguments[0] in ("serve", "check")).parse_args(arguments)
    commands = {
        "serve": _serve, "check": _check, "doctor": _doctor, "keys": _accounts, "usage": _accounts, "bench": _bench,
    }  # fmt: skip
    try:
        status = commands[options.command](options)
        sys.stdout.flush()
    except (ConfigurationError, NotConfigured) as error:
        status = _failed(error)
    except KeyboardInterrupt:
        status = INTERRUPTED
    except BrokenPipeError:
        status = UNREAD
    except OSError as error:
        status = _failed(error)
    _let_go(sys.stdout)
    _let_go(sys.stderr)
    return status


def _failed(error: Exception) -> int:
    put(sys.stderr, f"skybridge: {error}\n")
    return 1


def _open_streams() -> None:
    """A process may be started without them (`2>&-`); the next file that it opened would have their numbers."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  # open as long as the process


def _let_go(stream: TextIO) -> None:
    """What a stream still holds that cannot be written would fail once more when the interpreter ends."""
    try:
        stream.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _parser(*, serves: bool) -> argparse.ArgumentParser:
    """The parser. A process that `serves` does not load what the other commands are made of."""
    parser = argparse.ArgumentParser(prog="skybridge", description="An LLM gateway with no servers.")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="serve the gateway on this machine")
    serve.add_argument("--host", default="127.0.0.1", help="address to bind to (default: %(default)s)")
    serve.add_argument("--port", type=port, default=8000, help="port; 0 takes a free one (default: %(default)s)")
    serve.add_argument("--grace", type=duration, default=25.0, help="seconds for streams at SIGTERM (%(default)s)")
    serve.add_argument("--store", help="where sessions and usage are kept, without asking for keys (sqlite:PATH)")
    serve.add_argument("--faults", action="store_true", help="obey x-skybridge-fault headers (SKYBRIDGE_FAULTS=1)")
    check = commands.add_parser("check", help="check a configuration without serving it")
    for command in (serve, check):
        command.add_argument(
            "--config", help="models.yaml or router JSON (default: MODEL_CONFIG_PATH, PROXY_BACKEND..., models.yaml)"
        )
    others: list[argparse.ArgumentParser] = []
    if not serves:
        others = import_module("handlers.accounts_cli").add_commands(commands)
        others.append(import_module("handlers.doctor").add_command(commands))
    for command in (serve, check, *others):
        command.add_argument("--env", metavar="NAME", help="read .env.NAME instead of .env")
    commands.add_parser("bench", help="measure the gateway beside others, as `make bench` does")
    return parser


def _bench(options: argparse.Namespace) -> int:
    if not BENCH.is_dir():
        raise ConfigurationError("bench", "only a checkout of the source has it; this is a built package")
    return subprocess.run([sys.executable, "-m", "bench.run"], cwd=BENCH.parent, check=False).returncode


def _accounts(options: argparse.Namespace) -> int:
    from handlers.accounts_cli import run  # noqa: PLC0415  # loaded by the parser of these commands

    return run(options, _environment(options))


def _doctor(options: argparse.Namespace) -> int:
    from handlers.doctor import run  # noqa: PLC0415  # loaded by the parser of this command

    variables = _environment(options)
    _validate(options, variables)
    return run(options, variables)


def _serve(options: argparse.Namespace) -> int:
    from handlers import local  # noqa: PLC0415  # `check` needs no server
    from handlers.composition import compose  # noqa: PLC0415

    variables = _environment(options)
    if options.faults:
        variables["SKYBRIDGE_FAULTS"] = "1"
    _validate_apart(options, variables)
    composition = compose(variables, options.config, local=True, default_store=_store(options.store, variables))
    if composition.gateway.rules.open and options.host not in local.LOOPBACK:
        raise NotConfigured(
            f"SERVICE_API_KEY is not set: without a key the gateway serves loopback only, not {options.host}."
        )
    key = "open to this machine only: no SERVICE_API_KEY is set" if composition.gateway.rules.open else "key required"
    host = f"[{options.host}]" if ":" in options.host else options.host
    put(sys.stderr, f"Skybridge on http://{host}:{options.port} ({key}), {composition.source}\n")
    put(sys.stderr, f"Models: {_some(composition.gateway.configuration.registry.names)}\n")
    local.serve(composition, options.host, options.port, options.grace)
    return 0


def _store(named: str | None, variables: dict[str, str]) -> str:
    """Where sessions and usage are kept without asking for keys; "" for nowhere. Where this folder's own store has
    keys, SKYBRIDGE_STORE is set to it: nobody is let in without one. Raises ConfigurationError for a SQLite file
    that cannot be used, which is better told now than with each request."""
    chosen = variables.get("SKYBRIDGE_STORE")
    if not chosen and Path(LOCAL_STORE.partition(":")[2]).is_file():
        named = named or LOCAL_STORE
        if _holds_keys(LOCAL_STORE):
            variables["SKYBRIDGE_STORE"] = LOCAL_STORE
    reference = chosen or named or ""
    if reference.startswith("sqlite:") and reference != "sqlite:":
        _holds_keys(reference)
    return named or ""


def _some(names: Sequence[str]) -> str:
    """The first names of a list that may be long: a form of configuration knows every name of Claude's."""
    more = len(names) - _SHOWN_NAMES
    return (", ".join(names[:_SHOWN_NAMES]) or "none") + (f" and {more} more" if more > 0 else "")


def _holds_keys(reference: str) -> bool:
    """Whether `skybridge keys` or the console has made keys in a SQLite file, which is made where there is none."""
    import asyncio  # noqa: PLC0415  # only where there is a store

    from handlers.callers import KEYS  # noqa: PLC0415
    from handlers.io.sqlite_store import SqliteStore  # noqa: PLC0415

    async def look() -> bool:
        store = SqliteStore(Path(reference.partition(":")[2]))
        try:
            return bool(await store.read_page(KEYS, "", 1))
        finally:
            await store.close()

    try:
        return asyncio.run(look())
    except StoreFault as fault:
        remedy = "Name a file that may be written: --store, or SKYBRIDGE_STORE"
        raise ConfigurationError("", f"{fault}. {remedy}.") from fault


def _check(options: argparse.Namespace) -> int:
    from handlers.composition import find_configuration  # noqa: PLC0415  # `serve` needs it in a process of its own

    variables = _environment(options)
    problems = _validate(options, variables)
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        found = find_configuration(variables, options.config)[1]
        print(f"The configuration is valid: {found or 'it stands in the environment'}.")
    return 1 if problems else 0


def _validate_apart(options: argparse.Namespace, variables: dict[str, str]) -> None:
    """Runs `check` in a process of its own: what it imports would double the memory of the one that serves."""
    arguments = [sys.executable, "-m", "handlers.cli", "check"]
    arguments += ["--config", options.config] if options.config else []
    arguments += ["--env", options.env] if options.env else []
    root = str(Path(__file__).resolve().parents[1])
    environment = {**os.environ, **variables, "PYTHONPATH": root}
    checked = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if checked.returncode:
        raise ConfigurationError("", checked.stderr.strip().removeprefix("skybridge: "))
    if checked.stderr:
        put(sys.stderr, checked.stderr)


def _validate(options: argparse.Namespace, variables: dict[str, str]) -> list[str]:
    from core.forms import chosen_configuration  # noqa: PLC0415
    from handlers.composition import find_configuration  # noqa: PLC0415
    from handlers.configuration_check import check_file, check_variables  # noqa: PLC0415  # pydantic
    from handlers.io.configuration_files import configuration_path  # noqa: PLC0415

    named = options.config or variables.get("MODEL_CONFIG_PATH")
    path = configuration_path(variables, options.config)
    in_file = path is not None and (named or chosen_configuration(variables) is None)
    problems = check_file(Path(path), variables) if path is not None and in_file else []
    if not problems:
        configuration = find_configuration(variables, options.config)[0]
        absent = _absent(configuration.registry) if in_file else []
        for warning in (*configuration.warnings, *absent, *check_variables(variables)):
            print(f"warning: {warning}", file=sys.stderr)
    return problems


def _absent(registry: Registry) -> list[str]:
    """What a file's backends lack. It is no mistake in the file: another environment may have it."""
    lacking = [backend for backend in registry.backends.values() if backend.missing]
    return [f"backend {each.name}: {each.missing}; requests to it are answered with a 503" for each in lacking]


def _environment(options: argparse.Namespace) -> dict[str, str]:
    from handlers.io.configuration_files import merged_environment  # noqa: PLC0415

    variables = merged_environment(options.env)
    os.environ.update(variables)
    return variables


if __name__ == "__main__":
    sys.exit(main())
