"""`aftercall api`: the REST API of a deployment, beside its consumers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import typer

from aftercall.api import deployed, desk, ingest, server
from aftercall.cli import clock, configuration, deployment, telemetry
from aftercall.cli import stopping as signals
from aftercall.consumers import observer, tenants, topics, tracking
from aftercall.consumers.intake import uploads
from aftercall.consumers.publish import kafka, outcome
from aftercall.contracts import errors, events, sections, settings


def api(settings_file: configuration.SettingsFile = None) -> None:
    """Answer where transcriptions are, hand out transcripts by presigned addresses, and take Twilio's callbacks.

    Webhooks name its addresses (`webhooks.api_url`). A request needs a key (`api.keys`), a callback a signature.

    Example: aftercall api --settings aftercall.yaml
    """
    configured = configuration.load(settings_file)
    ours = deployment.Deployment(configured)
    if not configured.api.keys and configured.api.host not in settings.LOOPBACK:
        raise errors.ConfigurationError("api.keys: without keys only loopback is served")
    with telemetry.telling(configured.telemetry, part="api"):
        asyncio.run(run(configured, ours))


async def run(configured: settings.Settings, ours: deployment.Deployment) -> None:
    """Serve until told to stop."""
    stopping = signals.on_signals()
    await topics.check(configured, topics.needed(configured, topics.User.API))
    policies = tenants.Tenants(configured, observer.Unobserved())
    tracker = tracking.Tracker(
        ours.store, ours.browser, topics=ours.kafka.work_topics, group=ours.kafka.group, templates=ours.templates
    )
    async with ours.producing() as producer:
        topic = kafka.KafkaTopic(producer, configured.kafka.topics[0].name)

        def publishing(source: str) -> Callable[[events.RecordingReady], Awaitable[None]]:
            async def publish(data: events.RecordingReady) -> None:
                await topic.append(events.recording_ready(data, source=source, now=clock.utc_now()))

            return publish

        url = str(configured.api.public_url or "")
        callbacks = ingest.Callbacks(policies.twilio_account, url, publishing("aftercall/twilio"))
        published = outcome.Reader(ours.store)
        app = deployed.build_deployed(
            configured.api.keys,
            tracker,
            published,
            ours.store.presign,
            callbacks,
            _desk(configured, published, publishing("aftercall/audio")),
        )
        serving = sections.Telemetry(host=configured.api.host, port=configured.api.port)
        async with server.alongside(serving, app):
            typer.echo(f"aftercall is ready: serves transcripts of {configured.store.bucket}", err=True)
            await policies.watch(stopping)


def _desk(configured: settings.Settings, published: outcome.Reader, publish: desk.Publish) -> desk.Desk | None:
    """Return where OpenAI's clients hand in recordings; None where no bucket is set aside for them."""
    bucket = configured.api.uploads_bucket
    if bucket is None:
        return None
    model = configured.speech.model
    names = (*(() if model is None else (model,)), *configured.api.model_names)
    return desk.Desk(
        configured.api,
        store=uploads.BucketUploads(configured.store, bucket).store,
        publish=publish,
        published=published,
        listeners=None,
        models=lambda: tuple(dict.fromkeys(names)),
    )
