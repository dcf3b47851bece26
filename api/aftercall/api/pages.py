"""A reference page of the API that needs nothing from elsewhere: no scripts, no fonts, no network."""

from __future__ import annotations

import html
from typing import Any

HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"}
_STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2430}
h1{margin-bottom:0}code{background:#eef1f5;padding:.1em .3em;border-radius:3px}table{border-collapse:collapse}
td{padding:.15rem .8rem .15rem 0;vertical-align:top}section{border-top:1px solid #d6dce4;margin-top:1.2rem}
b{display:inline-block;min-width:3.5rem}"""


def reference(document: dict[str, Any]) -> str:
    """Render an OpenAPI document as one page."""
    info = document["info"]
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        f"<title>{_e(info['title'])} API</title><style>{_STYLE}</style>",
        f"<h1>{_e(info['title'])} API</h1>",
        f"<p>Version {_e(info['version'])} · <a href=/openapi.json>openapi.json</a></p>",
        *(f"<p>{_e(paragraph)}</p>" for paragraph in info.get("description", "").split("\n\n")),
    ]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            parts.append(f"<section><h3><b>{method.upper()}</b> <code>{_e(path)}</code></h3>")
            parts.append(f"<p>{_e(operation.get('description', ''))}</p><table>")
            for parameter in operation.get("parameters", ()):
                needed = "required" if parameter.get("required") else "optional"
                where = f"{parameter['in']}, {needed}"
                about = _e(parameter.get("description", ""))
                parts.append(f"<tr><td><code>{_e(parameter['name'])}</code><td>{where}<td>{about}")
            body = operation.get("requestBody")
            if body is not None:
                needed = "required" if body.get("required") else "optional"
                form = ", ".join(body["content"])
                parts.append(f"<tr><td>body<td>{_e(form)}, {needed}<td>{_e(body.get('description', ''))}")
            parts.append("</table><table>")
            for status, answer in operation["responses"].items():
                parts.append(f"<tr><td>{_e(status)}<td>{_e(answer['description'])}")
            parts.append("</table></section>")
    return "".join(parts)


def _e(text: object) -> str:
    return html.escape(str(text))
