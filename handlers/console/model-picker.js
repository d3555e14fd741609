// Chooses a model: a button that opens a list with a search field.
// The pattern: https://www.w3.org/WAI/ARIA/apg/patterns/combobox/

import { el, fill, freshId } from "./dom.js";
import { compact, money, price } from "./format.js";
import { icon } from "./icons.js";

const STATES = { available: "ok", degraded: "warn", unavailable: "danger" };

/** Whether a name is listed, or one of those that a pattern of the configuration stands for. */
export const isServed = (models, id) => models.some((model) => (model.pattern ? matches(model.id, id) : model.id === id));

function matches(pattern, id) {
  const source = pattern.replace(/\[[^\]]+\]|[^]/g, (token) => {
    if (token.length > 1) return token.replaceAll("\\", "\\\\").replace("[!", "[^");
    return { "*": ".*", "?": "." }[token] ?? token.replace(/[.+^${}()|[\]\\]/, "\\$&");
  });
  return new RegExp(`^${source}$`, "s").test(id);
}

/** A picker over `models` (as /api/v1/models lists them). `choose` gets the id. Gives {node, select}. */
export function modelPicker(listed, chosen, choose, label = "Model") {
  const models = listed.filter((model) => !model.pattern);
  const patterns = listed.filter((model) => model.pattern);
  const listId = freshId("models");
  const nameOf = (id) => models.find((model) => model.id === id)?.display_name || id || "Choose a model";
  const current = el("span", { class: "picker-name" }, nameOf(chosen));
  const dot = el("span", { class: `dot dot-${stateOf(models, chosen)}` });
  const button = el("button", { type: "button", class: "button picker-button", "aria-haspopup": "dialog", "aria-expanded": "false" },
    el("span", { class: "hidden-visually" }, `${label}: `), dot, current, icon("chevron"));
  const input = el("input", {
    class: "input", type: "text", role: "combobox", autocomplete: "off", spellcheck: "false", placeholder: "Search models",
    "aria-label": "Search models", "aria-expanded": "true", "aria-controls": listId, "aria-autocomplete": "list",
  });
  const list = el("ul", { class: "picker-list", role: "listbox", id: listId, "aria-label": "Models" });
  const panel = el("div", { class: "picker-panel", hidden: true, role: "dialog", "aria-label": "Choose a model" },
    el("div", { class: "picker-search" }, icon("search"), input), list);
  const node = el("div", { class: "picker" }, button, panel);
  let active = 0;
  let found = models;

  function draw() {
    const wanted = input.value.trim().toLowerCase().split(/\s+/);
    found = models.filter((model) => wanted.every((word) => searchText(model).includes(word)));
    const typed = input.value.trim();
    if (typed && !models.some((model) => model.id === typed)) {
      found = [...found, { id: typed, typed: true, served: patterns.find((pattern) => matches(pattern.id, typed))?.id }];
    }
    found = [...found, ...patterns.filter((pattern) => wanted.every((word) => pattern.id.toLowerCase().includes(word)))];
    active = Math.max(0, Math.min(active, found.length - 1));
    fill(list, found.map((model, index) => option(model, index)));
    highlight();
  }

  function option(model, index) {
    return el("li", {
      id: `${listId}-${index}`, class: "picker-option", role: "option", "aria-selected": String(model.id === chosen),
      on: { mousedown: (event) => event.preventDefault(), click: () => take(model), mousemove: () => { active = index; highlight(); } },
    }, optionLines(model));
  }

  function highlight() {
    [...list.children].forEach((item, index) => item.classList.toggle("active", index === active));
    const item = list.children[active];
    if (item) {
      input.setAttribute("aria-activedescendant", item.id);
      item.scrollIntoView({ block: "nearest" });
    } else input.removeAttribute("aria-activedescendant");
  }

  function take(model) {
    if (model.pattern) {
      // It is no name: its beginning is typed for the person, who goes on.
      input.value = model.id.split(/[*?[]/)[0];
      active = 0;
      draw();
      input.focus();
      return;
    }
    select(model.id);
    close(true);
    choose(model.id);
  }

  function select(id) {
    chosen = id;
    current.textContent = nameOf(id);
    dot.className = `dot dot-${stateOf(models, id)}`;
  }

  function open() {
    panel.hidden = false;
    button.setAttribute("aria-expanded", "true");
    input.value = "";
    active = Math.max(0, models.findIndex((model) => model.id === chosen));
    draw();
    input.focus();
    document.addEventListener("pointerdown", outside);
  }

  function close(focusBack) {
    panel.hidden = true;
    button.setAttribute("aria-expanded", "false");
    document.removeEventListener("pointerdown", outside);
    if (focusBack) button.focus();
  }

  const outside = (event) => { if (!node.contains(event.target)) close(false); };
  const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: 6, PageUp: -6 };
  button.addEventListener("click", () => (panel.hidden ? open() : close(true)));
  input.addEventListener("input", () => { active = 0; draw(); });
  input.addEventListener("keydown", (event) => {
    if (event.key in moves) {
      event.preventDefault();
      active = Math.max(0, Math.min(found.length - 1, active + moves[event.key]));
      highlight();
    } else if (event.key === "Enter" && found[active]) {
      event.preventDefault();
      take(found[active]);
    } else if (event.key === "Escape") {
      event.stopPropagation();
      close(true);
    } else if (event.key === "Tab") close(false);
  });
  return { node, select };
}

