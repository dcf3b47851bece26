"""`aftercall replay`: transcribe again what has ended, beside what there is."""

from __future__ import annotations

import asyncio
import datetime
import json
import time
from typing import Annotated

import typer

from aftercall.cli import configuration, deployment
from aftercall.consumers import replay as replaying
from aftercall.consumers.publish import kafka
from aftercall.contracts import errors, events, outcomes


def replay(
    since: Annotated[
        datetime.datetime,
        typer.Option(
            "--since", help="What ended at or after this time, in UTC.", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option("--model", help="Consumers of this model only; recordings that it has heard are left out."),
    ] = None,
    tenant: Annotated[str | None, typer.Option("--tenant", help="Of this tenant only.")] = None,
    ended: Annotated[outcomes.Kind, typer.Option("--outcome", help="What ended this way.")] = outcomes.Kind.CANONICAL,
    topic: Annotated[
        str | None,
        typer.Option(
            "--topic", help="Where to announce.  [default: the first of the bulk lane that admits the tenant]"
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")] = False,
    as_json: configuration.AsJson = False,
    settings_file: configuration.SettingsFile = None,
) -> None:
    """Open the next generation of recordings that have ended; the old one stays, and the highest canonical is current.

    Example: aftercall replay --since 2026-03-01 --model large-v3-turbo --tenant acme
    """
    ours = deployment.Deployment(configuration.load(settings_file))
    begin = since.replace(tzinfo=datetime.UTC)
    announced, skipped = asyncio.run(_replay(ours, begin, model, tenant, ended, topic, dry_run))
    if as_json:
        typer.echo(json.dumps({"announced": announced, "skipped": skipped, "dryRun": dry_run}))
        return
    for id_, why in skipped.items():
        typer.echo(f"left out {id_}: {why}")
    typer.echo(f"{'would announce' if dry_run else 'announced'} {len(announced)}, left out {len(skipped)}")


async def _replay(
    ours: deployment.Deployment,
    since: datetime.datetime,
    model: str | None,
    tenant: str | None,
    ended: outcomes.Kind,
    topic: str | None,
    dry_run: bool,
) -> tuple[list[str], dict[str, str]]:
    told = await asyncio.to_thread(news_since, ours, since.timestamp())
    plans = replaying.Replays(ours.store, model=model, now=datetime.datetime.fromtimestamp(time.time(), datetime.UTC))
    announced: list[str] = []
    skipped: dict[str, str] = {}
    async with ours.producing() as producer:
        for one in replaying.newest(told):
            if tenant not in {None, one.tenant} or replaying.kind_of(one) is not ended:
                continue
            plan = await plans.plan(replaying.work_of(one))
            if isinstance(plan, replaying.Skip):
                skipped[f"{plan.recording.tenant}/{plan.recording.recording_id}"] = plan.why
                continue
            name = topic or ours.topic_for(one.tenant, lane="bulk")
            if not dry_run:
                await kafka.KafkaTopic(producer, name).append(plan)
            announced.append(f"{one.tenant}/{one.recording_id}")
    return announced, skipped


def news_since(ours: deployment.Deployment, since_s: float | None) -> list[events.Event]:
    """Return the news of outcomes from a time on; what cannot be read is passed over."""
    found = []
    for record in ours.browser.records(ours.kafka.transcripts_topic, since_s=since_s):
        try:
            found.append(events.parse(record.value or b""))
        except errors.ContractError:
            continue
    return found
