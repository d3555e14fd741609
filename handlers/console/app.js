// Starts the console: asks for a key where the gateway wants one, draws the frame, follows the address.

import { ApiError, forgetKey, get, onRefusedKey, storedKey } from "./api.js";
import { closeDialogs } from "./dialogs.js";
import { el, fill } from "./dom.js";
import { errorNotice } from "./parts.js";
import { drawFrame } from "./frame.js";
import { askForKey } from "./sign-in.js";

const VIEWS = {
  playground: { label: "Playground", load: () => import("./views/playground.js") },
  compare: { label: "Compare", load: () => import("./views/compare.js") },
  sessions: { label: "Sessions", load: () => import("./views/sessions.js") },
  usage: { label: "Usage", load: () => import("./views/usage.js") },
  backends: { label: "Backends", load: () => import("./views/backends.js") },
  keys: { label: "Keys", load: () => import("./views/keys.js"), admin: true },
};

const shell = document.getElementById("shell");
let me = null;
let frame = null;
let leaving = new AbortController();
let shown = "";

/** `#/sessions/abc` as {view, id}. */
function readRoute() {
  const [, view = "", id = ""] = location.hash.split("/");
  return { view: VIEWS[view] ? view : "playground", id: decodePart(id) };
}

function decodePart(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Goes to a view. `afresh` draws it again even where the address stays. */
function go(view, id = "", afresh = false) {
  const hash = `#/${view}${id ? `/${encodeURIComponent(id)}` : ""}`;
  if (location.hash === hash && afresh) showRoute();
  else location.hash = hash;
}

async function start() {
  leaving.abort();
  try {
    me = await get("me");
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) signIn(storedKey() ? error.message : "");
    else fill(shell, el("main", { id: "main", class: "alone" }, el("h1", {}, "Skybridge"), errorNotice(error, start)));
    return;
  }
  const views = Object.entries(VIEWS).filter(([, view]) => !view.admin || me.admin);
  frame = drawFrame(shell, me, views, signOut);
  showRoute();
}

function signIn(problem) {
  forgetKey();
  closeDialogs();
  frame = null;
  askForKey(shell, problem, start);
}

function signOut() {
  leaving.abort();
  sessionStorage.clear();
  signIn("");
}

async function showRoute() {
  if (!frame) return;
  closeDialogs();
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const route = readRoute();
  shown = location.hash;
  frame.mark(route.view);
  const rename = (id) => {
    shown = `#/${route.view}/${encodeURIComponent(id)}`;
    history.replaceState(null, "", shown);
  };
  try {
    const { show } = await VIEWS[route.view].load();
    if (!signal.aborted) await show(frame.main, { me, go, rename, route, signal });
  } catch (error) {
    if (signal.aborted || error.name === "AbortError" || error.status === 401) return;
    fill(frame.main, el("div", { class: "page" }, el("h1", { tabindex: "-1" }, VIEWS[route.view].label), errorNotice(error, showRoute)));
  }
  if (!signal.aborted) frame.arrived();
}

// The address names a view, so the link that skips the navigation moves the focus and leaves the address alone.
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  document.getElementById("main").focus();
});
window.addEventListener("hashchange", () => { if (location.hash !== shown) showRoute(); });
onRefusedKey((error) => { if (frame) signIn(`${error.message} Sign in again.`); });
start();
