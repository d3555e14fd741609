"""The OpenAPI document as one HTML page, made here: no script, no style of another server's."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html import escape
from typing import Any

_CODE = re.compile(r"`([^`]+)`")
_METHODS = ("get", "post", "put", "patch", "delete")


def docs_page(document: dict[str, Any]) -> str:
    """The page. Operations stand under their tags, each with its parameters, bodies and answers."""
    sections: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method in _METHODS:
            if method in operations:
                tag = (operations[method].get("tags") or ["other"])[0]
                sections.setdefault(tag, []).append(_operation(method, path, operations[method]))
    links = "".join(f'<li><a href="#{_anchor(tag)}">{escape(tag)}</a></li>' for tag in sections)
    bodies = "".join(
        f'<section id="{_anchor(tag)}" aria-labelledby="{_anchor(tag)}-title">'
        f'<h2 id="{_anchor(tag)}-title">{escape(tag)}</h2>{"".join(parts)}</section>'
        for tag, parts in sections.items()
    )
    schemas = "".join(_schema(name, schema) for name, schema in sorted(document["components"]["schemas"].items()))
    info = document["info"]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(info['title'])} API</title>"
        '<link rel="icon" href="console/mark.svg"><link rel="stylesheet" href="console/base.css">'
        '<link rel="stylesheet" href="console/docs.css"></head><body class="docs">'
        f"<header><h1>{escape(info['title'])} API <small>{escape(info['version'])}</small></h1>"
        f"<p>{escape(info['description'])}</p>"
        '<p><a href="./">Console</a> · <a href="openapi.json">openapi.json</a></p>'
        f'<nav aria-label="Sections"><ul>{links}<li><a href="#schemas">Schemas</a></li></ul></nav></header>'
        f'<main>{bodies}<section id="schemas" aria-labelledby="schemas-title"><h2 id="schemas-title">Schemas</h2>'
        f"{schemas}</section></main></body></html>"
    )


def _prose(text: str) -> str:
    """A text in which `words` of code are marked as in Markdown."""
    return _CODE.sub(r"<code>\1</code>", escape(text))


def _anchor(tag: str) -> str:
    return "tag-" + "".join(letter if letter.isalnum() else "-" for letter in tag.lower())


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    summary = _prose(operation.get("summary", ""))
    parts = [f"<p>{_prose(operation['description'])}</p>" if operation.get("description") else ""]
    if operation.get("security") == []:
        parts.append("<p>Needs no key.</p>")
    parts.append("".join(_parameters(operation.get("parameters", []))))
    body = operation.get("requestBody")
    if body:
        parts.append(f"<h3>Request</h3><ul>{''.join(_contents(body['content']))}</ul>")
    parts.append(f"<h3>Answers</h3><ul>{''.join(_answers(operation['responses']))}</ul>")
    return (
        f'<details class="operation"><summary><span class="method {method}">{method.upper()}</span> '
        f"<code>{escape(path)}</code> <span>{summary}</span></summary>{''.join(parts)}</details>"
    )


def _answers(responses: dict[str, Any]) -> Iterator[str]:
    """What succeeds in full, what fails by its status: the meanings of those are the same everywhere."""
    failures = []
    for status, answer in responses.items():
        if status.startswith("2"):
            text = f"{escape(status)}: {_prose(answer.get('description', ''))}"
            yield f"<li>{text}<ul>{''.join(_contents(answer.get('content', {})))}</ul></li>"
        elif status.isdigit():
            failures.append(escape(status))
    if failures:
        yield f"<li>Errors: {', '.join(failures)}</li>"


def _parameters(parameters: list[dict[str, Any]]) -> Iterator[str]:
    if not parameters:
        return
    yield "<h3>Parameters</h3><ul>"
    for each in parameters:
        required = ", required" if each.get("required") else ""
        text = _prose(each.get("description", ""))
        yield f"<li><code>{escape(each['name'])}</code> ({escape(each['in'])}{required}) {text}</li>"
    yield "</ul>"


def _contents(contents: dict[str, Any]) -> Iterator[str]:
    for media_type, content in contents.items():
        schema = content.get("schema", {})
        name = str(schema.get("$ref", "")).rpartition("/")[2]
        shown = f'<a href="#schema-{escape(name)}">{escape(name)}</a>' if name else escape(str(schema.get("type", "")))
        yield f"<li><code>{escape(media_type)}</code> {shown}</li>"


def _schema(name: str, schema: dict[str, Any]) -> str:
    text = escape(json.dumps(schema, indent=2, ensure_ascii=False))
    return (
        f'<details class="schema" id="schema-{escape(name)}"><summary><code>{escape(name)}</code></summary>'
        f'<pre tabindex="0"><code>{text}</code></pre></details>'
    )
