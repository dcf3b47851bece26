"""`aftercall transcribe`: files in, transcripts out, nothing kept."""

from __future__ import annotations

import asyncio
import pathlib
import tempfile
from typing import Annotated

import typer

from aftercall.cli import configuration, local
from aftercall.consumers import checkpoints, recognition
from aftercall.consumers.intake import delivery
from aftercall.consumers.recording import fetch
from aftercall.consumers.transcript import formats
from aftercall.contracts import errors, events, identity, reports, settings, transcript
from aftercall.contracts.tenants import TenantPolicy
from aftercall.serve import backends

EXIT_FAILED = 1
_TENANT = "local"


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
    targets = _targets(files, form, out)
    if len(files) > 1 and out is None and form not in {formats.Format.TEXT, formats.Format.JSON}:
        raise typer.BadParameter(f"several recordings as {form} need --out, a folder for one file each")
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    if not asyncio.run(
        _transcribe_all(_allowing_own_server(configured), files, [file.resolve() for file in files], form, targets)
    ):
        raise typer.Exit(EXIT_FAILED)


def _targets(files: list[pathlib.Path], form: formats.Format, out: pathlib.Path | None) -> list[pathlib.Path | None]:
    if out is None:
        return [None] * len(files)
    targets = [out / f"{file.stem}.{formats.EXTENSIONS[form]}" for file in files]
    twice = {target.name for target in targets if targets.count(target) > 1}
    if twice:
        raise typer.BadParameter(f"several recordings would be written to {', '.join(sorted(twice))}")
    return list(targets)


def _allowing_own_server(configured: settings.Settings) -> settings.Settings:
    """Let the files of whoever runs the command go to the server that the same person configured."""
    host = backends.egress_host(configured.speech)
    policy = TenantPolicy(name=_TENANT, egress_hosts=(host,) if host else ())
    return configured.model_copy(update={"tenants": (policy,)})


async def _transcribe_all(
    configured: settings.Settings,
    files: list[pathlib.Path],
    resolved: list[pathlib.Path],
    form: formats.Format,
    targets: list[pathlib.Path | None],
) -> bool:
    backend = backends.build(configured.speech)
    await backend.start()
    try:
        with tempfile.TemporaryDirectory(prefix="aftercall-") as spool:
            recognizer = recognition.Recognizer(
                backend,
                fetch.Fetcher(
                    folders=sorted({path.parent for path in resolved}),
                    max_size_bytes=configured.recording.max_size_bytes,
                ),
                configured,
                spool=pathlib.Path(spool),
                egress_host=backends.egress_host(configured.speech),
                now=local.utc_now,
            )
            room = asyncio.Semaphore(configured.intake.max_open_calls)
            jobs = [asyncio.create_task(_one(recognizer, path, room)) for path in resolved]
            all_good = True
            for file, target, task in zip(files, targets, jobs, strict=True):
                made = await task
                if isinstance(made, str):
                    typer.echo(f"aftercall: {file}: {made}", err=True)
                    all_good = False
                    continue
                _write(made, file, form, target, several=len(files) > 1)
            return all_good
    finally:
        await backend.close()


async def _one(
    recognizer: recognition.Recognizer, file: pathlib.Path, room: asyncio.Semaphore
) -> transcript.Transcript | str:
    """Return the transcript, or in one sentence why there is none."""

    async def unreported(_: reports.Stage, __: float | None, ___: float | None) -> None:
        pass

    try:
        call_id = identity.parse_id(file.name, what="file name")
    except identity.InvalidIdError as exc:
        return str(exc)
    event = events.RecordingReady(
        tenant=_TENANT, call_id=call_id, recording_id=call_id, recording_uri=file.as_uri(), version="file"
    )
    work = identity.Work(event.recording, "file", 1)
    taken = delivery.Delivery(work, event, attempts=1, strikes=0, queued_at=0.0)
    async with room:
        try:
            return await recognizer.transcribe(taken, checkpoints.NoCheckpoints(), unreported)
        except errors.AftercallError as exc:
            reason = getattr(exc, "reason", None)
            return f"{exc} ({reason})" if reason else str(exc)


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
