"""Who is measured: the gateway, and the peers that can be run beside it, set up in .bench/ when asked."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.scenarios import MODELS

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / ".bench"
LITELLM, TENSORZERO, PORTKEY = PEERS / "litellm", PEERS / "tensorzero", PEERS / "portkey"
REQUIREMENTS = {LITELLM: "litellm[proxy]==1.106.2", TENSORZERO: "tensorzero==2026.6.0"}
PORTKEY_PACKAGE = "@portkey-ai/gateway@1.15.2"
# LiteLLM does not start without one, for loopback neither.
LITELLM_KEY = "sk-" + "0123456789abcdef" * 4


@dataclass(frozen=True)
class Place:
    """Where a candidate is started: the backend's port, its own port, and a folder for its files."""

    backend: int
    port: int
    folder: Path


@dataclass(frozen=True)
class Candidate:
    """One column of the report.

    `prepare` writes its files and may give more headers; `command` starts it; `port` reads its log for the port that
    it chose itself. `path` and `model` say how it is asked. `translates` is whether the pairs are measured too;
    `obstacle` tells why it cannot be measured, "" when it can.
    """

    name: str
    command: Callable[[Place], Sequence[str]]
    prepare: Callable[[Place], Sequence[str]] = lambda place: ()
    port: Callable[[Place, str], int | None] = lambda place, log: place.port
    environment: Mapping[str, str] = field(default_factory=dict)
    path: Callable[[str], str] = lambda path: path
    model: Callable[[str], str] = lambda name: name
    translates: bool = False
    start_seconds: float = 30.0
    obstacle: Callable[[], str] = lambda: ""
    installed: Callable[[], float | None] = lambda: None


def folder_megabytes(*folders: Path) -> float:
    """What the files of some folders hold together; a file with several names counts once."""
    sizes: dict[int, int] = {}
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                found = path.stat()
                sizes[found.st_ino] = found.st_size
    return sum(sizes.values()) / 1e6


# Skybridge


def _backends(port: int) -> dict[str, dict[str, str]]:
    """The fake backend, once in each format."""
    base = f"http://127.0.0.1:{port}"
    key = {"api_key": "bench"}
    return {
        "chat_completions": {"type": "openai-compatible", "base_url": f"{base}/v1", **key},
        "messages": {"type": "anthropic", "base_url": base, **key},
        "responses": {"type": "openai", "base_url": f"{base}/v1", "format": "responses", **key},
        "converse": {"type": "bedrock", "base_url": base, "format": "converse", "auth": "bearer", **key},
        "generate_content": {"type": "gemini", "base_url": base, **key},
    }


def _write_models(place: Place, more: Mapping[str, object]) -> None:
    models = {name: {"backend": name.split("/")[0], "api_model": name.split("/")[1]} for name in MODELS}
    document = {"backends": _backends(place.backend), "models": models, **more}
    (place.folder / "models.json").write_text(json.dumps(document))


def _prepare_gateway(place: Place) -> Sequence[str]:
    _write_models(place, {})
    return ()


