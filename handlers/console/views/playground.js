// The playground: one conversation with one model, streamed, with everything that can be seen of it.

import { announce } from "../announce.js";
import { get, storedKey, stream, streamedError, gatewayBase } from "../api.js";
import { readSettings, requestKnobs, settingsForm } from "../chat-settings.js";
import { Composer, acceptDrops } from "../composer.js";
import { showCode } from "../code-dialog.js";
import { el, fill } from "../dom.js";
import { Stopwatch } from "../exchange.js";
import { icon } from "../icons.js";
import { isServed, modelPicker } from "../model-picker.js";
import { emptyState, errorNotice, loading } from "../parts.js";
import { chatRequest, snippets } from "../snippets.js";
import { AnswerTurn, userTurn } from "../turns.js";

const MODEL = "skybridge.model";
const STARTERS = [
  "What can you tell me about this gateway?",
  "Write a table of three HTTP status codes and what they mean.",
  "Explain server-sent events to a backend engineer, with a short Python example.",
];

/** Draws the view into `main`. `context` is {me, go, route, signal}. */
export async function show(main, context) {
  document.title = "Playground · Skybridge";
  fill(main, loading());
  const { models, default: preferred } = await get("models", context.signal);
  const view = new Playground(main, context, models, preferred);
  await view.open(context.route.id);
}

class Playground {
  #turns = [];
  #session = null;
  #lastAnswer = null;
  #stopper = null;
  #atEnd = true;

