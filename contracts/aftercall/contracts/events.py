"""The events that upstream services publish and that aftercall publishes, as CloudEvents 1.0.

This module holds their data and the structured (JSON) form. Other sources' forms (bucket notifications, telephony
callbacks) become the same `RecordingReady`.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from typing import Annotated, Any, Literal

import pydantic

from aftercall.contracts import diarization, documents, errors, identity, outcomes, windows

RECORDING_READY = "io.aftercall.recording.ready.v1"
TRANSCRIPT_READY = "io.aftercall.transcript.ready.v1"
TRANSCRIPT_FAILED = "io.aftercall.transcript.failed.v1"
RECORDING_DELETED = "io.aftercall.recording.deleted.v1"


_LENGTH = pydantic.Field(min_length=1, max_length=identity.MAX_ID_CHARS)


def _parse_tenant(value: str) -> str:
    return identity.parse_id(value, what="tenant")


def _parse_call_id(value: str) -> str:
    return identity.parse_id(value, what="call_id")


def _parse_recording_id(value: str) -> str:
    return identity.parse_id(value, what="recording_id")


TenantId = Annotated[str, pydantic.AfterValidator(_parse_tenant), _LENGTH]
CallId = Annotated[str, pydantic.AfterValidator(_parse_call_id), _LENGTH]
RecordingId = Annotated[str, pydantic.AfterValidator(_parse_recording_id), _LENGTH]


OneLine = Annotated[str, pydantic.Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f\u2028\u2029]*$")]
"""Text that cannot begin a line of its own in a transcript."""


Speakers = Annotated[int, pydantic.Field(ge=1, le=diarization.MAX_SPEAKERS)]


class Channel(pydantic.BaseModel):
    """One channel of a recording and who speaks on it."""

    model_config = pydantic.ConfigDict(frozen=True, extra="allow")

    index: Annotated[int, pydantic.Field(ge=0, lt=64)]
    role: OneLine | None = None
    name: OneLine | None = None


class RecordingReady(pydantic.BaseModel):
    """A recording is complete and may be fetched.

    Where only one of `call_id` and `recording_id` is given, they are equal. `version` is the object's ETag or
    version id, or a digest of its content. `duration_s` is what the source believes; it is corrected on decoding.
    `min_speakers` and `max_speakers` are what the source knows of a recording of one channel, equal where it is sure.
    `task` is `translate` for a transcript in English, whatever is spoken, where the model can.
    `model` is the one that must hear it, where that is not left to whoever takes it; `replay_of` is the generation
    that a replay stands beside.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="allow")

    tenant: TenantId
    call_id: CallId
    recording_id: RecordingId
    recording_uri: Annotated[str, pydantic.Field(min_length=1, max_length=4096)]
    version: str | None = None
    generation: Annotated[int, pydantic.Field(ge=1)] = 1
    channels: tuple[Channel, ...] = ()
    language: str | None = None
    task: windows.Task = windows.Task.TRANSCRIBE
    duration_s: Annotated[float, pydantic.Field(ge=0, allow_inf_nan=False)] | None = None
    vocabulary: tuple[str, ...] = ()
    min_speakers: Speakers | None = None
    max_speakers: Speakers | None = None
    priority: Annotated[int, pydantic.Field(ge=0, le=9)] | None = None
    deadline: pydantic.AwareDatetime | None = None
    started_at: pydantic.AwareDatetime | None = None
    metadata: dict[str, Any] = pydantic.Field(default_factory=dict)
    model: str | None = None
    replay_of: Annotated[int, pydantic.Field(ge=1)] | None = None

    @pydantic.model_validator(mode="before")
    @classmethod
    def _one_id_is_enough(cls, data: Any) -> Any:
        if isinstance(data, dict):
            if "recording_id" not in data and "call_id" in data:
                return {**data, "recording_id": data["call_id"]}
            if "call_id" not in data and "recording_id" in data:
                return {**data, "call_id": data["recording_id"]}
        return data

    @pydantic.model_validator(mode="after")
    def _channels_are_distinct(self) -> RecordingReady:
        indexes = [channel.index for channel in self.channels]
        if len(indexes) != len(set(indexes)):
            raise ValueError("channels names an index twice")
        if self.min_speakers is not None and self.max_speakers is not None and self.min_speakers > self.max_speakers:
            raise ValueError("min_speakers is more than max_speakers")
        return self

    @property
    def recording(self) -> identity.Recording:
        """Whose recording it is, whatever version."""
        return identity.Recording(self.tenant, self.recording_id)


class TranscriptReady(pydantic.BaseModel):
    """A generation ended canonical: its transcript lies at `transcript_key`."""

    model_config = pydantic.ConfigDict(frozen=True, extra="allow")

    tenant: TenantId
    call_id: CallId
    recording_id: RecordingId
    version: str
    generation: Annotated[int, pydantic.Field(ge=1)]
    transcription_id: str
    transcript_key: str
    language: str | None = None
    duration_s: float
    audio_s: float
    decided_at: datetime.datetime


