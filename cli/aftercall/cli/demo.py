"""`aftercall demo`: the service's main job on the sample calls of a checkout, from event to table."""

from __future__ import annotations

import asyncio
import pathlib
import shutil
import time
from typing import Annotated

import typer

from aftercall.cli import configuration, local
from aftercall.consumers.transcript import formats
from aftercall.contracts import errors, identity, reports, settings, transcript
from aftercall.serve import backends

_CHECKOUT = pathlib.Path(__file__).resolve().parents[3]
_TINY = _CHECKOUT / "tests" / "fixtures" / "asr-tiny"
EXIT_FAILED = 1


def demo(
    recordings: Annotated[
        pathlib.Path, typer.Option("--recordings", exists=False, file_okay=False, help="Folder of sample calls.")
    ] = _CHECKOUT / "samples" / "recordings",
    data: Annotated[
        pathlib.Path, typer.Option("--data", file_okay=False, help="Folder for the result; emptied first.")
    ] = pathlib.Path(".aftercall") / "demo",
    model: configuration.ModelName = None,
) -> None:
    """Transcribe the sample calls of a checkout and show the result.

    Example: aftercall demo --model base
    """
    if not recordings.is_dir():
        raise errors.ConfigurationError(
            f"no sample calls at {recordings}; run this in a checkout, or give --recordings"
        )
    if data.exists() and not (data / "lock").exists():
        raise errors.ConfigurationError(f"{data} exists and is no data folder of aftercall; give another with --data")
    shutil.rmtree(data, ignore_errors=True)
    tiny = model is None
    configured = configuration.load(
        None,
        data={"dir": data},
        intake={"recordings_dir": recordings, "settle_s": 0.0, "scan_interval_s": 0.2},
        speech={"model": model or str(_TINY)},
    )
    backends.prepare(configured.speech)
    if tiny:
        typer.echo(
            "Model: the tiny test Whisper, which knows only the synthetic speech of these samples. "
            "A real one: aftercall demo --model base"
        )
    asyncio.run(_run(configured))


async def _run(configured: settings.Settings) -> None:
    from rich import console, progress

    screen = console.Console()
    started = time.monotonic()
    async with local.open_service(configured) as service:
        await service.start()
        stopping = asyncio.Event()
        running = asyncio.create_task(service.run(stopping))
        with progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TimeElapsedColumn(),
            console=screen,
        ) as bar:
            task = bar.add_task("Transcribing", total=None)
            known = await _watch(service, bar, task, running)
        took_s = time.monotonic() - started
        calls = [(report, await _transcript(service, report)) for report in known]
        rows = await _await_rows(service, len(known))
        stopping.set()
        await running
        _show(screen, calls, service, took_s, rows)
    if any(report.status is not reports.Status.COMPLETED for report, _ in calls):
        raise typer.Exit(EXIT_FAILED)


async def _watch(
    service: local.LocalService, bar: object, task: object, running: asyncio.Task[None]
) -> list[reports.WorkReport]:
    from rich import progress

    assert isinstance(bar, progress.Progress)
    assert service.watched is not None
    audio = {".wav", ".flac", ".opus", ".ogg", ".mp3", ".m4a", ".amr"}
    total = sum(path.suffix.lower() in audio for path in service.watched.rglob("*"))
    while True:
        if running.done():
            await running
        known = await service.intake.list_reports(limit=1000)
        done = [report for report in known if report.stage is reports.Stage.DONE]
        bar.update(task, completed=len(done), total=total)  # type: ignore[arg-type]
        if len(done) >= total:
            return sorted(done, key=lambda report: (report.tenant, report.call_id))
        await asyncio.sleep(0.1)


async def _transcript(service: local.LocalService, report: reports.WorkReport) -> transcript.Transcript | None:
    work = identity.Work(identity.Recording(report.tenant, report.recording_id), report.version, report.generation)
    decided = await service.publisher.read(work)
    return None if decided is None else await service.publisher.read_transcript(decided)


async def _await_rows(service: local.LocalService, wanted: int) -> int:
    """Wait for the relay, and return how many recordings ClickHouse shows."""
    for _ in range(300):
        if await service.topic.read("clickhouse", limit=1) == []:
            break
        await asyncio.sleep(0.1)
    found = await service.clickhouse.query("SELECT count() AS n FROM recordings_current")
    return int(str(found[0]["n"]))


def _show(
    screen: object,
    calls: list[tuple[reports.WorkReport, transcript.Transcript | None]],
    service: local.LocalService,
    took_s: float,
    rows: int,
) -> None:
    from rich import box, console, table

    assert isinstance(screen, console.Console)
    shown = table.Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))  # fits into 80 columns
    for name in ("tenant", "call"):
        shown.add_column(name, no_wrap=True)
    for name in ("length", "speakers", "words", "coverage", "time", "x real time"):
        shown.add_column(name, justify="right", min_width=5)
    audio_s = 0.0
    for report, made in calls:
        if made is None:
            shown.add_row(report.tenant, report.call_id, "-", "-", "-", str(report.reason), "-", "-")
            continue
        audio_s += made.audio.duration_s
        own_s = made.timings_s.get("fetch", 0.0) + made.timings_s.get("decode_and_speech", 0.0)
        coverage = "-" if made.coverage.ratio is None else f"{made.coverage.ratio:.0%}"
        speakers = len({segment.speaker for segment in made.segments})
        shown.add_row(
            *(made.tenant, made.call_id, f"{made.audio.duration_s:.1f} s", str(speakers), str(made.word_count)),
            *(coverage, f"{own_s:.1f} s", f"{made.audio.duration_s / max(own_s, 1e-3):.0f}"),
        )
    screen.print(shown)
    screen.print(f"{len(calls)} calls, {audio_s:.0f} s of calls in {took_s:.1f} s, loading the model included.\n")
    longest = max((made for _, made in calls if made is not None), key=lambda made: len(made.segments), default=None)
    if longest is not None:
        screen.print(f"[bold]{longest.tenant}/{longest.call_id}[/bold]")
        screen.print(formats.text(longest), markup=False, highlight=False, soft_wrap=True)
    data = service.data
    screen.print(f"Transcripts   {data / 'objects' / 'transcripts'}", soft_wrap=True)
    screen.print(f"Outcomes      {data / 'objects' / 'outcomes'}", soft_wrap=True)
    screen.print(f"ClickHouse    {data / 'clickhouse'} ({rows} recordings in recordings_current)", soft_wrap=True)
    screen.print(f"Where a call is: aftercall status CALL_ID --data {data}", soft_wrap=True)
