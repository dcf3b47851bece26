"""What a running part says of its work: where each recording is, and how it got there."""

from __future__ import annotations

import enum
from typing import Annotated

import pydantic

from aftercall.contracts import outcomes


class Status(enum.StrEnum):
    """The coarse state that API users see."""

    QUEUED = "queued"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"


class Stage(enum.StrEnum):
    """Where on its way a recording is, in order."""

    QUEUED = "queued"
    FETCHING = "fetching"
    DECODING = "decoding"
    TRANSCRIBING = "transcribing"
    ASSEMBLING = "assembling"
    PUBLISHING = "publishing"
    DONE = "done"


class WorkReport(pydantic.BaseModel):
    """Where one piece of work is.

    `waiting_reason` says why queued work waits on purpose or for a retry; `queue_position` counts what stands
    before it (0 = next). `consumer` is the process that has it, or had it last. `audio_s` is None until the recording
    has been decoded or its source said so.
    Times are Unix seconds.
    """

    model_config = pydantic.ConfigDict(frozen=True)

    transcription_id: str
    tenant: str
    call_id: str
    recording_id: str
    version: str
    generation: Annotated[int, pydantic.Field(ge=1)]
    status: Status
    stage: Stage
    progress: Annotated[float, pydantic.Field(ge=0, le=1)] | None = None
    attempts: Annotated[int, pydantic.Field(ge=0)]
    queue_position: Annotated[int, pydantic.Field(ge=0)] | None = None
    waiting_reason: outcomes.Reason | None = None
    message: str = ""
    audio_s: float | None = None
    outcome: outcomes.Kind | None = None
    reason: outcomes.Reason | None = None
    consumer: str | None = None
    trace_id: str | None = None
    queued_at: float
    updated_at: float
