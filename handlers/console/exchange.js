// What one request did: timing, tokens, cost, and the response's headers.

import { el } from "./dom.js";
import { count, milliseconds, money, speed } from "./format.js";
import { icon } from "./icons.js";

/** Measures a stream from here: what the person at this screen waits. */
export class Stopwatch {
  #began = performance.now();
  #first = null;

  /** The first piece of the answer is here. */
  mark() {
    this.#first ??= performance.now() - this.#began;
  }

  read() {
    return { firstMs: this.#first, totalMs: performance.now() - this.#began };
  }
}

/** Time to first token, speed, tokens and cost in one line. */
export function metricsLine({ answer, timing }) {
  const usage = answer?.usage ?? {};
  const first = answer?.time_to_first_token_ms ?? timing?.firstMs;
  const total = answer?.duration_ms ?? timing?.totalMs;
  const writing = total && first !== null && first !== undefined && total - first > 20 ? total - first : total;
  const facts = [
    first !== null && first !== undefined ? ["First token", milliseconds(first)] : null,
    usage.output_tokens && total ? ["Speed", speed(usage.output_tokens, writing)] : null,
    usage.input_tokens !== undefined ? ["In", count(usage.input_tokens)] : null,
    usage.output_tokens !== undefined ? ["Out", count(usage.output_tokens)] : null,
    answer && answer.usage ? ["Cost", answer.cost_usd === null || answer.cost_usd === undefined ? "no price" : money(answer.cost_usd)] : null,
    total ? ["Total", milliseconds(total)] : null,
  ].filter(Boolean);
  return el("dl", { class: "metrics" }, facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

/** Everything that is known of a request, folded. Null where nothing is. */
export function exchangeDetails({ answer, timing, headers }) {
  const rows = [
    ["Backend", answer?.backend], ["Served model", answer?.served_model], ["Attempts", answer?.attempts],
    ["Finish reason", answer?.finish_reason], ["Cached input tokens", answer?.usage?.cached_input_tokens],
    ["Reasoning tokens", answer?.usage?.reasoning_tokens],
    ["First token, seen here", timing?.firstMs === undefined || timing?.firstMs === null ? null : milliseconds(timing.firstMs)],
    ["Whole answer, seen here", timing ? milliseconds(timing.totalMs) : null],
    ["Session", answer?.session_id], ["Answer", answer?.id],
  ].filter(([, value]) => value !== null && value !== undefined && value !== "");
  if (!rows.length && !headers?.length) return null;
  return el(
    "details",
    { class: "fold fold-details" },
    el("summary", {}, icon("chevron"), el("span", {}, headers?.length ? "Timing and response headers" : "Details")),
    factTable("The request", rows),
    headers?.length ? factTable("Response headers", headers) : null,
  );
}

function factTable(caption, rows) {
  return el(
    "table",
    { class: "facts" },
    el("caption", {}, caption),
    el("tbody", {}, rows.map(([name, value]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, String(value))))),
  );
}
