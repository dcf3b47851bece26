"""`aftercall status`: where is my call?"""

from __future__ import annotations

import asyncio
import datetime
import time
from typing import Annotated

import typer

from aftercall.cli import configuration, deployment, local
from aftercall.consumers import tracking
from aftercall.contracts import errors, reports

EXIT_NOT_FOUND = 4


def status(
    call_id: Annotated[str, typer.Argument(help="A call id, recording id or transcription id.")],
    tenant: Annotated[str | None, typer.Option("--tenant", help="Whose, where several tenants use the id.")] = None,
    data: configuration.DataDir = None,
    settings_file: configuration.SettingsFile = None,
    as_json: configuration.AsJson = False,
) -> None:
    """Say where a call is: its stage, place in the queue, attempts and outcome.

    Reads the data folder, or S3 and Kafka where the settings name a bucket, so it answers whether or not anything is
    running. Exits 4 when nothing is known.

    Example: aftercall status 6f1c2d --tenant acme --json
    """
    loaded = configuration.load(settings_file, data={"dir": data})
    if loaded.store.bucket is not None and data is None:
        where = f"bucket {loaded.store.bucket}"
        if tenant is None:
            raise errors.ConfigurationError("--tenant: an id alone does not say whose call it is")
        found = asyncio.run(_track(deployment.Deployment(loaded), call_id, tenant))
    else:
        where = str(loaded.data.dir)
        found = asyncio.run(_find(loaded.data.dir, call_id, tenant))
    if as_json:
        typer.echo("[" + ",".join(report.model_dump_json() for report in found) + "]")
    elif found:
        typer.echo("\n\n".join(describe(report) for report in found))
    if not found:
        whose = f" of tenant {tenant!r}" if tenant else ""
        typer.echo(f"aftercall: no call {call_id!r}{whose} is known in {where}", err=True)
        raise typer.Exit(EXIT_NOT_FOUND)


async def _track(ours: deployment.Deployment, id_: str, tenant: str) -> list[reports.WorkReport]:
    tracker = tracking.Tracker(
        ours.store, ours.browser, topics=ours.kafka.work_topics, group=ours.kafka.group, templates=ours.templates
    )
    return await tracker.find(tenant, id_)


async def _find(data_dir: local.Path, id_: str, tenant: str | None) -> list[reports.WorkReport]:
    async with local.open_board(data_dir) as board:
        if board is None:
            return []
        one = await board.find(id_)
        if one is not None and tenant in {None, one.tenant}:
            return [one]
        return await board.find_call(id_, tenant=tenant)


def describe(report: reports.WorkReport) -> str:
    """Put a report in a few lines for a person."""
    lines = [
        f"{report.tenant}/{report.call_id}: {_headline(report)}",
        f"  transcription  {report.transcription_id} (generation {report.generation})",
        f"  attempts       {report.attempts}",
    ]
    if report.recording_id != report.call_id:
        lines.insert(1, f"  recording      {report.recording_id}")
    if report.audio_s is not None:
        lines.append(f"  cost           {report.audio_s:.1f} audio-seconds")
    if report.consumer is not None:
        lines.append(f"  consumer       {report.consumer}")
    if report.trace_id is not None:
        lines.append(f"  trace          {report.trace_id}")
    if report.waiting_reason is not None:
        lines.append(f"  waiting        {report.waiting_reason}")
    if report.message:
        lines.append(f"  message        {report.message}")
    lines.append(f"  queued         {_time(report.queued_at)}")
    ago = f", {time.time() - report.updated_at:.0f} s ago" if report.status is reports.Status.PROCESSING else ""
    lines.append(f"  updated        {_time(report.updated_at)}{ago}")
    return "\n".join(lines)


def _headline(report: reports.WorkReport) -> str:
    match report.status:
        case reports.Status.QUEUED if report.queue_position is not None:
            return f"queued, {report.queue_position} before it"
        case reports.Status.PROCESSING:
            share = "" if report.progress is None else f", {report.progress:.0%}"
            return f"processing ({report.stage}{share})"
        case reports.Status.COMPLETED | reports.Status.FAILED:
            ended = report.status if report.outcome is None else f"{report.status} ({report.outcome}"
            return ended if report.outcome is None else f"{ended}, {report.reason})"
    return str(report.status)


def _time(unix_s: float) -> str:
    return datetime.datetime.fromtimestamp(unix_s, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
