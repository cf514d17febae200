"""The page at /docs: the service's OpenAPI description for people, as plain HTML.

FastAPI can show a livelier one, but that loads its scripts from the internet; a clinic's network may have none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any


def docs_page(openapi: Mapping[str, Any]) -> str:
    """HTML text for an OpenAPI 3 description: every address, what it takes, and each status with its fields."""
    info = openapi["info"]
    parts = [
        "<!doctype html><html lang=en-GB><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>{escape(info['title'])}: addresses</title><link rel=stylesheet href=/page/style.css>",
        f"<main><h1>{escape(info['title'])}</h1><p>{escape(info['version'])}. {escape(info['description'])}</p>",
        "<p>The same for programs: <a href=/openapi.json>openapi.json</a>.</p>",
    ]
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            parts += _operation(path, method, operation, openapi)
    return "\n".join([*parts, "</main></html>"])


def _operation(path: str, method: str, operation: Mapping[str, Any], openapi: Mapping[str, Any]) -> Iterator[str]:
    yield f"<h2><code>{escape(method.upper())} {escape(path)}</code></h2>"
    yield f"<p>{escape(operation.get('description', ''))}</p>"
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"<h3>Send: <code>{escape(kind)}</code></h3>{_fields(content['schema'], openapi)}"
    for status, response in operation["responses"].items():
        schemas = [content.get("schema", {}) for content in response.get("content", {}).values()]
        title = f"{escape(status)}: {escape(response['description'])}"
        yield f"<details><summary>{title}</summary>{''.join(_fields(schema, openapi) for schema in schemas)}</details>"


def _fields(schema: Mapping[str, Any], openapi: Mapping[str, Any]) -> str:
    """The fields of an object as a list, those of objects inside it as lists within."""
    name = schema.get("$ref", "").rpartition("/")[2]
    schema = openapi["components"]["schemas"][name] if name else schema
    if "items" in schema:
        return _fields(schema["items"], openapi)
    rows = []
    for field, inner in schema.get("properties", {}).items():
        about = inner.get("description", "")
        kind = inner.get("type", "object")
        rows.append(f"<li><code>{escape(field)}</code> ({kind}) {escape(about)}{_fields(inner, openapi)}</li>")
    return f"<ul>{''.join(rows)}</ul>" if rows else ""
