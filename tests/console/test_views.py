"""Compare, sessions, usage, backends, keys, and what surrounds them, as a person uses them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.console.conftest import PHONE, Gateway, NewPage, ask, expect, finished, shoot


def test_compare_streams_two_to_four_models_side_by_side(new_page: NewPage, gateway: Gateway):
    page = new_page(gateway, "#/compare")
    lanes = page.locator(".lane")
    expect(lanes).to_have_count(2)
    page.get_by_role("button", name="Add a model").click()
    page.get_by_role("button", name="Add a model").click()
    expect(page.get_by_role("button", name="Add a model")).to_be_hidden()
    page.get_by_role("button", name="Remove this model").last.click()
    for index, name in enumerate(("writer", "demo", "away")):
        lanes.nth(index).locator(".picker-button").click()
        page.get_by_role("combobox", name="Search models").fill(name)
        page.keyboard.press("Enter")
    page.get_by_label("Prompt", exact=True).fill("markdown for all of you")
    page.keyboard.press("Enter")
    expect(page.locator(".turn-answer:not([aria-busy])")).to_have_count(3, timeout=20_000)
    expect(lanes.nth(0).get_by_role("heading", name="Status codes")).to_be_visible()
    expect(lanes.nth(0).locator(".metrics")).to_contain_text("tok/s")
    expect(lanes.nth(1).locator(".prose").last).to_contain_text("demo backend")
    expect(lanes.nth(1).locator(".metrics")).to_contain_text("Out")
    expect(lanes.nth(2).locator("[role=alert]")).to_be_visible()  # one that fails does not fail the others
    shoot(page, "compare")
    page.reload()
    expect(page.locator(".lane .picker-name")).to_have_text(["writer", "demo", "away"])


def test_compare_can_be_stopped(new_page: NewPage, gateway: Gateway):
    page = new_page(gateway, "#/compare")
    page.locator(".lane .picker-button").first.click()
    page.get_by_role("combobox", name="Search models").fill("writer")
    page.keyboard.press("Enter")
    page.get_by_label("Prompt", exact=True).fill("endless text")
    page.keyboard.press("Enter")
    expect(page.locator(".lane .turn > .prose").first).to_contain_text("and on")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".lane .turn-state").first).to_contain_text("stopped")
    expect(page.get_by_role("button", name="Send")).to_be_visible()


def test_sessions_are_found_renamed_continued_and_deleted(new_page: NewPage, gateway: Gateway):
    for index in range(23):
        gateway.call("POST", "chat", {"message": f"Session number {index}", "model": "demo"})
    page = new_page(gateway, "#/sessions")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(20)
    shoot(page, "sessions")
    page.get_by_role("button", name="Show more").click()
    expect(rows.nth(22)).to_be_visible()
    page.get_by_label("Search titles").fill("number 17")
    expect(rows).to_have_count(1)
    page.get_by_role("button", name="Rename “Session number 17”").click()
    page.get_by_label("Title", exact=True).fill("A better title")
    page.keyboard.press("Enter")
    page.get_by_label("Search titles").fill("better")
    expect(rows).to_have_count(1)
    page.get_by_role("link", name="A better title").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("A better title")
    expect(page.locator(".turn-user .turn-text")).to_have_text("Session number 17")
    ask(page, "Going on")
    expect(finished(page, 2)).to_contain_text("3 messages")
    page.get_by_role("link", name="Sessions").click()
    expect(page.get_by_role("heading", name="Sessions", level=1)).to_be_focused()
    expect(rows.first).to_contain_text("A better title")
    page.get_by_role("button", name="Delete “A better title”").click()
    page.get_by_role("button", name="Cancel").click()
    expect(rows.first).to_contain_text("A better title")
    page.get_by_role("button", name="Delete “A better title”").click()
    shoot(page, "sessions-delete")
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("A better title")).to_have_count(0)
    page.get_by_label("Search titles").fill("SESSION NUMBER 0")  # one that no page has shown yet
    expect(rows).to_have_count(1)
    page.get_by_label("Search titles").fill("no such words")
    expect(page.get_by_text("No title matches")).to_be_visible()


def test_usage_is_plotted_and_tabled(new_page: NewPage, gateway: Gateway):
    page = new_page(gateway, "#/usage")
    for title in ("Cost", "Tokens", "Time to first token", "Errors and failovers"):
        expect(page.get_by_role("region", name=title, exact=True).locator("svg")).to_be_visible()
    cost = page.get_by_role("region", name="Cost", exact=True)
    expect(cost.locator("svg rect[class^=fill]").first).to_be_visible()
    expect(cost.get_by_label("Legend")).to_contain_text("gpt-5-mini")
    cost.locator("svg").focus()
    page.keyboard.press("ArrowRight")
    expect(cost.locator(".tip")).to_be_visible()
    first = cost.locator(".tip strong").inner_text()
    page.keyboard.press("ArrowRight")
    expect(cost.locator(".tip strong")).not_to_have_text(first)
    box = cost.locator("svg").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + 80)
    expect(cost.locator(".tip")).to_contain_text("Total")
    shoot(page, "usage")
    cost.get_by_text("Show as a table").click()
    expect(cost.locator("tbody tr")).to_have_count(7)
    page.get_by_role("button", name="Key", exact=True).click()
    expect(page.get_by_role("region", name="Usage by key")).to_contain_text("sk-sky-a1b2c3")
    page.get_by_role("button", name="Backend", exact=True).click()
    expect(page.get_by_role("region", name="Usage by backend")).to_contain_text("bedrock")
    for span in ("24 hours", "30 days"):
        page.get_by_role("button", name=span).click()
        expect(page.locator(".tile").first).to_contain_text("$")
    figures = page.get_by_role("region", name="Usage by backend").get_by_role("row", name=re.compile("bedrock"))
    expect(figures).to_contain_text(re.compile(r"\$\d"))


def test_backends_show_their_state_and_last_error(new_page: NewPage, gateway: Gateway, watched: Any):
    watched.allowed.append("Failed to load resource.*50[0-9]")
    page = new_page(gateway)
    page.locator(".picker-button").click()
    page.get_by_role("combobox", name="Search models").fill("away")
    page.keyboard.press("Enter")
    ask(page, "Is anybody there?")
    expect(page.locator(".turn-answer [role=alert]")).to_be_visible(timeout=20_000)
    page.get_by_role("link", name="Backends").click()
    away = page.locator(".backend", has=page.get_by_role("heading", name="away"))
    expect(away).to_contain_text("Last error")
    unset = page.locator(".backend", has=page.get_by_role("heading", name="unset"))
    expect(unset).to_contain_text("Not configured")
    expect(unset).to_contain_text("GEMINI_API_KEY")
    expect(page.locator(".backend", has=page.get_by_role("heading", name="demo")).locator(".tag")).to_have_count(2)
    shoot(page, "backends")


def test_a_key_is_made_shown_once_used_rotated_and_revoked(
    new_page: NewPage, empty_gateway: Gateway, watched: Any
):
    gateway = empty_gateway
    watched.allowed.append("Failed to load resource.*4[0-9][0-9]")
    page = new_page(gateway, "#/keys")
    expect(page.get_by_text("No keys yet")).to_be_visible()
    shoot(page, "keys-empty")
    page.get_by_role("button", name="Create the first key").click()
    form = page.get_by_role("dialog")
    form.get_by_label("Owner").fill("team-a")
    form.get_by_label("Name").fill("Nightly evaluation")
    form.get_by_label("Models").fill("demo, claude-*")
    form.get_by_label("Requests a minute").fill("0.5")
    shoot(page, "keys-new")
    form.get_by_label("Requests a minute").fill("60")
    form.get_by_label("USD a month").fill("12.5")
    form.get_by_role("button", name="Create key").click()
    secret = page.get_by_role("dialog").locator(".secret code").inner_text()
    assert secret.startswith("sk-sky-")
    page.keyboard.press("Escape")  # it is shown once: nobody leaves by accident
    shoot(page, "keys-secret")
    page.get_by_role("button", name="I have copied it").click()
    row = page.get_by_role("row", name=re.compile("Nightly evaluation"))
    expect(row).to_contain_text("team-a")
    expect(row).to_contain_text("$12.50")
    expect(page.locator("body")).not_to_contain_text(secret)

    other = new_page(Gateway(gateway.url, secret, gateway.writer), "#/keys")
    expect(other.get_by_role("link", name="Keys")).to_have_count(0)
    expect(other.get_by_text("Keys are for administrators")).to_be_visible()
    other.get_by_role("link", name="Playground").click()
    expect(other.locator(".picker-name")).to_have_text("demo")
    ask(other, "With my own key")
    finished(other)
    other.locator(".picker-button").click()
    expect(other.get_by_role("listbox")).to_contain_text("60 of 60 requests a minute")
    other.close()

    # A key that ends today is changed like any other: the form sends what was changed.
    ending = {"expires": (datetime.now(UTC) + timedelta(hours=1)).timestamp()}
    (record,) = gateway.call("GET", "keys")["keys"]
    gateway.call("PATCH", f"keys/{record['id']}", ending)
    page.reload()
    page.get_by_role("button", name="Change Nightly evaluation").click()
    page.get_by_role("dialog").get_by_label("Requests a minute").fill("")
    page.get_by_role("dialog").get_by_label("Name").fill("Weekly evaluation")
    with page.expect_request("**/api/v1/keys/*") as sent:
        page.get_by_role("button", name="Save").click()
    assert sent.value.post_data_json == {"name": "Weekly evaluation", "limits": {"requests_per_minute": None}}
    row = page.get_by_role("row", name=re.compile("Weekly evaluation"))
    expect(row).not_to_contain_text("Requests a minute")
    page.get_by_role("button", name="Rotate Weekly evaluation").click()
    page.get_by_label("The old key works on for").select_option("0")
    page.get_by_role("dialog").get_by_role("button", name="Rotate").click()
    assert page.locator(".secret code").inner_text() != secret
    page.get_by_role("button", name="I have copied it").click()
    page.get_by_role("button", name="Revoke Weekly evaluation").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(row).to_contain_text("revoked")
    shoot(page, "keys")
    page.get_by_role("button", name="New key").click()
    page.get_by_role("dialog").get_by_label("Owner").fill("\u200bteam")
    page.get_by_role("button", name="Create key").click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("owner")


def test_the_key_is_asked_for_once_and_signing_out_forgets_it(new_page: NewPage, gateway: Gateway, watched: Any):
    watched.allowed.append("Failed to load resource.*401")
    page = new_page(gateway, "#/backends", signed_in=False)
    expect(page.get_by_label("Key", exact=True)).to_be_focused()
    shoot(page, "sign-in")
    page.get_by_label("Key", exact=True).fill("sk-wrong-key-of-somebody")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_label("Key", exact=True).fill(gateway.key)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Backends", level=1)).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Backends", level=1)).to_be_visible()
    assert page.evaluate("JSON.stringify(localStorage)").find(gateway.key) < 0
    page.evaluate("sessionStorage.setItem('skybridge.settings', '{}')")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Key", exact=True)).to_be_visible()
    assert page.evaluate("sessionStorage.length") == 0


def test_an_open_gateway_asks_for_no_key_and_says_what_a_store_would_give(
    new_page: NewPage, open_gateway: Gateway, watched: Any
):
    watched.allowed.append("Failed to load resource.*503")
    page = new_page(open_gateway, "#/sessions")
    for view in ("sessions", "usage", "keys"):
        page.goto(f"{open_gateway.url}/#/{view}")
        expect(page.get_by_role("heading", name="This gateway keeps nothing yet")).to_be_visible()
        expect(page.locator(".setup")).to_contain_text("SKYBRIDGE_STORE=sqlite")
    shoot(page, "no-store")
    expect(page.get_by_role("button", name="Sign out")).to_have_count(0)


def test_an_empty_store_says_what_to_do(new_page: NewPage, empty_gateway: Gateway):
    page = new_page(empty_gateway, "#/sessions")
    expect(page.get_by_role("heading", name="No conversations yet")).to_be_visible()
    expect(page.get_by_role("link", name="Start a conversation")).to_be_visible()
    shoot(page, "sessions-empty")
    page.goto(f"{empty_gateway.url}/#/usage")
    page.get_by_role("button", name="90 days").click()
    expect(page.locator(".empty, .tiles")).to_be_visible()
    shoot(page, "usage-empty")


def test_the_theme_is_chosen_and_kept(new_page: NewPage, open_gateway: Gateway):
    page = new_page(open_gateway)
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    button = page.get_by_role("button", name="Theme")
    button.click()
    button.click()
    expect(button).to_have_attribute("aria-label", "Theme: dark")
    dark = page.evaluate(background)
    assert dark != light
    page.reload()
    assert page.evaluate(background) == dark


@pytest.mark.parametrize("view", ["playground", "compare", "sessions", "usage", "backends", "keys"])
def test_nothing_is_wider_than_a_phone(new_page: NewPage, gateway: Gateway, view: str):
    page = new_page(gateway, f"#/{view}", viewport=PHONE)
    expect(page.locator("main h1, main .page, main .chat").first).to_be_attached()
    expect(page.locator(".loading")).to_have_count(0)
    if view == "playground":
        ask(page, "Hello from a phone")
        finished(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert page.evaluate("document.querySelector('main').scrollWidth") <= PHONE["width"]
    shoot(page, f"phone-{view}")


def test_leaving_a_view_under_way_ends_its_requests(new_page: NewPage, gateway: Gateway):
    gateway.writer.left.clear()
    page = new_page(gateway)
    page.locator(".picker-button").click()
    page.get_by_role("combobox", name="Search models").fill("writer")
    page.keyboard.press("Enter")
    ask(page, "endless text")
    expect(page.locator(".turn-answer > .prose")).to_contain_text("and on")
    page.get_by_role("link", name="Compare").click()
    expect(page.get_by_role("heading", name="Compare")).to_be_visible()
    assert gateway.writer.left.wait(10)


def test_the_skip_link_leads_to_the_content(new_page: NewPage, open_gateway: Gateway):
    page = new_page(open_gateway, "#/backends")
    expect(page.get_by_role("heading", name="Backends", level=1)).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    expect(page.get_by_role("heading", name="Backends", level=1)).to_be_visible()


def test_an_unreachable_gateway_is_said(new_page: NewPage, open_gateway: Gateway, watched: Any):
    watched.allowed.append("Failed to load resource")
    page = new_page(open_gateway, "#/backends")
    expect(page.locator(".backend").first).to_be_visible()
    page.context.set_offline(True)
    page.get_by_role("button", name="Refresh").click()
    expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
    page.context.set_offline(False)
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".backend").first).to_be_visible()
