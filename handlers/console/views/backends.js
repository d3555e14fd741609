// How the backends are, as this instance of the gateway sees them.

import { get } from "../api.js";
import { el, fill } from "../dom.js";
import { ago, count, milliseconds, moment } from "../format.js";
import { icon } from "../icons.js";
import { badge, emptyState, errorNotice, loading, pageHead } from "../parts.js";

const EVERY_MS = 15_000;
const MOST_MODELS = 8;

const STATES = {
  ok: ["ok", "Healthy"],
  cooling: ["warn", "Cooling down"],
  down: ["danger", "Down"],
  not_configured: ["plain", "Not configured"],
  unknown: ["plain", "Not used yet"],
};

/** Draws the view into `main`, and again every 15 seconds. */
export async function show(main, context) {
  document.title = "Backends · Skybridge";
  const body = el("div", { class: "stack" }, loading());
  const updated = el("p", { class: "hint" });

  async function draw() {
    try {
      const { backends } = await get("backends", context.signal);
      fill(body, backends.length ? overview(backends) : nothing());
      updated.textContent = `As of ${new Date().toLocaleTimeString("en-GB")}`;
    } catch (error) {
      if (error.name !== "AbortError") fill(body, errorNotice(error, draw));
    }
  }

  fill(main, el("div", { class: "page" },
    pageHead("Backends", "Health, breaker and latency as this instance sees them. What cools down is asked last.",
      updated, el("button", { type: "button", class: "button", on: { click: draw } }, icon("retry"), "Refresh")),
    body));
  await draw();
  // A card that a person is in the middle of is not drawn anew under their hands.
  const timer = setInterval(() => { if (!document.hidden && !body.contains(document.activeElement)) draw(); }, EVERY_MS);
  context.signal.addEventListener("abort", () => clearInterval(timer));
}

function nothing() {
  return emptyState("backends", "No backends", "Name one under `backends:` in models.yaml, then start the gateway again.");
}

function overview(backends) {
  const named = (state) => backends.filter((backend) => backend.state === state).length;
  const facts = [["Backends", backends.length], ["Healthy", named("ok")], ["Cooling or down", named("cooling") + named("down")], ["No answer yet", named("unknown")], ["Not configured", named("not_configured")]];
  return [
    el("dl", { class: "tiles" }, facts.map(([name, value]) => el("div", { class: "tile" }, el("dt", {}, name), el("dd", {}, count(value))))),
    el("div", { class: "cards" }, backends.map(card)),
  ];
}

function card(backend) {
  const [kind, words] = stateOf(backend);
  const where = [backend.type, backend.region, backend.format].filter(Boolean).join(" · ");
  const requests = backend.requests ?? 0;
  const figures = [
    ["Requests", count(requests)],
    ["Errors", requests && backend.errors ? withShare(backend.errors, requests) : count(backend.errors ?? 0)],
    ["p50", milliseconds(backend.latency_p50_ms)],
    ["p95", milliseconds(backend.latency_p95_ms)],
  ];
  return el(
    "article",
    { class: "card backend" },
    el("div", { class: "backend-head" }, el("h2", {}, backend.name), badge(words, kind)),
    el("p", { class: "backend-where" }, where),
    backend.base_url ? el("p", { class: "backend-where" }, backend.base_url) : null,
    trouble(backend, kind),
    el("dl", { class: "figures" }, figures.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)))),
    models(backend.models ?? []),
  );
}

function stateOf(backend) {
  if (backend.state === "unknown" && backend.errors) return ["warn", "No answer yet"];
  return STATES[backend.state] ?? ["plain", backend.state];
}

const withShare = (errors, requests) => `${count(errors)} (${((errors / requests) * 100).toFixed(1)} %)`;

function trouble(backend, kind) {
  const lines = [];
  if (backend.reason) lines.push(backend.reason);
  const until = moment(backend.cooling_until);
  if (until && until > new Date()) lines.push(`Asked again ${ago(backend.cooling_until)}.`);
  if (backend.consecutive_failures) lines.push(`${count(backend.consecutive_failures)} failures in a row.`);
  const error = backend.last_error;
  if (error) lines.push(`Last error ${ago(error.at)}: ${[error.status, error.message].filter(Boolean).join(" ")}`);
  if (!lines.length) return null;
  const tone = kind === "plain" || kind === "ok" ? "plain" : kind;
  return el("div", { class: `notice notice-${tone}` }, icon("alert"), el("div", { class: "notice-text" }, lines.map((line) => el("p", {}, line))));
}

function models(names) {
  if (!names.length) return el("p", { class: "backend-where" }, "No model is served by it.");
  const tag = (name) => el("li", { class: "tag" }, name);
  const rest = names.slice(MOST_MODELS);
  return [
    el("ul", { class: "tags", "aria-label": "Models" }, names.slice(0, MOST_MODELS).map(tag)),
    rest.length ? el("details", {}, el("summary", { class: "hint" }, `${rest.length} more models`), el("ul", { class: "tags" }, rest.map(tag))) : null,
  ];
}
