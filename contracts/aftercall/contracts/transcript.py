"""The transcript document: what was said, by whom, when, how sure we are, and how it came about.

All times are call time: seconds from the first sample of the recording, rounded to a millisecond.
"""

from __future__ import annotations

import datetime
import enum
from typing import Annotated, Any, Literal

import pydantic

Seconds = Annotated[float, pydantic.Field(ge=0, allow_inf_nan=False)]
Probability = Annotated[float, pydantic.Field(ge=0, le=1, allow_inf_nan=False)]


class Flag(enum.StrEnum):
    """What is doubtful about a segment or a document."""

    REPETITION = "repetition"
    """The text repeats itself as a stuck decoder does."""
    LOW_CONFIDENCE = "low_confidence"
    """The model's mean log probability is under its threshold."""
    NO_SPEECH = "no_speech"
    """The model itself believes that nothing was said."""
    TOO_FAST = "too_fast"
    """More words a second than a person can speak."""
    OUTSIDE_SPEECH = "outside_speech"
    """Most of the words lie where no speech was found."""
    KNOWN_PHRASE = "known_phrase"
    """A sentence that models are known to make up, where hardly any speech was found."""
    ECHO = "echo"
    """The other channel's words, heard again more quietly on this one."""
    NO_WORD_TIMES = "no_word_times"
    """The backend has no word times; they are spread over the window."""
    NO_SPEAKERS = "no_speakers"
    """A recording of one channel whose speakers could not be told apart: all of it has one."""
    TRUNCATED = "truncated"
    """The recording ended before its container said it would, or was damaged from some point on."""
    LOW_COVERAGE = "low_coverage"
    """Much of the speech that was found has no published words."""


class RoleSource(enum.StrEnum):
    """Where a speaker's role comes from."""

    METADATA = "metadata"
    FIRST_SPEAKER = "first_speaker"
    UNKNOWN = "unknown"


class Frozen(pydantic.BaseModel):
    """A part of the document: immutable, and keeping fields that a newer minor version added."""

    model_config = pydantic.ConfigDict(frozen=True, extra="allow")


class Word(Frozen):
    """One word; `confidence` is the model's probability of it, None where the backend tells none."""

    text: str
    start_s: Seconds
    end_s: Seconds
    confidence: Probability | None = None


class Segment(Frozen):
    """What one speaker said without a long pause."""

    id: Annotated[int, pydantic.Field(ge=0)]
    channel: Annotated[int, pydantic.Field(ge=0)]
    speaker: str
    start_s: Seconds
    end_s: Seconds
    text: str
    words: tuple[Word, ...] = ()
    language: str | None = None
    confidence: Probability | None = None
    flags: tuple[Flag, ...] = ()


class Dropped(Frozen):
    """Text that failed the quality measures even after retries: kept for the record, never part of the text."""

    channel: Annotated[int, pydantic.Field(ge=0)]
    start_s: Seconds
    end_s: Seconds
    text: str
    flags: tuple[Flag, ...]


class NonSpeech(Frozen):
    """A stretch without speech that is worth knowing: hold music or a tone on one channel, or silence on all (None)."""

    channel: Annotated[int, pydantic.Field(ge=0)] | None
    start_s: Seconds
    end_s: Seconds
    kind: Literal["music", "tone", "silence"]


class Speaker(Frozen):
    """A person or machine that speaks; on several channels the channel is the speaker."""

    id: str
    name: str
    channel: int | None
    role: str | None
    role_source: RoleSource


class ChannelFacts(Frozen):
    """What was found on one channel; `coverage` is published words' share of speech, None without speech."""

    index: Annotated[int, pydantic.Field(ge=0)]
    role: str | None
    speech_s: Seconds
    coverage: Probability | None
    language: str | None


class Audio(Frozen):
    """The recording as it came in."""

    duration_s: Seconds
    channels: Annotated[int, pydantic.Field(ge=1)]
    channel_layout: str | None
    sample_rate_hz: Annotated[int, pydantic.Field(ge=1)]
    codec: str
    container: str
    size_bytes: Annotated[int, pydantic.Field(ge=0)]
    sha256: str


class Model(Frozen):
    """Which model answered, and how it was asked."""

    backend: str
    name: str
    revision: str
    precision: str | None
    options: dict[str, Any]
    others: tuple[str, ...] = ()
    """Other models (`name@revision`) that heard some of the windows: a new one was being rolled out."""


class Diarizer(Frozen):
    """Which pipeline told the speakers of a recording of one channel apart."""

    backend: str
    pipeline: str
    revision: str


class Coverage(Frozen):
    """How much of the speech that was found became published words; `ratio` is None without speech."""

    speech_s: Seconds
    covered_s: Seconds
    ratio: Probability | None


class Cost(Frozen):
    """What the recording cost: audio-seconds are billed and limited, window-seconds are what engines saw."""

    audio_s: Seconds
    window_s: Seconds
    windows: Annotated[int, pydantic.Field(ge=0)]
    retried_windows: Annotated[int, pydantic.Field(ge=0)]


class Transcript(Frozen):
    """One transcript of one generation of one recording."""

    schema_version: Literal["1.0"] = "1.0"
    transcription_id: str
    tenant: str
    call_id: str
    recording_id: str
    version: str
    generation: Annotated[int, pydantic.Field(ge=1)]
    created_at: datetime.datetime
    started_at: datetime.datetime | None = None
    language: str | None
    language_source: Literal["requested", "detected", "none"]
    audio: Audio
    model: Model
    diarizer: Diarizer | None = None
    channels: tuple[ChannelFacts, ...]
    speakers: tuple[Speaker, ...]
    segments: tuple[Segment, ...]
    dropped: tuple[Dropped, ...] = ()
    non_speech: tuple[NonSpeech, ...] = ()
    coverage: Coverage
    flags: tuple[Flag, ...] = ()
    cost: Cost
    timings_s: dict[str, Seconds]
    metadata: dict[str, Any] = pydantic.Field(default_factory=dict)
    replay_of: Annotated[int, pydantic.Field(ge=1)] | None = None

    def name_of(self, speaker_id: str) -> str:
        """Return the display name of a speaker of this document."""
        return next(speaker.name for speaker in self.speakers if speaker.id == speaker_id)

    @property
    def word_count(self) -> int:
        """Published words."""
        return sum(len(segment.text.split()) for segment in self.segments)
