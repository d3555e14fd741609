"""The playground, as a person uses it."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from typing import Any

from tests.console.conftest import Gateway, NewPage, Page, ask, choose_model, expect, finished, shoot

# One red pixel.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
)
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"


def test_an_answer_streams_in_with_who_served_it_how_fast_and_for_how_much(new_page: NewPage, open_gateway: Gateway):
    page = new_page(open_gateway)
    expect(page.get_by_role("heading", name="What shall we ask?")).to_be_visible()
    expect(page.get_by_label("Message", exact=True)).to_be_focused()
    shoot(page, "playground-welcome")
    ask(page, "Hello there")
    answer = finished(page)
    expect(answer).to_contain_text("Skybridge's demo backend")
    expect(answer.locator(".metrics")).to_contain_text("First token")
    expect(answer.locator(".metrics")).to_contain_text("Cost")
    answer.get_by_text("Timing and response headers").click()
    expect(answer.get_by_role("row", name="x-skybridge-backend demo")).to_be_visible()
    expect(answer.get_by_role("row", name="Attempts 1", exact=True)).to_be_visible()
    # Without a store the conversation is sent whole, and the page says that it is not kept, once.
    ask(page, "And again")
    expect(finished(page, 2)).to_contain_text("3 messages")
    expect(page.get_by_text("No store is configured")).to_have_count(1)


def test_markdown_is_drawn_and_code_can_be_copied(page: Page, gateway: Gateway):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=gateway.url)
    choose_model(page, "writer")
    ask(page, "markdown please")
    prose = finished(page).locator("> .prose")
    expect(prose.get_by_role("heading", name="Status codes")).to_be_visible()
    expect(prose.locator("table tbody tr")).to_have_count(3)
    expect(prose.locator("ol > li")).to_have_count(3)
    expect(prose.locator("ol ul > li")).to_have_count(2)
    expect(prose.locator("blockquote del")).to_have_text("mistake")
    expect(prose.get_by_role("link", name="link")).to_have_attribute("rel", re.compile("noopener"))
    shoot(page, "playground-markdown")
    prose.get_by_role("button", name="Copy").click()
    expect(prose.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()").startswith("for chunk in stream:")


def test_reasoning_is_folded_and_tool_calls_are_shown(page: Page):
    choose_model(page, "writer")
    ask(page, "reason about it")
    answer = finished(page)
    expect(answer.get_by_text("so I think first.")).to_be_hidden()
    answer.get_by_text("Reasoning", exact=True).click()
    expect(answer.get_by_text("so I think first.")).to_be_visible()
    ask(page, "tool please")
    expect(finished(page, 2).locator(".fold-tool")).to_contain_text("get_weather")
    expect(finished(page, 2).locator(".fold-tool")).to_contain_text('"city": "Paris"')
    shoot(page, "playground-reasoning-and-tools")


def test_stop_ends_the_answer_and_the_backend(page: Page, gateway: Gateway):
    gateway.writer.left.clear()
    choose_model(page, "writer")
    ask(page, "endless text")
    expect(page.locator(".turn-answer > .prose")).to_contain_text("and on and on")
    page.get_by_role("button", name="Stop").click()
    expect(finished(page).locator(".turn-head")).to_contain_text("stopped")
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    assert gateway.writer.left.wait(10)


def test_the_keyboard_alone_chooses_a_model_sends_and_stops(page: Page):
    page.locator(".picker-button").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("combobox", name="Search models")).to_be_focused()
    shoot(page, "playground-picker")
    page.keyboard.type("wri")
    page.keyboard.press("Enter")
    expect(page.locator(".picker-button")).to_be_focused()
    expect(page.locator(".picker-name")).to_have_text("writer")
    page.get_by_label("Message", exact=True).focus()
    page.keyboard.type("endless")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("text")
    assert page.get_by_label("Message", exact=True).input_value() == "endless\ntext"
    page.get_by_label("Message", exact=True).fill("endless text")
    page.keyboard.press("Enter")
    expect(page.locator(".turn-answer > .prose")).to_contain_text("and on")
    page.keyboard.press("Escape")
    expect(finished(page).locator(".turn-head")).to_contain_text("stopped")


def test_an_unlisted_name_can_be_asked_as_typed(new_page: NewPage, open_gateway: Gateway):
    page = new_page(open_gateway)
    page.locator(".picker-button").click()
    search = page.get_by_role("combobox", name="Search models")
    search.fill("no such thing")
    expect(page.get_by_role("option")).to_have_text(re.compile("Use “no such thing”.*Not listed"))
    search.fill("claude-*")
    page.get_by_role("option", name="Any name like this").click()
    expect(search).to_have_value("claude-")
    search.fill("o9-x")
    expect(page.get_by_role("option")).to_contain_text("One of o[1-9]*")
    search.fill("claude-sonnet-9")
    expect(page.get_by_role("option")).to_contain_text("One of claude-*")
    page.keyboard.press("Escape")
    choose_model(page, "claude-opus-4-5")
    ask(page, "Which model?")
    expect(finished(page)).to_contain_text("claude-opus-4-5")


def test_a_session_goes_on_and_an_answer_can_be_had_again(page: Page, watched: Any):
    watched.allowed.append("Failed to load resource.*50[0-9]")
    choose_model(page, "demo")
    ask(page, "The first message of a session")
    finished(page)
    expect(page).to_have_url(re.compile("#/playground/"))
    expect(page.get_by_role("heading", level=1)).to_have_text("The first message of a session")
    ask(page, "The second")
    expect(finished(page, 2)).to_contain_text("3 messages")
    page.get_by_role("button", name="Regenerate").click()
    expect(finished(page, 2)).to_contain_text("3 messages")
    choose_model(page, "writer")
    page.get_by_role("button", name="Regenerate").click()
    expect(finished(page, 2).locator("> .prose")).to_have_text("The second")
    page.reload()
    expect(page.locator(".turn-user")).to_have_count(2)
    expect(page.locator(".turn-answer")).to_have_count(2)
    expect(page.locator(".turn-answer > .prose").last).to_have_text("The second")
    choose_model(page, "demo")
    page.get_by_role("button", name="Regenerate").click()
    expect(finished(page, 2)).to_contain_text("3 messages")
    # Where no other answer comes, the one that there is stays.
    choose_model(page, "gemini-2.5-pro")
    page.get_by_role("button", name="Regenerate").click()
    expect(page.get_by_role("alert")).to_contain_text("GEMINI_API_KEY")
    expect(page.locator(".turn-answer")).to_have_count(3)
    page.reload()
    expect(finished(page, 2)).to_contain_text("3 messages")
    expect(page.get_by_role("heading", level=1)).to_have_text("The first message of a session")


def test_settings_go_with_the_request_and_stay_in_the_tab(page: Page):
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("System prompt").fill("Answer in one word.")
    page.get_by_label("Temperature").fill("0.3")
    page.get_by_label("Max tokens").fill("7")
    page.get_by_label("Reasoning effort").select_option("low")
    shoot(page, "playground-settings")
    choose_model(page, "demo")
    with page.expect_request("**/api/v1/chat/stream") as sent:
        ask(page, "Hello")
    body = sent.value.post_data_json
    assert body == {
        "model": "demo", "message": "Hello", "system_prompt": "Answer in one word.", "temperature": 0.3,
        "max_tokens": 7, "reasoning_effort": "low",
    }  # fmt: skip
    expect(finished(page).locator(".turn-head")).to_contain_text("cut at the token limit")
    page.reload()
    page.get_by_role("button", name="Settings").click()
    expect(page.get_by_label("Temperature")).to_have_value("0.3")


def test_images_and_pdfs_are_chosen_dropped_pasted_and_removed(page: Page):
    page.locator("input[type=file]").set_input_files([
        {"name": "pixel.png", "mimeType": "image/png", "buffer": PNG},
        {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no"},
    ])  # fmt: skip
    expect(page.locator(".composer .chip")).to_have_count(1)
    expect(page.get_by_text("notes.txt is neither an image nor a PDF.")).to_be_visible()
    transfer = """([name, type, data]) => {
        const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
        const transfer = new DataTransfer();
        transfer.items.add(new File([bytes], name, { type }));
        return transfer;
    }"""
    dropped = page.evaluate_handle(transfer, ["paper.pdf", "application/pdf", base64.b64encode(PDF).decode()])
    for event in ("dragenter", "dragover", "drop"):
        page.dispatch_event(".chat-column", event, {"dataTransfer": dropped})
    expect(page.locator(".composer .chip")).to_have_count(2)
    pasted = page.evaluate_handle(transfer, ["", "image/png", base64.b64encode(PNG).decode()])
    page.evaluate(
        "(data) => document.activeElement.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data}))", pasted
    )
    expect(page.locator(".composer .chip")).to_have_count(3)
    page.get_by_role("button", name="Remove pasted image").click()
    shoot(page, "playground-attachments")
    choose_model(page, "demo")
    ask(page, "What is in these?")
    expect(finished(page)).to_contain_text("With it came")
    expect(page.locator(".turn-user .chip")).to_have_count(2)


def test_the_same_request_as_code_runs(page: Page, gateway: Gateway):
    choose_model(page, "demo")
    ask(page, "It's a 'quoted' \"text\"\nof two lines — 日本")
    finished(page)
    page.get_by_role("button", name="Code").click()
    dialog = page.get_by_role("dialog", name="The same request as code")
    shoot(page, "playground-code")
    samples = {}
    for language in ("curl", "Python", "TypeScript"):
        dialog.get_by_role("tab", name=language).click()
        samples[language] = dialog.locator("pre").inner_text()
    assert gateway.key not in str(samples)
    environment = {"SKYBRIDGE_API_KEY": gateway.key, "PATH": "/usr/bin:/bin", "no_proxy": "*"}
    curl = subprocess.run(["bash", "-c", samples["curl"]], env=environment, capture_output=True, timeout=30)
    assert b"[DONE]" in curl.stdout, curl
    compile(samples["Python"], "sample.py", "exec")
    assert _python_messages(samples["Python"]) == _curl_body(samples["curl"])["messages"]
    assert 'apiKey: process.env.SKYBRIDGE_API_KEY' in samples["TypeScript"]
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Code")).to_be_focused()


def _curl_body(sample: str) -> Any:
    return json.loads(sample.split("-d '")[1].rstrip("'").replace("'\\''", "'"))


def _python_messages(sample: str) -> Any:
    """What the sample would send, found by running it against a client that only listens."""
    heard: dict[str, Any] = {}

    class Client:
        def __init__(self, **options: Any) -> None:
            self.chat = self.completions = self

        def create(self, **body: Any) -> list[Any]:
            heard.update(body)
            return []

    runnable = sample.replace("from openai import OpenAI", "").replace("os.environ", "{'SKYBRIDGE_API_KEY': ''}")
    exec(runnable, {"OpenAI": Client})
    return heard["messages"]


def test_an_error_is_shown_in_the_gateways_words_and_the_message_comes_back(page: Page, watched: Any):
    watched.allowed.append("Failed to load resource.*50[0-9]")
    choose_model(page, "gemini-2.5-pro")
    ask(page, "Hello?")
    expect(page.locator(".turn-answer [role=alert]")).to_contain_text("GEMINI_API_KEY")
    expect(page.locator(".turn-answer [role=alert]")).to_contain_text("req_")
    expect(page.get_by_label("Message", exact=True)).to_have_value("Hello?")
    shoot(page, "playground-error")


def test_after_a_stop_the_conversation_goes_on(page: Page):
    choose_model(page, "writer")
    ask(page, "endless text")
    expect(page.locator(".turn-answer > .prose")).to_contain_text("and on")
    page.get_by_role("button", name="Stop").click()
    expect(finished(page).locator(".turn-head")).to_contain_text("stopped")
    choose_model(page, "demo")
    ask(page, "Are you still there?")
    expect(finished(page, 2)).to_contain_text("Are you still there?")
    page.reload()
    expect(page.locator(".turn-user")).to_have_count(2)
