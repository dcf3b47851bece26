"""`aftercall consume`: a consumer on Kafka and S3, as it runs in a pod."""

from __future__ import annotations

import asyncio

import typer

from aftercall.api import probes, server
from aftercall.cli import configuration, pod, telemetry
from aftercall.cli import stopping as signals
from aftercall.consumers import topics
from aftercall.contracts import settings
from aftercall.serve import backends


def consume(model: configuration.ModelName = None, settings_file: configuration.SettingsFile = None) -> None:
    """Take recordings from Kafka topics, transcribe them, and publish transcripts to S3 and Kafka.

    Every consumer of a group takes a share. On SIGTERM it hands back what is open and leaves.

    Example: aftercall consume --settings aftercall.yaml
    """
    configured = configuration.load(settings_file, speech={"model": model})
    wanted = {
        "kafka__bootstrap_servers": "names no broker",
        "store__bucket": "names no bucket for transcripts and outcomes",
    }
    if not configured.recording.from_web:
        wanted["store__recording_buckets"] = "names no bucket that recordings may be fetched from"
    configuration.need(configured, **wanted)
    backends.prepare(configured.speech)
    with telemetry.telling(configured.telemetry, part="consumer"):
        asyncio.run(run(configured))


async def run(configured: settings.Settings) -> None:
    """Consume until told to stop."""
    stopping = signals.on_signals()
    await topics.check(configured, topics.needed(configured, topics.User.CONSUME))
    async with pod.open_pod(configured) as consumer:
        probes_of = probes.build_probes(
            why_not_ready=consumer.why_not_ready,
            why_not_healthy=consumer.why_not_healthy,
            exposition=consumer.exposition,
        )
        async with server.alongside(configured.telemetry, probes_of):
            typer.echo(f"loading {configured.speech.model or 'the default model'} …", err=True)
            if await signals.is_done_before(stopping, consumer.start()):
                shown = ", ".join(topic.name for topic in configured.kafka.topics)
                typer.echo(f"aftercall is ready: {consumer.owner} consumes {shown}", err=True)
                await consumer.run(stopping)
