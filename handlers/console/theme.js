// Light, dark, or as the system has it. theme-boot.js applies the choice before the first paint.

import { el } from "./dom.js";
import { icon } from "./icons.js";

const STORED = "skybridge.theme";
const THEMES = ["auto", "light", "dark"];
const ICONS = { auto: "auto", light: "sun", dark: "moon" };

/** A button that goes round the three. */
export function themeButton() {
  let chosen = document.documentElement.dataset.theme ?? "auto";
  const button = el("button", { type: "button", class: "icon-button" });
  const draw = () => {
    const label = `Theme: ${chosen === "auto" ? "as the system" : chosen}`;
    button.setAttribute("aria-label", label);
    button.title = label;
    button.replaceChildren(icon(ICONS[chosen]));
  };
  button.addEventListener("click", () => {
    chosen = THEMES[(THEMES.indexOf(chosen) + 1) % THEMES.length];
    if (chosen === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = chosen;
    localStorage.setItem(STORED, chosen);
    draw();
  });
  draw();
  return button;
}
