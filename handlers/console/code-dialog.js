// Shows a request as code, one language at a time.
// The tabs: https://www.w3.org/WAI/ARIA/apg/patterns/tabs/

import { codeBlock } from "./code-block.js";
import { makeDialog } from "./dialogs.js";
import { el, fill, freshId } from "./dom.js";

const LANGUAGE = "skybridge.language";

/** Opens a dialog with the samples {id, label, language, text}. */
export function showCode(samples) {
  const made = makeDialog("The same request as code", { wide: true });
  const panelId = freshId("code-panel");
  const panel = el("div", { role: "tabpanel", id: panelId });
  const stored = localStorage.getItem(LANGUAGE);
  const tabs = samples.map((sample) => el("button", {
    type: "button", role: "tab", id: freshId("tab"), class: "tab", "aria-controls": panelId,
    on: { click: () => choose(sample.id), keydown: (event) => step(event) },
  }, sample.label));

  function choose(id) {
    const index = Math.max(0, samples.findIndex((sample) => sample.id === id));
    tabs.forEach((tab, at) => {
      tab.setAttribute("aria-selected", String(at === index));
      tab.tabIndex = at === index ? 0 : -1;
    });
    panel.setAttribute("aria-labelledby", tabs[index].id);
    fill(panel, codeBlock(samples[index].text, samples[index].language));
    localStorage.setItem(LANGUAGE, samples[index].id);
    return tabs[index];
  }

  function step(event) {
    const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!move) return;
    event.preventDefault();
    const at = tabs.indexOf(event.target);
    choose(samples[(at + move + samples.length) % samples.length].id).focus();
  }

  fill(made.body, el("div", { class: "tabs", role: "tablist", "aria-label": "Language" }, tabs), panel,
    el("p", { class: "hint" }, "In the OpenAI format, which every model here answers. A key is read from SKYBRIDGE_API_KEY, never written into the sample."));
  choose(stored);
  made.show();
}
