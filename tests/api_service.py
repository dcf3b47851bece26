"""A service in memory, for tests of the API that speaks for it."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import AsyncIterator

import doubles
import fastapi
import httpx2

from aftercall.api import app
from aftercall.consumers import live
from aftercall.consumers.intake import delivery, uploads
from aftercall.contracts import errors, events, identity, outcomes, reports, settings, transcript, windows
from aftercall.serve import testing

OPEN = {reports.Status.QUEUED, reports.Status.PROCESSING}


class MemoryIntake:
    """The queue and the board in a list, newest last; `failure` is raised by every call."""

    def __init__(self) -> None:
        self.reports: list[reports.WorkReport] = []
        self.events: dict[str, events.RecordingReady] = {}
        self.keys: dict[tuple[str, str], tuple[tuple[str, str | None], str]] = {}
        self.failure: Exception | None = None

    async def publish(self, event: events.RecordingReady) -> reports.WorkReport:
        """Queue once."""
        assert event.version is not None
        work = identity.Work(event.recording, event.version, event.generation)
        known = await self.find(work.transcription_id)
        if known is not None:
            return known
        self.events[work.transcription_id] = event
        self.reports.append(
            reports.WorkReport(
                transcription_id=work.transcription_id,
                tenant=event.tenant,
                call_id=event.call_id,
                recording_id=event.recording_id,
                version=work.version,
                generation=work.generation,
                status=reports.Status.QUEUED,
                stage=reports.Stage.QUEUED,
                attempts=0,
                queue_position=len(self.reports),
                queued_at=1_000.0,
                updated_at=1_000.0,
            )
        )
        return self.reports[-1]

    async def publish_again(
        self, recording: identity.Recording, *, language: str | None, request_key: str | None = None
    ) -> reports.WorkReport | None:
        """Queue a deliberate transcription of known work."""
        asked = (recording.recording_id, language)
        if request_key is not None and (recording.tenant, request_key) in self.keys:
            before, transcription_id = self.keys[recording.tenant, request_key]
            if before != asked:
                raise delivery.RequestKeyReusedError("another request's")
            return await self.find(transcription_id)
        known = [one for one in self.reports if (one.tenant, one.recording_id) == dataclasses.astuple(recording)]
        if not known:
            return None
        event = self.events[known[-1].transcription_id]
        report = known[-1]
        if report.status not in OPEN or language not in {None, event.language}:
            again = {"generation": report.generation + 1, "language": language or event.language}
            report = await self.publish(event.model_copy(update=again))
        if request_key is not None:
            self.keys[recording.tenant, request_key] = asked, report.transcription_id
        return report

    async def find(self, transcription_id: str) -> reports.WorkReport | None:
        """Look up by id."""
        self._fail()
        return next((one for one in self.reports if one.transcription_id == transcription_id), None)

    async def find_call(self, id_: str, *, tenant: str | None = None) -> list[reports.WorkReport]:
        """Look up by call or recording id, newest first."""
        mine = await self.list_reports(tenant=tenant, limit=1000)
        return [one for one in mine if id_ in {one.call_id, one.recording_id}]

    async def list_reports(
        self, *, tenant: str | None = None, before: str | None = None, limit: int = 100
    ) -> list[reports.WorkReport]:
        """Return them, newest first."""
        self._fail()
        ids = [one.transcription_id for one in self.reports]
        older = self.reports if before is None else self.reports[: ids.index(before)]
        return [one for one in reversed(older) if tenant in {None, one.tenant}][:limit]

    def change(self, transcription_id: str, **changes: object) -> reports.WorkReport:
        """Let work have gone on."""
        at = next(at for at, one in enumerate(self.reports) if one.transcription_id == transcription_id)
        self.reports[at] = self.reports[at].model_copy(update=changes)
        return self.reports[at]

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure


class MemoryUploads:
    """Uploads in a dict; `failure` is raised once the body is read."""

    def __init__(self, *, max_size_bytes: int) -> None:
        self.kept: dict[identity.Recording, bytes] = {}
        self.max_size_bytes = max_size_bytes
        self.failure: Exception | None = None

    async def store(self, recording: identity.Recording, body: AsyncIterator[bytes]) -> uploads.Upload:
        """Keep a whole body, or nothing."""
        data = b""
        async for chunk in body:
            data += chunk
            if len(data) > self.max_size_bytes:
                raise uploads.UploadTooLargeError(
                    f"the recording is larger than the {self.max_size_bytes} bytes that are taken"
                )
        if self.failure is not None:
            raise self.failure
        self.kept[recording] = data
        version = f"sha256:{hashlib.sha256(data).hexdigest()}"
        return uploads.Upload(f"memory:///{identity.key_part(recording.recording_id)}", version, len(data))


class MemoryPublished:
    """Outcomes and transcripts in a dict; None stands for a transcript that was deleted."""

    def __init__(self) -> None:
        self.made: dict[str, transcript.Transcript | None] = {}

    async def read(self, work: identity.Work) -> outcomes.Outcome | None:
        """Return the outcome of a generation that ended with a transcript."""
        if work.transcription_id not in self.made:
            return None
        return outcomes.Outcome(
            kind=outcomes.Kind.CANONICAL,
            reason=outcomes.Reason.DONE,
            tenant=work.recording.tenant,
            call_id=work.recording.recording_id,
            recording_id=work.recording.recording_id,
            version=work.version,
            generation=work.generation,
            transcription_id=work.transcription_id,
            transcript_key="key",
            decided_at=doubles.NOW,
        )

    async def read_transcript(self, outcome: outcomes.Outcome) -> transcript.Transcript | None:
        """Return the transcript."""
        return self.made[outcome.transcription_id]


class MemoryService:
    """Everything that the API asks for, with nothing behind it."""

    def __init__(
        self, *, enabled: bool = True, keys: dict[str, str] | None = None, max_upload_bytes: int = 1000
    ) -> None:
        self.settings = settings.load(
            {},
            overrides={
                "api": {"keys": keys or {}, "max_upload_bytes": max_upload_bytes},
                "intake": {"enabled": enabled},
            },
        )
        self.intake = MemoryIntake()
        self.uploads = MemoryUploads(max_size_bytes=max_upload_bytes)
        self.publisher = MemoryPublished()
        self.listeners = live.Listeners()
        self.backend: windows.SpeechBackend = testing.FakeBackend()
        self.ready = True
        self.full = False

    async def check_stores(self) -> None:
        """Fail while `full`."""
        if self.full:
            raise errors.TransientError("the disk is full", reason=outcomes.Reason.DISK_FULL)

    async def exposition(self, *, openmetrics: bool = False) -> bytes:
        """Return one metric."""
        return b"# TYPE up gauge\nup 1\n# EOF\n" if openmetrics else b"up 1\n"

    def complete(self, transcription_id: str, made: transcript.Transcript | None) -> None:
        """Let work have ended with a transcript."""
        self.intake.change(
            transcription_id,
            status=reports.Status.COMPLETED,
            stage=reports.Stage.DONE,
            outcome=outcomes.Kind.CANONICAL,
            reason=outcomes.Reason.DONE,
            queue_position=None,
        )
        self.publisher.made[transcription_id] = made

    def end(self, transcription_id: str, kind: outcomes.Kind, reason: outcomes.Reason, message: str) -> None:
        """Let work have ended without one."""
        self.intake.change(
            transcription_id,
            status=reports.Status.FAILED,
            stage=reports.Stage.DONE,
            outcome=kind,
            reason=reason,
            message=message,
            queue_position=None,
        )


def client(
    service: MemoryService, *, key: str | None = None, peer: str = "127.0.0.1", built: fastapi.FastAPI | None = None
) -> httpx2.AsyncClient:
    """Return a client of the service's API that opens no socket."""
    transport = httpx2.ASGITransport(built or app.build_app(service), raise_app_exceptions=False, client=(peer, 50_000))
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    return httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8400", headers=headers)


async def upload(at: httpx2.AsyncClient, tenant: str = "acme", call_id: str = "c1", content: bytes = b"RIFF") -> str:
    """Upload a recording and return its transcription's id."""
    answer = await at.put(f"/v1/recordings/{tenant}/{call_id}", content=content)
    assert answer.status_code in {200, 201}, answer.text
    return str(answer.json()["transcriptionId"])


def problem_of(answer: httpx2.Response) -> str:
    """Check that an answer is a problem in its one shape, and return its sentence."""
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert set(told) == {"type", "title", "status", "detail"}
    assert told["status"] == answer.status_code
    assert told["detail"]
    assert "\n" not in told["detail"]
    return str(told["detail"])
