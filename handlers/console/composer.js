// Where a person writes: a text field that grows, files, and one button that sends or stops.

import { Attachments } from "./attachments.js";
import { el, freshId } from "./dom.js";
import { icon } from "./icons.js";

/** A composer. `send({text, attachments})` and `stop()` are called by the person. */
export class Composer {
  #busy = false;

  constructor({ label, placeholder, send, stop, files = true }) {
    this.sendMessage = send;
    this.stopAnswer = stop;
    const id = freshId("composer");
    this.input = el("textarea", { id, rows: 1, placeholder, "aria-describedby": `${id}-hint`, enterkeyhint: "send" });
    this.shelf = el("div", { class: "chips" });
    this.attachments = new Attachments(this.shelf);
    this.chooser = el("input", { type: "file", multiple: true, accept: this.attachments.accept, class: "hidden-visually", tabindex: "-1", "aria-hidden": "true" });
    this.attach = el("button", { type: "button", class: "icon-button", "aria-label": "Attach images or PDFs", title: "Attach images or PDFs" }, icon("attach"));
    this.button = el("button", { type: "submit", class: "send-button", "aria-label": "Send" }, icon("send"));
    this.node = el(
      "form",
      { class: "composer" },
      el("label", { for: id, class: "hidden-visually" }, label),
      this.shelf,
      this.input,
      el(
        "div",
        { class: "composer-row" },
        files ? [this.attach, this.chooser] : null,
        el("p", { class: "hint composer-hint", id: `${id}-hint` }, files ? "Enter sends, Shift + Enter starts a line. Drop or paste images and PDFs." : "Enter sends, Shift + Enter starts a line."),
        this.button,
      ),
    );
    this.#listen(files);
  }

  #listen(files) {
    this.node.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#act();
    });
    this.input.addEventListener("input", () => this.#fit());
    this.input.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        if (!this.#busy) this.#act();
      }
    });
    if (!files) return;
    this.attach.addEventListener("click", () => this.chooser.click());
    this.chooser.addEventListener("change", async () => {
      await this.attachments.add([...this.chooser.files]);
      this.chooser.value = "";
      this.input.focus();
    });
    this.input.addEventListener("paste", (event) => {
      const found = [...(event.clipboardData?.files ?? [])];
      if (!found.length) return;
      event.preventDefault();
      this.attachments.add(found);
    });
  }

  #act() {
    if (this.#busy) {
      this.stopAnswer();
      return;
    }
    const text = this.input.value.trim();
    if (!text) {
      this.input.focus();
      return;
    }
    const attachments = this.attachments.take();
    this.write("");
    this.sendMessage({ text, attachments });
  }

  /** Puts a text into the field. */
  write(text, attachments) {
    this.input.value = text;
    if (attachments?.length) this.attachments.restore(attachments);
    this.#fit();
  }

  #fit() {
    this.input.style.height = "auto";
    this.input.style.height = `${Math.min(this.input.scrollHeight, 260)}px`;
  }

  /** While an answer is under way the button stops it. */
  set busy(busy) {
    this.#busy = busy;
    this.button.replaceChildren(icon(busy ? "stop" : "send"));
    this.button.setAttribute("aria-label", busy ? "Stop" : "Send");
    this.button.classList.toggle("is-stop", busy);
  }

  get busy() {
    return this.#busy;
  }
}

/** Lets files be dropped anywhere on `area`. */
export function acceptDrops(area, composer) {
  const veil = el("div", { class: "drop-veil", "aria-hidden": "true" }, el("p", {}, icon("attach"), "Drop images and PDFs here"));
  let depth = 0;
  const carriesFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  area.append(veil);
  area.addEventListener("dragenter", (event) => {
    if (!carriesFiles(event)) return;
    depth += 1;
    area.classList.add("dropping");
  });
  area.addEventListener("dragleave", (event) => {
    if (!carriesFiles(event)) return;
    depth -= 1;
    if (depth <= 0) area.classList.remove("dropping");
  });
  area.addEventListener("dragover", (event) => { if (carriesFiles(event)) event.preventDefault(); });
  area.addEventListener("drop", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    depth = 0;
    area.classList.remove("dropping");
    composer.attachments.add([...event.dataTransfer.files]);
    composer.input.focus();
  });
}
