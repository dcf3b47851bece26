"""`aftercall ingest`: takes the callbacks of telephony providers, and announces their recordings."""

from __future__ import annotations

import asyncio
import datetime

import typer

from aftercall.api import ingest as receiving
from aftercall.api import server
from aftercall.cli import configuration, telemetry
from aftercall.cli import stopping as signals
from aftercall.consumers import broker, observer, tenants
from aftercall.consumers.publish import kafka
from aftercall.contracts import events, sections, settings


def ingest(settings_file: configuration.SettingsFile = None) -> None:
    """Take Twilio's recording status callbacks, check who signed them, and announce recordings on Kafka.

    Twilio is told to call `/v1/ingest/twilio/recording-status` under `api.public_url`.

    Example: aftercall ingest --settings aftercall.yaml
    """
    configured = configuration.load(settings_file)
    configuration.need(
        configured,
        kafka__bootstrap_servers="names no broker",
        api__public_url="does not say under which address providers reach this; signatures are made over it",
    )
    with telemetry.telling(configured.telemetry, part="ingest"):
        asyncio.run(run(configured))


async def run(configured: settings.Settings) -> None:
    """Take callbacks until told to stop."""
    stopping = signals.on_signals()
    policies = tenants.Tenants(configured, observer.Unobserved())
    producer = kafka.Producer(broker.client(configured.kafka, name="aftercall-ingest"))
    topic = kafka.KafkaTopic(producer, configured.kafka.topics[0].name)

    async def publish(data: events.RecordingReady) -> None:
        now = datetime.datetime.now(datetime.UTC)
        await topic.append(events.recording_ready(data, source="aftercall/twilio", now=now))

    app = receiving.build_ingest(
        receiving.Accounts(policies.twilio_account), public_url=str(configured.api.public_url), publish=publish
    )
    serving = sections.Telemetry(host=configured.api.host, port=configured.api.port)
    try:
        async with server.alongside(serving, app):
            typer.echo(f"aftercall is ready: announces on {configured.kafka.topics[0].name}", err=True)
            await policies.watch(stopping)
    finally:
        await producer.close()