class TranscriptFailed(pydantic.BaseModel):
    """A generation ended without a transcript: rejected, or dead."""

    model_config = pydantic.ConfigDict(frozen=True, extra="allow")

    tenant: TenantId
    call_id: CallId
    recording_id: RecordingId
    version: str
    generation: Annotated[int, pydantic.Field(ge=1)]
    transcription_id: str
    kind: Literal[outcomes.Kind.REJECTED, outcomes.Kind.DEAD]
    reason: outcomes.Reason
    message: str
    decided_at: datetime.datetime


class RecordingDeleted(pydantic.BaseModel):
    """A recording's transcripts were deleted on purpose; whoever holds copies of them is to delete them too."""

    model_config = pydantic.ConfigDict(frozen=True, extra="allow")

    tenant: TenantId
    call_id: CallId
    recording_id: RecordingId
    deleted_at: datetime.datetime


Data = RecordingReady | TranscriptReady | TranscriptFailed | RecordingDeleted
_MODELS: dict[str, type[Data]] = {
    RECORDING_READY: RecordingReady,
    TRANSCRIPT_READY: TranscriptReady,
    TRANSCRIPT_FAILED: TranscriptFailed,
    RECORDING_DELETED: RecordingDeleted,
}


class Event(pydantic.BaseModel):
    """A CloudEvents 1.0 envelope in structured mode around one of our data types."""

    model_config = pydantic.ConfigDict(frozen=True, extra="allow")

    specversion: Literal["1.0"] = "1.0"
    id: Annotated[str, pydantic.Field(min_length=1)]
    source: Annotated[str, pydantic.Field(min_length=1)]
    type: Annotated[str, pydantic.Field(min_length=1)]
    time: pydantic.AwareDatetime | None = None
    subject: str | None = None
    datacontenttype: Literal["application/json"] = "application/json"
    data: Data

    @pydantic.model_validator(mode="before")
    @classmethod
    def _data_of_its_type(cls, plain: Any) -> Any:
        """Let `type` choose the data's model, and refuse a major version that this code does not know."""
        if not isinstance(plain, dict) or not isinstance(plain.get("type"), str):
            return plain
        model = _MODELS.get(plain["type"])
        if model is None:
            stem, _, major = plain["type"].rpartition(".")
            if any(known.startswith(stem + ".v") for known in _MODELS):
                raise ValueError(f"type {stem} has version {major}; this code knows v1")
            raise ValueError(f"type {plain['type']} is not an event of aftercall")
        data = plain.get("data")
        if not isinstance(data, dict):
            return plain
        try:
            return {**plain, "data": model.model_validate(data)}
        except pydantic.ValidationError as exc:
            raise ValueError(f"data: {documents.describe(exc)}") from exc


def parse(data: bytes | str) -> Event:
    """Parse a structured CloudEvent; raise `errors.ContractError` with every problem, field by field."""
    return documents.parse(Event, data, what="event")


def encode(event: Event) -> bytes:
    """Encode as a structured CloudEvent."""
    return documents.encode(event)


def parse_recording_ready(data: bytes | str) -> RecordingReady:
    """Parse an event that must be `recording.ready`; raise `errors.ContractError` otherwise."""
    event = parse(data)
    if not isinstance(event.data, RecordingReady):
        raise errors.ContractError(f"event {event.id} is {event.type}, not {RECORDING_READY}")
    return event.data


def recording_ready(data: RecordingReady, *, source: str, now: datetime.datetime) -> Event:
    """Wrap a `RecordingReady` in its envelope; the id is the same for the same recording, version and generation."""
    event_id = json.dumps([data.tenant, data.recording_id, data.version, data.generation], ensure_ascii=True)
    return Event(id=event_id, source=source, type=RECORDING_READY, time=now, subject=data.recording_id, data=data)


def decided(data: TranscriptReady | TranscriptFailed, *, source: str) -> Event:
    """Wrap the news of an outcome; the id is the transcription's, so that consumers can drop repeats."""
    kind = TRANSCRIPT_READY if isinstance(data, TranscriptReady) else TRANSCRIPT_FAILED
    return Event(
        id=data.transcription_id, source=source, type=kind, time=data.decided_at, subject=data.recording_id, data=data
    )


def deleted(data: RecordingDeleted, *, source: str) -> Event:
    """Wrap the news of a deletion; the id is the same however often it is told."""
    parts = json.dumps([data.tenant, data.recording_id, "deleted"])
    return Event(
        id="del_" + hashlib.sha256(parts.encode()).hexdigest()[:32],
        source=source,
        type=RECORDING_DELETED,
        time=data.deleted_at,
        subject=data.recording_id,
        data=data,
    )
