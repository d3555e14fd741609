// Copies a text to the clipboard, and says so.

import { announce } from "./announce.js";
import { el } from "./dom.js";
import { icon } from "./icons.js";

/** A button that copies what `read` gives and says so. */
export function copyButton(read, label = "Copy") {
  const text = el("span", {}, label);
  const button = el("button", { type: "button", class: "button button-quiet button-small" }, icon("copy"), text);
  button.addEventListener("click", async () => {
    const done = await copyText(read());
    text.textContent = done ? "Copied" : "Press Ctrl+C";
    announce(done ? "Copied to the clipboard" : "The browser did not allow to copy");
    setTimeout(() => { text.textContent = label; }, 1800);
  });
  return button;
}

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyThroughSelection(text);
  }
}

// The clipboard API is only there on https and localhost.
function copyThroughSelection(text) {
  const area = el("textarea", { class: "hidden-visually", "aria-hidden": "true", value: text });
  const host = document.activeElement?.closest("dialog") ?? document.body;
  const focused = document.activeElement;
  host.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  focused?.focus();
  return done;
}
