"""The service in one process: every part, put together over one data folder."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import pathlib
import shutil
import time
from collections.abc import AsyncIterator

from aftercall.cli import clock, shadowing, speech
from aftercall.consumers import job, live, observer, recognition, worker
from aftercall.consumers.intake import database, delivery, embedded, folder, kept, uploads
from aftercall.consumers.publish import clickhouse, objects, outcome, relay, topic
from aftercall.consumers.recording import fetch
from aftercall.contracts import errors, metrics, reports, settings, transcript, windows
from aftercall.serve import backends

Path = pathlib.Path


class LocalService:
    """Intake, worker, relay and stores over one data folder, which it holds a lock on while it is open."""

    def __init__(self, configured: settings.Settings, *, backend: windows.SpeechBackend | None = None) -> None:
        shared_out = [policy.name for policy in configured.tenants if policy.is_shared_out]
        if shared_out or configured.intake.tenants_file is not None:
            raise errors.ConfigurationError(
                "limits, caps and weights of tenants, and a tenants file, are honoured by `aftercall consume` only"
                + (f"; here {', '.join(shared_out)} would not be held to them" if shared_out else "")
            )
        self.settings = configured
        self.data = configured.data.dir.resolve()
        self.observe = observer.PrometheusObserver()
        self.backend = backend or speech.backend_of(configured.speech, self.observe)
        self._diarizer = backends.build_diarizer(configured.diarization)
        self.db = database.Database(self.data / database.FILE_NAME)
        self.intake = embedded.EmbeddedIntake(self.db, now=time.time)
        self.topic = topic.EmbeddedTopic(self.db)
        self.store = objects.ObjectStore.on_disk(self.data / "objects")
        self.publisher = outcome.Publisher(self.store, self.topic)
        self.uploads = uploads.Uploads(self.data / "recordings", max_size_bytes=configured.api.max_upload_bytes)
        self.clickhouse = clickhouse.ClickHouse.embedded(self.data / "clickhouse")
        self._checkpoints = kept.EmbeddedCheckpoints(self.db)
        self.listeners = live.Listeners()
        self._fetcher = fetch.Fetcher(
            folders=[folder for folder in (self.watched, self.data / "recordings") if folder is not None],
            max_size_bytes=configured.recording.max_size_bytes,
        )
        self._shadowing = shadowing.Shadowing(
            configured,
            self._fetcher,
            self.store,
            spool=self.data / "spool",
            policy_of=configured.policy,
            observe=self.observe,
        )
        self.ready = False

    @property
    def watched(self) -> pathlib.Path | None:
        """The folder that is watched for recordings."""
        given = self.settings.intake.recordings_dir
        return given.resolve() if given is not None and self.settings.intake.enabled else None

    async def start(self) -> None:
        """Load the model, and make due again what an earlier process left open."""
        await self.backend.start()
        if self._diarizer is not None:
            await self._diarizer.start()
        await self._shadowing.start()
        recovered = await self.intake.recover()
        if recovered:
            self.observe.add(metrics.RETRIES, recovered, reason="recovered")
        self.ready = True

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until `stopping`; what is open then is due again at the next start."""
        works = worker.Worker(
            self.intake,
            self._job().run,
            max_open_calls=self.settings.intake.max_open_calls,
            wait_for_work=self.intake.wait_for_work,
            observe=self.observe,
            promise_s=self.settings.intake.promise_s,
        )
        carries = relay.ClickHouseRelay(self.topic, self.publisher, self.clickhouse, self.observe)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(works.run(stopping), name="worker")
                group.create_task(carries.run(stopping), name="relay")
                if self.watched is not None:
                    group.create_task(self._source(self.watched).run(stopping), name="folder")
        finally:
            self.ready = False
            await self._shadowing.close()
            if self._diarizer is not None:
                await self._diarizer.close()
            await self.backend.close()

    async def check_stores(self) -> None:
        """Write to the database and to the object store; raise `errors.TransientError` when one cannot be written."""
        await self.db.run(lambda connection: connection.execute("UPDATE consumed SET position = position"))
        await self.store.put("probe", b"written to see that it can be\n")

    async def exposition(self, *, openmetrics: bool = False) -> bytes:
        """Return the metrics as they are now."""
        self.observe.set(metrics.QUEUE_LENGTH, await self.intake.count_waiting())
        return self.observe.exposition(openmetrics=openmetrics)

    def _job(self) -> job.Job:
        recognizer = recognition.Recognizer(
            self.backend,
            self._fetcher,
            self.settings,
            spool=self.data / "spool",
            egress_host=backends.egress_host(self.settings.speech),
            observe=self.observe,
            listeners=self.listeners,
            diarizer=self._diarizer,
            now=clock.utc_now,
        )

        async def transcribe(taken: delivery.Delivery) -> transcript.Transcript:
            async def report(stage: reports.Stage, progress: float | None, audio_s: float | None) -> None:
                await self.intake.report(taken.work, stage, progress=progress, audio_s=audio_s)

            return await recognizer.transcribe(taken, self._checkpoints, report)

        return job.Job(
            self.publisher,
            self._checkpoints,
            self.intake,
            transcribe,
            max_strikes=self.settings.intake.max_strikes,
            on_published=self._shadowing.consider,
            now=clock.utc_now,
        )

    def _source(self, watched: pathlib.Path) -> folder.FolderSource:
        intake = self.settings.intake
        return folder.FolderSource(
            watched,
            self.db,
            self.intake.publish,
            interval_s=intake.scan_interval_s,
            settle_s=intake.settle_s,
            clock=time.monotonic,
            observe=self.observe,
        )


@contextlib.asynccontextmanager
async def open_service(
    configured: settings.Settings, *, backend: windows.SpeechBackend | None = None
) -> AsyncIterator[LocalService]:
    """Open the stores of a data folder, alone; `LocalService.run` then does the work."""
    data = configured.data.dir
    try:
        data.mkdir(parents=True, exist_ok=True)
        lock = (data / "lock").open("a")
    except OSError as exc:
        raise errors.ConfigurationError(f"the data folder {data} cannot be used: {exc.strerror}") from exc
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise errors.ConfigurationError(f"the data folder {data} is in use by another aftercall") from exc
        # What lies in the spool belongs to a process that is gone.
        shutil.rmtree(data / "spool", ignore_errors=True)
        (data / "spool").mkdir()
        service = LocalService(configured, backend=backend)
        await service.db.open()
        try:
            yield service
        finally:
            await service.db.close()


@contextlib.asynccontextmanager
async def open_board(data: pathlib.Path) -> AsyncIterator[delivery.Board | None]:
    """Open where each piece of work is, beside a service that may be running; None where there never was one."""
    path = data / database.FILE_NAME
    if not path.exists():
        yield None
        return
    db = database.Database(path)
    await db.open()
    try:
        yield embedded.EmbeddedIntake(db, now=time.time)
    finally:
        await db.close()
