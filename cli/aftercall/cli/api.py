"""`aftercall api`: the REST API of a deployment, beside its consumers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib import metadata

import typer

from aftercall.api import deployed, desk, ingest, probes, problems, server
from aftercall.cli import clock, configuration, deployment, telemetry
from aftercall.cli import stopping as signals
from aftercall.consumers import observer, topics, tracking
from aftercall.consumers.intake import uploads
from aftercall.consumers.publish import kafka, outcome
from aftercall.contracts import errors, events, identity, metrics, sections, settings


def api(settings_file: configuration.SettingsFile = None) -> None:
    """Answer where transcriptions are, hand out transcripts by presigned addresses, and take Twilio's callbacks.

    Webhooks name its addresses (`webhooks.api_url`). A request needs a key (`api.keys`), a callback a signature.

    Example: aftercall api --settings aftercall.yaml
    """
    configured = configuration.load(settings_file)
    observe = observer.PrometheusObserver()
    ours = deployment.Deployment(configured, observe)
    if not configured.api.keys and configured.api.host not in settings.LOOPBACK:
        raise errors.ConfigurationError("api.keys: without keys only loopback is served")
    with telemetry.telling(configured.telemetry, part="api"):
        asyncio.run(run(configured, ours, observe))


async def run(configured: settings.Settings, ours: deployment.Deployment, observe: observer.PrometheusObserver) -> None:
    """Serve until told to stop."""
    stopping = signals.on_signals()
    await topics.check(configured, topics.needed(configured, topics.User.API))
    observe.set(metrics.BUILD_INFO, 1, version=metadata.version("aftercall"), part="api")
    policies = ours.tenants
    tracker = tracking.Tracker(
        ours.store, ours.browser, topics=ours.kafka.work_topics, group=ours.kafka.group, templates=ours.templates
    )
    async with ours.producing() as producer:

        def publishing(source: str) -> Callable[[events.RecordingReady], Awaitable[None]]:
            async def publish(data: events.RecordingReady) -> None:
                topic = kafka.KafkaTopic(producer, _topic_for(ours, data.tenant))
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
            _desk(configured, ours, published, publishing("aftercall/audio")),
            observe,
        )
        serving = sections.Telemetry(host=configured.api.host, port=configured.api.port)
        told = probes.build_probes(why_not_ready=lambda: None, exposition=observe.exposition)
        async with server.alongside(configured.telemetry, told), server.alongside(serving, app, section="api"):
            typer.echo(f"aftercall is ready: serves transcripts of {configured.store.bucket}", err=True)
            await policies.watch(stopping)


def _topic_for(ours: deployment.Deployment, tenant: str) -> str:
    try:
        return ours.topic_for(tenant)
    except errors.ConfigurationError as exc:
        raise problems.ProblemError(403, "this tenant's recordings may be announced on no topic") from exc


def _desk(
    configured: settings.Settings, ours: deployment.Deployment, published: outcome.Reader, publish: desk.Publish
) -> desk.Desk | None:
    """Return where OpenAI's clients hand in recordings; None where no bucket is set aside for them."""
    bucket = configured.api.uploads_bucket
    if bucket is None:
        return None
    kept = uploads.BucketUploads(configured.store, bucket)
    binding = next(one for one in configured.store.recording_buckets if one.name == bucket)

    async def store(recording: identity.Recording, body: AsyncIterator[bytes]) -> uploads.Upload:
        # Said before anything is kept: a consumer would refuse it, long after.
        if not binding.admits(ours.tenants.policy(recording.tenant)):
            raise problems.ProblemError(403, "this tenant's recordings may not lie where uploads are kept")
        _topic_for(ours, recording.tenant)
        return await kept.store(recording, body)

    model = configured.speech.model
    names = (*(() if model is None else (model,)), *configured.api.model_names)
    return desk.Desk(
        configured.api,
        store=store,
        publish=publish,
        published=published,
        listeners=None,
        models=lambda: tuple(dict.fromkeys(names)),
    )
