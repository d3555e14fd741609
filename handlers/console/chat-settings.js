// The knobs of a conversation: system prompt, temperature, longest answer, reasoning. Kept for this tab.

import { el, freshId } from "./dom.js";
import { field } from "./parts.js";

const STORED = "skybridge.settings";
const EFFORTS = [["", "Model’s default"], ["low", "Low"], ["medium", "Medium"], ["high", "High"]];

/** What is set, as a request's members; what is not set is left out. */
export function requestKnobs(settings) {
  const knobs = {};
  if (settings.system) knobs.system_prompt = settings.system;
  if (settings.temperature !== "") knobs.temperature = Number(settings.temperature);
  if (settings.maxTokens !== "") knobs.max_tokens = Number(settings.maxTokens);
  if (settings.effort) knobs.reasoning_effort = settings.effort;
  return knobs;
}

/** What was set last in this tab. */
export function readSettings() {
  const empty = { system: "", temperature: "", maxTokens: "", effort: "" };
  try {
    return { ...empty, ...JSON.parse(sessionStorage.getItem(STORED) ?? "{}") };
  } catch {
    return empty;
  }
}

/** The form. `settings` is changed in place as a person types; `changed` is told. */
export function settingsForm(settings, changed, { withEffort = true } = {}) {
  const keep = (name) => (event) => {
    settings[name] = event.target.value;
    sessionStorage.setItem(STORED, JSON.stringify(settings));
    changed();
  };
  const number = (name, attributes) => el("input", {
    id: freshId(name), class: "input", type: "number", inputmode: "decimal", value: settings[name], placeholder: "Default", ...attributes,
    on: { input: keep(name) },
  });
  const system = el("textarea", { id: freshId("system"), class: "input", rows: 5, placeholder: "You are a helpful assistant…", on: { input: keep("system") } });
  system.value = settings.system;
  const effort = el("select", { id: freshId("effort"), class: "input", on: { change: keep("effort") } },
    EFFORTS.map(([value, text]) => el("option", { value, selected: value === settings.effort }, text)));
  return el(
    "div",
    { class: "stack" },
    field("System prompt", system, "Empty: the gateway’s default."),
    el(
      "div",
      { class: "pair" },
      field("Temperature", number("temperature", { min: 0, max: 2, step: 0.1 })),
      field("Max tokens", number("maxTokens", { min: 1, step: 1 })),
    ),
    withEffort ? field("Reasoning effort", effort, "For models that reason.") : null,
  );
}
