"""A report as a page: one file that needs nothing from elsewhere, with the plots inside."""

from __future__ import annotations

import datetime
import html
import io
from collections.abc import Iterable
from typing import Any

UNKNOWN = "-"
_STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a}
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.25rem .7rem;border-bottom:1px solid #ddd;text-align:right}
td:first-child,th:first-child{text-align:left}svg{max-width:100%;height:auto}.note{color:#555}"""


def write(title: str, parts: Iterable[str], *, made_at: datetime.datetime) -> str:
    """Write a page of parts that are HTML already."""
    shown = html.escape(title)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{shown}</title><style>{_STYLE}</style>'
        f"<h1>{shown}</h1><p class=note>{made_at:%Y-%m-%d %H:%M} UTC</p>{''.join(parts)}</html>\n"
    )


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Write a table of plain text."""
    head = "".join(f"<th>{html.escape(one)}</th>" for one in heads)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(one)}</td>" for one in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def pyplot() -> Any:
    """Return matplotlib's, drawing without a screen."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot as found

    return found


def svg(figure: Any) -> str:
    """Return a figure as part of a page, and free it."""
    out = io.StringIO()
    figure.tight_layout()
    figure.savefig(out, format="svg", metadata={"Date": None})
    pyplot().close(figure)
    text = out.getvalue()
    return text[text.index("<svg") :]
