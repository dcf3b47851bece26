"""`aftercall relay`: carry the news of outcomes to ClickHouse, apart from whoever transcribes."""

from __future__ import annotations

import asyncio
import logging

import typer

from aftercall.api import probes, server
from aftercall.cli import configuration, logs
from aftercall.cli import stopping as signals
from aftercall.consumers import broker, observer
from aftercall.consumers.publish import clickhouse, news, objects, outcome
from aftercall.consumers.publish import relay as carrying
from aftercall.contracts import errors, settings


def relay(settings_file: configuration.SettingsFile = None) -> None:
    """Write a row for every outcome, and one for every segment, to ClickHouse.

    While ClickHouse is down the news waits on its topic; transcription does not notice.

    Example: aftercall relay --settings aftercall.yaml
    """
    configured = configuration.load(settings_file)
    logs.configure(logging.INFO)
    asyncio.run(run(configured))


async def run(configured: settings.Settings) -> None:
    """Carry until told to stop."""
    stopping = signals.on_signals()
    if configured.store.bucket is None:
        raise errors.ConfigurationError("store.bucket: names no bucket of transcripts and outcomes")
    store = objects.ObjectStore.s3(configured.store, configured.store.bucket, prefix=configured.store.prefix)
    told = news.KafkaNews(
        broker.client(configured.kafka, name="aftercall-relay"),
        configured.kafka.transcripts_topic,
        group=f"{configured.kafka.group}.{carrying.GROUP}",
    )
    observe = observer.PrometheusObserver()
    carrier = carrying.ClickHouseRelay(
        told,
        outcome.Reader(store),
        clickhouse.ClickHouse.configured(configured.clickhouse),
        observe,
    )
    typer.echo(f"aftercall is ready: relays {configured.kafka.transcripts_topic} to ClickHouse", err=True)
    probes_of = probes.build_probes(why_not_ready=lambda: None, exposition=observe.exposition)
    try:
        async with server.alongside(configured.telemetry, probes_of):
            await carrier.run(stopping)
    finally:
        await told.close()
