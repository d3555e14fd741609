// The conversations that the gateway keeps for this key.

import { toast } from "../announce.js";
import { call, get } from "../api.js";
import { askForText, confirmAction } from "../dialogs.js";
import { el, fill } from "../dom.js";
import { ago, count, dateTime, moment } from "../format.js";
import { icon } from "../icons.js";
import { emptyState, failedView, loading, pageHead } from "../parts.js";

const PAGE = 20;
// The gateway searches a thousand sessions at a time: so often it is asked before a person has to ask for more.
const MOST_ROUNDS = 5;
const TYPING_MS = 150;

/** Draws the view into `main`. */
export async function show(main, context) {
  document.title = "Sessions · Skybridge";
  const list = new SessionList(context);
  fill(main, list.node);
  await list.load();
}

class SessionList {
  #sessions = [];
  #cursor = null;
  #total = null;
  #wanted = "";
  #shown = "";
  #round = 0;
  #timer = 0;

  constructor(context) {
    this.context = context;
    this.body = el("div", {}, loading());
    this.status = el("p", { class: "hint", role: "status" });
    const search = el("input", {
      class: "input", type: "search", "aria-label": "Search titles", placeholder: "Search titles",
      on: { input: (event) => this.#search(event.target.value) },
    });
    this.node = el(
      "div",
      { class: "page" },
      pageHead("Sessions", "Conversations that the gateway remembers for your key. Nobody else sees them.",
        el("a", { class: "button button-primary", href: "#/playground" }, icon("plus"), "New conversation")),
      el("div", { class: "toolbar" }, el("div", { class: "search" }, icon("search"), search), this.status),
      this.body,
    );
  }

  async load() {
    this.#round += 1;
    await this.#guarded(() => this.#read(true), () => this.load());
  }

  async #guarded(work, again) {
    try {
      await work();
      this.#draw();
    } catch (error) {
      if (error.name !== "AbortError") fill(this.body, failedView(error, again, "sessions"));
    }
  }

  /** The next page, or the first one `afresh`. What a later search has overtaken is dropped. */
  async #read(afresh) {
    const [mine, wanted] = [this.#round, this.#wanted];
    const found = [];
    let cursor = afresh ? null : this.#cursor;
    for (let round = 0; round < MOST_ROUNDS && !found.length && (cursor || !round); round += 1) {
      const query = new URLSearchParams({ limit: PAGE, ...(cursor ? { cursor } : {}), ...(wanted ? { q: wanted } : {}) });
      const page = await get(`sessions?${query}`, this.context.signal);
      if (mine !== this.#round) return;
      found.push(...page.sessions);
      cursor = page.next_cursor;
      this.#total = page.total ?? null;
    }
    this.#sessions = afresh ? found : [...this.#sessions, ...found];
    this.#cursor = cursor;
    this.#shown = wanted;
  }

  #search(text) {
    this.#wanted = text.trim();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.load(), TYPING_MS);
  }

  #draw() {
    this.status.textContent = this.#statusWords();
    if (!this.#sessions.length && !this.#shown) {
      fill(this.body, emptyState("sessions", "No conversations yet", "Start one in the playground, or POST to /api/v1/chat. It is kept here until it expires or you delete it.",
        el("a", { class: "button button-primary", href: "#/playground" }, "Start a conversation")));
      return;
    }
    const rows = this.#sessions.length ? this.#table(this.#sessions)
      : emptyState("search", "No title matches", "Try fewer words. Only titles are searched, not what was said.");
    fill(this.body, el("div", { class: "stack" }, rows, this.#moreRow()));
  }

  #statusWords() {
    if (this.#shown) return `${count(this.#sessions.length)} found${this.#cursor ? " so far" : ""}`;
    return this.#total ? `${count(this.#total)} in all` : "";
  }

  #moreRow() {
    if (!this.#cursor) return null;
    const words = this.#shown ? "Search older ones" : "Show more";
    const button = el("button", { type: "button", class: "button", on: { click: () => this.#next(button) } }, words);
    return el("div", { class: "more" }, button);
  }

  async #next(button) {
    button.disabled = true;
    const before = this.#sessions.length;
    await this.#guarded(() => this.#read(false), () => this.load());
    this.body.querySelectorAll("tbody tr")[before]?.querySelector("a")?.focus();
  }

  #table(sessions) {
    const heads = ["Title", "Model", "Messages", "Last used"];
    return el("div", { class: "table-wrap" },
      el("table", { class: "table stacked" },
        el("caption", { class: "hidden-visually" }, "Sessions, the latest first"),
        el("thead", {}, el("tr", {}, heads.map((head, index) => el("th", { scope: "col", class: index === 2 ? "number" : null }, head)), el("th", { scope: "col" }, el("span", { class: "hidden-visually" }, "Actions")))),
        el("tbody", {}, sessions.map((session) => this.#row(session)))));
  }

  #row(session) {
    const title = titleOf(session);
    const action = (name, label, act) => el("button", { type: "button", class: "icon-button", "aria-label": `${label} “${title}”`, title: label, on: { click: act } }, icon(name));
    return el(
      "tr",
      {},
      el("th", { scope: "row" }, el("a", { class: "row-link", href: `#/playground/${encodeURIComponent(session.id)}` }, title)),
      el("td", {}, session.model ?? ""),
      el("td", { class: "number", "data-label": "Messages" }, count(session.message_count)),
      el("td", {}, el("time", { datetime: moment(session.updated)?.toISOString(), title: dateTime(session.updated) }, ago(session.updated))),
      el("td", { class: "actions" }, action("pencil", "Rename", () => this.#rename(session)), action("trash", "Delete", () => this.#delete(session))),
    );
  }

  async #rename(session) {
    const title = await askForText("Rename the conversation", "Title", session.title ?? "", "Rename");
    if (!title || title === session.title) return;
    await this.#act(async () => {
      await call("PATCH", `sessions/${encodeURIComponent(session.id)}`, { title });
      session.title = title;
    }, "Renamed");
  }

  async #delete(session) {
    const agreed = await confirmAction("Delete this conversation?", `“${titleOf(session)}” and its ${count(session.message_count)} messages are deleted for good.`, "Delete");
    if (!agreed) return;
    await this.#act(async () => {
      await call("DELETE", `sessions/${encodeURIComponent(session.id)}`);
      this.#sessions = this.#sessions.filter((other) => other !== session);
      if (this.#total !== null) this.#total -= 1;
    }, "Deleted");
  }

  async #act(work, done) {
    try {
      await work();
      this.#draw();
      toast(done);
      this.node.querySelector("h1").focus();
    } catch (error) {
      toast(error.message, "failed");
    }
  }
}

const titleOf = (session) => session.title || "Untitled conversation";
