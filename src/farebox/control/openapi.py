"""The API's own description: its OpenAPI document, completed by what is the same for every route, and a plain page for people.

The page is written from the document, without scripts and without anything from elsewhere.
"""

from collections.abc import Iterator
from html import escape
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from farebox import __version__
from farebox.control.problems import MEDIA_TYPE, STATUSES
from farebox.control.routes.prices import ImportIn
from farebox.control.shapes import Fault, ProblemOut
from farebox.control.unproxied import described as unproxied

_REF = "#/components/schemas/{model}"
_ABOUT = (
    "Accounts, keys, money, prices and usage of a Farebox gateway. Authenticate with an admin key as bearer. Every request that changes "
    "something takes an `Idempotency-Key`. Lists are `{data, next_cursor}`. Errors are problem documents (RFC 9457) with a stable `code`."
)
_METHODS = ("get", "post", "put", "patch", "delete")


def document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, made once."""
    if app.openapi_schema is None:
        made = get_openapi(title="Farebox", version=__version__, description=_ABOUT, routes=app.routes)
        schemas = made.setdefault("components", {}).setdefault("schemas", {})
        for model in (ProblemOut, Fault, ImportIn):
            schema = model.model_json_schema(ref_template=_REF)
            schema.pop("$defs", None)
            schemas[model.__name__] = schema
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        unproxied.describe(made)
        for operation in _operations(made):
            _complete(operation)
        app.openapi_schema = made
    return app.openapi_schema


def _operations(made: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in made["paths"].values():
        for method in _METHODS:
            if method in path:
                yield path[method]


def _complete(operation: dict[str, Any]) -> None:
    """Every route may refuse, in the same form."""
    responses = operation["responses"]
    responses.pop("422", None)
    problem = {"content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemOut"}}}}
    responses["4XX"] = {"description": "Refused: the code says why.", **problem}
    responses["5XX"] = {"description": "Not the caller's fault.", **problem}


# --- for people --------------------------------------------------------------------------------------------------------------------

_STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1b1f;background:#fff}
h2{margin-top:2.5rem;border-bottom:1px solid #ccc}h3{font-family:ui-monospace,monospace;font-size:1rem;margin:1.6rem 0 .2rem}
code,td:first-child{font-family:ui-monospace,monospace;font-size:.9em}table{border-collapse:collapse;margin:.4rem 0}
td{padding:.1rem .8rem .1rem 0;vertical-align:top}.method{display:inline-block;min-width:4.5rem;font-weight:700}
@media(prefers-color-scheme:dark){body{color:#e6e6e9;background:#17171a}h2{border-color:#444}}"""


def page(made: dict[str, Any]) -> str:
    """The document as one HTML page."""
    by_tag: dict[str, list[str]] = {}
    for path, item in made["paths"].items():
        for method in _METHODS:
            if method in item:
                operation = item[method]
                by_tag.setdefault(operation.get("tags", ["other"])[0], []).append(_operation(made, method, path, operation))
    sections = "".join(f"<h2>{escape(tag)}</h2>{''.join(parts)}" for tag, parts in by_tag.items())
    codes = "".join(
        f"<tr><td>{escape(code)}</td><td>{status}</td><td>{escape(title)}</td></tr>" for code, (status, title) in STATUSES.items()
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Farebox API</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body><h1>Farebox API {escape(__version__)}</h1>'
        f'<p>{escape(_ABOUT)}</p><p>For machines: <a href="openapi.json">openapi.json</a>.</p>{sections}'
        f"<h2>problems</h2><table>{codes}</table></body></html>"
    )


def _operation(made: dict[str, Any], method: str, path: str, operation: dict[str, Any]) -> str:
    rows = [
        (one["name"], f"{one['in']}: {_kind(one.get('schema', {}))}", one.get("description", "")) for one in operation.get("parameters", [])
    ]
    for content in operation.get("requestBody", {}).get("content", {}).values():
        rows += _fields(made, content["schema"])
    table = "".join(f"<tr><td>{escape(a)}</td><td>{escape(b)}</td><td>{escape(c)}</td></tr>" for a, b, c in rows)
    words = escape(operation.get("description", ""))
    return f'<h3><span class="method">{method.upper()}</span> {escape(path)}</h3><p>{words}</p><table>{table}</table>'


def _fields(made: dict[str, Any], schema: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The members of a body, with what each is."""
    if schema.get("type") == "array":
        return _fields(made, schema["items"])
    for choice in schema.get("anyOf", ()):
        if "$ref" in choice:
            return _fields(made, choice)
    if "$ref" in schema:
        schema = made["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    needed = schema.get("required", ())
    return [
        (name, _kind(one) + (", required" if name in needed else ""), one.get("description", ""))
        for name, one in schema.get("properties", {}).items()
    ]


def _kind(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_kind(one) for one in schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[1]
    return str(schema.get("format") or schema.get("const") or schema.get("type") or "any")
