"""`aftercall publish`: announce a recording on a topic, as an upstream service would."""

from __future__ import annotations

import asyncio
import datetime
import json
from typing import Annotated

import typer

from aftercall.cli import configuration
from aftercall.consumers import broker, topics
from aftercall.consumers.publish import kafka
from aftercall.contracts import documents, events, settings

_SOURCE = "aftercall/cli"


def publish(
    uri: Annotated[str, typer.Argument(help="Where the recording lies, such as s3://recordings/acme/call-1.wav.")],
    tenant: Annotated[str, typer.Option("--tenant", help="Whose it is.")],
    call_id: Annotated[str, typer.Option("--call-id", help="Which call it is of.")],
    recording_id: Annotated[
        str | None, typer.Option("--recording-id", help="Its own id.  [default: the call's]")
    ] = None,
    version: Annotated[
        str | None, typer.Option("--version", help="Which version of it.  [default: the one that lies there]")
    ] = None,
    language: Annotated[str | None, typer.Option("--language", help="Language spoken.  [default: detected]")] = None,
    channel: Annotated[
        list[str] | None,
        typer.Option("--channel", help="Who speaks on each channel, in order: role, or role:name."),
    ] = None,
    topic: Annotated[
        str | None, typer.Option("--topic", help="Topic.  [default: the first that is configured]")
    ] = None,
    as_json: configuration.AsJson = False,
    settings_file: configuration.SettingsFile = None,
) -> None:
    """Announce a recording on Kafka.

    Example: aftercall publish s3://recordings/acme/call-1.wav --tenant acme --call-id call-1
    """
    configured = configuration.load(settings_file)
    plain = {
        "tenant": tenant,
        "call_id": call_id,
        "recording_id": recording_id or call_id,
        "recording_uri": uri,
        "version": version,
        "language": language,
        "channels": [_channel(at, text) for at, text in enumerate(channel or [])],
    }
    data = documents.validate(events.RecordingReady, plain, what="event")
    event = events.recording_ready(data, source=_SOURCE, now=datetime.datetime.now(datetime.UTC))
    name = topic or configured.kafka.topics[0].name
    asyncio.run(_send(configured, name, event))
    shown = {"topic": name, "id": event.id, "tenant": tenant, "callId": call_id}
    typer.echo(json.dumps(shown) if as_json else f"announced {tenant}/{call_id} on {name}")


def _channel(index: int, text: str) -> dict[str, object]:
    role, _, name = text.partition(":")
    return {"index": index, "role": role, "name": name or None}


async def _send(configured: settings.Settings, topic: str, event: events.Event) -> None:
    client = broker.client(configured.kafka, name="aftercall-publish")
    topics.refuse_missing([topic], await asyncio.to_thread(topics.existing, client))
    producer = kafka.Producer(client)
    try:
        await kafka.KafkaTopic(producer, topic).append(event)
    finally:
        await producer.close()
