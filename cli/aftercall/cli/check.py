"""`aftercall check`: does a recording come through?"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from typing import Annotated

import typer

from aftercall.cli import clock, configuration, deployment, rehearsal, status
from aftercall.cli import stopping as signals
from aftercall.consumers import broker, topics, tracking
from aftercall.consumers.publish import deletion, kafka, objects
from aftercall.contracts import errors, events, identity, settings

EXIT_FAILED = 1
_SOURCE = "aftercall/check"


def check(
    tenant: Annotated[str, typer.Option("--tenant", help="Whose it is; a tenant that is served.")],
    bucket: Annotated[
        str | None, typer.Option("--bucket", help="Bucket of the recording.  [default: the first the tenant may use]")
    ] = None,
    topic: Annotated[
        str | None, typer.Option("--topic", help="Topic to announce it on.  [default: the first the tenant may use]")
    ] = None,
    timeout_s: Annotated[float, typer.Option("--timeout", min=1, help="Seconds to wait for its transcript.")] = 600.0,
    as_json: configuration.AsJson = False,
    settings_file: configuration.SettingsFile = None,
) -> None:
    """Send a synthetic recording the whole way, from bucket and topic to its transcript, and delete what came of it.

    What stays is its outcome and its tombstone, which hold ids and no words. Exits 1 when no transcript came.

    Example: aftercall check --tenant aftercall-test --timeout 300
    """
    configured = configuration.load(settings_file)
    ours = deployment.Deployment(configured)
    inbox = bucket or rehearsal.first_allowed(
        {one.name: one.tenants for one in configured.store.recording_buckets}, tenant, what="buckets"
    )
    name = topic or rehearsal.first_allowed(
        {one.name: one.tenants for one in configured.kafka.topics}, tenant, what="topics"
    )
    verdict = asyncio.run(_run(configured, ours, tenant, inbox, name, timeout_s))
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(verdict)))
    else:
        how = "ok  " if verdict.ok else "FAIL"
        typer.echo(f"{how}  {tenant}/{verdict.recording_id} on {name}: {verdict.said} ({verdict.took_s:.1f} s)")
    if not verdict.ok:
        raise typer.Exit(EXIT_FAILED)


async def _run(
    configured: settings.Settings, ours: deployment.Deployment, tenant: str, bucket: str, topic: str, timeout_s: float
) -> rehearsal.Verdict:
    stopping = signals.on_signals()

    async def wait(seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await stopping.wait()
        except TimeoutError:
            return False

    client = broker.client(configured.kafka, name="aftercall-check")
    topics.refuse_missing([topic], await asyncio.to_thread(topics.existing, client))
    async with ours.producing() as producer:
        platform = _Deployed(configured, ours, producer, bucket=bucket, topic=topic)
        trial = rehearsal.Rehearsal(platform, tenant, bucket, clock=time.monotonic, wait=wait)
        return await trial.run(timeout_s=timeout_s)


class _Deployed:
    """Implements `rehearsal.Platform` on S3 and Kafka."""

    def __init__(
        self,
        configured: settings.Settings,
        ours: deployment.Deployment,
        producer: kafka.Producer,
        *,
        bucket: str,
        topic: str,
    ) -> None:
        self.inbox = objects.ObjectStore.s3(configured.store, bucket)
        self.store = ours.store
        self._ours = ours
        self._ready = kafka.KafkaTopic(producer, topic)
        self._news = kafka.KafkaTopic(producer, configured.kafka.transcripts_topic)

    async def announce(self, event: events.RecordingReady) -> None:
        """Announce the recording; see `rehearsal.Platform`."""
        await self._ready.append(events.recording_ready(event, source=_SOURCE, now=clock.utc_now()))

    async def where(self, tenant: str, recording_id: str) -> str | None:
        """Return where it is; see `rehearsal.Platform`."""
        kafka_ = self._ours.kafka
        tracker = tracking.Tracker(
            self.store,
            self._ours.browser,
            topics=kafka_.work_topics,
            group=kafka_.group,
            templates=self._ours.templates,
        )
        try:
            found = await tracker.find(tenant, recording_id)
        except errors.TransientError as exc:
            return f"where it is cannot be told ({exc})"
        return status.describe(found[0]) if found else None

    async def delete(self, recording: identity.Recording) -> None:
        """Delete what was made of it; see `rehearsal.Platform`."""
        await deletion.delete(self.store, self._news, recording, now=clock.utc_now())
