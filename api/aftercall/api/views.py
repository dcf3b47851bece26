"""What the API shows of work and transcripts."""

from __future__ import annotations

import datetime
from typing import Annotated, Any

import pydantic
from pydantic import alias_generators

from aftercall.api import access
from aftercall.consumers.transcript import formats
from aftercall.contracts import outcomes, reports, transcript


class View(pydantic.BaseModel):
    """JSON with camelCase names."""

    model_config = pydantic.ConfigDict(
        alias_generator=alias_generators.to_camel,
        populate_by_name=True,
        frozen=True,
        use_attribute_docstrings=True,
    )


class TranscribeRequest(pydantic.BaseModel):
    """How to transcribe a recording."""

    model_config = pydantic.ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        json_schema_extra={"examples": [{"language": "en"}]},
    )

    language: Annotated[str, pydantic.Field(pattern=access.LANGUAGE_PATTERN)] | None = None
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
    """What its content makes of it: another content is another version."""


class Summary(View):
    """Where a transcription is. What is not known yet is null, never zero."""

    transcription_id: str
    tenant: str
    call_id: str
    recording_id: str
    version: str
    generation: int
    """1 for the first transcription of this version of the recording, one more for each deliberate one after it."""
    status: reports.Status
    stage: reports.Stage
    """Where on its way it is."""
    progress: float | None
    """Share of the stage that is done, 0 to 1."""
    queue_position: int | None
    """How much stands before it in the queue; 0 is next."""
    attempts: int
    waiting_reason: outcomes.Reason | None
    """Why queued work waits: for a retry, or on purpose."""
    outcome: outcomes.Kind | None
    """How it ended."""
    reason: outcomes.Reason | None
    """Why it ended so."""
    message: str | None
    """The same in a sentence."""
    audio_seconds: float | None
    """Seconds of audio over all channels, known or believed."""
    created_at: datetime.datetime
    updated_at: datetime.datetime


class Transcription(Summary):
    """Where a transcription is, and what was said once it is completed."""

    language: str | None
    duration: float | None
    """Seconds."""
    segment_count: int | None
    coverage: float | None
    """Share of the speech that became words, 0 to 1; null too where there is no speech."""
    text: str | None
    """Lines like `[00:00:01] Alice: …`."""


class Listing(View):
    """Transcriptions, newest first, without what was said."""

    transcriptions: list[Summary]
    next: str | None
    """What to ask for as `before` to see what follows; null where nothing does."""


def address(report: reports.WorkReport) -> str:
    """Return the path under which a transcription can be asked after."""
    return f"/v1/transcriptions/{report.transcription_id}"


def uploaded(report: reports.WorkReport) -> Uploaded:
    """Show the work on an uploaded recording."""
    return Uploaded(
        transcription_id=report.transcription_id,
        status=report.status,
        tenant=report.tenant,
        call_id=report.call_id,
        recording_id=report.recording_id,
        version=report.version,
    )


def summary(report: reports.WorkReport) -> Summary:
    """Show where work is."""
    return Summary(**_of_report(report))


def transcription(report: reports.WorkReport, made: transcript.Transcript | None) -> Transcription:
    """Show where work is, with its transcript where there is one."""
    return Transcription(
        **_of_report(report),
        language=None if made is None else made.language,
        duration=None if made is None else made.audio.duration_s,
        segment_count=None if made is None else len(made.segments),
        coverage=None if made is None else made.coverage.ratio,
        text=None if made is None else formats.text(made),
    )


def _of_report(report: reports.WorkReport) -> dict[str, Any]:
    same = Summary.model_fields.keys() & reports.WorkReport.model_fields.keys() - {"message"}
    return {name: getattr(report, name) for name in same} | {
        "message": report.message or None,
        "audio_seconds": report.audio_s,
        "created_at": _time(report.queued_at),
        "updated_at": _time(report.updated_at),
    }


def _time(unix_s: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(unix_s, datetime.UTC)
