"""`aftercall delete`: delete what was made of a recording, for good."""

from __future__ import annotations

import asyncio
import datetime
import json
from typing import Annotated

import typer

from aftercall.cli import configuration, deployment
from aftercall.consumers.publish import deletion, kafka
from aftercall.contracts import identity


def delete(
    recording_id: Annotated[str, typer.Argument(help="The recording's id; its call's, where it has none of its own.")],
    tenant: Annotated[str, typer.Option("--tenant", help="Whose it is.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: configuration.AsJson = False,
    settings_file: configuration.SettingsFile = None,
) -> None:
    """Delete every transcript of a recording from S3 and ClickHouse, and keep it from coming back.

    The recording itself stays where it lies. A tombstone beats redeliveries, late results and replays for ever.

    Example: aftercall delete 6f1c2d --tenant acme
    """
    ours = deployment.Deployment(configuration.load(settings_file))
    recording = identity.Recording(tenant, recording_id)
    if not yes:
        typer.confirm(f"Delete every transcript of {tenant}/{recording_id}, for good?", abort=True)
    n_gone = asyncio.run(_delete(ours, recording))
    shown = {"tenant": tenant, "recordingId": recording_id, "objects": n_gone}
    typer.echo(json.dumps(shown) if as_json else f"deleted {tenant}/{recording_id}: {n_gone} objects")


async def _delete(ours: deployment.Deployment, recording: identity.Recording) -> int:
    async with ours.producing() as producer:
        news = kafka.KafkaTopic(producer, ours.kafka.transcripts_topic)
        return await deletion.delete(ours.store, news, recording, now=datetime.datetime.now(datetime.UTC))
