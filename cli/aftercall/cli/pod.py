"""A consumer pod: every part of one, put together over Kafka and S3."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ipaddress
import logging
import pathlib
import secrets
import socket
import typing
from collections.abc import AsyncIterator, Awaitable, Callable

from aftercall.cli import clock, gauges, shadowing, speech, spool
from aftercall.consumers import (
    attempt,
    broker,
    egress,
    job,
    observer,
    recognition,
    reporting,
    saved,
    tenants,
    usage,
    worker,
)
from aftercall.consumers.intake import backlog, claimed, delivery, entrance, sources
from aftercall.consumers.intake import kafka as polling
from aftercall.consumers.publish import dead, objects, outcome
from aftercall.consumers.publish import kafka as producing
from aftercall.consumers.recording import fetch
from aftercall.contracts import events, metrics, outcomes, reports, settings, transcript, windows
from aftercall.serve import backends

if typing.TYPE_CHECKING:
    import httpx2

log = logging.getLogger(__name__)

_WEB_TIMEOUT_S = 30.0
_INSTANCE_CHARS = 8


Make = Callable[[delivery.Delivery, recognition.Report], Awaitable[transcript.Transcript]]
"""Makes the transcript of a recording."""


class Pod:
    """One consumer. `open_pod` builds it; `run` works until it is told to stop. `make` stands in for recognition."""

    def __init__(
        self,
        configured: settings.Settings,
        *,
        spool: pathlib.Path,
        backend: windows.SpeechBackend | None = None,
        make: Make | None = None,
    ) -> None:
        self.settings = configured
        self._make = make
        self._is_started = False
        self.observe = observer.PrometheusObserver()
        meters = usage.Meters(lambda: self.backlog.is_crowded)
        self.backend = backend or speech.backend_of(configured.speech, self.observe, heard=meters.heard)
        self._diarizer = backends.build_diarizer(configured.diarization)
        self.store = objects.ObjectStore.ours(configured.store)
        # Different after every start: a claim of this pod's last life is another's.
        self.owner = f"{socket.gethostname()}-{secrets.token_hex(4)}"
        self.producer = producing.Producer(broker.client(configured.kafka, name=self.owner))
        self.publisher = outcome.Publisher(
            self.store,
            producing.KafkaTopic(self.producer, configured.kafka.transcripts_topic),
            on_conflict=self._note_conflict,
        )
        self.claims = claimed.Claims(self.store, owner=self.owner, lease_s=configured.store.claim_lease_s)
        self.tenants = tenants.Tenants(configured, self.observe)
        self._web = _web(configured) if configured.recording.from_web else None
        self.fetcher = fetch.Fetcher(
            folders=[],
            max_size_bytes=configured.recording.max_size_bytes,
            sources={
                f"s3://{bucket.name}": fetch.Source(
                    objects.open_bucket(configured.store, bucket.name), frozenset(bucket.tenants) or None
                )
                for bucket in configured.store.recording_buckets
            },
            web=self._web,
            credentials_of=self.tenants.credentials,
            may_lie_in=lambda tenant, bucket: self.tenants.policy(tenant).may_lie_in(bucket),
        )
        kafka = configured.kafka
        door = entrance.Entrance(
            {
                topic.name: entrance.Binding(
                    frozenset(topic.tenants) or None,
                    tuple(sources.KeyTemplate.parse(text) for text in topic.key_templates),
                    entrance.LANES.index(topic.lane),
                    topic.promise_s,
                )
                for topic in kafka.topics
            },
            deferred_topic=kafka.deferred_topic,
            parked_topic=kafka.parked_topic,
            is_known=self.tenants.is_known,
            has_model=lambda model: model == self.backend.info.model,
            pin=self._pin,
            bury=dead.DeadLetters(self.producer, kafka.dead_letter_topic).bury,
            put_aside=functools.partial(dead.put_aside, self.producer),
            observe=self.observe,
            policy_of=self.tenants.policy,
        )
        self.backlog = backlog.Backlog(
            door,
            max_open=configured.intake.max_open_calls,
            # The other half is for what is being read: a partition that was full is read on once half of it is free.
            max_ahead=kafka.max_open_records // 2,
            terms_of=self.tenants.terms,
            finished=lambda place: self.poller.finish(place),
            leaving=lambda place: self.poller.leave(place),
        )
        self.poller = polling.into_loop(
            self.backlog,
            kafka.work_topics,
            kafka,
            group=kafka.group,
            name=self.owner,
        )

        self._reporter, self._to_operator = None, None
        if configured.reporting.url is not None:
            self._to_operator = reporting.build_client(configured.reporting)
            self._reporter = reporting.Reporter(
                configured.reporting,
                self._to_operator,
                name=configured.reporting.name or socket.gethostname(),
                instance=self.owner[-_INSTANCE_CHARS:],
                backlog=self.backlog,
                holder=self.tenants,
                positions=lambda: self.poller.positions(),
                works=meters.works,
                observe=self.observe,
            )
        self._gauges = gauges.Gauges(self.observe, self.backlog, self.poller, self._reporter)
        self._recognizer = recognition.Recognizer(
            self.backend,
            self.fetcher,
            configured,
            spool=spool,
            egress_host=backends.egress_host(configured.speech),
            policy_of=self.tenants.policy,
            observe=self.observe,
            diarizer=self._diarizer,
            meters=meters,
            now=clock.utc_now,
        )
        self._shadowing = shadowing.Shadowing(
            configured,
            self.fetcher,
            self.store,
            spool=spool,
            policy_of=self.tenants.policy,
            observe=self.observe,
        )

    async def start(self) -> None:
        """Load the model, or find out what the servers' is, for as long as that takes.

        And see that the buckets are there and the store keeps its word.
        """
        await objects.check_there(self.settings.store)
        await objects.check_create_only(self.store, key=f"probes/{self.owner}")
        await self.backend.start()
        if self._diarizer is not None:
            await self._diarizer.start()
        await self._shadowing.start()
        self._is_started = True

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until `stopping`; then hand back what is open, commit, and leave the group."""
        works = worker.Worker(
            self.backlog,
            self._attempts().run,
            max_open_calls=self.settings.intake.max_open_calls,
            wait_for_work=self.backlog.wait_for_work,
            observe=self.observe,
            drain_s=self.settings.kafka.drain_s,
            promise_s=self.settings.intake.promise_s,
        )
        self.poller.start()
        watching = [asyncio.create_task(self.tenants.watch(stopping, self.backlog.renew_terms), name="tenants")]
        if self._reporter is not None:
            watching.append(asyncio.create_task(self._reporter.run(stopping), name="reports"))
        try:
            await works.run(stopping)
        finally:
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
            await asyncio.to_thread(self.poller.stop)
            if self._reporter is not None:
                await self._reporter.leave()

    async def close(self) -> None:
        """Disconnect from everybody."""
        if self._to_operator is not None:
            await self._to_operator.aclose()
        await self.producer.close()
        await self._shadowing.close()
        if self._diarizer is not None:
            await self._diarizer.close()
        await self.backend.close()
        if self._web is not None:
            await self._web.aclose()

    def why_not_ready(self) -> str | None:
        """Say why nothing is taken yet, or any more."""
        if not self._is_started:
            return "the model is not loaded yet, or no speech server says what it is"
        return self.poller.why_not_polling()

    def why_not_healthy(self) -> str | None:
        """Say what has stood still for so long that a new start is better."""
        why = self.poller.why_not_alive()
        if why is None and self._reporter is not None:
            why = self._reporter.why_not_reporting()
        return why

    def exposition(self, *, openmetrics: bool = False) -> bytes:
        """Return the metrics as they are now."""
        self._gauges.refresh(n_windows=self._recognizer.n_windows_in_flight)
        return self.observe.exposition(openmetrics=openmetrics)

    def _attempts(self) -> attempt.Attempts:
        kept = saved.SavedCheckpoints(self.store)

        async def recognize(taken: delivery.Delivery, report: recognition.Report) -> transcript.Transcript:
            await kept.open(taken.work, is_first=taken.attempts == 1)
            try:
                return await self._recognizer.transcribe(taken, kept, report)
            except BaseException:
                await kept.leave(taken.work)
                raise

        make = self._make or recognize

        async def transcribe(taken: delivery.Delivery) -> transcript.Transcript:
            async def report(stage: reports.Stage, progress: float | None, audio_s: float | None) -> None:
                await self.claims.report(taken.work, stage, progress=progress, audio_s=audio_s)
                if audio_s is not None:
                    self.backlog.note_audio(taken.ticket, audio_s)

            return await make(taken, report)

        jobs = job.Job(
            self.publisher,
            kept,
            self.claims,
            transcribe,
            max_strikes=self.settings.intake.max_strikes,
            on_published=self._shadowing.consider,
            now=clock.utc_now,
        )
        return attempt.Attempts(
            jobs.run, self.claims, self.publisher, max_strikes=self.settings.intake.max_strikes, now=clock.utc_now
        )

    def _note_conflict(self, decided: outcomes.Outcome) -> None:
        self.observe.add(metrics.CONFLICTS)
        log.error("another recording under the same identity", extra={"transcription_id": decided.transcription_id})

    async def _pin(self, event: events.RecordingReady) -> tuple[str, str]:
        return await self.fetcher.pin(event.recording_uri, tenant=event.tenant)


def _web(configured: settings.Settings) -> httpx2.AsyncClient:
    networks = [ipaddress.ip_network(text) for text in configured.recording.private_networks]
    return egress.client(timeout_s=_WEB_TIMEOUT_S, allowed=networks, follow_redirects=True)


@contextlib.asynccontextmanager
async def open_pod(
    configured: settings.Settings, *, backend: windows.SpeechBackend | None = None, make: Make | None = None
) -> AsyncIterator[Pod]:
    """Open a pod with a spool folder of its own, and close it."""
    with spool.open_spool() as folder:
        one = Pod(configured, spool=folder, backend=backend, make=make)
        try:
            yield one
        finally:
            await one.close()
