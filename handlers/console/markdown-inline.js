// The inside of a line of markdown as DOM nodes. Every text becomes a text node, and every address is checked.

import { el } from "./dom.js";

const MOST_OPEN = 24;

const LINK = /!?\[((?:[^[\]\\]|\\.)*)\]\(\s*(?:<([^<>\n]*)>|((?:[^\s()<>]|\([^\s()<>]*\))*))(?:\s+(?:"[^"\n]*"|'[^'\n]*'))?\s*\)/y;
const ANGLED = /<((?:https?:\/\/|mailto:)[^\s<>]+)>/y;
const BARE = /https?:\/\/[^\s<>"`]+/y;
const PICTURE = /^data:image\/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]+$/;
const PLAIN = /[^\\`![<h\n*_~]+/y;
const WORD = /[\p{L}\p{N}]/u;

/** An address that may be followed: http, https or mailto. Null for anything else. */
export function safeAddress(text) {
  const plain = text.trim();
  if (!/^(?:https?:\/\/|mailto:)/i.test(plain)) return null;
  return URL.canParse(plain) ? new URL(plain).href : null;
}

/** The nodes of one run of inline markdown. */
export function inlineNodes(text) {
  const writer = new Writer();
  const missing = new Set();
  let at = 0;
  while (at < text.length) {
    at = readOne(text, at, writer, missing);
  }
  return writer.finish();
}

function readOne(text, at, writer, missing) {
  switch (text[at]) {
    case "\\": return readEscape(text, at, writer);
    case "`": return readCode(text, at, writer, missing);
    case "!":
    case "[": return readLink(text, at, writer);
    case "<": return readAngled(text, at, writer);
    case "h": return readBare(text, at, writer);
    case "\n": return readBreak(text, at, writer);
    case "*":
    case "_":
    case "~": return readMarks(text, at, writer);
    default: return readPlain(text, at, writer);
  }
}

function readPlain(text, at, writer) {
  PLAIN.lastIndex = at;
  const [plain] = PLAIN.exec(text);
  writer.text(plain);
  return at + plain.length;
}

function readEscape(text, at, writer) {
  const next = text[at + 1];
  if (next === "\n") {
    writer.node(el("br"));
    return at + 2;
  }
  const escaped = next !== undefined && /[!-/:-@[-`{-~]/.test(next);
  writer.text(escaped ? next : "\\");
  return at + (escaped ? 2 : 1);
}

function readCode(text, at, writer, missing) {
  let end = at;
  while (text[end] === "`") end += 1;
  const size = end - at;
  const close = missing.has(size) ? -1 : findRun(text, end, size);
  if (close < 0) {
    missing.add(size);
    writer.text(text.slice(at, end));
    return end;
  }
  let code = text.slice(end, close).replaceAll("\n", " ");
  if (/^ .*[^ ].* $/.test(code)) code = code.slice(1, -1);
  writer.node(el("code", {}, code));
  return close + size;
}

function findRun(text, from, size) {
  let at = text.indexOf("`", from);
  while (at >= 0) {
    let end = at;
    while (text[end] === "`") end += 1;
    if (end - at === size) return at;
    at = text.indexOf("`", end);
  }
  return -1;
}

function readLink(text, at, writer) {
  LINK.lastIndex = at;
  const found = LINK.exec(text);
  if (!found) {
    writer.text(text[at]);
    return at + 1;
  }
  const label = found[1];
  const target = found[2] ?? found[3] ?? "";
  if (text[at] === "!") writer.node(picture(label, target));
  else writer.node(link(target, inlineText(label), found[0]));
  return LINK.lastIndex;
}

const inlineText = (label) => (label.includes("http") ? [label] : inlineNodes(label));

// Only pictures that are in the text itself are shown: a picture from elsewhere would tell its server who reads.
function picture(label, target) {
  if (PICTURE.test(target)) return el("img", { src: target, alt: label });
  return link(target, [label || "picture"], `![${label}](${target})`);
}

function link(target, children, otherwise) {
  const href = safeAddress(target);
  if (href === null) return document.createTextNode(otherwise);
  return el("a", { href, target: "_blank", rel: "noopener noreferrer nofollow" }, children);
}

function readAngled(text, at, writer) {
  ANGLED.lastIndex = at;
  const found = ANGLED.exec(text);
  if (!found) {
    writer.text("<");
    return at + 1;
  }
  writer.node(link(found[1], [found[1].replace(/^mailto:/, "")], found[0]));
  return ANGLED.lastIndex;
}

function readBare(text, at, writer) {
  BARE.lastIndex = at;
  const found = at > 0 && WORD.test(text[at - 1]) ? null : BARE.exec(text);
  if (!found) {
    writer.text("h");
    return at + 1;
  }
  let address = found[0].replace(/[.,;:!?'*_~\]]+$/, "");
  if (address.endsWith(")") && !address.includes("(")) address = address.slice(0, -1);
  writer.node(link(address, [address], address));
  return at + address.length;
}

function readBreak(text, at, writer) {
  if (/ {2}$/.test(text.slice(Math.max(0, at - 2), at))) writer.node(el("br"));
  else writer.text("\n");
  return at + 1;
}

function readMarks(text, at, writer) {
  const mark = text[at];
  let end = at;
  while (text[end] === mark) end += 1;
  const before = text[at - 1] ?? " ";
  const after = text[end] ?? " ";
  let opens = !/\s/.test(after);
  let closes = !/\s/.test(before);
  if (mark === "_") {
    opens &&= !WORD.test(before);
    closes &&= !WORD.test(after);
  }
  if (mark === "~" && end - at !== 2) opens = closes = false;
  writer.marks(mark, end - at, opens, closes);
  return end;
}

/** Collects nodes; keeps a stack of marks that are open, and of what stands in them. */
class Writer {
  #frames = [{ mark: "", size: 0, nodes: [] }];
  #pending = "";

  get #top() {
    return this.#frames.at(-1);
  }

  // Texts are put together before they become a node: adding to a node letter by letter takes quadratic time.
  text(text) {
    this.#pending += text;
  }

  node(node) {
    this.#flush();
    this.#top.nodes.push(node);
  }

  #flush() {
    if (this.#pending) this.#top.nodes.push(document.createTextNode(this.#pending));
    this.#pending = "";
  }

  marks(mark, size, opens, closes) {
    let left = size;
    while (closes && left > 0) {
      const index = this.#frames.findLastIndex((frame) => frame.mark === mark);
      if (index < 1) break;
      left -= this.#close(index, left);
    }
    if (left === 0) return;
    if (opens && this.#frames.length < MOST_OPEN) {
      this.#flush();
      this.#frames.push({ mark, size: left, nodes: [] });
    } else {
      this.text(mark.repeat(left));
    }
  }

  #close(index, size) {
    this.#flatten(index);
    const frame = this.#top;
    const used = frame.size >= 2 && size >= 2 ? 2 : 1;
    const tag = { "*1": "em", "_1": "em", "*2": "strong", "_2": "strong", "~2": "del", "~1": "span" }[frame.mark + used];
    const node = el(tag, {}, frame.nodes);
    frame.size -= used;
    frame.nodes = [node];
    if (frame.size === 0) {
      this.#frames.pop();
      this.#top.nodes.push(node);
    }
    return used;
  }

  /** What is open above `index` stays as it was written. */
  #flatten(index) {
    this.#flush();
    while (this.#frames.length - 1 > index) {
      const frame = this.#frames.pop();
      const mark = document.createTextNode(frame.mark.repeat(frame.size));
      this.#top.nodes = this.#top.nodes.concat(mark, frame.nodes);
    }
  }

  finish() {
    this.#flatten(0);
    return this.#top.nodes;
  }
}
