// A block of code as it is shown everywhere.

import { colored } from "./code-colors.js";
import { copyButton } from "./copy-button.js";
import { el } from "./dom.js";

/** A block of code with its language and a button that copies it. */
export function codeBlock(text, language = "") {
  return el(
    "div",
    { class: "code" },
    el("div", { class: "code-head" }, el("span", {}, language || "text"), copyButton(() => text)),
    el("pre", { tabindex: "0", role: "region", "aria-label": language ? `${language} code` : "Code" }, el("code", {}, colored(text, language))),
  );
}
