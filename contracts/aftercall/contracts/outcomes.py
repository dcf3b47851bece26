"""How a generation of work can end, and why.

An outcome is decided once: its object is create-only, so the first writer wins and every other adopts it.
"""

from __future__ import annotations

import datetime
import enum
from typing import Annotated, Literal

import pydantic


class Kind(enum.StrEnum):
    """The ways a generation ends."""

    CANONICAL = "canonical"
    """A transcript exists and is named by the outcome. Digital silence is canonical too, with no words."""
    REJECTED = "rejected"
    """The recording holds nothing that can be transcribed; trying again would not change that."""
    DEAD = "dead"
    """We failed; a replay opens the next generation."""


class Reason(enum.StrEnum):
    """Why something was rejected, died, or has to wait. Used in outcomes, reports, metrics and logs alike."""

    # The recording.
    EMPTY_FILE = "empty_file"
    NOT_AUDIO = "not_audio"
    NO_AUDIO = "no_audio"
    UNSUPPORTED = "unsupported"
    CORRUPT = "corrupt"
    TOO_LARGE = "too_large"
    TOO_LONG = "too_long"
    TOO_MANY_CHANNELS = "too_many_channels"
    NOT_FOUND = "not_found"
    FORBIDDEN_SOURCE = "forbidden_source"
    CHANGED = "changed"
    DELETED = "deleted"
    # The request.
    UNKNOWN_LANGUAGE = "unknown_language"
    UNSUPPORTED_OPTION = "unsupported_option"
    INVALID_EVENT = "invalid_event"
    TENANT_POLICY = "tenant_policy"
    # Our own means.
    DECODER_DIED = "decoder_died"
    DECODER_TIMEOUT = "decoder_timeout"
    PROCESS_DIED = "process_died"
    CLAIMED = "claimed"
    BACKEND_UNAVAILABLE = "backend_unavailable"
    BACKEND_BUSY = "backend_busy"
    BACKEND_REFUSED = "backend_refused"
    STORE_UNAVAILABLE = "store_unavailable"
    BROKER_UNAVAILABLE = "broker_unavailable"
    DISK_FULL = "disk_full"
    INTERNAL_ERROR = "internal_error"
    # The end that nobody minds.
    DONE = "done"


class Outcome(pydantic.BaseModel):
    """How one generation of one version of a recording ended.

    `replay_of` is the generation that this one was opened beside. `input_sha256` is the fingerprint of the recording's
    bytes: two honest runs may differ in the bytes of their transcripts, but another input under the same identity is a
    conflict.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="allow")

    schema_version: Literal["1.0"] = "1.0"
    kind: Kind
    reason: Reason
    message: str = ""
    tenant: str
    call_id: str
    recording_id: str
    version: str
    generation: Annotated[int, pydantic.Field(ge=1)]
    transcription_id: str
    transcript_key: str | None = None
    input_sha256: str | None = None
    attempts: Annotated[int, pydantic.Field(ge=1)] = 1
    replay_of: Annotated[int, pydantic.Field(ge=1)] | None = None
    decided_at: datetime.datetime

    @pydantic.model_validator(mode="after")
    def _names_a_transcript(self) -> Outcome:
        if (self.kind is Kind.CANONICAL) != (self.transcript_key is not None):
            raise ValueError("a canonical outcome names a transcript_key, and no other outcome does")
        return self


class Tombstone(pydantic.BaseModel):
    """A recording was deleted on purpose; this beats every outcome, earlier or later."""

    model_config = pydantic.ConfigDict(frozen=True, extra="allow")

    schema_version: Literal["1.0"] = "1.0"
    tenant: str
    recording_id: str
    deleted_at: datetime.datetime
