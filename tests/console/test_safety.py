"""Nothing that a model, a person or the address says becomes script; nothing comes from elsewhere; little is loaded."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest

from tests.console.conftest import Gateway, NewPage, Page, ask, choose_model, expect, finished, shoot
from tests.console.writer import Writer

PAYLOADS = (
    "<script>window.pwned=1</script>",
    "<img src=x onerror=window.pwned=1>",
    "<svg/onload=window.pwned=1>",
    "<svg><animate onbegin=window.pwned=1 attributeName=x dur=1s>",
    "<iframe srcdoc='<script>parent.pwned=1</script>'></iframe>",
    "<details open ontoggle=window.pwned=1>",
    "<math><mtext><table><mglyph><style><img src=x onerror=window.pwned=1>",
    "</textarea></title></style><script>window.pwned=1</script>",
    "[click](javascript:window.pwned=1)",
    "[click](JaVaScRiPt:window.pwned=1)",
    "[click](&#106;avascript:window.pwned=1)",
    "[click](\tjava\nscript:window.pwned=1)",
    "[click](data:text/html,<script>window.pwned=1</script>)",
    "[click](vbscript:window.pwned=1)",
    "[click](https://example.com\"onmouseover=\"window.pwned=1)",
    "[<img src=x onerror=window.pwned=1>](https://example.com)",
    "![x](x\"onerror=\"window.pwned=1)",
    "![x](javascript:window.pwned=1)",
    "![x](data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9YWxlcnQoMSk+)",
    "![track](https://example.com/pixel.png)",
    "<javascript:window.pwned=1>",
    "<https://example.com/\"onclick=\"window.pwned=1>",
    "https://example.com/\"onclick=\"window.pwned=1",
    "`<img src=x onerror=window.pwned=1>`",
    "```html\n<script>window.pwned=1</script>\n```",
    "```\"><script>window.pwned=1</script>\nx\n```",
    "| <script>window.pwned=1</script> | b |\n|---|---|\n| <img src=x onerror=window.pwned=1> | [x](javascript:a) |",
    "# <img src=x onerror=window.pwned=1>",
    "> <script>window.pwned=1</script>\n- [ ] <img src=x onerror=window.pwned=1>",
    "{{constructor.constructor('window.pwned=1')()}}${window.pwned=1}",
)  # fmt: skip
ALL = "\n\n".join(PAYLOADS)

# What would be there if any of it had been parsed as HTML, or an address taken that must not be.
FOREIGN = """() => [
    ...[...document.querySelectorAll("main *")].flatMap((node) => [...node.attributes])
        .filter((each) => /^on/i.test(each.name)).map((each) => each.name),
    ...["script", "iframe", "object", "embed", "style", "animate", "math"]
        .filter((tag) => document.querySelector(`main ${tag}`)),
    ...[...document.querySelectorAll("main a[href]")].map((link) => link.protocol)
        .filter((scheme) => !["http:", "https:", "mailto:"].includes(scheme)),
    ...[...document.querySelectorAll("main img")].map((image) => image.src)
        .filter((source) => !/^data:image[/](png|jpeg|gif|webp);base64,/.test(source)),
    ...(window.pwned ? ["pwned"] : []),
]"""


@pytest.fixture
def requests_elsewhere(page: Page, gateway: Gateway) -> list[str]:
    """The requests of the page that do not go to the gateway."""
    found: list[str] = []
    page.on("request", lambda request: request.url.startswith((gateway.url, "data:")) or found.append(request.url))
    return found


def test_a_models_words_are_text(page: Page, requests_elsewhere: list[str], gateway: Gateway):
    choose_model(page, "writer")
    ask(page, f"Echo:\n\n{ALL}")
    answer = finished(page)
    expect(answer.locator("> .prose")).to_contain_text("<iframe srcdoc=")
    assert page.evaluate(FOREIGN) == []
    shoot(page, "safety-answer")
    page.reload()  # stored in the session, and shown from there
    expect(page.locator(".turn-answer > .prose")).to_contain_text("<iframe srcdoc=")
    assert page.evaluate(FOREIGN) == []
    for link in page.locator(".turn-answer > .prose a").all():
        assert re.match(r"https://example\.com", link.get_attribute("href") or ""), link
    page.goto(f"{gateway.url}/#/compare")
    page.locator(".lane .picker-button").first.click()
    page.get_by_role("combobox", name="Search models").fill("writer")
    page.keyboard.press("Enter")
    page.get_by_label("Prompt", exact=True).fill(f"Echo:\n\n{ALL}")
    page.keyboard.press("Enter")
    expect(page.locator(".turn-answer:not([aria-busy])")).to_have_count(2)
    assert page.evaluate(FOREIGN) == []
    assert requests_elsewhere == []


def test_titles_names_and_errors_are_text(
    page: Page, requests_elsewhere: list[str], gateway: Gateway, watched: Any
):
    watched.allowed.append("Failed to load resource")
    attack = "<img src=x onerror=window.pwned=1><script>window.pwned=1</script>"
    made = gateway.call("POST", "chat", {"message": "hello", "model": "demo"})
    gateway.call("PATCH", f"sessions/{made['session_id']}", {"title": attack})
    terms = {"owner": attack, "name": attack, "labels": {attack: attack}, "models": [attack]}
    key = gateway.call("POST", "keys", terms)
    for view in ("sessions", "keys", f"playground/{made['session_id']}"):
        page.goto(f"{gateway.url}/#/{view}")
        expect(page.locator("main")).to_contain_text("<img src=x onerror")
        assert page.evaluate(FOREIGN) == []
    assert page.title().startswith("<img src=x")
    for action in ("Change", "Rotate", "Revoke"):
        page.goto(f"{gateway.url}/#/keys")
        page.get_by_role("button", name=f"{action} <img").first.click()
        expect(page.get_by_role("dialog")).to_contain_text("<img src=x")
        assert page.evaluate(FOREIGN.replace("main ", "dialog ")) == []
        page.keyboard.press("Escape")
    page.goto(f"{gateway.url}/#/playground/%3Cimg%20src%3Dx%20onerror%3Dwindow.pwned%3D1%3E")
    expect(page.get_by_role("alert")).to_be_visible()
    page.goto(f"{gateway.url}/#/playground")
    choose_model(page, "writer")
    ask(page, f"refuse {attack}")
    expect(page.get_by_role("alert")).to_contain_text("<img src=x")
    choose_model(page, attack)
    ask(page, "hello")
    expect(page.get_by_role("alert").last).to_contain_text("<img src=x")
    assert page.evaluate(FOREIGN) == []
    gateway.call("DELETE", f"keys/{key['id']}")
    row = {"requests": 1, "errors": 1, "total_tokens": 5, "input_tokens": 5, "cost": "1", "model": attack}
    rows = [{**row, "day": time.strftime("%Y-%m-%d", time.gmtime())}]
    report = {"data": rows, "by": ["day"], "days": 7, "complete": False}
    page.route("**/api/v1/usage?*", lambda route: route.fulfill(json=report))
    page.goto(f"{gateway.url}/#/usage")
    expect(page.get_by_role("region", name="Usage by model")).to_contain_text("<img src=x")
    expect(page.get_by_text("more requests than one answer adds up")).to_be_visible()
    page.get_by_role("region", name="Cost", exact=True).locator("svg").hover()
    assert page.evaluate(FOREIGN) == []
    failure = {"status": 500, "message": attack, "at": time.time()}
    backend = {**dict.fromkeys(("name", "type", "state", "reason"), attack), "last_error": failure, "models": [attack]}
    page.route("**/api/v1/backends", lambda route: route.fulfill(json={"backends": [backend]}))
    page.goto(f"{gateway.url}/#/backends")
    expect(page.locator(".backend")).to_contain_text("<img src=x")
    assert page.evaluate(FOREIGN) == []
    assert requests_elsewhere == []


# What a page may send to any site without being asked for leave.
SENT_BLINDLY = """async ([url, body]) => {
    const headers = { 'content-type': 'text/plain' };
    return (await fetch(url, { method: 'POST', mode: 'no-cors', body, headers })).type;
}"""


def test_a_page_of_another_site_cannot_use_an_open_gateway(
    new_page: NewPage, open_gateway: Gateway, writer: Writer, watched: Any
):
    """The other site's page is whatever the writer answers a browser with; to browsers `localhost` is another site than
    127.0.0.1."""
    watched.allowed.append("Failed to load resource")
    page = new_page(open_gateway)
    asked = {"model": "demo", "messages": [{"role": "user", "content": "x"}], "max_tokens": 9}
    names = ["127.0.0.1", "localhost"]
    for here, there in (names, names[::-1]):
        page.goto(writer.url.replace("127.0.0.1", here))
        for path in ("/api/v1/chat", "/v1/chat/completions"):
            url = open_gateway.url.replace("127.0.0.1", there) + path
            with page.expect_response(url) as answer:
                assert page.evaluate(SENT_BLINDLY, [url, json.dumps(asked)]) == "opaque"
            assert answer.value.status == 403, path
    page.goto(open_gateway.url)
    ask(page, "Still served here")
    expect(finished(page)).to_contain_text("Still served here")


def test_first_paint_takes_less_than_150_kb(new_page: NewPage, gateway: Gateway):
    page = new_page(gateway)
    expect(page.get_by_label("Message", exact=True)).to_be_visible()
    network = page.context.new_cdp_session(page)
    urls: dict[str, str] = {}
    sizes: dict[str, int] = {}
    network.on("Network.requestWillBeSent", lambda event: urls.update({event["requestId"]: event["request"]["url"]}))
    network.on("Network.loadingFinished", lambda event: sizes.update({event["requestId"]: event["encodedDataLength"]}))
    network.send("Network.enable")
    network.send("Network.clearBrowserCache")
    page.reload()
    expect(page.get_by_label("Message", exact=True)).to_be_visible()
    first = sum(sizes.values())
    assert 20_000 < first < 100_000, sizes  # heads of the answers included
    for view in ("compare", "sessions", "usage", "backends", "keys"):
        page.goto(f"{gateway.url}/#/{view}")
        expect(page.locator(".page h1")).to_be_visible()
        expect(page.locator(".loading")).to_have_count(0)
    assert first < sum(sizes.values()) < 150_000, sizes  # every view, with what it shows
    files = [url for url in urls.values() if "/console/" in url and not url.endswith(".svg")]
    assert len(files) == len(set(files)) == 3, files  # nothing twice; on Lambda each may start an instance


def test_a_second_visit_loads_no_file_again(new_page: NewPage, gateway: Gateway):
    page = new_page(gateway)
    expect(page.get_by_label("Message", exact=True)).to_be_visible()
    page.reload()
    expect(page.get_by_label("Message", exact=True)).to_be_visible()
    sizes = page.evaluate(
        "performance.getEntriesByType('resource').filter((each) => each.name.includes('/console/'))"
        ".map((each) => each.transferSize)"
    )
    assert sizes and sum(sizes) == 0
