// Plots over time as plain SVG: stacked bars or lines, with axes, a legend, a tooltip that mouse, finger and arrow
// keys move, and the same numbers as a table.

import { announce } from "../announce.js";
import { el, fill, svg } from "../dom.js";
import { labelledSlots, roundTicks } from "./scale.js";

const HEIGHT = 214;
const TOP = 10;
const BOTTOM = 26;
const RIGHT = 6;
const DIGIT_WIDTH = 6.8;
const COLORS = 8;

/**
 * A card with a plot.
 * `slots`: [{label, title}] along the time axis; `series`: [{name, values, color?}] with a number or null per slot;
 * `kind`: "bars" (stacked) or "lines"; `format`: number to text, `tick` the same for the axis.
 */
export function plotCard({ title, note, slots, series, kind, format, tick = format, slotName = "Day" }) {
  const card = el("section", { class: "card", "aria-label": title },
    el("div", { class: "card-head" }, el("h2", {}, title), note ? el("p", {}, note) : null));
  if (!series.some(({ values }) => values.some((value) => value))) {
    card.append(el("p", { class: "plot-empty" }, "Nothing in this period."));
    return card;
  }
  series.forEach((each, index) => { each.color ??= index % COLORS; });
  const drawing = new Drawing({ title, slots, series, kind, format, tick });
  const legend = el("ul", { class: "legend", "aria-label": "Legend" }, series.map(({ name, color }) => el("li", {}, el("span", { class: `swatch swatch-${color}` }), name)));
  card.append(drawing.node, legend, tableBehind({ title, slots, series, format, slotName }));
  return card;
}

function tableBehind({ title, slots, series, format, slotName }) {
  const rows = slots.map((slot, index) => el("tr", {}, el("th", { scope: "row" }, slot.title), series.map(({ values }) => el("td", { class: "number" }, format(values[index] ?? null)))));
  return el(
    "details",
    { class: "plot-table" },
    el("summary", {}, "Show as a table"),
    el("div", { class: "table-wrap", tabindex: "0", role: "region", "aria-label": `${title}, as a table` },
      el("table", { class: "table table-compact" },
        el("caption", { class: "hidden-visually" }, title),
        el("thead", {}, el("tr", {}, el("th", { scope: "col" }, slotName), series.map(({ name }) => el("th", { scope: "col", class: "number" }, name)))),
        el("tbody", {}, rows))),
  );
}

class Drawing {
  #at = -1;
  #width = 0;