  constructor(main, context, models, preferred) {
    this.main = main;
    this.context = context;
    this.models = models;
    this.settings = readSettings();
    this.noted = new Set();
    const stored = localStorage.getItem(MODEL);
    this.model = stored && isServed(models, stored) ? stored : (preferred ?? "");
    context.signal.addEventListener("abort", () => this.#stopper?.abort());
  }

  async open(sessionId) {
    this.#build();
    if (sessionId) await this.#load(sessionId);
    else this.#welcome();
    if (matchMedia("(pointer: fine)").matches) this.composer.input.focus({ preventScroll: true });
  }

  #build() {
    this.title = el("h1", { class: "chat-title", tabindex: "-1" }, "New conversation");
    this.picker = modelPicker(this.models, this.model, (id) => {
      this.model = id;
      localStorage.setItem(MODEL, id);
    });
    this.log = el("div", { class: "log", role: "log", "aria-label": "Conversation", tabindex: "0" });
    this.composer = new Composer({
      label: "Message", placeholder: "Ask anything", send: (message) => this.#send(message), stop: () => this.#stop(),
    });
    this.panel = el("aside", { class: "chat-panel", id: "chat-settings", "aria-label": "Settings", hidden: true }, el("h2", {}, "Settings"), settingsForm(this.settings, () => this.#markSettings()));
    this.settingsButton = el("button", {
      type: "button", class: "button button-quiet", "aria-expanded": "false", "aria-controls": "chat-settings", on: { click: () => this.#togglePanel() },
    }, icon("settings"), el("span", { class: "button-text" }, "Settings"));
    const head = el(
      "header",
      { class: "chat-head" },
      this.title,
      el(
        "div",
        { class: "chat-tools" },
        this.picker.node,
        this.settingsButton,
        el("button", { type: "button", class: "button button-quiet", on: { click: () => this.#showCode() } }, icon("code"), el("span", { class: "button-text" }, "Code")),
        el("button", { type: "button", class: "button button-quiet", on: { click: () => this.context.go("playground", "", true) } }, icon("plus"), el("span", { class: "button-text" }, "New")),
      ),
    );
    const column = el("div", { class: "chat-column" }, this.log, el("div", { class: "chat-foot" }, this.composer.node));
    const area = el("div", { class: "chat" }, head, el("div", { class: "chat-body" }, column, this.panel));
    fill(this.main, area);
    acceptDrops(column, this.composer);
    this.log.addEventListener("grown", () => this.#follow());
    this.log.addEventListener("scroll", () => {
      this.#atEnd = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 80;
    });
    area.addEventListener("keydown", (event) => { if (event.key === "Escape" && this.composer.busy) this.#stop(); });
    this.#markSettings();
  }

  #togglePanel() {
    this.panel.hidden = !this.panel.hidden;
    this.settingsButton.setAttribute("aria-expanded", String(!this.panel.hidden));
    if (!this.panel.hidden) this.panel.querySelector("textarea").focus();
  }

  #markSettings() {
    this.settingsButton.classList.toggle("has-values", Object.keys(requestKnobs(this.settings)).length > 0);
  }

  #welcome() {
    if (!this.models.length) {
      fill(this.log, emptyState("playground", "No models yet", "Name one under `models:` in models.yaml, then start the gateway again. Until then nothing can answer."));
      return;
    }
    const starters = STARTERS.map((text) => el("button", { type: "button", class: "starter", on: { click: () => this.#send({ text, attachments: [] }) } }, text));
    fill(this.log, el("div", { class: "welcome" },
      el("h2", {}, "What shall we ask?"),
      el("p", {}, "Choose a model above, write below. Every answer shows who served it, how fast, and what it cost."),
      el("div", { class: "starters" }, starters)));
  }

  async #load(id) {
    fill(this.log, loading("Loading the conversation"));
    try {
      const session = await get(`sessions/${encodeURIComponent(id)}`, this.context.signal);
      this.#adopt(session);
      fill(this.log, session.messages.length ? null : emptyState("sessions", "Nothing here yet", "Write a message to begin."));
      session.messages.forEach((turn, index) => this.#drawStored(turn, index === session.messages.length - 1));
      this.#scrollDown();
    } catch (error) {
      if (error.name === "AbortError") throw error;
      fill(this.log, errorNotice(error, () => this.#load(id)));
    }
  }

  #adopt(session) {
    this.#session = session;
    this.title.textContent = session.title || "Untitled conversation";
    document.title = `${this.title.textContent} · Skybridge`;
    if (session.model && isServed(this.models, session.model)) {
      this.model = session.model;
      this.picker.select(session.model);
    }
    if (session.system_prompt && !this.settings.system) this.sessionSystem = session.system_prompt;
  }

  #drawStored(turn, isLast) {
    this.#turns.push({ role: turn.role, content: turn.content, attachments: turn.attachments });
    if (turn.role === "user") {
      this.log.append(userTurn(turn));
      return;
    }
    this.#lastAnswer = new AnswerTurn(turn.model ?? this.#session?.model ?? "assistant");
    this.#lastAnswer.show(turn, isLast ? [this.#regenerateButton()] : []);
    this.log.append(this.#lastAnswer.node);
  }

  async #send({ text, attachments }) {
    if (!this.model) {
      this.composer.write(text, attachments);
      announce("Choose a model first");
      return;
    }
    if (!this.#turns.length) this.log.replaceChildren();
    const turn = { role: "user", content: text, attachments };
    const node = userTurn(turn);
    this.#lastAnswer?.retire();
    this.log.append(node);
    this.#turns.push(turn);
    const exchange = await this.#answer(this.#requestFor(turn));
    if (exchange.refused) {
      // Nothing was kept: what was written goes back to where it can be sent again.
      this.#turns.pop();
      node.classList.add("turn-unsent");
      if (!this.composer.input.value) this.composer.write(text, attachments);
    }
  }

  /** With a session the gateway keeps the conversation; without a store it is sent whole. */
  #requestFor(turn) {
    const knobs = requestKnobs(this.settings);
    const earlier = this.#turns.slice(0, -1);
    const request = { model: this.model, ...knobs };
    if (turn.attachments?.length) request.attachments = turn.attachments;
    if (!this.#session && earlier.length) return { ...request, messages: this.#said() };
    if (this.#session) request.session_id = this.#session.id;
    return { ...request, message: turn.content };
  }

  async #regenerate() {
    const last = this.#turns.findLast((turn) => turn.role === "user");
    if (!last || this.composer.busy) return;
    const former = { answer: this.#lastAnswer, turn: this.#turns.at(-1).role === "assistant" ? this.#turns.pop() : null };
    former.answer.node.remove();
    const exchange = await this.#answer(this.#requestAgain(last));
    const attempt = this.#lastAnswer;
    if (!exchange.refused && !(attempt.isEmpty && (exchange.error || exchange.stopped))) return;
    // No other answer came: the one that there was stays, here as in the session.
    if (!exchange.refused) this.#turns.pop();
    attempt.node.before(former.answer.node);
    attempt.retire();
    if (!exchange.error) attempt.node.remove();
    if (former.turn) this.#turns.push(former.turn);
    this.#lastAnswer = former.answer;
  }

  /** The last question once more: of a session by its id, else with all that was said. */
  #requestAgain(last) {
    const request = { model: this.model, ...requestKnobs(this.settings) };
    if (this.#session) return { ...request, session_id: this.#session.id, regenerate: true };
    if (last.attachments?.length) request.attachments = last.attachments;
    return { ...request, messages: this.#said() };
  }

  /** The conversation as the API takes it whole. */
  #said() {
    return this.#turns.filter(({ content }) => content).map(({ role, content }) => ({ role, content }));
  }

  #noteOnce(answer, text) {
    if (this.noted.has(text)) return;
    this.noted.add(text);
    answer.note(text);
  }

  async #answer(request) {
    const answer = new AnswerTurn(request.model);
    const watch = new Stopwatch();
    const exchange = { refused: true, headers: [], answer: null, error: null, stopped: false };
    const stopper = new AbortController();
    this.#stopper = stopper;
    this.#lastAnswer = answer;
    this.log.append(answer.node);
    answer.begin();
    this.composer.busy = true;
    announce(`${request.model} is answering`);
    this.#scrollDown();
    try {
      await this.#readStream(request, stopper.signal, answer, watch, exchange);
    } catch (error) {
      if (error.name === "AbortError") exchange.stopped = true;
      else exchange.error = error;
    }
    if (this.context.signal.aborted) return exchange;
    exchange.timing = watch.read();
    exchange.refused &&= Boolean(exchange.error);
    this.composer.busy = false;
    answer.finish(exchange, exchange.refused ? [] : [this.#regenerateButton()]);
    if (!exchange.refused) this.#turns.push({ role: "assistant", content: answer.text });
    announce(spoken(exchange));
    this.#follow();
    return exchange;
  }

  async #readStream(request, signal, answer, watch, exchange) {
    const opened = await stream("chat/stream", request, signal);
    exchange.headers = opened.headers;
    for await (const each of opened.events) {
      if (["delta", "reasoning", "tool_call"].includes(each.event)) watch.mark();
      if (each.event === "start") {
        exchange.refused = false;
        this.#noteSession(each.data);
      }
      if (each.event === "error") throw streamedError(each.data, new Map(opened.headers).get("x-request-id"));
      for (const text of each.data.notices ?? []) this.#noteOnce(answer, text);
      if (each.event === "done") exchange.answer = each.data;
      else answer.take(each);
    }
    if (!exchange.answer) throw streamedError({ error: { code: "CUT", message: "The stream ended before the answer was complete." } });
  }

  #noteSession({ session_id: id }) {
    if (!id || this.#session) return;
    this.#session = { id };
    this.title.textContent = this.#turns[0].content.slice(0, 60);
    document.title = `${this.title.textContent} · Skybridge`;
    this.context.rename(id);
  }

  #regenerateButton() {
    return el("button", { type: "button", class: "button button-quiet button-small", "data-last-only": true, on: { click: () => this.#regenerate() } }, icon("retry"), "Regenerate");
  }

  #stop() {
    this.#stopper?.abort();
    this.composer.input.focus();
  }

  // The end stays in view as an answer grows, unless the person has scrolled up to read.
  #follow() {
    if (this.#atEnd) this.#scrollDown();
  }

  #scrollDown() {
    this.#atEnd = true;
    this.log.scrollTop = this.log.scrollHeight;
  }

  #showCode() {
    const draft = this.composer.input.value.trim();
    const turns = draft ? [...this.#turns, { role: "user", content: draft, attachments: this.composer.attachments.items }]
      : this.#turns.slice(0, this.#turns.findLastIndex((turn) => turn.role === "user") + 1);
    const knobs = requestKnobs(this.settings);
    const request = chatRequest({
      model: this.model, system: knobs.system_prompt ?? this.sessionSystem, temperature: knobs.temperature, maxTokens: knobs.max_tokens,
      effort: knobs.reasoning_effort, turns: turns.length ? turns : [{ role: "user", content: "Hello" }],
    });
    showCode(snippets(request, gatewayBase(), Boolean(storedKey())));
  }
}

function spoken({ error, stopped, answer }) {
  if (error) return `Failed: ${error.message}`;
  if (stopped) return "Stopped";
  return `The answer is complete, ${answer.usage?.output_tokens ?? "an unknown number of"} tokens`;
}
