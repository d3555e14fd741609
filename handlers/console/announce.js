// What is said to people: quietly to screen readers, visibly in toasts. Both regions are in the page from the start.

import { el } from "./dom.js";
import { icon } from "./icons.js";

const SHOWN_MS = 6000;

/** Says `text` to screen readers, politely. */
export function announce(text) {
  const region = document.getElementById("announcer");
  region.textContent = "";
  // A region that is emptied and filled in one go is not read again.
  requestAnimationFrame(() => { region.textContent = text; });
}

/** Shows `text` for a while, and says it. `kind` is "done" or "failed". */
export function toast(text, kind = "done") {
  const region = document.getElementById("toasts");
  const note = el("div", { class: `toast toast-${kind}` }, icon(kind === "done" ? "check" : "alert"), el("span", {}, text));
  region.append(note);
  setTimeout(() => note.remove(), kind === "done" ? SHOWN_MS : SHOWN_MS * 2);
}
