"""An evaluation as a table's cells, and as a page with plots."""

from __future__ import annotations

import datetime
import html
from collections.abc import Mapping, Sequence
from typing import Any

from aftercall.cli import page
from aftercall.consumers.evaluation import totals

Columns = tuple[tuple[str, str], ...]

COLUMNS: Columns = (
    ("calls", "calls"),
    ("failed", "failed"),
    ("wer", "WER"),
    ("substituted", "sub"),
    ("deleted", "del"),
    ("inserted", "ins"),
    ("der", "DER"),
    ("word_start_p50_s", "start p50"),
    ("word_start_p95_s", "start p95"),
    ("coverage", "coverage"),
    ("dropped", "dropped"),
)
"""Figures that tables show, and their headings."""


def cells(one: totals.Total) -> list[str]:
    """Write one total as the cells of a row."""
    found = []
    for name, _ in COLUMNS:
        value: Any = getattr(one.words, name, None) if hasattr(one.words, name) else getattr(one, name)
        match value:
            case None:
                found.append(page.UNKNOWN)
            case float() if name.endswith("_s"):
                found.append(f"{value:.2f} s")
            case float():
                found.append(f"{value:.1%}")
            case _:
                found.append(str(value))
    return found


def told(found: totals.Difference | None, first: str, second: str) -> str:
    """Say in a sentence what a comparison found."""
    if found is None:
        return "There are no words to compare."
    clear = "a clear difference" if found.is_clear else "no clear difference: it may be chance"
    return (
        f"{second} has {abs(found.wer):.2%} of words {'more' if found.wer > 0 else 'fewer'} wrong than {first}"
        f" (95 % of resampled calls: {found.low:+.2%} to {found.high:+.2%}): {clear}."
    )


def write(
    runs: Mapping[str, Sequence[totals.Result]],
    compared: totals.Difference | None,
    *,
    title: str,
    made_at: datetime.datetime,
) -> str:
    """Write the page of one run, or of two on the same calls."""
    names = list(runs)
    parts = []
    if len(names) > 1:
        parts.append(f"<p>{html.escape(told(compared, *names[:2]))}</p>")
    for name, results in runs.items():
        rows = [[group, *cells(one)] for group, one in totals.groups(results).items()]
        parts.append(f"<h2>{html.escape(name)}</h2>{page.table(['', *(shown for _, shown in COLUMNS)], rows)}")
    parts.append("<h2>Plots</h2>" + "".join(_plots(runs)))
    parts.append("<h2>Calls</h2>" + _calls(runs))
    return page.write(title, parts, made_at=made_at)


def _calls(runs: Mapping[str, Sequence[totals.Result]]) -> str:
    """Write one row a call, the worst of the first run first."""
    first = next(iter(runs.values()))
    order = sorted(range(len(first)), key=lambda at: -first[at].score.words.errors)
    rows = []
    for at in order:
        row = [f"{first[at].tenant} / {first[at].call_id}", str(first[at].score.words.reference)]
        for results in runs.values():
            wer = totals.total([results[at]]).wer
            row += [page.UNKNOWN if wer is None else f"{wer:.1%}", results[at].failure or ""]
        rows.append(row)
    heads = ["call", "words", *(head for name in runs for head in (f"WER, {name}", "failure"))]
    return page.table(heads, rows)


def _plots(runs: Mapping[str, Sequence[totals.Result]]) -> list[str]:
    pyplot = page.pyplot()
    found = []
    figure, axes = pyplot.subplots(figsize=(9, 0.6 + 0.4 * len(totals.groups(next(iter(runs.values()))))))
    for at, (name, results) in enumerate(runs.items()):
        shown = {group: one.wer or 0.0 for group, one in totals.groups(results).items()}
        places = [place + 0.4 * at for place in range(len(shown))]
        axes.barh(places, [100 * wer for wer in shown.values()], height=0.38, label=name)
        axes.set_yticks(places, list(shown))
    axes.invert_yaxis()
    axes.set_xlabel("word error rate, %")
    axes.legend()
    found.append(page.svg(figure))
    figure, axes = pyplot.subplots(figsize=(9, 3))
    for name, results in runs.items():
        off_s = [each for result in results for each in result.score.word_starts_off_s]
        if off_s:
            axes.hist([min(1.0, each) for each in off_s], bins=50, range=(0, 1), histtype="step", label=name)
    axes.set_xlabel("word starts off by, s (1 and more in the last bar)")
    axes.set_ylabel("words")
    found.append(page.svg(figure))
    if len(runs) > 1:
        names, (first, second) = list(runs), list(runs.values())[:2]
        figure, axes = pyplot.subplots(figsize=(5, 5))
        pairs = [[100 * (totals.total([one]).wer or 0) for one in pair] for pair in zip(first, second, strict=True)]
        axes.scatter([pair[0] for pair in pairs], [pair[1] for pair in pairs], s=14)
        most = max(max(pair) for pair in pairs) or 1
        axes.plot([0, most], [0, most], linewidth=0.8)
        axes.set_xlabel(f"WER of a call, {names[0]}, %")
        axes.set_ylabel(f"{names[1]}, %")
        found.append(page.svg(figure))
    return found
