// What surrounds every view: the mark, the ways to the views, theme, who is signed in.

import { announce } from "./announce.js";
import { el, fill } from "./dom.js";
import { icon, mark } from "./icons.js";
import { themeButton } from "./theme.js";

/** Draws the frame into `shell`. Gives {main, mark(view), arrived()}. */
export function drawFrame(shell, me, views, signOut) {
  const main = el("main", { id: "main", class: "main", tabindex: "-1" });
  const links = new Map(views.map(([name, view]) => [
    name,
    el("a", { href: `#/${name}`, class: "nav-link" }, icon(name), el("span", {}, view.label)),
  ]));
  const nav = el("nav", { class: "nav", "aria-label": "Views" }, el("ul", {}, [...links.values()].map((link) => el("li", {}, link))));
  const signed = me.authenticated_by && me.authenticated_by !== "none";
  const leave = el("button", { type: "button", class: "icon-button", "aria-label": "Sign out", title: "Sign out", on: { click: signOut } }, icon("leave"));
  fill(
    shell,
    el(
      "header",
      { class: "side" },
      el("a", { class: "brand", href: "#/playground" }, mark(), el("span", {}, "Skybridge")),
      nav,
      el(
        "div",
        { class: "side-foot" },
        el("div", { class: "side-tools" }, el("a", { class: "nav-link docs-link", href: "docs" }, icon("book"), el("span", {}, "API docs")), themeButton()),
        el(
          "div",
          { class: "who" },
          el("div", { class: "who-text" }, el("strong", {}, me.name || me.owner || "Signed in"), el("span", {}, whoWords(me, signed))),
          signed ? leave : null,
        ),
      ),
    ),
    main,
  );
  let first = true;
  return {
    main,
    mark(view) {
      for (const [name, link] of links) {
        if (name === view) link.setAttribute("aria-current", "page");
        else link.removeAttribute("aria-current");
      }
    },
    /** A view is there: after the first one, the focus goes to its heading, as on a new page. */
    arrived() {
      const heading = main.querySelector("h1");
      if (!first && heading && !main.contains(document.activeElement)) heading.focus({ preventScroll: true });
      if (!first && heading) announce(heading.textContent);
      first = false;
    },
  };
}

function whoWords(me, signed) {
  if (!signed) return "open to this machine";
  return me.admin ? "administrator" : "signed in";
}
