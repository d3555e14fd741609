// Draws markdown. While a text streams only the blocks that changed are drawn again, so that what a person has
// selected above stays selected.

import { el } from "./dom.js";
import { codeBlock } from "./code-block.js";
import { inlineNodes } from "./markdown-inline.js";
import { readBlocks } from "./markdown-blocks.js";

const DRAWN = new WeakMap();

/** Makes `container` show `text`. Call it again with a longer text as that arrives. */
export function renderMarkdown(container, text) {
  const blocks = readBlocks(text);
  blocks.forEach((block, index) => {
    const shown = container.children[index];
    const identity = `${block.type} ${block.source}`;
    if (shown && DRAWN.get(shown) === identity) return;
    const node = drawBlock(block);
    DRAWN.set(node, identity);
    if (shown) shown.replaceWith(node);
    else container.append(node);
  });
  while (container.children.length > blocks.length) container.lastElementChild.remove();
}

const DRAWERS = {
  paragraph: (block) => el("p", {}, inlineNodes(block.text)),
  // A page has its own headings above: those of an answer start at the third level.
  heading: (block) => el(`h${Math.min(6, block.level + 2)}`, { class: `md-h${block.level}` }, inlineNodes(block.text)),
  rule: () => el("hr"),
  quote: (block) => el("blockquote", {}, block.blocks.map(drawBlock)),
  list: drawList,
  table: drawTable,
  code: (block) => codeBlock(block.text, block.language),
};

const drawBlock = (block) => DRAWERS[block.type](block);

function drawList(block) {
  const attributes = block.ordered && block.start !== 1 ? { start: block.start } : {};
  return el(block.ordered ? "ol" : "ul", attributes, block.items.map((item) => drawItem(item, block.loose)));
}

function drawItem(item, loose) {
  const box = item.checked === null ? null : el("input", { type: "checkbox", disabled: true, checked: item.checked, "aria-label": item.checked ? "done" : "to do" });
  const tight = !loose && item.blocks.filter(({ type }) => type === "paragraph").length < 2;
  const inner = item.blocks.map((block) => (block.type === "paragraph" && tight ? inlineNodes(block.text) : drawBlock(block)));
  return el("li", { class: box ? "task" : null }, box, box ? " " : null, inner);
}

function drawTable(block) {
  const cell = (tag, text, index) => el(tag, { class: `align-${block.aligns[index] ?? "left"}`, scope: tag === "th" ? "col" : null }, inlineNodes(text));
  return el(
    "div",
    { class: "md-table", tabindex: "0", role: "region", "aria-label": "Table" },
    el(
      "table",
      {},
      el("thead", {}, el("tr", {}, block.head.map((text, index) => cell("th", text, index)))),
      el("tbody", {}, block.rows.map((row) => el("tr", {}, row.map((text, index) => cell("td", text, index))))),
    ),
  );
}
