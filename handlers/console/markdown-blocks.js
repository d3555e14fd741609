// Splits markdown into blocks, as data. A block's `source` identifies it: the same source draws the same nodes.
// What models write: https://spec.commonmark.org/0.31.2/ and https://github.github.com/gfm/#tables-extension-

const DEEPEST = 12;
const MOST_COLUMNS = 100;

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})(?:\s+(.*?))?(?:\s+#+)?\s*$/;
const RULE = /^ {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])(?:( +|\t)(.*))?$/;
const ALIGNMENTS = /^ {0,3}\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$/;

/** The blocks of a text: {type, source, ...}. Types: paragraph, heading, code, quote, list, table, rule. */
export function readBlocks(text, depth = 0) {
  const lines = text.replaceAll("\r\n", "\n").split("\n");
  const blocks = [];
  let at = 0;
  while (at < lines.length) {
    if (!lines[at].trim()) {
      at += 1;
      continue;
    }
    const [block, next] = readBlock(lines, at, depth);
    block.source = lines.slice(at, next).join("\n");
    blocks.push(block);
    at = next;
  }
  return blocks;
}

function readBlock(lines, at, depth) {
  const line = lines[at];
  const fence = FENCE.exec(line);
  if (fence) return readFence(lines, at, fence);
  const heading = HEADING.exec(line);
  if (heading) return [{ type: "heading", level: heading[1].length, text: heading[2] ?? "" }, at + 1];
  if (RULE.test(line)) return [{ type: "rule" }, at + 1];
  if (depth < DEEPEST && QUOTE.test(line)) return readQuote(lines, at, depth);
  if (depth < DEEPEST && ITEM.test(line)) return readList(lines, at, depth);
  if (isTable(lines, at)) return readTable(lines, at);
  if (/^(?: {4}|\t)/.test(line)) return readIndented(lines, at);
  return readParagraph(lines, at, depth);
}

function readFence(lines, at, [, mark, info]) {
  const closing = new RegExp(`^ {0,3}${mark[0]}{${mark.length},}\\s*$`);
  let end = at + 1;
  while (end < lines.length && !closing.test(lines[end])) end += 1;
  const language = info.trim().split(/\s/)[0].slice(0, 30);
  const block = { type: "code", language, text: lines.slice(at + 1, end).join("\n"), open: end >= lines.length };
  return [block, Math.min(end + 1, lines.length)];
}

function readIndented(lines, at) {
  let end = at;
  while (end < lines.length && (/^(?: {4}|\t)/.test(lines[end]) || !lines[end].trim())) end += 1;
  const text = lines.slice(at, end).map((line) => line.replace(/^(?: {4}|\t)/, "")).join("\n").trimEnd();
  return [{ type: "code", language: "", text, open: false }, end];
}

function readQuote(lines, at, depth) {
  let end = at;
  const inner = [];
  while (end < lines.length && (QUOTE.test(lines[end]) || (lines[end].trim() && !startsBlock(lines, end)))) {
    inner.push(lines[end].replace(QUOTE, ""));
    end += 1;
  }
  return [{ type: "quote", blocks: readBlocks(inner.join("\n"), depth + 1) }, end];
}

function readList(lines, at, depth) {
  const first = ITEM.exec(lines[at]);
  const ordered = /\d/.test(first[2]);
  const list = { type: "list", ordered, start: ordered ? Number.parseInt(first[2], 10) : 1, items: [], loose: false };
  let end = at;
  while (end < lines.length) {
    const found = ITEM.exec(lines[end]);
    if (!found || RULE.test(lines[end]) || /\d/.test(found[2]) !== ordered) break;
    const [item, next] = readItem(lines, end, found, depth);
    list.items.push(item);
    const gap = next < lines.length && !lines[next].trim();
    end = gap ? skipBlank(lines, next) : next;
    if (gap && end < lines.length && ITEM.test(lines[end])) list.loose = true;
    else if (gap) return [list, next];
  }
  return [list, end];
}

function readItem(lines, at, [, indent, marker, gap, rest], depth) {
  const width = indent.length + marker.length + (gap && gap.length < 5 ? gap.length : 1);
  const inner = [rest ?? ""];
  let end = at + 1;
  while (end < lines.length) {
    const line = lines[end].replaceAll("\t", "    ");
    const blank = !line.trim();
    const indented = leading(line) >= Math.min(width, 2);
    if (blank && !(end + 1 < lines.length && leading(lines[end + 1]) >= Math.min(width, 2) && lines[end + 1].trim())) break;
    if (!blank && !indented && (startsBlock(lines, end) || !lines[end - 1].trim())) break;
    inner.push(blank ? "" : line.slice(Math.min(width, leading(line))));
    end += 1;
  }
  const task = /^\[([ xX])\]\s+/.exec(inner[0]);
  if (task) inner[0] = inner[0].slice(task[0].length);
  const blocks = readBlocks(inner.join("\n"), depth + 1);
  return [{ blocks, checked: task ? task[1] !== " " : null }, end];
}

const leading = (line) => line.length - line.trimStart().length;

function skipBlank(lines, at) {
  while (at < lines.length && !lines[at].trim()) at += 1;
  return at;
}

function startsBlock(lines, at) {
  const line = lines[at];
  return FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line) || ITEM.test(line);
}

function isTable(lines, at) {
  return lines[at].includes("|") && at + 1 < lines.length && lines[at + 1].includes("-") &&
    lines[at + 1].length < 2000 && ALIGNMENTS.test(lines[at + 1]) &&
    readCells(lines[at]).length === readCells(lines[at + 1]).length && readCells(lines[at]).length <= MOST_COLUMNS;
}

function readTable(lines, at) {
  const head = readCells(lines[at]);
  const aligns = readCells(lines[at + 1]).map((cell) => {
    if (/^:-*:$/.test(cell)) return "center";
    return cell.endsWith(":") ? "right" : "left";
  });
  let end = at + 2;
  const rows = [];
  while (end < lines.length && lines[end].trim() && !startsBlock(lines, end)) {
    const cells = readCells(lines[end]);
    rows.push(head.map((_, index) => cells[index] ?? ""));
    end += 1;
  }
  return [{ type: "table", head, aligns, rows }, end];
}

/** The cells of a row. A pipe that is escaped, or stands in code, is no border. */
function readCells(line) {
  const cells = [""];
  let inCode = false;
  const text = line.trim().replace(/^\|/, "").replace(/(?<!\\)\|$/, "");
  for (let at = 0; at < text.length; at += 1) {
    const letter = text[at];
    if (letter === "\\" && text[at + 1] === "|") {
      cells[cells.length - 1] += "|";
      at += 1;
    } else if (letter === "|" && !inCode) {
      cells.push("");
    } else {
      if (letter === "`") inCode = !inCode;
      cells[cells.length - 1] += letter;
    }
  }
  return cells.map((cell) => cell.trim());
}

function readParagraph(lines, at, depth) {
  let end = at + 1;
  while (end < lines.length && lines[end].trim() && !interrupts(lines, end, depth)) end += 1;
  return [{ type: "paragraph", text: lines.slice(at, end).map((line) => line.trimStart()).join("\n") }, end];
}

function interrupts(lines, at, depth) {
  if (isTable(lines, at)) return true;
  if (depth >= DEEPEST) return false;
  const item = ITEM.exec(lines[at]);
  if (item) return Boolean(item[4]) && (!/\d/.test(item[2]) || Number.parseInt(item[2], 10) === 1);
  return startsBlock(lines, at);
}
