// Draws the turns of a conversation: what a person wrote, and what a model answered, finished or under way.

import { chip } from "./attachments.js";
import { codeBlock } from "./code-block.js";
import { copyButton } from "./copy-button.js";
import { el, fill } from "./dom.js";
import { exchangeDetails, metricsLine } from "./exchange.js";
import { icon } from "./icons.js";
import { renderMarkdown } from "./markdown.js";
import { badge, errorNotice, notice } from "./parts.js";

// A text is drawn at most so often while it streams.
const DRAW_EVERY_MS = 60;

/** What a person wrote: plain text, as it was typed. */
export function userTurn(turn) {
  return el(
    "article",
    { class: "turn turn-user" },
    el("h3", { class: "hidden-visually" }, "You"),
    turn.attachments?.length ? el("div", { class: "chips" }, turn.attachments.map((file) => chip(file))) : null,
    el("div", { class: "turn-text" }, turn.content),
  );
}

/** What a model answers. `begin` … `finish` follow a stream; `show` draws a turn that a session holds. */
export class AnswerTurn {
  #text = "";
  #thought = "";
  #timer = 0;

  constructor(model) {
    this.name = el("span", { class: "turn-name" }, model);
    this.state = el("span", { class: "turn-state" });
    this.notices = el("div", { class: "stack" });
    this.reasoning = el("div", { class: "reasoning-text prose" });
    this.fold = el("details", { class: "fold", hidden: true }, el("summary", {}, icon("chevron"), el("span", {}, "Reasoning")), this.reasoning);
    this.prose = el("div", { class: "prose" });
    this.tools = el("div", { class: "stack" });
    this.outcome = el("div", { class: "stack" });
    this.foot = el("div", { class: "turn-foot" });
    this.node = el(
      "article",
      { class: "turn turn-answer" },
      el("h3", { class: "turn-head" }, el("span", { class: "turn-mark" }), this.name, this.state),
      this.notices, this.fold, this.prose, this.tools, this.outcome, this.foot,
    );
  }

  get text() {
    return this.#text;
  }

  get isEmpty() {
    return !this.#text && !this.#thought && !this.tools.children.length;
  }

  begin() {
    this.node.setAttribute("aria-busy", "true");
    this.node.classList.add("streaming");
    this.state.textContent = "waiting for the first token";
  }

  /** One event of the stream. */
  take({ event, data }) {
    if (event === "delta") this.#addText(data.text ?? "");
    else if (event === "reasoning") this.#addThought(data.text ?? "");
    else if (event === "tool_call") this.tools.append(toolCall(data));
  }

  /** What the gateway wants known about this answer. */
  note(text) {
    this.notices.append(notice(text, "warn"));
  }

  #addText(text) {
    this.#text += text;
    this.state.textContent = "";
    this.#drawSoon();
  }

  #addThought(text) {
    this.#thought += text;
    this.fold.hidden = false;
    this.state.textContent = "thinking";
    this.#drawSoon();
  }

  #drawSoon() {
    this.#timer ||= setTimeout(() => this.#draw(), DRAW_EVERY_MS);
  }

  #draw() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    renderMarkdown(this.prose, this.#text);
    if (this.#thought) renderMarkdown(this.reasoning, this.#thought);
    this.node.dispatchEvent(new CustomEvent("grown", { bubbles: true }));
  }

  /** A turn as the API gives it, whole. `actions` are the buttons below. */
  show(turn, actions = []) {
    this.#text = turn.content ?? "";
    this.#thought = turn.reasoning ?? "";
    this.fold.hidden = !this.#thought;
    fill(this.tools, (turn.tool_calls ?? []).map(toolCall));
    this.#draw();
    if (turn.status && turn.status !== "complete") this.state.append(badge(turn.status, "warn"));
    this.#drawFoot({ answer: turn }, actions);
  }

  /** The stream is over. `exchange` is what happened, `actions` the buttons below. */
  finish(exchange, actions = []) {
    const { answer, error, stopped } = exchange;
    const whole = answer?.message?.content;
    if (typeof whole === "string" && whole) this.#text = whole;
    if (answer?.message?.reasoning && !this.#thought) this.#thought = answer.message.reasoning;
    if (this.#thought) this.fold.hidden = false;
    if (answer?.message?.tool_calls?.length && !this.tools.children.length) fill(this.tools, answer.message.tool_calls.map(toolCall));
    this.state.textContent = "";
    if (answer?.finish_reason && !["stop", "end_turn", "complete", "tool_calls", "tool_use"].includes(answer.finish_reason)) {
      this.state.append(badge(finishWords(answer.finish_reason), "warn"));
    }
    if (stopped) this.state.append(badge("stopped", "warn"));
    this.#draw();
    this.node.classList.remove("streaming");
    this.node.removeAttribute("aria-busy");
    fill(this.outcome, error ? errorNotice(error) : null, !error && !stopped && !this.#text && !this.tools.children.length ? notice("The model answered with nothing.", "warn") : null);
    this.#drawFoot(exchange, actions);
  }

  #drawFoot(exchange, actions) {
    fill(
      this.foot,
      metricsLine(exchange),
      el("div", { class: "turn-actions" }, this.#text ? copyButton(() => this.#text) : null, actions),
      exchangeDetails(exchange),
    );
  }

  /** Takes the buttons away: this answer is no longer the last. */
  retire() {
    this.foot.querySelectorAll("[data-last-only]").forEach((button) => button.remove());
  }
}

function finishWords(reason) {
  return { length: "cut at the token limit", max_tokens: "cut at the token limit", content_filter: "stopped by a content filter" }[reason] ?? reason;
}

function toolCall(call) {
  const text = typeof call.arguments === "string" ? call.arguments : JSON.stringify(call.arguments ?? {});
  return el(
    "details",
    { class: "fold fold-tool", open: true },
    el("summary", {}, icon("tool"), el("span", {}, "Calls ", el("code", {}, call.name ?? "a tool"))),
    codeBlock(indented(text), "json"),
  );
}

function indented(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
