// What the gateway did and what it cost, over time.

import { get } from "../api.js";
import { el, fill } from "../dom.js";
import { compact, count, milliseconds, money, roundMoney } from "../format.js";
import { icon } from "../icons.js";
import { emptyState, failedView, loading, notice, pageHead, segments } from "../parts.js";
import { plotCard } from "../plots/plot.js";
import { costOf, errorsOf, groupedSeries, number, plainSeries, recolored, slotKey, timeSlots, tokensOf } from "../plots/usage-series.js";

const SPANS = [["hour", "24 hours"], ["7", "7 days"], ["30", "30 days"], ["90", "90 days"]];
const GROUPS = [["model", "Model"], ["backend", "Backend"], ["key", "Key"]];

/** Draws the view into `main`. */
export async function show(main, context) {
  document.title = "Usage · Skybridge";
  const chosen = { span: "7", group: "model" };
  const body = el("div", { class: "stack" });
  let round = 0;

  async function draw() {
    const mine = (round += 1);
    body.setAttribute("aria-busy", "true");
    if (!body.children.length) fill(body, loading());
    try {
      const found = await readUsage(chosen, context.signal);
      if (mine === round) fill(body, found.rows.length ? report(found, chosen) : nothing(chosen));
    } catch (error) {
      if (error.name === "AbortError") return;
      if (mine === round) fill(body, failedView(error, draw, "usage"));
    }
    body.removeAttribute("aria-busy");
  }

  const set = (name) => (value) => {
    chosen[name] = value;
    draw();
  };
  fill(main, el(
    "div",
    { class: "page" },
    pageHead("Usage", context.me.admin ? "Requests, tokens and cost of every key. Days and hours are in UTC." : "What your key has used. Days and hours are in UTC.",
      el("button", { type: "button", class: "button", on: { click: draw } }, icon("retry"), "Refresh")),
    el("div", { class: "toolbar" }, segments("Period", SPANS, chosen.span, set("span")), segments("Group by", GROUPS, chosen.group, set("group"))),
    body,
  ));
  await draw();
}

// Percentiles cannot be added up, so each grouping is asked for by itself.
async function readUsage({ span, group }, signal) {
  const unit = span === "hour" ? "hour" : "day";
  const days = unit === "hour" ? 2 : Number(span);
  const slots = timeSlots(unit, days);
  const ask = (by) => get(`usage?by=${by}&days=${days}`, signal);
  const [grouped, plain, totals] = await Promise.all([ask(`${unit},${group}`), ask(unit), unit === "day" ? ask(group) : null]);
  const inside = (row) => slots.some((slot) => slot.key === slotKey(row, unit));
  return { unit, slots, rows: grouped.data.filter(inside), plain: plain.data.filter(inside), totals: totals?.data ?? null, complete: [grouped, plain, totals].every((each) => each?.complete !== false) };
}

function nothing({ span }) {
  const words = SPANS.find(([value]) => value === span)[1];
  return emptyState("usage", `No requests in the last ${words}`, "Send one from the playground, or point a client at this gateway; it appears here a moment after its answer.",
    el("a", { class: "button button-primary", href: "#/playground" }, "Open the playground"));
}

function report(found, { group }) {
  const { unit, slots, rows, plain } = found;
  const slotName = unit === "hour" ? "Hour" : "Day";
  const by = (measure) => groupedSeries(rows, { unit, group, slots, measure });
  const tokens = by(tokensOf);
  const over = (measure) => plainSeries(plain, { unit, slots, measure });
  const ms = (name) => over((row) => (row[name] === undefined ? null : row[name]));
  const words = GROUPS.find(([value]) => value === group)[1].toLowerCase();
  const unpriced = rows.reduce((sum, row) => sum + number(row.unpriced), 0);
  return [
    tiles(plain),
    found.complete ? null : notice("There are more requests than one answer adds up, so the oldest of this period are missing here. `skybridge usage` on the command line counts them all.", "warn"),
    unpriced ? notice(`${count(unpriced)} of these requests have no known price and count as nothing in the cost: set prices in the configuration.`, "warn") : null,
    el(
      "div",
      { class: "plots" },
      plotCard({ title: "Cost", note: `USD by ${words}`, slots, slotName, kind: "bars", format: money, tick: roundMoney, series: recolored(by(costOf), tokens) }),
      plotCard({ title: "Tokens", note: `in and out, by ${words}`, slots, slotName, kind: "bars", format: compact, series: recolored(tokens, tokens) }),
      plotCard({
        title: "Time to first token", note: "median and 95th percentile", slots, slotName, kind: "lines", format: milliseconds,
        series: [{ name: "p50", values: ms("ttft_p50_ms") }, { name: "p95", values: ms("ttft_p95_ms") }],
      }),
      plotCard({
        title: "Errors and failovers", note: "requests", slots, slotName, kind: "bars", format: count,
        series: [{ name: "Errors", values: over(errorsOf), color: 3 }, { name: "Failovers", values: over((row) => number(row.failovers)), color: 1 }],
      }),
    ),
    breakdown(found, group),
  ];
}

