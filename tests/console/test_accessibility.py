"""axe-core finds nothing serious in any view, light or dark; screen readers are told politely how it goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.console.conftest import PHONE, ROOT, Gateway, NewPage, Page, ask, choose_model, expect, finished, shoot

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"

pytestmark = pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed: run npm install")

VIEWS = ("playground", "compare", "sessions", "usage", "backends", "keys")


def violations(page: Page) -> list[str]:
    """What axe-core finds that is serious or critical, with where."""
    page.evaluate(AXE.read_text("utf-8") if page.evaluate("typeof axe === 'undefined'") else "0")
    found: dict[str, Any] = page.evaluate(
        "axe.run(document, {resultTypes: ['violations'], rules: {'color-contrast': {enabled: true}}})"
    )
    return [
        f"{each['id']}: {node['html'][:160]} {node['failureSummary'][:300]}"
        for each in found["violations"] if each["impact"] in ("serious", "critical") for node in each["nodes"]
    ]  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_a_view_has_no_serious_violation(new_page: NewPage, gateway: Gateway, view: str, scheme: str):
    page = new_page(gateway, f"#/{view}", scheme=scheme)
    expect(page.locator(".loading")).to_have_count(0)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    PREPARE.get(view, lambda page: None)(page)
    shoot(page, f"{scheme}-{view}")
    assert violations(page) == []


def _converse(page: Page) -> None:
    choose_model(page, "writer")
    ask(page, "markdown please")
    finished(page)
    ask(page, "reason about it")
    finished(page, 2)
    ask(page, "tool please")
    answer = finished(page, 3)
    answer.get_by_text("Timing and response headers").click()
    page.locator(".fold:not([hidden]) > summary", has_text="Reasoning").click()
    page.get_by_role("button", name="Settings").click()


def _compare(page: Page) -> None:
    page.get_by_label("Prompt", exact=True).fill("Hello")
    page.keyboard.press("Enter")
    expect(page.locator(".turn-answer:not([aria-busy])")).to_have_count(2)


def _usage(page: Page) -> None:
    cost = page.get_by_role("region", name="Cost", exact=True)
    cost.get_by_text("Show as a table").click()
    cost.locator("svg").focus()
    page.keyboard.press("ArrowRight")


def _keys(page: Page) -> None:
    page.get_by_role("button", name="New key").click()
    page.get_by_role("dialog").get_by_label("Owner").fill("team-b")
    page.get_by_role("button", name="Create key").click()
    page.get_by_role("button", name="I have copied it").click()
    expect(page.locator("tbody tr").first).to_be_visible()


PREPARE = {"playground": _converse, "compare": _compare, "usage": _usage, "keys": _keys}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_dialogs_pickers_errors_and_sign_in_have_none_either(
    new_page: NewPage, gateway: Gateway, open_gateway: Gateway, watched: Any, scheme: str
):
    watched.allowed.append("Failed to load resource")
    page = new_page(gateway, "#/keys", scheme=scheme)
    page.get_by_role("button", name="New key").click()
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.goto(f"{gateway.url}/#/playground")
    choose_model(page, "gemini-2.5-pro")
    ask(page, "Hello?")
    expect(page.get_by_role("alert")).to_be_visible()
    page.locator(".picker-button").click()
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Code").click()
    assert violations(page) == []
    page = new_page(gateway, signed_in=False, scheme=scheme)
    expect(page.get_by_label("Key", exact=True)).to_be_visible()
    assert violations(page) == []
    page = new_page(open_gateway, "#/sessions", scheme=scheme)
    expect(page.locator(".setup")).to_be_visible()
    assert violations(page) == []


def test_a_phone_has_none_either(new_page: NewPage, gateway: Gateway):
    page = new_page(gateway, viewport=PHONE)
    for view in VIEWS:
        page.goto(f"{gateway.url}/#/{view}")
        expect(page.get_by_role("heading", level=1)).to_have_count(1)
        expect(page.locator(".loading")).to_have_count(0)
        assert violations(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_documentation_has_none_either(new_page: NewPage, open_gateway: Gateway, scheme: str):
    page = new_page(open_gateway, scheme=scheme)
    page.get_by_role("link", name="API docs").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Skybridge API")
    page.locator("details > summary").first.click()
    shoot(page, f"{scheme}-docs")
    assert violations(page) == []


def test_streaming_is_told_politely(new_page: NewPage, gateway: Gateway):
    page = new_page(gateway)
    choose_model(page, "writer")
    log = page.get_by_role("log", name="Conversation")
    announcer = page.locator("#announcer")
    assert announcer.get_attribute("aria-live") == "polite"
    ask(page, "endless text")
    expect(announcer).to_have_text("writer is answering")
    expect(log.locator("article[aria-busy=true]")).to_have_count(1)  # not read out word by word
    page.keyboard.press("Escape")
    expect(announcer).to_have_text("Stopped")
    expect(log.locator("article[aria-busy=true]")).to_have_count(0)


def test_the_axe_that_is_pinned_is_the_one_that_runs() -> None:
    pinned = (ROOT / "package.json").read_text()
    version = (Path(AXE).parent / "package.json").read_text()
    assert '"axe-core": "4.14.1"' in pinned and '"version": "4.14.1"' in version
