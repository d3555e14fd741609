// Images and PDFs that go with a message: chosen, dropped or pasted.

import { el, fill } from "./dom.js";
import { bytes } from "./format.js";
import { icon } from "./icons.js";
import { toast } from "./announce.js";

const TYPES = { "image/png": "image", "image/jpeg": "image", "image/gif": "image", "image/webp": "image", "application/pdf": "document" };
const MOST_BYTES = 10 * 1024 * 1024;
const MOST_FILES = 8;

/** Keeps the files of one composer and draws them as chips into `shelf`. */
export class Attachments {
  #items = [];

  constructor(shelf) {
    this.shelf = shelf;
    this.accept = Object.keys(TYPES).join(",");
  }

  get items() {
    return this.#items;
  }

  /** Takes files over; one that cannot be sent is refused with its reason. */
  async add(files) {
    for (const file of files) {
      const type = TYPES[file.type];
      if (!type) toast(`${file.name || "This file"} is neither an image nor a PDF.`, "failed");
      else if (file.size > MOST_BYTES) toast(`${file.name} has ${bytes(file.size)}; at most ${bytes(MOST_BYTES)} can be sent.`, "failed");
      else if (this.#items.length >= MOST_FILES) toast(`At most ${MOST_FILES} files go with a message.`, "failed");
      else {
        this.#items.push({ type, media_type: file.type, name: file.name || "pasted image", size: file.size, data: await readBase64(file) });
        this.#draw();
      }
    }
  }

  /** Gives the files away and forgets them. */
  take() {
    const taken = this.#items.map(({ type, media_type, name, data }) => ({ type, media_type, name, data }));
    this.#items = [];
    this.#draw();
    return taken;
  }

  /** Takes back what `take` gave: the message was not sent. */
  restore(items) {
    this.#items = items.map((item) => ({ ...item, size: Math.floor((item.data.length * 3) / 4) }));
    this.#draw();
  }

  #draw() {
    fill(this.shelf, this.#items.map((item) => chip(item, () => {
      this.#items = this.#items.filter((other) => other !== item);
      this.#draw();
    })));
  }
}

/** A file as a small card; with `remove`, it can be taken out. */
export function chip(item, remove) {
  const shown = item.type === "image" && item.data
    ? el("img", { src: `data:${item.media_type};base64,${item.data}`, alt: "" })
    : el("span", { class: "chip-icon" }, icon("file"));
  return el(
    "div",
    { class: "chip" },
    shown,
    el("span", { class: "chip-name" }, item.name || item.media_type),
    item.size ? el("span", { class: "chip-size" }, bytes(item.size)) : null,
    remove ? el("button", { type: "button", class: "icon-button icon-button-small", "aria-label": `Remove ${item.name}`, on: { click: remove } }, icon("close")) : null,
  );
}

function readBase64(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}