function tiles(rows) {
  const sum = (measure) => rows.reduce((total, row) => total + measure(row), 0);
  const requests = sum((row) => number(row.requests));
  const errors = sum(errorsOf);
  const cached = sum((row) => number(row.cache_read_tokens));
  const latest = rows.filter((row) => row.ttft_p50_ms !== null && row.ttft_p50_ms !== undefined).at(-1);
  const facts = [
    ["Cost", money(sum(costOf)), ""],
    ["Requests", compact(requests), ""],
    ["Tokens", compact(sum(tokensOf)), cached ? `${compact(cached)} from a cache` : ""],
    ["Errors", compact(errors), requests ? `${((errors / requests) * 100).toFixed(1)} % of requests` : ""],
    ["Failovers", compact(sum((row) => number(row.failovers))), "to another backend"],
    ["First token", latest ? milliseconds(latest.ttft_p50_ms) : "–", latest ? "median, latest period" : ""],
  ];
  return el("dl", { class: "tiles" }, facts.map(([name, value, more]) => el("div", { class: "tile" }, el("dt", {}, name), el("dd", {}, value, more ? el("span", {}, more) : null))));
}

function breakdown({ rows, totals }, group) {
  const shown = (totals ?? summed(rows, group)).toSorted((one, other) => costOf(other) - costOf(one) || number(other.requests) - number(one.requests));
  const label = GROUPS.find(([value]) => value === group)[1];
  const heads = ["Requests", "Errors", "Failovers", "Tokens in", "Tokens out", "TTFT p50", "TTFT p95", "Cost"];
  const line = (row) => [
    count(number(row.requests)), count(errorsOf(row)), count(number(row.failovers)), compact(number(row.input_tokens) + number(row.cache_read_tokens)),
    compact(number(row.output_tokens)), milliseconds(row.ttft_p50_ms), milliseconds(row.ttft_p95_ms), money(costOf(row)),
  ];
  return el(
    "section",
    { class: "stack", "aria-label": `By ${label.toLowerCase()}` },
    el("h2", {}, `By ${label.toLowerCase()}`),
    el("div", { class: "table-wrap", tabindex: "0", role: "region", "aria-label": `Usage by ${label.toLowerCase()}` },
      el("table", { class: "table stacked" },
        el("thead", {}, el("tr", {}, el("th", { scope: "col" }, label), heads.map((head) => el("th", { scope: "col", class: "number" }, head)))),
        el("tbody", {}, shown.map((row) => el("tr", {}, el("th", { scope: "row" }, row[group] || "(none)"),
          line(row).map((text, index) => el("td", { class: "number", "data-label": heads[index] }, text))))))),
  );
}

// The last 24 hours cross two days, so their sums are made here; percentiles are then unknown.
function summed(rows, group) {
  const found = new Map();
  for (const row of rows) {
    const total = found.get(row[group]) ?? { [group]: row[group], requests: 0, errors: 0, failovers: 0, input_tokens: 0, output_tokens: 0, cache_read_tokens: 0, cost: 0 };
    for (const name of ["requests", "failovers", "input_tokens", "output_tokens", "cache_read_tokens"]) total[name] += number(row[name]);
    total.errors += errorsOf(row);
    total.cost += costOf(row);
    found.set(row[group], total);
  }
  return [...found.values()];
}
