// Modal dialogs on <dialog>, which traps the focus and gives it back by itself.

import { el, fill, freshId } from "./dom.js";
import { icon } from "./icons.js";

/** A dialog with a title. Gives {dialog, body, footer, show, close}; `closed` is called however it ends. */
export function makeDialog(title, { closed = () => {}, wide = false, locked = false } = {}) {
  const titleId = freshId("dialog-title");
  const body = el("div", { class: "dialog-body" });
  const footer = el("div", { class: "dialog-footer" });
  const closer = el("button", { type: "button", class: "icon-button", "aria-label": "Close", on: { click: () => dialog.close() } }, icon("close"));
  const dialog = el(
    "dialog",
    { class: wide ? "dialog dialog-wide" : "dialog", "aria-labelledby": titleId, "data-locked": locked },
    el("header", { class: "dialog-head" }, el("h2", { id: titleId }, title), locked ? null : closer),
    body,
    footer,
  );
  dialog.addEventListener("close", () => {
    dialog.remove();
    closed();
  });
  if (locked) dialog.addEventListener("cancel", (event) => event.preventDefault());
  else dialog.addEventListener("mousedown", (event) => { if (event.target === dialog) dialog.close(); });
  const show = () => {
    document.body.append(dialog);
    dialog.showModal();
  };
  return { dialog, body, footer, show, close: () => dialog.close() };
}

/** Closes what is open: the view below has changed. A dialog that shows something once stays. */
export function closeDialogs() {
  document.querySelectorAll("dialog[open]:not([data-locked])").forEach((dialog) => dialog.close());
}

/** Asks before something that cannot be undone. Resolves to true or false. */
export function confirmAction(title, text, actionLabel) {
  return new Promise((resolve) => {
    let agreed = false;
    const made = makeDialog(title, { closed: () => resolve(agreed) });
    fill(made.body, el("p", {}, text));
    const cancel = el("button", { type: "button", class: "button", autofocus: true, on: { click: made.close } }, "Cancel");
    const go = el("button", {
      type: "button", class: "button button-danger",
      on: { click: () => { agreed = true; made.close(); } },
    }, actionLabel);
    fill(made.footer, cancel, go);
    made.show();
  });
}

/** Asks for one line of text. Resolves to the text, or null when it is cancelled. */
export function askForText(title, label, value, actionLabel) {
  return new Promise((resolve) => {
    let answer = null;
    const made = makeDialog(title, { closed: () => resolve(answer) });
    const id = freshId("text");
    const input = el("input", { id, class: "input", type: "text", value, maxlength: 200, required: true, autofocus: true });
    const form = el("form", {
      class: "stack",
      on: {
        submit: (event) => {
          event.preventDefault();
          answer = input.value.trim() || null;
          made.close();
        },
      },
    }, el("label", { for: id, class: "label" }, label), input);
    form.id = freshId("form");
    fill(made.body, form);
    fill(
      made.footer,
      el("button", { type: "button", class: "button", on: { click: made.close } }, "Cancel"),
      el("button", { type: "submit", class: "button button-primary", form: form.id }, actionLabel),
    );
    made.show();
    input.select();
  });
}
