"""`aftercall transcribe`: files in, transcripts out, nothing kept."""

from __future__ import annotations

import asyncio
import pathlib
from typing import Annotated

import typer

from aftercall.cli import configuration, offline
from aftercall.consumers.transcript import formats
from aftercall.contracts import errors, identity, settings, transcript
from aftercall.serve import backends

EXIT_FAILED = 1


def transcribe(
    files: Annotated[list[pathlib.Path], typer.Argument(help="Recordings.", metavar="FILE…", show_default=False)],
    model: configuration.ModelName = None,
    language: Annotated[
        str | None, typer.Option("--language", help="Language of the recordings, such as en.  [default: detected]")
    ] = None,
    form: Annotated[formats.Format, typer.Option("--format", help="What to write.")] = formats.Format.TEXT,
    out: Annotated[
        pathlib.Path | None,
        typer.Option("--out", file_okay=False, help="Folder for one file a recording.  [default: standard output]"),
    ] = None,
    settings_file: configuration.SettingsFile = None,
) -> None:
    """Transcribe recordings and print or write the result.

    WAV, MP3, M4A/AAC, FLAC, OGG/Opus and AMR, 8 to 48 kHz, any number of channels: on several, each is a speaker. Files
    are heard together, in shared batches. Exits 1 when any of them failed, with one sentence each on standard error.

    Example: aftercall transcribe call.wav --language en --format srt --out subtitles
    """
    configured = configuration.load(settings_file, speech={"model": model, "language": language})
    backends.prepare(configured.speech)
    targets = _targets(files, form, out)
    if len(files) > 1 and out is None and form not in {formats.Format.TEXT, formats.Format.JSON}:
        raise typer.BadParameter(f"several recordings as {form} need --out, a folder for one file each")
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    if not asyncio.run(_transcribe_all(configured, files, [file.resolve() for file in files], form, targets)):
        raise typer.Exit(EXIT_FAILED)


def _targets(files: list[pathlib.Path], form: formats.Format, out: pathlib.Path | None) -> list[pathlib.Path | None]:
    if out is None:
        return [None] * len(files)
    targets = [out / f"{file.stem}.{formats.EXTENSIONS[form]}" for file in files]
    twice = {target.name for target in targets if targets.count(target) > 1}
    if twice:
        raise typer.BadParameter(f"several recordings would be written to {', '.join(sorted(twice))}")
    return list(targets)


async def _transcribe_all(
    configured: settings.Settings,
    files: list[pathlib.Path],
    resolved: list[pathlib.Path],
    form: formats.Format,
    targets: list[pathlib.Path | None],
) -> bool:
    async with offline.open_offline(configured, resolved, [identity.LOCAL_TENANT]) as hears:
        jobs = [asyncio.create_task(_one(hears, path)) for path in resolved]
        all_good = True
        for file, target, task in zip(files, targets, jobs, strict=True):
            made = await task
            if isinstance(made, str):
                typer.echo(f"aftercall: {file}: {made}", err=True)
                all_good = False
                continue
            _write(made, file, form, target, several=len(files) > 1)
        return all_good


async def _one(hears: offline.Offline, file: pathlib.Path) -> transcript.Transcript | str:
    """Return the transcript, or in one sentence why there is none."""
    try:
        return await hears.transcribe(
            file, tenant=identity.LOCAL_TENANT, call_id=identity.parse_id(file.name, what="file name")
        )
    except (errors.AftercallError, identity.InvalidIdError) as exc:
        return errors.sentence(exc)


def _write(
    made: transcript.Transcript, file: pathlib.Path, form: formats.Format, target: pathlib.Path | None, *, several: bool
) -> None:
    if target is not None:
        target.write_text(formats.render(made, form), encoding="utf-8")
        typer.echo(str(target), err=True)
        return
    if several and form is formats.Format.TEXT:
        typer.echo(f"== {file}")
    typer.echo(formats.render(made, form), nl=False)