def _prepare_accounts(place: Place) -> Sequence[str]:
    """Prices, limits for everyone, and a key with limits and a budget that are never reached."""
    prices = {name: {"input": 1, "output": 5} for name in MODELS} | {
        name.split("/")[1]: {"input": 1, "output": 5} for name in MODELS
    }
    _write_models(place, {"prices": prices, "quotas": {"everyone": {"tokens_per_day": 10**15}}})
    limits = {"requests_per_minute": 10**9, "tokens_per_minute": 10**13, "in_flight": 10**6, "usd_per_month": 10**6}
    command = [sys.executable, "-m", "handlers.cli", "keys", "create", "--owner", "bench",
               "--store", f"sqlite:{place.folder / 'store.sqlite3'}"]  # fmt: skip
    for name, value in limits.items():
        command += ["--limit", f"{name}={value}"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    found = re.search(r"\bsk-\S+", done.stdout)
    if found is None:
        raise RuntimeError(f"no key in {done.stdout!r}")
    return (f"authorization: Bearer {found[0]}",)


def _serve(place: Place) -> list[str]:
    return [sys.executable, "-m", "handlers.cli", "serve", "--port", str(place.port),
            "--config", str(place.folder / "models.json")]  # fmt: skip


def _serve_with_accounts(place: Place) -> list[str]:
    store = f"SKYBRIDGE_STORE=sqlite:{place.folder / 'store.sqlite3'}"
    return ["/usr/bin/env", store, *_serve(place)]


def _gateway_megabytes() -> float:
    """The Lambda package: what is deployed, unpacked."""
    target = PEERS / "package"
    command = [sys.executable, str(ROOT / "infra" / "aws" / "build.py"), "--installed", "--no-zip"]
    subprocess.run([*command, "--target", str(target)], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return folder_megabytes(target)


GATEWAY = Candidate(
    "Skybridge", _serve, _prepare_gateway, translates=True, installed=_gateway_megabytes
)
ACCOUNTS = Candidate("Skybridge with accounts", _serve_with_accounts, _prepare_accounts, translates=True)
RELAY = Candidate(
    "bench/relay.py",
    lambda place: [sys.executable, "-m", "uvicorn", "bench.relay:app", "--http", "httptools", "--loop", "uvloop",
                   "--port", str(place.port), "--no-access-log", "--log-level", "warning"],
    model=lambda name: name.split("/")[1],
)  # fmt: skip


# nginx: https://nginx.org/en/docs/http/ngx_http_proxy_module.html

_NGINX = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_max_body_size 20m; client_body_buffer_size 1m;
  client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
  uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
  keepalive_requests 1000000;
  upstream backend {{ server 127.0.0.1:{backend}; keepalive 256; keepalive_requests 1000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
    }}
  }}
}}
"""


def _prepare_nginx(place: Place) -> Sequence[str]:
    text = _NGINX.format(folder=place.folder, backend=place.backend, port=place.port)
    (place.folder / "nginx.conf").write_text(text)
    return ()


def _nginx_obstacle() -> str:
    if shutil.which("nginx") is None and os.environ.get("BENCH_PEERS") == "1" and os.geteuid() == 0:
        subprocess.run(["apt-get", "install", "--yes", "--quiet", "nginx-light"], check=False)
    return "" if shutil.which("nginx") else "nginx is not installed (Debian: nginx-light)"


NGINX = Candidate(
    "nginx",
    lambda place: ["nginx", "-c", str(place.folder / "nginx.conf"), "-p", str(place.folder)],
    _prepare_nginx,
    model=lambda name: name.split("/")[1],
    obstacle=_nginx_obstacle,
)


# LiteLLM: https://docs.litellm.ai/docs/proxy/configs


def _litellm_parameters(name: str, port: int) -> dict[str, Any]:
    backend, model = name.split("/")
    base = f"http://127.0.0.1:{port}"
    return {
        "chat_completions": {"model": f"openai/{model}", "api_base": f"{base}/v1", "api_key": "x"},
        "messages": {"model": f"anthropic/{model}", "api_base": base, "api_key": "x"},
        "responses": {"model": f"openai/responses/{model}", "api_base": f"{base}/v1", "api_key": "x"},
        "converse": {"model": f"bedrock/converse/{model}", "aws_bedrock_runtime_endpoint": base,
                     "aws_region_name": "us-east-1", "aws_access_key_id": "x", "aws_secret_access_key": "x"},
        "generate_content": {"model": f"gemini/{model}", "api_base": base, "api_key": "x"},
    }[backend]  # fmt: skip


def _prepare_litellm(place: Place) -> Sequence[str]:
    rows = [{"model_name": name, "litellm_params": _litellm_parameters(name, place.backend)} for name in MODELS]
    (place.folder / "litellm.json").write_text(json.dumps({"model_list": rows}))
    return (f"authorization: Bearer {LITELLM_KEY}",)


def _set_up_python(folder: Path, program: str) -> str:
    """Why a package of PyPI cannot be measured, "" when it can. BENCH_PEERS=1 sets it up where it is missing."""
    requirement = REQUIREMENTS[folder]
    if (folder / program).exists():
        return ""
    if os.environ.get("BENCH_PEERS") != "1":
        return "it is not set up. `BENCH_PEERS=1 make bench` does that"
    _make_peers_folder(requirement)
    with contextlib.suppress(subprocess.CalledProcessError):
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, requirement], check=True)
    return "" if (folder / program).exists() else f"{requirement} could not be installed"


def _make_peers_folder(what: str) -> None:
    PEERS.mkdir(exist_ok=True)
    (PEERS / ".gitignore").write_text("*\n")
    print(f"setting up {what}", file=sys.stderr)


LITELLM_PROXY = Candidate(
    "LiteLLM",
    lambda place: [str(LITELLM / "bin" / "litellm"), "--config", str(place.folder / "litellm.json"),
                   "--host", "127.0.0.1", "--port", str(place.port), "--num_workers", "1"],
    _prepare_litellm,
    environment={"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_MASTER_KEY": LITELLM_KEY},
    translates=True,
    start_seconds=120.0,
    obstacle=lambda: _set_up_python(LITELLM, "bin/litellm"),
    installed=lambda: folder_megabytes(*LITELLM.glob("lib/*/site-packages")),
)  # fmt: skip


# TensorZero: its Python package holds the gateway and starts it on a port of its own choice.
# https://www.tensorzero.com/docs/gateway/configuration-reference

_TENSORZERO_START = """
import signal, sys
from tensorzero import _start_http_gateway
gateway = _start_http_gateway(config_file=sys.argv[1], clickhouse_url=None, postgres_url=None, valkey_url=None,
                              async_setup=False)
