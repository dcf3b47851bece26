"""What a running part says of its work: where each recording is, and how much of it there is of each tenant."""

from __future__ import annotations

import enum
import typing
from typing import Annotated, Literal

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


Audio = Annotated[float, pydantic.Field(ge=0, allow_inf_nan=False)]
"""Audio-seconds."""
Seconds = Annotated[float, pydantic.Field(ge=0, allow_inf_nan=False)]


Lanes = Annotated[tuple[Audio, ...], pydantic.Field(max_length=8)]
"""Audio-seconds by lane, the liveliest first; a lane that is left out has none."""


Lane = Literal["live", "bulk"]
"""What a recording came on; what was put aside keeps the lane of the topic that it came on first."""
LANES: tuple[Lane, ...] = typing.get_args(Lane)
"""The liveliest first."""


class TenantLoad(pydantic.BaseModel):
    """How much of a tenant's work on one lane a consumer has, and had: each pair of tenant and lane at most once."""

    model_config = pydantic.ConfigDict(frozen=True)

    tenant: Annotated[str, pydantic.Field(min_length=1, max_length=200)]
    lane: Lane = "live"
    waiting: Annotated[int, pydantic.Field(ge=0)] = 0
    """Recordings that wait."""
    waiting_audio_s: Audio = 0.0
    oldest_waiting_s: Seconds | None = None
    """Seconds since the oldest of those was announced; None: not told, or none waits."""
    running_audio_s: Audio = 0.0
    served_audio_s: Audio = 0.0
    """Of work that ended since the process began, whatever its outcome."""
    begun_audio_s: Audio = 0.0
    """Of work that began since the process did, less what was handed back."""
    is_throttled: bool = False
    """Whether work of the tenant waits for its limit and nothing else, on whatever lane."""
    held_per_s: Audio | None = None
    """The tenant's grant that is applied, beyond the floor; None: none, or its lease has run out."""
    held_burst_audio_s: Audio | None = None
    """Its part of the burst."""


class Position(pydantic.BaseModel):
    """The next offset that a consumer will read of a partition that it has."""

    model_config = pydantic.ConfigDict(frozen=True)

    topic: str
    partition: Annotated[int, pydantic.Field(ge=0)]
    position: Annotated[int, pydantic.Field(ge=0)]


class Work(pydantic.BaseModel):
    """What something did since it began: audio-seconds, in how many busy seconds, and how many of those it was full."""

    model_config = pydantic.ConfigDict(frozen=True)

    done_audio_s: Audio = 0.0
    busy_s: Audio = 0.0
    full_s: Audio = 0.0


class ConsumerReport(pydantic.BaseModel):
    """What a consumer tells the operator every few seconds.

    `instance` is another after each start, and `number` counts its reports, so that one that comes late is known.
    `epoch` and `answered` are of the last answer that was applied: all that is held came with it. One that drains
    begins nothing any more and applies no answer, so that what it held is free.
    """

    model_config = pydantic.ConfigDict(frozen=True)

    version: Literal[1] = 1
    consumer: Annotated[str, pydantic.Field(min_length=1, max_length=253)]
    instance: Annotated[str, pydantic.Field(min_length=1, max_length=64)]
    pool: Annotated[str, pydantic.Field(min_length=1, max_length=253)]
    number: Annotated[int, pydantic.Field(ge=0)] = 0
    epoch: Annotated[int, pydantic.Field(ge=0)] = 0
    answered: Annotated[int, pydantic.Field(ge=0)] = 0
    is_draining: bool = False
    tenants: Annotated[tuple[TenantLoad, ...], pydantic.Field(max_length=10_000)] = ()
    positions: Annotated[tuple[Position, ...], pydantic.Field(max_length=10_000)] = ()
    prepared: Work = Work()
    """Its own work: decoding, cutting."""
    heard: Work = Work()
    """The speech backend's, as this consumer saw it."""


class Grant(pydantic.BaseModel):
    """What a consumer may use of a tenant's limit beyond its floor, until its lease ends: timed from its report."""

    model_config = pydantic.ConfigDict(frozen=True)

    tenant: str
    per_s: Audio = 0.0
    burst_audio_s: Audio = 0.0
    """Its part of the tenant's burst, like the rate beyond the floor's."""
    elsewhere_audio_s: Lanes = ()
    """What other consumers have begun of the tenant since the last answer that this one applied."""


class Grants(pydantic.BaseModel):
    """The operator's answer to a report. It replaces all that was held, tenants that it does not name included.

    Numbers grow, over epochs too. An answer of an older epoch than was seen before is not applied.
    """

    model_config = pydantic.ConfigDict(frozen=True)

    version: Literal[1] = 1
    epoch: Annotated[int, pydantic.Field(ge=0)]
    number: Annotated[int, pydantic.Field(ge=0)]
    lease_s: Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)]
    grants: tuple[Grant, ...] = ()
