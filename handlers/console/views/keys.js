// The gateway's own keys, for administrators.

import { toast } from "../announce.js";
import { call, get } from "../api.js";
import { confirmAction } from "../dialogs.js";
import { el, fill } from "../dom.js";
import { ago, compact, date, money } from "../format.js";
import { icon } from "../icons.js";
import { LIMIT_WORDS, editKey, rotateKey, showSecret } from "../key-forms.js";
import { badge, emptyState, failedView, loading, pageHead } from "../parts.js";

const STATES = { active: "ok", expired: "warn", revoked: "plain" };

/** Draws the view into `main`. */
export async function show(main, context) {
  document.title = "Keys · Skybridge";
  const body = el("div", {}, loading());
  const creator = el("button", { type: "button", class: "button button-primary" }, icon("plus"), "New key");
  fill(main, el("div", { class: "page" },
    pageHead("Keys", "Who may call this gateway, for which models, and how much. A change holds everywhere within 30 seconds.", creator), body));
  if (!context.me.admin) {
    creator.remove();
    fill(body, emptyState("keys", "Keys are for administrators", "Sign in with the service key, or with a key that was made as an administrator’s."));
    return;
  }

  async function draw() {
    try {
      const { keys } = await get("keys", context.signal);
      fill(body, keys.length ? table(keys, actions) : emptyState("keys", "No keys yet", "Make one for each team or program: it can have its own models, limits and budget, and be revoked alone.",
        el("button", { type: "button", class: "button button-primary", on: { click: create } }, "Create the first key")));
    } catch (error) {
      if (error.name === "AbortError") return;
      creator.disabled = error.status === 503;
      fill(body, failedView(error, draw, "keys"));
    }
  }

  async function create() {
    const made = await editKey(null);
    if (!made) return;
    await showSecret("Your new key", made);
    await draw();
  }

  const actions = {
    change: async (key) => {
      if (!(await editKey(key))) return;
      toast("Saved");
      await draw();
    },
    rotate: async (key) => {
      const made = await rotateKey(key);
      if (!made) return;
      await showSecret("The key that replaces it", made);
      await draw();
    },
    revoke: async (key) => {
      const agreed = await confirmAction("Revoke this key?", `Whoever uses ${key.name || key.prefix} (owner ${key.owner}) is refused within 30 seconds. This cannot be undone.`, "Revoke");
      if (!agreed) return;
      try {
        await call("DELETE", `keys/${encodeURIComponent(key.id)}`);
        toast("Revoked");
      } catch (error) {
        toast(error.message, "failed");
      }
      await draw();
    },
  };
  creator.addEventListener("click", create);
  await draw();
}

function table(keys, actions) {
  const heads = ["Key", "Owner", "State", "Models", "Limits and budget", "Spent", "Expires"];
  return el("div", { class: "table-wrap", tabindex: "0", role: "region", "aria-label": "Keys" },
    el("table", { class: "table stacked" },
      el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col", class: head === "Spent" ? "number" : null }, head)), el("th", { scope: "col" }, el("span", { class: "hidden-visually" }, "Actions")))),
      el("tbody", {}, keys.map((key) => row(key, actions)))));
}

function row(key, actions) {
  const state = stateOf(key);
  const shown = key.name || key.prefix;
  const action = (name, label, act) => el("button", { type: "button", class: "icon-button", "aria-label": `${label} ${shown}`, title: label, on: { click: () => act(key) } }, icon(name));
  const alive = state === "active";
  return el(
    "tr",
    {},
    el("th", { scope: "row" }, key.name || `${key.prefix}…`, key.admin ? " " : null, key.admin ? badge("admin", "warn") : null,
      el("span", { class: "sub" }, key.name ? `${key.prefix}…` : null, key.name ? " · " : null, "made ", ago(key.created)), replaced(key)),
    el("td", { class: "owner", "data-label": "Owner" }, key.owner, labels(key.labels)),
    el("td", {}, badge(state, STATES[state])),
    el("td", { "data-label": "Models" }, key.models?.length ? el("span", { class: "tags" }, key.models.map((name) => el("span", { class: "tag" }, name))) : "all"),
    el("td", { class: "terms", "data-label": "Limits" }, terms(key)),
    el("td", { class: "number", "data-label": "Spent" }, money(key.spent_usd)),
    el("td", { class: "date", "data-label": "Expires" }, key.expires ? date(key.expires) : "never"),
    el("td", { class: "actions" }, alive ? [action("pencil", "Change", actions.change), action("retry", "Rotate", actions.rotate), action("trash", "Revoke", actions.revoke)] : null),
  );
}

function stateOf(key) {
  if (key.state) return key.state;
  if (key.revoked) return "revoked";
  return key.expires && key.expires * 1000 < Date.now() ? "expired" : "active";
}

function replaced(key) {
  return (key.replaces ?? []).map((old) => el("span", { class: "sub" }, `${old.prefix}… works on until it ends ${ago(old.expires)}`));
}

function labels(found) {
  const texts = Object.entries(found ?? {}).map(([name, value]) => `${name}=${value}`);
  return texts.length ? el("span", { class: "sub" }, texts.join(", ")) : null;
}

function terms(key) {
  const left = key.quota ?? {};
  const rows = [
    ...Object.entries(key.limits ?? {}).map(([name, value]) => [name, compact(value)]),
    ...Object.entries(key.budget ?? {}).map(([name, value]) => [name, left[name] ? `${money(left[name].used)} of ${money(value)}` : money(value)]),
  ];
  if (!rows.length) return "none";
  return rows.map(([name, words]) => el("div", {}, `${LIMIT_WORDS[name] ?? name}: ${words}`));
}