  constructor(plan) {
    Object.assign(this, plan);
    this.ticks = roundTicks(this.#most());
    this.top = this.ticks.at(-1);
    this.left = Math.max(...this.ticks.map((value) => this.tick(value).length)) * DIGIT_WIDTH + 14;
    this.picture = svg("svg", { role: "img", tabindex: "0", height: HEIGHT, "aria-label": this.#summary() });
    this.tip = el("div", { class: "tip", hidden: true });
    this.node = el("div", { class: "plot" }, this.picture, this.tip);
    this.picture.addEventListener("pointermove", (event) => this.#point(this.#slotAt(event)));
    this.picture.addEventListener("pointerleave", () => this.#point(-1));
    this.picture.addEventListener("blur", () => this.#point(-1));
    this.picture.addEventListener("keydown", (event) => this.#step(event));
    new ResizeObserver(([entry]) => this.#draw(Math.floor(entry.contentRect.width))).observe(this.node);
  }

  #most() {
    const heights = this.slots.map((_, index) => {
      const values = this.series.map(({ values: all }) => all[index] ?? 0);
      return this.kind === "bars" ? values.reduce((sum, value) => sum + value, 0) : Math.max(...values);
    });
    return Math.max(...heights);
  }

  #summary() {
    const sums = this.series.map(({ name, values }) => {
      const known = values.filter((value) => value !== null && value !== undefined);
      const value = this.kind === "bars" ? known.reduce((sum, each) => sum + each, 0) : Math.max(...known, 0);
      return `${name} ${this.kind === "bars" ? "in all" : "at most"} ${this.format(value)}`;
    });
    return `${this.title}, ${this.slots[0]?.title} to ${this.slots.at(-1)?.title}. ${sums.join(", ")}. The arrow keys move through it.`;
  }

  #x(index) {
    return this.left + (index + 0.5) * this.slotWidth;
  }

  #y(value) {
    return TOP + (1 - value / this.top) * (HEIGHT - TOP - BOTTOM);
  }

  #draw(width) {
    if (width === this.#width || width < 60) return;
    this.#width = width;
    this.slotWidth = (width - this.left - RIGHT) / this.slots.length;
    this.picture.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.marker = svg("rect", { class: "slot-mark", y: TOP, width: this.slotWidth, height: HEIGHT - TOP - BOTTOM, visibility: "hidden" });
    fill(this.picture, this.#axes(width), this.marker, this.kind === "bars" ? this.#bars() : this.#lines());
  }

  #axes(width) {
    const rows = this.ticks.map((value) => [
      svg("line", { class: value === 0 ? "axis-line" : "grid-line", x1: this.left, x2: width - RIGHT, y1: this.#y(value), y2: this.#y(value) }),
      svg("text", { class: "axis-text", x: this.left - 8, y: this.#y(value) + 4, "text-anchor": "end" }, this.tick(value)),
    ]);
    const longest = Math.max(...this.slots.map(({ label }) => label.length));
    const fits = Math.floor((width - this.left) / (longest * DIGIT_WIDTH + 16));
    const labels = labelledSlots(this.slots.length, fits).map((index) => svg(
      "text",
      { class: "axis-text", x: Math.min(this.#x(index), width - (longest * DIGIT_WIDTH) / 2), y: HEIGHT - 7, "text-anchor": "middle" },
      this.slots[index].label,
    ));
    return [rows, labels];
  }

  #bars() {
    const width = Math.max(1, Math.min(46, this.slotWidth * 0.72));
    return this.slots.map((_, index) => {
      let below = 0;
      return this.series.map(({ values, color }) => {
        const value = values[index] ?? 0;
        if (!value) return null;
        const bottom = this.#y(below);
        below += value;
        const height = Math.max(1, bottom - this.#y(below));
        return svg("rect", { class: `fill-${color}`, x: this.#x(index) - width / 2, y: bottom - height, width, height, rx: width > 6 ? 2 : 0 });
      });
    });
  }

  #lines() {
    return this.series.map(({ values, color }) => {
      let path = "";
      let open = false;
      const dots = [];
      values.forEach((value, index) => {
        const known = value !== null && value !== undefined;
        if (known) {
          path += `${open ? "L" : "M"}${this.#x(index).toFixed(1)} ${this.#y(value).toFixed(1)}`;
          if (values.length <= 40) dots.push(svg("circle", { class: `fill-${color}`, cx: this.#x(index), cy: this.#y(value), r: 3 }));
        }
        open = known;
      });
      return [svg("path", { class: `line line-${color}`, d: path }), dots];
    });
  }

  #slotAt(event) {
    const { left } = this.picture.getBoundingClientRect();
    const index = Math.floor((event.clientX - left - this.left) / this.slotWidth);
    return index >= 0 && index < this.slots.length ? index : -1;
  }

  #step(event) {
    const last = this.slots.length - 1;
    const next = { ArrowRight: this.#at < 0 ? 0 : Math.min(last, this.#at + 1), ArrowLeft: this.#at < 0 ? last : Math.max(0, this.#at - 1), Home: 0, End: last, Escape: -1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    this.#point(next);
    if (next >= 0) announce(`${this.slots[next].title}: ${this.#valuesAt(next).map(({ name, text }) => `${name} ${text}`).join(", ")}`);
  }

  #valuesAt(index) {
    return this.series.map(({ name, values, color }) => ({ name, color, value: values[index], text: this.format(values[index] ?? null) }))
      .filter(({ value }) => this.kind === "lines" || value);
  }

  #point(index) {
    if (index === this.#at) return;
    this.#at = index;
    this.tip.hidden = index < 0;
    this.marker?.setAttribute("visibility", index < 0 ? "hidden" : "visible");
    if (index < 0) return;
    this.marker.setAttribute("x", this.left + index * this.slotWidth);
    const found = this.#valuesAt(index);
    const rows = found.map(({ name, color, text }) => el("div", {}, el("span", { class: `swatch swatch-${color}` }), el("span", {}, name), el("span", {}, text)));
    const sum = this.kind === "bars" && found.length > 1 ? el("div", {}, el("span", {}, "Total"), el("span", {}, this.format(found.reduce((all, { value }) => all + value, 0)))) : null;
    fill(this.tip, el("strong", {}, this.slots[index].title), rows.length ? rows : el("div", {}, "Nothing"), sum);
    const x = this.#x(index) + 10;
    const flips = x + this.tip.offsetWidth + 24 > this.#width;
    this.tip.style.left = `${Math.max(0, flips ? x - this.tip.offsetWidth - 2 : x + 14)}px`;
    this.tip.style.top = `${TOP + 6}px`;
  }
}
