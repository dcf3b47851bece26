"""`aftercall dlq`: what could not be taken and what died, and how to try it again."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import json
from typing import Annotated

import typer

from aftercall.cli import configuration, deployment, replay
from aftercall.consumers import replay as replaying
from aftercall.consumers.intake import places
from aftercall.consumers.publish import dead, kafka
from aftercall.contracts import events, outcomes

EXIT_NOT_FOUND = 4

app = typer.Typer(
    no_args_is_help=True, help="List, show and replay records that could not be taken, and dead recordings."
)
Since = Annotated[
    datetime.datetime | None,
    typer.Option("--since", help="From this time on, in UTC.", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
]


@dataclasses.dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter: a record by where it lay (`topic/partition/offset`), or a recording by its transcription id."""

    id: str
    reason: str
    message: str
    at: str
    tenant: str | None = None
    call_id: str | None = None


@app.command("list")
def list_letters(
    since: Since = None,
    reason: Annotated[str | None, typer.Option("--reason", help="With this reason only.")] = None,
    as_json: configuration.AsJson = False,
    settings_file: configuration.SettingsFile = None,
) -> None:
    """List dead letters that were not replayed since, oldest first.

    Example: aftercall dlq list --since 2026-03-01
    """
    ours = deployment.Deployment(configuration.load(settings_file))
    found = [one for one in _letters(ours, since) if reason in {None, one.reason}]
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(one) for one in found]))
        return
    for one in found:
        whose = f"{one.tenant}/{one.call_id}  " if one.tenant is not None else ""
        typer.echo(f"{one.at}  {one.id}  {one.reason}  {whose}{one.message}")
    typer.echo(f"{len(found)} dead letters")


@app.command()
def show(
    letter_id: Annotated[str, typer.Argument(help="What `aftercall dlq list` calls it.")],
    settings_file: configuration.SettingsFile = None,
) -> None:
    """Print a dead letter whole: the record as it came, or how the recording died. Exits 4 when there is none.

    Example: aftercall dlq show recordings.ready/3/1042
    """
    ours = deployment.Deployment(configuration.load(settings_file))
    record = _record(ours, letter_id)
    if record is not None:
        for name, value in record.headers:
            typer.echo(f"{name}: {value.decode(errors='replace')}")
        typer.echo("")
        typer.echo((record.value or b"").decode(errors="replace"))
        return
    typer.echo(json.dumps(_failure(ours, letter_id).model_dump(mode="json"), indent=2))


@app.command("replay")
def replay_letters(
    letter_ids: Annotated[list[str], typer.Argument(help="What `aftercall dlq list` calls them.")],
    settings_file: configuration.SettingsFile = None,
) -> None:
    """Try dead letters again, once what was wrong is mended: a record on its own topic, a recording's next generation.

    Example: aftercall dlq replay recordings.ready/3/1042
    """
    ours = deployment.Deployment(configuration.load(settings_file))
    for letter_id in letter_ids:
        record = _record(ours, letter_id)
        if record is not None:
            asyncio.run(_again(ours, record, letter_id))
            typer.echo(f"{letter_id}: announced again")
        else:
            typer.echo(f"{letter_id}: {asyncio.run(_next_generation(ours, _failure(ours, letter_id)))}")


def _letters(ours: deployment.Deployment, since: datetime.datetime | None) -> list[Letter]:
    since_s = None if since is None else since.replace(tzinfo=datetime.UTC).timestamp()
    found: dict[str, Letter] = {}
    for record in ours.browser.records(ours.kafka.dead_letter_topic, since_s=since_s):
        headers = {name: value.decode(errors="replace") for name, value in record.headers}
        origin = headers.get(dead.ORIGIN, "")
        if dead.REPLAYED in headers:
            found.pop(origin, None)
        else:
            at = _time(record.timestamp_s)
            found[origin] = Letter(origin, headers.get(dead.REASON, ""), headers.get(dead.MESSAGE, ""), at)
    for one in replaying.newest(replay.news_since(ours, since_s)):
        if isinstance(one, events.TranscriptFailed) and one.kind is outcomes.Kind.DEAD:
            at = one.decided_at.strftime("%Y-%m-%d %H:%M:%S")
            found[one.transcription_id] = Letter(
                one.transcription_id, one.reason, one.message, at, one.tenant, one.call_id
            )
    return sorted(found.values(), key=lambda one: one.at)


def _record(ours: deployment.Deployment, origin: str) -> places.Record | None:
    found = None
    for record in ours.browser.records(ours.kafka.dead_letter_topic):
        headers = dict(record.headers)
        if headers.get(dead.ORIGIN, b"").decode(errors="replace") == origin and dead.REPLAYED not in headers:
            found = record
    return found


def _failure(ours: deployment.Deployment, transcription_id: str) -> events.TranscriptFailed:
    for event in replay.news_since(ours, None):
        if isinstance(event.data, events.TranscriptFailed) and event.id == transcription_id:
            return event.data
    typer.echo(f"aftercall: no dead letter {transcription_id!r} is known", err=True)
    raise typer.Exit(EXIT_NOT_FOUND)


async def _again(ours: deployment.Deployment, record: places.Record, origin: str) -> None:
    async with ours.producing() as producer:
        await dead.DeadLetters(producer, ours.kafka.dead_letter_topic).replay(record, origin)


async def _next_generation(ours: deployment.Deployment, failed: events.TranscriptFailed) -> str:
    plans = replaying.Replays(ours.store, model=None, now=datetime.datetime.now(datetime.UTC))
    plan = await plans.plan(replaying.work_of(failed))
    if isinstance(plan, replaying.Skip):
        return f"left out: {plan.why}"
    async with ours.producing() as producer:
        await kafka.KafkaTopic(producer, ours.topic_for(failed.tenant)).append(plan)
    return "announced its next generation"


def _time(at_s: float) -> str:
    return datetime.datetime.fromtimestamp(at_s, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S")
