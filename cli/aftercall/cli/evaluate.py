"""`aftercall eval`: how near transcripts come to what was said, on one's own calls."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import pathlib
from typing import Annotated, Any

import numpy as np
import rich.table
import typer

from aftercall.cli import clock, configuration, evaluation_page, offline, screen
from aftercall.consumers.evaluation import reference, score, totals
from aftercall.contracts import errors, settings, transcript
from aftercall.serve import backends

EXIT_FAILED = 1
_SEED = 1


def evaluate(
    manifest: Annotated[
        pathlib.Path,
        typer.Option(
            "--manifest", dir_okay=False, help="Recordings and what was said in them: JSON lines, JSON or CSV."
        ),
    ],
    settings_file: configuration.SettingsFile = None,
    model: configuration.ModelName = None,
    against: Annotated[
        pathlib.Path | None,
        typer.Option("--against", dir_okay=False, help="Second settings file, to compare on the same calls."),
    ] = None,
    against_model: Annotated[
        str | None, typer.Option("--against-model", help="Model to compare with, else as the first settings say.")
    ] = None,
    html: Annotated[
        pathlib.Path | None, typer.Option("--html", dir_okay=False, help="Write a page with tables and plots.")
    ] = None,
    out: Annotated[
        pathlib.Path | None, typer.Option("--json", dir_okay=False, help="Write every call's figures.")
    ] = None,
) -> None:
    """Transcribe recordings whose words are known, and say how many of them came out right.

    Prints word error rate (by Whisper's own normalization), diarization error rate, how far beginnings of words are
    off, and the share of speech that became words: of all calls, of each tenant, and of each slice, which is every
    column of the manifest that has no meaning of its own. Nothing is kept, and no text is written.

    Example: aftercall eval --manifest calls.jsonl --model small --against-model large-v3-turbo --html report.html
    """
    rows = reference.read_manifest(manifest)
    configured = {_name(settings_file, model, "first"): configuration.load(settings_file, speech={"model": model})}
    if against is not None or against_model is not None:
        second = _name(against, against_model, "second")
        name = f"{second} (second)" if second in configured else second
        configured[name] = configuration.load(against or settings_file, speech={"model": against_model})
    for one in configured.values():
        backends.prepare(one.speech)
    runs = {name: asyncio.run(_run(rows, one)) for name, one in configured.items()}
    compared = totals.difference(*runs.values(), rng=np.random.default_rng(_SEED)) if len(runs) > 1 else None
    _print(runs, compared)
    if out is not None:
        out.write_text(json.dumps(_plain(runs, compared), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if html is not None:
        title = f"Evaluation of {manifest.name}, {len(rows)} calls"
        html.write_text(evaluation_page.write(runs, compared, title=title, made_at=clock.utc_now()), encoding="utf-8")
        typer.echo(f"wrote {html}", err=True)
    if any(result.failure for results in runs.values() for result in results):
        raise typer.Exit(EXIT_FAILED)


def _name(file: pathlib.Path | None, model: str | None, default: str) -> str:
    return pathlib.PurePath(model).name if model else file.stem if file is not None else default


async def _run(rows: list[reference.Row], configured: settings.Settings) -> list[totals.Result]:
    files, tenants = [row.audio for row in rows], [row.tenant for row in rows]
    async with offline.open_offline(configured, files, tenants) as hears:
        return list(await asyncio.gather(*(_one(hears, row) for row in rows)))


async def _one(hears: offline.Offline, row: reference.Row) -> totals.Result:
    made: transcript.Transcript | None = None
    failure = None
    try:
        made = await hears.transcribe(row.audio, **row.model_dump(exclude={"audio", "reference", "slices"}))
    except errors.AftercallError as exc:
        failure = errors.sentence(exc)
        typer.echo(f"aftercall: {row.tenant}/{row.call_id}: {failure}", err=True)
    scored = await asyncio.to_thread(score.score, row.reference, made, language=row.language)
    return totals.Result(row.call_id, row.tenant, row.slices, scored, failure)


def _print(runs: dict[str, list[totals.Result]], compared: totals.Difference | None) -> None:
    console = screen.wide()
    for name, results in runs.items():
        table = rich.table.Table(title=name, title_justify="left")
        table.add_column("")
        for _, shown in evaluation_page.COLUMNS:
            table.add_column(shown, justify="right")
        for group, one in totals.groups(results).items():
            table.add_row(group, *evaluation_page.cells(one))
        console.print(table)
    if len(runs) > 1:
        console.print(evaluation_page.told(compared, *runs))


def _plain(runs: dict[str, list[totals.Result]], compared: totals.Difference | None) -> dict[str, Any]:
    return {
        "runs": {
            name: {
                "groups": {group: dataclasses.asdict(one) for group, one in totals.groups(results).items()},
                "calls": [dataclasses.asdict(result) for result in results],
            }
            for name, results in runs.items()
        },
        "difference": None if compared is None else dataclasses.asdict(compared),
    }
