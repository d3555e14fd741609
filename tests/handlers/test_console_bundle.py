"""The console's modules as one script: in the order of their imports, each once, and nothing that is misread."""

from __future__ import annotations

import pytest

from handlers.console_bundle import bundle

MODULES = {
    "app.js": 'import { el } from "./dom.js";\n\nconst views = { one: () => import("./views/one.js") };\nel(views);\n',
    "dom.js": "// Nodes\nexport function el() {}\nexport const SVG = 1;\nfunction own() {}",
    "views/one.js": (
        'import { SVG, el } from "../dom.js";\nexport async function show() {}\nexport class A extends B {}\n'
        "export async function* each() {}\n"
    ),
    "alone.js": "",
}


def test_each_module_is_written_once_after_what_it_imports() -> None:
    assert bundle(MODULES, "app.js") == """\
// dom.js
const $dom_js = (() => {
// Nodes
function el() {}
const SVG = 1;
function own() {}
return { el, SVG };
})();

// views/one.js
const $views_one_js = (() => {
const { SVG, el } = $dom_js;
async function show() {}
class A extends B {}
async function* each() {}
return { show, A, each };
})();

// app.js
const $app_js = (() => {
const { el } = $dom_js;

const views = { one: () => Promise.resolve($views_one_js) };
el(views);
return {  };
})();
"""


@pytest.mark.parametrize(
    "text",
    [
        "export default 1;", 'export { el } from "./dom.js";', "export let x = 1;", 'import "./dom.js";',
        'import all from "./dom.js";', 'import * as all from "./dom.js";', 'import { el as x } from "elsewhere";',
        'import {\n  el,\n} from "./dom.js";', "const later = \n  import(name);", 'import { el } from "./dom.js"',
    ],
)  # fmt: skip
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^app\.js: not a form that is read here: (import|export)"):
        bundle({**MODULES, "app.js": text}, "app.js")


def test_what_is_not_there_or_turns_in_a_circle_is_refused() -> None:
    with pytest.raises(KeyError):
        bundle({"app.js": 'import { x } from "./gone.js";'}, "app.js")
    circle = {"a.js": 'import { b } from "./b.js";', "b.js": 'import { a } from "./a.js";'}
    with pytest.raises(ValueError, match="circle: a.js -> b.js -> a.js"):
        bundle(circle, "a.js")
