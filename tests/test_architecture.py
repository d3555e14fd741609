"""The rules of the layout, walked: imports, sizes, names, rows."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from core.formats import load_format, load_wire
from core.providers.table import PROVIDERS

ROOT = Path(__file__).resolve().parents[1]
CORE = sorted((ROOT / "core").rglob("*.py"))
HANDLERS = sorted((ROOT / "handlers").rglob("*.py"))
FORMATS = ("chat_completions", "responses", "messages", "converse", "generate_content")
EIGHT = (
    "read_request", "write_request", "read_response", "write_response", "read_error", "write_error",
    "StreamDecoder", "StreamEncoder",
)  # fmt: skip
WIRE = (
    "PING", "STREAM_CONTENT_TYPE", "read_error", "write_error", "error_event", "observe_response", "StreamObserver",
)  # fmt: skip

# What the core may not have although it is in the standard library: networks, processes, event loops, clocks.
NOT_IN_CORE = {
    "asyncio", "socket", "ssl", "http", "urllib.request", "subprocess", "threading", "multiprocessing", "select",
    "selectors", "random", "secrets", "os", "io", "logging", "concurrent",
}  # fmt: skip


def imports_of(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


@pytest.mark.parametrize("path", CORE, ids=lambda path: str(path.relative_to(ROOT)))
def test_core_imports_the_standard_library_only(path: Path) -> None:
    for name in imports_of(path):
        top = name.partition(".")[0]
        assert top == "core" or top in sys.stdlib_module_names, name
        assert name not in NOT_IN_CORE and top not in NOT_IN_CORE, name


@pytest.mark.parametrize("path", [*CORE, *HANDLERS], ids=lambda path: str(path.relative_to(ROOT)))
def test_sizes_and_names(path: Path) -> None:
    text = path.read_text("utf-8")
    assert len(text.splitlines()) <= 600
    assert not re.search(r"(^|_)(utils?|helpers?|common|misc)$", path.stem)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < 50, f"{node.name} is longer than 50 lines"


@pytest.mark.parametrize("path", [*CORE, *HANDLERS], ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_it_is(path: Path) -> None:
    text = path.read_text("utf-8")
    assert not text.strip() or ast.get_docstring(ast.parse(text))


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_has_its_names(name: str) -> None:
    for member in EIGHT:
        assert callable(getattr(load_format(name), member))
    for member in WIRE:
        assert hasattr(load_wire(name), member)


@pytest.mark.parametrize("name", FORMATS)
def test_a_pass_through_route_loads_no_translation(name: str) -> None:
    """In a process of its own: the wire part of one format imports no other part and no other format."""
    code = f"import sys, core.formats.{name}.wire; print('\\n'.join(sys.modules))"
    listed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(listed.stdout.split())
    for module in ("read_request", "write_request", "stream_decoder", "stream_encoder", "response"):
        assert f"core.formats.{name}.{module}" not in loaded
    assert not any(module.startswith("core.translation") for module in loaded)


def test_the_tree_of_the_document_is_the_tree() -> None:
    """ARCHITECTURE.md names each module of the three large folders and each package of the core, and no other."""
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8").partition("## The tree")[2].partition("```\n\n")[0]
    told = set(re.findall(r"\w+", text))
    folders = (ROOT / "core", ROOT / "handlers", ROOT / "handlers" / "io")
    modules = {path.stem for folder in folders for path in folder.glob("*.py")} - {"__init__"}
    packages = {path.parent.name for path in (ROOT / "core").glob("*/__init__.py")}
    assert (modules | packages) - told == set()
    assert {word for word in told if "_" in word} - modules == set()


def test_dispatch_is_by_table() -> None:
    """No comparison with a provider's or a format's name outside the tables."""
    names = "|".join(map(re.escape, [*PROVIDERS, *FORMATS]))
    pattern = re.compile(rf"\b(provider|type_name)\b[\w.]* (==|!=) [\"']({names})[\"']")
    for path in CORE:
        assert not pattern.search(path.read_text("utf-8")), path


def test_nothing_names_a_registry_or_a_machine() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    pattern = re.compile(r"p[y]pi\.org|python[h]osted\.org|registry\.n[p]mjs|d[e]b\.debian\.org")
    for name in listed.splitlines():
        path = ROOT / name
        if path.is_file() and path.stat().st_size < 1_000_000:
            assert not pattern.search(path.read_text("utf-8", "replace")), name
