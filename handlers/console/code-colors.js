// Colours for code: comments, strings, numbers and keywords, in one pass over the text. Good enough to read by.

import { el } from "./dom.js";

const LONGEST = 50_000;

const WORDS = new Set(
  ("and as assert async await break case catch class const continue def default del do elif else enum except export extends " +
  "False false finally fn for from func function go if impl import in interface is lambda let match mod mut new nil None not null " +
  "or package pass private protected pub public raise return self static struct super switch this throw True true try type " +
  "undefined use var void where while with yield select insert update delete create table into values set join on group by " +
  "order limit echo export fi then done esac").split(" "),
);

const HASH = "#[^\\n]*";
const SLASH = "\\/\\/[^\\n]*|\\/\\*[\\s\\S]*?(?:\\*\\/|$)";
const COMMENTS = {
  python: HASH, py: HASH, bash: HASH, sh: HASH, shell: HASH, console: HASH, yaml: HASH, yml: HASH, toml: HASH, ruby: HASH,
  dockerfile: HASH, makefile: HASH, sql: "--[^\\n]*|\\/\\*[\\s\\S]*?(?:\\*\\/|$)", html: "<!--[\\s\\S]*?(?:-->|$)", json: "(?!)",
};
const PLAIN = new Set(["", "text", "txt", "markdown", "md", "diff"]);

/** The nodes of `text` as code of `language`. */
export function colored(text, language) {
  const name = language.toLowerCase();
  if (PLAIN.has(name) || text.length > LONGEST) return [text];
  const pattern = new RegExp(
    `(?<comment>${COMMENTS[name] ?? SLASH})` +
    "|(?<string>\"\"\"[\\s\\S]*?(?:\"\"\"|$)|\"(?:[^\"\\\\\\n]|\\\\.)*\"|'(?:[^'\\\\\\n]|\\\\.)*'|`(?:[^`\\\\]|\\\\.)*`)" +
    "|(?<number>\\b\\d[\\d_.]*(?:e[+-]?\\d+)?\\b)|(?<word>[A-Za-z_$][\\w$]*)",
    "g",
  );
  const nodes = [];
  let end = 0;
  for (const found of text.matchAll(pattern)) {
    const kind = kindOf(found);
    if (!kind) continue;
    nodes.push(text.slice(end, found.index), el("span", { class: `code-${kind}` }, found[0]));
    end = found.index + found[0].length;
  }
  nodes.push(text.slice(end));
  return nodes;
}

function kindOf({ groups }) {
  if (groups.comment) return "comment";
  if (groups.string) return "string";
  if (groups.number) return "number";
  return WORDS.has(groups.word) ? "keyword" : null;
}
