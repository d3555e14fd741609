// Asks for a key: once in a tab, and only where the gateway demands one.

import { forgetKey, get, keepKey } from "./api.js";
import { el, fill, freshId } from "./dom.js";
import { mark } from "./icons.js";
import { errorNotice } from "./parts.js";

/** Draws the form into `shell`; `done` is called once the gateway has taken the key. */
export function askForKey(shell, problem, done) {
  document.title = "Sign in · Skybridge";
  const id = freshId("key");
  const input = el("input", { id, class: "input", type: "password", autocomplete: "current-password", required: true, spellcheck: "false", "aria-describedby": `${id}-hint` });
  const trouble = el("div");
  const button = el("button", { type: "submit", class: "button button-primary button-wide" }, "Sign in");
  if (problem) fill(trouble, errorNotice({ message: problem, code: "" }));

  async function submit(event) {
    event.preventDefault();
    button.disabled = true;
    keepKey(input.value.trim());
    try {
      await get("me");
      await done();
    } catch (error) {
      forgetKey();
      fill(trouble, errorNotice(error));
      input.focus();
      input.select();
    }
    button.disabled = false;
  }

  fill(
    shell,
    el(
      "main",
      { id: "main", class: "sign-in" },
      el(
        "form",
        { class: "sign-in-card", on: { submit } },
        el("div", { class: "brand brand-large" }, mark(), el("span", {}, "Skybridge")),
        el("h1", {}, "Sign in with your gateway key"),
        trouble,
        el("label", { class: "label", for: id }, "Key"),
        input,
        el("p", { class: "hint", id: `${id}-hint` }, "The key that your client sends. It stays in this browser tab, goes to this gateway only, and is gone when the tab is closed."),
        button,
      ),
    ),
  );
  input.focus();
}