function stateOf(models, id) {
  return STATES[models.find((model) => model.id === id)?.status] ?? "plain";
}

function searchText(model) {
  return [model.id, model.display_name, ...(model.backends ?? []).flatMap((each) => [each.backend, each.api_model])].join(" ").toLowerCase();
}

/** What is left of the caller's limits, the scarcest first. */
function quotaWords(quota) {
  const rows = Object.entries(quota ?? {}).filter(([, left]) => Number(left?.limit) > 0)
    .sort(([, one], [, other]) => one.remaining / one.limit - other.remaining / other.limit)
    .map(([name, left]) => {
      const show = name.startsWith("usd") ? money : compact;
      return `${show(left.remaining)} of ${show(left.limit)} ${name.replace("usd_", "").replaceAll("_", " ").replace("per ", "a ")}`;
    });
  return rows.length ? el("span", { class: "picker-facts" }, `Left: ${rows.slice(0, 2).join(", ")}`) : null;
}

function priceWords({ input, output }) {
  return Number(input) || Number(output) ? `${price(input)} in, ${price(output)} out` : "free";
}

function optionLines(model) {
  if (model.pattern) return hint(model.id, "Any name like this: choose it and type the rest");
  if (model.typed) return hint(`Use “${model.id}”`, model.served ? `One of ${model.served}` : "Not listed: the gateway says whether it serves this name");
  return optionText(model);
}

function hint(words, facts) {
  return [el("span", { class: "picker-line" }, el("span", { class: "dot dot-plain" }), el("strong", {}, words)),
    el("span", { class: "picker-facts" }, facts)];
}

function optionText(model) {
  const can = Object.entries(model.capabilities ?? {}).filter(([name, on]) => on && name !== "streaming").map(([name]) => name.replaceAll("_", " "));
  const facts = [
    model.backends?.map((each) => each.backend).filter((name, index, all) => all.indexOf(name) === index).join(" → "),
    model.limits?.context_tokens ? `${compact(model.limits.context_tokens)} context` : "",
    model.price ? priceWords(model.price) : "",
  ].filter(Boolean);
  const state = model.status && model.status !== "available" ? el("em", { class: `picker-state text-${STATES[model.status] ?? "plain"}` }, model.status) : null;
  return [
    el("span", { class: "picker-line" }, el("span", { class: `dot dot-${STATES[model.status] ?? "plain"}` }), el("strong", {}, model.display_name || model.id), state),
    el("span", { class: "picker-facts" }, facts.join(" · ")),
    can.length ? el("span", { class: "picker-facts" }, can.join(", ")) : null,
    quotaWords(model.quota),
  ];
}
