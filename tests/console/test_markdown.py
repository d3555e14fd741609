"""The markdown renderer: what it draws, that a stream ends with the same nodes, and that no text is too much for it."""

from __future__ import annotations

import pytest

from tests.console.conftest import Gateway, NewPage, Page

# Draws a text in a page of the gateway; gives what came of it, without attributes that are for looks.
DRAW = """async (text) => {
    const { renderMarkdown } = await import(new URL("console/markdown.js", document.baseURI));
    const place = document.createElement("div");
    for (const each of [].concat(text)) renderMarkdown(place, each);
    const kept = ["href", "src", "alt", "start", "checked", "disabled", "scope"];
    for (const node of place.querySelectorAll("*")) {
        for (const { name } of [...node.attributes]) if (!kept.includes(name)) node.removeAttribute(name);
        if (node.matches("button, svg")) node.remove();
    }
    return place.innerHTML;
}"""

CASES = {
    "a\nb": "<p>a\nb</p>",
    "a  \nb\\\nc": "<p>a  <br>b<br>c</p>",
    "**bold** __too__ *em* _em_ ***both*** ~~gone~~": "<p><strong>bold</strong> <strong>too</strong> <em>em</em> "
    "<em>em</em> <em><strong>both</strong></em> <del>gone</del></p>",
    "2 * 3 * 4 and snake_case_name and **open": "<p>2 * 3 * 4 and snake_case_name and **open</p>",
    "**a *b** c*": "<p><em><em>a <em>b</em></em> c</em></p>",
    "`a*b*` ``c`d`` `open": "<p><code>a*b*</code> <code>c`d</code> `open</p>",
    r"\*not\* \`code\` \<": "<p>*not* `code` &lt;</p>",
    "# One\n### Three ###\n#Not": '<h3>One</h3><h5>Three</h5><p>#Not</p>',
    "---\n***": "<hr><hr>",
    "[a](https://x.org/b \"t\") <https://x.org> https://x.org/(y). <mailto:a@b.c>": "<p>"
    '<a href="https://x.org/b">a</a> <a href="https://x.org/">https://x.org</a> '
    '<a href="https://x.org/(y)">https://x.org/(y)</a>. '
    '<a href="mailto:a@b.c">a@b.c</a></p>',
    "[a](javascript:x) ![b](https://x.org/c.png)": '<p>[a](javascript:x) <a href="https://x.org/c.png">b</a></p>',
    "![dot](data:image/png;base64,AAAA)": '<p><img src="data:image/png;base64,AAAA" alt="dot"></p>',
    "- a\n- b\n  - c\n\n    d\n- e": "<ul><li>a</li><li>b<ul><li><p>c</p><p>d</p></li></ul></li><li>e</li></ul>",
    "3. c\n4. d": '<ol start="3"><li>c</li><li>d</li></ol>',
    "1. a\n   ```\n   x\n   ```\n2. b": "<ol><li>a<div><div><span>text</span></div><pre><code>x</code></pre></div></li>"
    "<li>b</li></ol>",
    "- [x] done\n- [ ] open": '<ul><li><input disabled="" checked=""> done</li><li><input disabled=""> open</li></ul>',
    "> a\n> > b\n\nc": "<blockquote><p>a</p><blockquote><p>b</p></blockquote></blockquote><p>c</p>",
    "|a|b|\n|-|:-:|\n|1|`x\\|y`|\n|2|": "<div><table><thead><tr>"
    '<th scope="col">a</th><th scope="col">b</th></tr></thead>'
    "<tbody><tr><td>1</td><td><code>x|y</code></td></tr><tr><td>2</td><td></td></tr></tbody></table></div>",
    "a | b is no table\nc": "<p>a | b is no table\nc</p>",
    "~~~~py\nx = 1  # y\n~~~\n~~~~": "<div><div><span>py</span></div><pre><code><span></span></code></pre></div>",
    "    code\n\n    more": "<div><div><span>text</span></div><pre><code>code\n\nmore</code></pre></div>",
    "": "",
}

HOSTILE = (
    "*" * 20_000,
    "*a " * 10_000,
    "**a_b_" * 5_000,
    "[" * 20_000,
    "![](" * 10_000,
    "[a](" * 10_000,
    "`" * 9_999 + " " + "``" * 5_000,
    ">" * 5_000,
    "> - " * 2_000 + "x",
    "- " * 5_000,
    "|" * 20_000 + "\n" + "|-" * 10_000,
    "|a\n" * 10_000,
    "<http" * 5_000,
    "\\" * 20_000,
    "  \n" * 10_000,
    "```\n" * 5_001,
    "1. " * 3_000,
    "~" * 10_000,
    "#" * 10_000,
    "```js\n" + "\"" * 20_000,
    "```js\n" + "/*" * 10_000,
)  # fmt: skip


@pytest.fixture
def sheet(new_page: NewPage, open_gateway: Gateway) -> Page:
    return new_page(open_gateway, "#/backends")


def test_what_is_drawn(sheet: Page):
    for text, drawn in CASES.items():
        found = sheet.evaluate(DRAW, text)
        if "~~~~py" in text:  # the colours of code are spans
            found = found.replace("x = <span>1</span>  <span># y</span>\n~~~", "<span></span>")
        assert found == drawn, text


def test_a_stream_ends_with_the_same_nodes(sheet: Page):
    text = "\n\n".join(CASES)
    pieces = [text[:end] for end in range(1, len(text), 7)] + [text]
    assert sheet.evaluate(DRAW, pieces) == sheet.evaluate(DRAW, text)


def test_no_text_is_too_much(sheet: Page):
    for text in HOSTILE:
        assert isinstance(sheet.evaluate(DRAW, text), str), text[:20]
