// Two to four models side by side: one prompt, answers streamed at once, tokens, cost and speed below each.

import { announce } from "../announce.js";
import { get, stream, streamedError } from "../api.js";
import { readSettings, requestKnobs, settingsForm } from "../chat-settings.js";
import { Composer } from "../composer.js";
import { el, fill } from "../dom.js";
import { Stopwatch } from "../exchange.js";
import { icon } from "../icons.js";
import { modelPicker } from "../model-picker.js";
import { emptyState, errorNotice, loading, pageHead } from "../parts.js";
import { AnswerTurn } from "../turns.js";

const STORED = "skybridge.compare";
const LEAST = 2;
const MOST = 4;

/** Draws the view into `main`. */
export async function show(main, context) {
  document.title = "Compare · Skybridge";
  fill(main, loading());
  const { models } = await get("models", context.signal);
  if (!models.length) {
    fill(main, el("div", { class: "page" }, pageHead("Compare"), emptyState("compare", "No models yet", "Name at least two under `models:` in models.yaml, then start the gateway again.")));
    return;
  }
  new Comparison(main, context, models);
}

class Comparison {
  #lanes = [];
  #stopper = null;

  constructor(main, context, models) {
    this.context = context;
    this.models = models;
    this.names = models.filter((model) => !model.pattern).map(({ id }) => id);
    this.settings = readSettings();
    this.composer = new Composer({ label: "Prompt", placeholder: "One prompt for all of them", files: false, send: ({ text }) => this.#run(text), stop: () => this.#stopper?.abort() });
    this.lanes = el("div", { class: "lanes" });
    this.prompt = el("div");
    this.trouble = el("div", { class: "stack" });
    this.adder = el("button", { type: "button", class: "button", on: { click: () => this.#add() } }, icon("plus"), "Add a model");
    fill(main, el(
      "div",
      { class: "page page-wide" },
      pageHead("Compare", "The same prompt to two, three or four models at once. Nothing is kept.", this.adder),
      el("div", { class: "compare-ask" }, this.composer.node,
        el("details", { class: "fold" }, el("summary", {}, icon("chevron"), el("span", {}, "Settings")), el("div", { class: "dialog-body" }, settingsForm(this.settings, () => {}, { withEffort: false })))),
      this.prompt, this.trouble, el("div", { class: "compare" }, this.lanes),
    ));
    for (const id of this.#initial()) this.#add(id);
    context.signal.addEventListener("abort", () => this.#stopper?.abort());
  }

  #initial() {
    let stored = [];
    try {
      stored = JSON.parse(localStorage.getItem(STORED) ?? "[]");
    } catch {
      // Not ours, or broken: the first models are taken.
    }
    const known = stored.filter((id) => typeof id === "string" && id).slice(0, MOST);
    const others = this.names.filter((id) => !known.includes(id));
    while (known.length < LEAST) known.push(others.shift() ?? this.names[0] ?? "");
    return known;
  }

  #add(id = this.names.find((name) => !this.#lanes.some((lane) => lane.model === name)) ?? this.names[0] ?? "") {
    if (this.#lanes.length >= MOST) return;
    const lane = { model: id };
    lane.body = el("div", { class: "lane-body" }, el("p", { class: "lane-waiting" }, "The answer appears here."));
    lane.remover = el("button", { type: "button", class: "icon-button icon-button-small", "aria-label": "Remove this model", on: { click: () => this.#remove(lane) } }, icon("close"));
    const picker = modelPicker(this.models, id, (chosen) => {
      lane.model = chosen;
      this.#keep();
    });
    lane.node = el("section", { class: "lane", "aria-label": "Model" }, el("div", { class: "lane-head" }, picker.node, lane.remover), lane.body);
    this.#lanes.push(lane);
    this.lanes.append(lane.node);
    this.#keep();
  }

  #remove(lane) {
    this.#lanes = this.#lanes.filter((other) => other !== lane);
    lane.node.remove();
    this.#keep();
    this.composer.input.focus();
  }

  #keep() {
    localStorage.setItem(STORED, JSON.stringify(this.#lanes.map(({ model }) => model)));
    this.#allow(!this.composer.busy);
  }

  #allow(free) {
    this.adder.hidden = this.#lanes.length >= MOST;
    this.adder.disabled = !free;
    for (const lane of this.#lanes) {
      lane.remover.hidden = this.#lanes.length <= LEAST;
      lane.remover.disabled = !free;
      lane.node.querySelector(".picker-button").disabled = !free;
    }
  }

  async #run(prompt) {
    this.#stopper = new AbortController();
    const run = { lanes: [...this.#lanes], watches: [], results: null, headers: [] };
    this.composer.busy = true;
    this.#allow(false);
    fill(this.trouble);
    fill(this.prompt, el("p", { class: "prompt-shown" }, prompt));
    for (const lane of run.lanes) {
      lane.answer = new AnswerTurn(lane.model);
      lane.error = null;
      lane.answer.begin();
      fill(lane.body, lane.answer.node);
      run.watches.push(new Stopwatch());
    }
    announce(`${run.lanes.length} models are answering`);
    const { system_prompt, temperature, max_tokens } = requestKnobs(this.settings);
    const request = { prompt, models: run.lanes.map(({ model }) => model), system_prompt, temperature, max_tokens };
    let problem = null;
    try {
      await this.#read(request, run);
    } catch (error) {
      problem = error;
    }
    if (this.context.signal.aborted) return;
    this.#finish(run, problem);
    if (problem && problem.name !== "AbortError" && !run.results && !run.started) this.composer.write(prompt);
  }

  async #read(request, run) {
    const opened = await stream("compare/stream", request, this.#stopper.signal);
    run.started = true;
    for await (const { event, data } of opened.events) {
      if (event === "done" && data.results) {
        run.results = data.results;
        continue;
      }
      const lane = run.lanes[data.index];
      if (!lane) {
        if (event === "error") throw streamedError(data);
        continue;
      }
      for (const text of data.notices ?? []) lane.answer.note(text);
      if (event === "delta" || event === "reasoning") run.watches[data.index].mark();
      if (event === "error") lane.error = streamedError(data);
      else if (event === "done") lane.done = data;
      else lane.answer.take({ event, data });
    }
    if (!run.results) throw streamedError({ error: { code: "CUT", message: "The stream ended before all answers were complete." } });
  }

  #finish(run, problem) {
    const stopped = problem?.name === "AbortError";
    if (problem && !stopped) fill(this.trouble, errorNotice(problem));
    run.lanes.forEach((lane, index) => {
      const result = run.results?.[index];
      const error = result?.error ? streamedError({ error: result.error }) : lane.error;
      const answer = result && !error ? { ...result, message: { content: result.content, reasoning: result.reasoning } } : null;
      lane.answer.finish({ answer, error, stopped: stopped && !result, timing: result ? undefined : run.watches[index].read() });
    });
    this.composer.busy = false;
    this.#allow(true);
    if (run.results) markBest(run);
    announce(stopped ? "Stopped" : problem ? `Failed: ${problem.message}` : "All answers are complete");
  }
}

/** Says which lane was first and which cheapest, where that can be told. */
function markBest({ lanes, results }) {
  for (const [name, words] of [["time_to_first_token_ms", "fastest first token"], ["cost_usd", "cheapest"]]) {
    const known = results.map((result, index) => ({ index, value: result?.error ? null : result?.[name] })).filter(({ value }) => value !== null && value !== undefined);
    if (known.length < 2) continue;
    known.sort((one, other) => Number(one.value) - Number(other.value));
    if (Number(known[0].value) === Number(known[1].value)) continue;
    lanes[known[0].index].answer.node.querySelector(".metrics")?.append(el("div", {}, el("dt", { class: "lane-best" }, words), el("dd", { class: "hidden-visually" }, "yes")));
  }
}
