"""One browser for the tests of a worker, and two real gateways: one open, one with keys, a store and a past."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

from core.bill import day_of, folder_of, usage_document
from core.usage import Cost, Usage, UsageRecord
from handlers.io.sqlite_store import SqliteStore
from tests.console.writer import Writer

ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = Path(__file__).with_name("screenshots")
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
# Shown on the page as a person types it, so it is no name that tests.leaks looks for.
KEY = "sk-console-tests-0123456789"
WIDE = {"width": 1360, "height": 860}
PHONE = {"width": 375, "height": 760}

expect.set_options(timeout=10_000)


class Gateway:
    """A gateway that serves: its address, and the key that it wants."""

    def __init__(self, url: str, key: str, writer: Writer) -> None:
        self.url = url
        self.key = key
        self.writer = writer

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON answer of the API; None for an empty one."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json", "authorization": f"Bearer {self.key}"}
        request = urllib.request.Request(f"{self.url}/api/v1/{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=20) as response:
            text = response.read()
        return json.loads(text) if text else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if Path(CHROMIUM).exists():
        return
    skip = pytest.mark.skip(reason="Debian's chromium is not installed: run tests/system_packages.sh")
    for item in items:
        if Path(item.fspath).parent == Path(__file__).parent and "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def writer() -> Iterator[Writer]:
    with Writer() as running:
        yield running


@pytest.fixture(scope="session")
def open_gateway(writer: Writer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """As `make run` serves it: the demo backend, no key, no store."""
    folder = tmp_path_factory.mktemp("open")
    shutil.copyfile(ROOT / "models.yaml", folder / "models.yaml")
    with _serving(folder, {}) as url:
        yield Gateway(url, "", writer)


@pytest.fixture(scope="session")
def gateway(writer: Writer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """With a key, a store that remembers a week of requests, and backends in every state."""
    folder = tmp_path_factory.mktemp("keyed")
    away = {"type": "openai-compatible", "base_url": "http://127.0.0.1:9/v1", "api_key": "none"}
    document = {
        "backends": {
            "demo": {"type": "demo"},
            "writer": {"type": "openai-compatible", "base_url": writer.url, "api_key": "none"},
            "away": away,
            "unset": {"type": "gemini"},
        },
        "models": {
            "demo": {"backend": "demo"},
            "claude-sonnet-4-5": {"backend": "demo"},
            "writer": {"backend": "writer"},
            "away": {"backend": "away"},
            "gemini-2.5-pro": {"backend": "unset"},
        },
    }
    (folder / "models.yaml").write_text(json.dumps(document), "utf-8")
    store = folder / "skybridge.db"
    with ThreadPoolExecutor(1) as apart:  # playwright's own loop may be running in this thread
        apart.submit(asyncio.run, _remember(store)).result()
    with _serving(folder, {"SERVICE_API_KEY": KEY, "SKYBRIDGE_STORE": f"sqlite:{store}"}) as url:
        yield Gateway(url, KEY, writer)


@pytest.fixture(scope="session")
def empty_gateway(writer: Writer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """With a key and a store in which there is nothing yet."""
    folder = tmp_path_factory.mktemp("empty")
    shutil.copyfile(ROOT / "models.yaml", folder / "models.yaml")
    store = f"sqlite:{folder / 'skybridge.db'}"
    with _serving(folder, {"SERVICE_API_KEY": KEY, "SKYBRIDGE_STORE": store}) as url:
        yield Gateway(url, KEY, writer)


@contextlib.contextmanager
def _serving(folder: Path, variables: dict[str, str]) -> Iterator[str]:
    """`skybridge serve` in `folder`, until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
    environment = {**kept, "PYTHONPATH": str(ROOT), "LOG_LEVEL": "error", "SKYBRIDGE_DEMO_PACE": "0", **variables}
    command = [sys.executable, "-m", "handlers.cli", "serve", "--port", str(port), "--grace", "0"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            url = f"http://127.0.0.1:{port}"
            _await_health(url, process, folder / "log")
            yield url
        finally:
            process.terminate()
            process.wait(20)


def _await_health(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/health", timeout=5):
            return
        time.sleep(0.05)
    raise AssertionError(f"the gateway did not come up: {log.read_text()}")


async def _remember(path: Path) -> None:
    """Puts a week of requests into the store at `path`."""
    store = SqliteStore(path)
    dice = random.Random(7)
    now = time.time()
    for back in range(7):
        day = now - 86_400 * back
        records = [_record(f"req_{back}_{index}", day, dice) for index in range(30)]
        documents = {each.request_id: usage_document(each, 0) for each in records}
        await store.write(folder_of(day_of(day)), documents, now + 86_400 * 30)
    await store.close()


def _record(request_id: str, day: float, dice: random.Random) -> UsageRecord:
    model, backend = dice.choice((("claude-sonnet-4-5", "bedrock"), ("gpt-5", "azure"), ("gpt-5-mini", "azure")))
    failed = dice.random() < 0.06
    tokens = dice.randrange(400, 9000), 0 if failed else dice.randrange(80, 1500)
    return UsageRecord(
        request_id, "generate", "messages", day, model=model, api_model=model, backend=backend,
        streamed=True, attempts=2 if dice.random() < 0.1 else 1, status=502 if failed else 200,
        outcome="failed" if failed else "complete", usage=Usage(tokens[0], tokens[1], cache_read_tokens=tokens[0] // 3),
        first_byte_seconds=None if failed else 0.2 + dice.random() ** 3 * 1.5, seconds=2 + dice.random() * 6,
        caller="key_a", key=f"key sk-sky-{dice.choice('ab')}1b2c3…", owner="team-a",
        cost=Cost(tokens[0] * 3_000_000, tokens[1] * 15_000_000),
    )  # fmt: skip


@pytest.fixture(scope="package")
def browser() -> Iterator[BrowserContext]:
    """One browser with one cache. It is closed when this folder's tests are over: as long as it is there, nothing else
    in the process can run an event loop."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield running.new_context(viewport=WIDE)
        running.close()


# Each page is a tab of its own: what an earlier one has left behind is gone, once.
FRESH = "if (!sessionStorage.getItem('fresh')) { localStorage.clear(); sessionStorage.setItem('fresh', 'yes'); %s }"
SIGNED_IN = "sessionStorage.setItem('skybridge.key', %s);"


type NewPage = Callable[..., Page]


class Watched:
    """What a page said that it should not have."""

    def __init__(self) -> None:
        self.troubles: list[str] = []
        self.allowed: list[str] = []

    def listen(self, page: Page) -> None:
        page.on("console", lambda message: self._note(message.type, message.text))
        page.on("pageerror", lambda error: self._note("error", str(error)))
        page.on("dialog", lambda dialog: (self._note("error", f"dialog: {dialog.message}"), dialog.dismiss()))

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.troubles.append(text)

    def unexpected(self) -> list[str]:
        return [text for text in self.troubles if not any(re.search(pattern, text) for pattern in self.allowed)]


@pytest.fixture
def watched() -> Watched:
    """Tests that provoke an error of the API allow the browser's line about it."""
    return Watched()


@pytest.fixture
def new_page(browser: BrowserContext, watched: Watched) -> Generator[NewPage]:
    """Opens a page: `new_page(gateway, "#/usage", scheme="dark", viewport=PHONE, signed_in=False)`. At the end nothing
    may have been written to the browser's console."""
    pages: list[Page] = []

    def make(
        gateway: Gateway, route: str = "", *, scheme: str = "light", viewport: Any = WIDE, signed_in: bool = True
    ) -> Page:
        page = browser.new_page()
        pages.append(page)
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size(viewport)
        page.add_init_script(FRESH % (SIGNED_IN % json.dumps(gateway.key) if signed_in and gateway.key else ""))
        watched.listen(page)
        page.goto(f"{gateway.url}/{route}")
        return page

    yield make
    for page in pages:
        page.close()
    assert not watched.unexpected(), watched.unexpected()


@pytest.fixture
def page(new_page: NewPage, gateway: Gateway) -> Page:
    """The playground of the gateway that remembers, signed in."""
    return new_page(gateway)


def shoot(page: Page, name: str) -> None:
    """Writes a screenshot, for people."""
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png")


def ask(page: Page, text: str) -> None:
    """Types a message and sends it."""
    page.get_by_label("Message", exact=True).fill(text)
    page.keyboard.press("Enter")


def choose_model(page: Page, name: str) -> None:
    """Finds a model in the picker and takes it."""
    page.locator(".picker-button").first.click()
    page.get_by_role("combobox", name="Search models").fill(name)
    page.keyboard.press("Enter")
    expect(page.locator(".picker-name").first).to_have_text(name)


def finished(page: Page, count: int = 1) -> Any:
    """The last of `count` answers, once it is complete."""
    answers = page.locator(".turn-answer:not([aria-busy])")
    expect(answers).to_have_count(count)
    return answers.last
