// Pieces that several views share: headings, notices, badges, fields.

import { codeBlock } from "./code-block.js";
import { el } from "./dom.js";
import { icon } from "./icons.js";

const SETUP = "export SERVICE_API_KEY=choose-a-long-secret\nexport SKYBRIDGE_STORE=sqlite:.skybridge/skybridge.db\nmake run";

/** A view's heading row. */
export function pageHead(title, text, ...actions) {
  return el(
    "header",
    { class: "page-head" },
    el("div", {}, el("h1", { tabindex: "-1" }, title), text ? el("p", { class: "lede" }, text) : null),
    el("div", { class: "page-actions" }, actions),
  );
}

/** Says that there is nothing yet, and what to do about it. */
export function emptyState(iconName, title, text, ...actions) {
  return el(
    "div",
    { class: "empty" },
    el("div", { class: "empty-icon" }, icon(iconName)),
    el("h2", {}, title),
    el("p", {}, text),
    actions.length ? el("div", { class: "empty-actions" }, actions) : null,
  );
}

/** An error in the API's own words, with what helps to look it up. */
export function errorNotice(error, retry) {
  const facts = [error.code, error.details?.field ? `field ${error.details.field}` : "", error.requestId ? `request ${error.requestId}` : ""];
  return el(
    "div",
    { class: "notice notice-danger", role: "alert" },
    icon("alert"),
    el(
      "div",
      { class: "notice-text" },
      el("p", {}, error.message),
      el("p", { class: "notice-facts" }, facts.filter(Boolean).join(" · ")),
    ),
    retry ? el("button", { type: "button", class: "button button-small", on: { click: retry } }, icon("retry"), "Try again") : null,
  );
}

/** What stands in a view's place when it could not be loaded. A gateway without a store is no fault, but a next step. */
export function failedView(error, retry, iconName) {
  if (error.code !== "NOT_CONFIGURED") return errorNotice(error, retry);
  return el("div", { class: "stack" }, emptyState(iconName, "This gateway keeps nothing yet", error.message),
    el("div", { class: "setup" }, el("p", { class: "label" }, "On your own machine, start it with a store and a key:"), codeBlock(SETUP, "bash")));
}

/** Something that is good to know, or to beware of. */
export function notice(text, kind = "info") {
  return el("div", { class: `notice notice-${kind}` }, icon(kind === "warn" ? "alert" : "check"), el("div", { class: "notice-text" }, el("p", {}, text)));
}

/** A small word with a colour and a dot: ok, warn, danger or plain. */
export function badge(text, kind = "plain") {
  return el("span", { class: `badge badge-${kind}` }, text);
}

/** Grey bars while something loads. */
export function loading(label = "Loading") {
  return el("div", { class: "loading", role: "status" }, el("span", { class: "hidden-visually" }, label), el("i"), el("i"), el("i"));
}

/** A labelled form field. `hint` is read with it. */
export function field(label, control, hint) {
  const hintId = hint ? `${control.id}-hint` : null;
  if (hintId) control.setAttribute("aria-describedby", hintId);
  return el("div", { class: "field" }, el("label", { class: "label", for: control.id }, label), control, hint ? el("p", { class: "hint", id: hintId }, hint) : null);
}

/** A choice of a few, as buttons of which one is pressed. */
export function segments(label, options, chosen, choose) {
  const group = el("div", { class: "segments", role: "group", "aria-label": label });
  for (const [value, text] of options) {
    const button = el("button", { type: "button", class: "segment", "aria-pressed": String(value === chosen) }, text);
    button.addEventListener("click", () => {
      for (const other of group.children) other.setAttribute("aria-pressed", String(other === button));
      choose(value);
    });
    group.append(button);
  }
  return group;
}
