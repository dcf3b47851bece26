"""What the API shows of work and transcripts."""

from __future__ import annotations

import datetime

import pydantic
from pydantic import alias_generators

from aftercall.consumers.transcript import formats
from aftercall.contracts import outcomes, reports, transcript


class View(pydantic.BaseModel):
    """JSON with camelCase names."""

    model_config = pydantic.ConfigDict(alias_generator=alias_generators.to_camel, populate_by_name=True, frozen=True)


class TranscribeRequest(pydantic.BaseModel):
    """How to transcribe a recording."""

    model_config = pydantic.ConfigDict(extra="forbid", json_schema_extra={"examples": [{"language": "en"}]})

    language: str | None = pydantic.Field(default=None, min_length=2, max_length=16)
    """Language spoken, such as `en`; detected when left out."""


class Queued(View):
    """Work that was accepted."""

    transcription_id: str
    status: reports.Status


class Uploaded(Queued):
    """A recording that was uploaded, and the work on it."""

    tenant: str
    call_id: str
    recording_id: str
    version: str


class Transcription(View):
    """Where a transcription is, and its text once it has one. What is not known yet is null."""

    transcription_id: str
    tenant: str
    call_id: str
    recording_id: str
    generation: int
    status: reports.Status
    stage: reports.Stage
    progress: float | None
    queue_position: int | None
    attempts: int
    waiting_reason: outcomes.Reason | None
    outcome: outcomes.Kind | None
    reason: outcomes.Reason | None
    message: str | None
    language: str | None
    duration: float | None
    segment_count: int | None
    coverage: float | None
    audio_seconds: float | None
    text: str | None
    created_at: datetime.datetime
    updated_at: datetime.datetime


class Listing(View):
    """Transcriptions, newest first, without their text."""

    transcriptions: list[Transcription]


def transcription(report: reports.WorkReport, made: transcript.Transcript | None) -> Transcription:
    """Show work, with its transcript where there is one."""
    return Transcription(
        transcription_id=report.transcription_id,
        tenant=report.tenant,
        call_id=report.call_id,
        recording_id=report.recording_id,
        generation=report.generation,
        status=report.status,
        stage=report.stage,
        progress=report.progress,
        queue_position=report.queue_position,
        attempts=report.attempts,
        waiting_reason=report.waiting_reason,
        outcome=report.outcome,
        reason=report.reason,
        message=report.message or None,
        language=None if made is None else made.language,
        duration=None if made is None else made.audio.duration_s,
        segment_count=None if made is None else len(made.segments),
        coverage=None if made is None else made.coverage.ratio,
        audio_seconds=report.audio_s,
        text=None if made is None else formats.text(made),
        created_at=_time(report.queued_at),
        updated_at=_time(report.updated_at),
    )


def _time(unix_s: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(unix_s, datetime.UTC)