print("listening", gateway.base_url, flush=True)
signal.pause()
"""


def _prepare_tensorzero(place: Place) -> Sequence[str]:
    lines = ["[gateway]", "observability.enabled = false"]
    for name in MODELS:
        if not name.startswith("chat_completions/"):
            continue
        knobs = name.split("/")[1]
        lines += [f'[models."{knobs}"]', 'routing = ["fake"]', f'[models."{knobs}".providers.fake]', 'type = "openai"',
                  f'model_name = "{knobs}"', f'api_base = "http://127.0.0.1:{place.backend}/v1"',
                  'api_key_location = "none"']  # fmt: skip
    (place.folder / "tensorzero.toml").write_text("\n".join(lines) + "\n")
    return ()


def _tensorzero_port(place: Place, log: str) -> int | None:
    found = re.search(r"listening http://[^:]+:(\d+)", log)
    return int(found[1]) if found else None


TENSORZERO_GATEWAY = Candidate(
    "TensorZero",
    lambda place: [str(TENSORZERO / "bin" / "python"), "-c", _TENSORZERO_START, str(place.folder / "tensorzero.toml")],
    _prepare_tensorzero,
    _tensorzero_port,
    path=lambda path: f"/openai{path}",
    model=lambda name: f"tensorzero::model_name::{name.split('/')[1]}",
    obstacle=lambda: _set_up_python(TENSORZERO, "bin/python"),
    installed=lambda: folder_megabytes(*TENSORZERO.glob("lib/*/site-packages/tensorzero")),
)


# Portkey: https://portkey.ai/docs/product/ai-gateway/configs

_PORTKEY_PROGRAM = "node_modules/@portkey-ai/gateway/build/start-server.js"


def _portkey_obstacle() -> str:
    if (PORTKEY / _PORTKEY_PROGRAM).exists():
        return ""
    if os.environ.get("BENCH_PEERS") != "1":
        return "it is not set up. `BENCH_PEERS=1 make bench` does that"
    _make_peers_folder(PORTKEY_PACKAGE)
    PORTKEY.mkdir(exist_ok=True)
    # Without a package.json of its own, npm would install into the project's folder.
    (PORTKEY / "package.json").write_text('{"private": true}\n')
    command = ["npm", "install", "--no-audit", "--no-fund", "--silent", "--no-package-lock", PORTKEY_PACKAGE]
    with contextlib.suppress(subprocess.CalledProcessError, FileNotFoundError):
        subprocess.run(command, cwd=PORTKEY, check=True)
    return "" if (PORTKEY / _PORTKEY_PROGRAM).exists() else f"{PORTKEY_PACKAGE} could not be installed"


PORTKEY_GATEWAY = Candidate(
    "Portkey",
    lambda place: ["node", str(PORTKEY / _PORTKEY_PROGRAM), f"--port={place.port}", "--headless"],
    lambda place: ("x-portkey-provider: openai", "authorization: Bearer x",
                   f"x-portkey-custom-host: http://127.0.0.1:{place.backend}/v1"),
    model=lambda name: name.split("/")[1],
    obstacle=_portkey_obstacle,
    installed=lambda: folder_megabytes(PORTKEY / "node_modules"),
)  # fmt: skip

CANDIDATES = (NGINX, GATEWAY, ACCOUNTS, LITELLM_PROXY, PORTKEY_GATEWAY, TENSORZERO_GATEWAY)
