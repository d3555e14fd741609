// The dialogs around a key: making or changing one, showing it once, replacing it.

import { call } from "./api.js";
import { copyButton } from "./copy-button.js";
import { makeDialog } from "./dialogs.js";
import { el, fill, freshId } from "./dom.js";
import { errorNotice, field, notice } from "./parts.js";

const LIMITS = [["requests_per_minute", "Requests a minute"], ["tokens_per_minute", "Tokens a minute"], ["tokens_per_day", "Tokens a day"], ["in_flight", "Requests at once"]];
const BUDGETS = [["usd_per_day", "USD a day"], ["usd_per_month", "USD a month"], ["usd_total", "USD in all"]];

export const LIMIT_WORDS = Object.fromEntries([...LIMITS, ...BUDGETS]);

/** Asks for the terms of a key. `key` is null for a new one. Resolves to the API's answer, or null. */
export function editKey(key) {
  return new Promise((resolve) => {
    let answer = null;
    const made = makeDialog(key ? `Change ${key.name || key.prefix}` : "New key", { closed: () => resolve(answer) });
    const inputs = new Map();
    const form = el("form", { id: freshId("key-form"), class: "stack" });
    const trouble = el("div", { class: "stack" });
    const submit = el("button", { type: "submit", class: "button button-primary", form: form.id }, key ? "Save" : "Create key");

    fill(
      form,
      trouble,
      field("Owner", text(inputs, "owner", { required: true, maxlength: 200, value: key?.owner ?? "", placeholder: "team-a" }), "Whom its bill and limits belong to."),
      field("Name", text(inputs, "name", { maxlength: 200, value: key?.name ?? "", placeholder: "Nightly evaluation" })),
      field("Models", text(inputs, "models", { value: (key?.models ?? []).join(", "), placeholder: "claude-*, gpt-5" }), "Names or patterns, separated by commas. Empty: all."),
      field("Expires", text(inputs, "expires", { type: "date", value: dayOf(key?.expires) }), "At the start of that day, UTC. Empty: never."),
      numbers("Limits", LIMITS, key?.limits, inputs, { step: 1 }),
      numbers("Budget", BUDGETS, key?.budget, inputs, { step: "any" }),
      admin(inputs, key?.admin),
    );
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      submit.disabled = true;
      try {
        const terms = readTerms(inputs, key);
        answer = await (key ? call("PATCH", `keys/${encodeURIComponent(key.id)}`, terms) : call("POST", "keys", terms));
        made.close();
      } catch (error) {
        fill(trouble, errorNotice(error));
        inputs.get(fieldOf(error))?.focus();
        trouble.scrollIntoView({ block: "nearest" });
      }
      submit.disabled = false;
    });
    fill(made.body, form);
    fill(made.footer, el("button", { type: "button", class: "button", on: { click: made.close } }, "Cancel"), submit);
    made.show();
    inputs.get("owner").focus();
  });
}

const fieldOf = (error) => String(error.details?.field ?? "").split(".").at(-1);

function text(inputs, name, attributes) {
  const input = el("input", { id: freshId(name), class: "input", type: "text", autocomplete: "off", ...attributes });
  inputs.set(name, input);
  return input;
}

function numbers(legend, rows, values, inputs, attributes) {
  const fields = rows.map(([name, label]) => field(label, text(inputs, name, { type: "number", min: 0, inputmode: "decimal", placeholder: "No limit", value: values?.[name] ?? "", ...attributes })));
  return el("fieldset", { class: "fieldset" }, el("legend", {}, legend), el("div", { class: "pair" }, fields));
}

function admin(inputs, checked) {
  const input = el("input", { type: "checkbox", id: freshId("admin"), checked: Boolean(checked) });
  inputs.set("admin", input);
  return el("div", { class: "check" }, input, el("label", { for: input.id }, "Administrator", el("span", { class: "hint" }, " – may manage keys and see everybody’s usage")));
}

const dayOf = (seconds) => (seconds ? new Date(seconds * 1000).toISOString().slice(0, 10) : "");

/** What the form changes; null takes away. What a key has is not sent again: an end that is near would be refused. */
function readTerms(inputs, key) {
  const value = (name) => inputs.get(name).value.trim();
  const amounts = (rows, before) => Object.fromEntries(rows
    .map(([name]) => [name, value(name) === "" ? null : Number(value(name))])
    .filter(([name, amount]) => amount !== (before?.[name] ?? null)));
  const former = { name: "", models: [], expires: "", admin: false, limits: {}, budgets: {} };
  if (key) Object.assign(former, { owner: key.owner, name: key.name ?? "", models: key.models ?? [], expires: dayOf(key.expires), admin: Boolean(key.admin) });
  const terms = {
    owner: value("owner"),
    models: value("models").split(",").map((name) => name.trim()).filter(Boolean),
    limits: amounts(LIMITS, key?.limits),
    budgets: amounts(BUDGETS, key?.budget),
    admin: inputs.get("admin").checked,
    name: value("name"),
    expires: value("expires"),
  };
  const changed = Object.fromEntries(Object.entries(terms).filter(([name, term]) => JSON.stringify(term) !== JSON.stringify(former[name])));
  return changed.expires === "" ? { ...changed, expires: null } : changed;
}

/** Shows a new key, this once. Resolves when the person is done. */
export function showSecret(title, made) {
  return new Promise((resolve) => {
    const dialog = makeDialog(title, { closed: resolve, locked: true });
    fill(
      dialog.body,
      notice("Copy it now. The gateway keeps only a digest of it, so nobody can show it again.", "warn"),
      el("div", { class: "secret" }, el("code", { id: freshId("secret") }, made.key), copyButton(() => made.key)),
      el("p", { class: "hint" }, "Clients send it as Authorization: Bearer, x-api-key, api-key or x-goog-api-key."),
    );
    fill(dialog.footer, el("button", { type: "button", class: "button button-primary", on: { click: dialog.close } }, "I have copied it"));
    dialog.show();
  });
}

const OVERLAPS = [["86400", "24 hours"], ["604800", "7 days"], ["3600", "1 hour"], ["0", "Not at all: it ends now"]];

/** Asks how long the old key works on, and makes the new one. Resolves to the API's answer, or null. */
export function rotateKey(key) {
  return new Promise((resolve) => {
    let answer = null;
    const made = makeDialog(`Rotate ${key.name || key.prefix}`, { closed: () => resolve(answer) });
    const select = el("select", { id: freshId("overlap"), class: "input" }, OVERLAPS.map(([value, words]) => el("option", { value }, words)));
    const trouble = el("div", { class: "stack" });
    const go = el("button", { type: "button", class: "button button-primary" }, "Rotate");
    go.addEventListener("click", async () => {
      go.disabled = true;
      try {
        answer = await call("POST", `keys/${encodeURIComponent(key.id)}/rotate`, { overlap_seconds: Number(select.value) });
        made.close();
      } catch (error) {
        fill(trouble, errorNotice(error));
      }
      go.disabled = false;
    });
    fill(made.body, trouble, el("p", {}, "A new key takes over the terms, the limits and what was spent."), field("The old key works on for", select));
    fill(made.footer, el("button", { type: "button", class: "button", on: { click: made.close } }, "Cancel"), go);
    made.show();
  });
}
