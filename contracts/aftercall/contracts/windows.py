"""What goes to a speech backend and what comes back.

A window is at most 30 s of 16 kHz mono speech of one channel of one call. Windows of different calls share
batches; each result is judged alone. Times in a result are window time: seconds from the window's first sample.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import Protocol

SAMPLE_RATE_HZ = 16_000
MAX_WINDOW_S = 30.0
MAX_WINDOW_SAMPLES = int(MAX_WINDOW_S * SAMPLE_RATE_HZ)
BYTES_PER_SAMPLE = 2


class Task(enum.StrEnum):
    """What a backend makes of speech."""

    TRANSCRIBE = "transcribe"
    TRANSLATE = "translate"


@dataclasses.dataclass(frozen=True, slots=True)
class Options:
    """How a window is to be decoded.

    `language` None asks for detection. `temperature` 0 is greedy or beam search; above 0 samples.
    `timestamps` lets the model emit its own segment times; word times come from alignment either way.
    `trim` lets an engine pad a short window to less than the 30 s that Whisper was trained on; `fill_prompt` lets it
    say parts of a prompt twice, so that prompts of nearly one length share a batch.
    """

    language: str | None = None
    task: Task = Task.TRANSCRIBE
    beam_size: int = 1
    temperature: float = 0.0
    timestamps: bool = False
    word_times: bool = True
    prompt: str | None = None
    max_new_tokens: int | None = None
    trim: bool = False
    fill_prompt: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Window:
    """Speech to transcribe: `pcm` is little-endian signed 16-bit, 16 kHz, mono, 1 to 480,000 samples."""

    window_id: str
    tenant: str
    pcm: bytes
    options: Options = Options()

    def __post_init__(self) -> None:
        if not self.pcm or len(self.pcm) % BYTES_PER_SAMPLE:
            raise ValueError(f"window {self.window_id}: {len(self.pcm)} bytes are not 16-bit samples")
        if self.n_samples > MAX_WINDOW_SAMPLES:
            raise ValueError(f"window {self.window_id}: {self.duration_s:.1f} s is over {MAX_WINDOW_S:.0f} s")

    @property
    def n_samples(self) -> int:
        """Length in samples at 16 kHz."""
        return len(self.pcm) // BYTES_PER_SAMPLE

    @property
    def duration_s(self) -> float:
        """Length in seconds: this window's window-seconds."""
        return self.n_samples / SAMPLE_RATE_HZ


@dataclasses.dataclass(frozen=True, slots=True)
class Word:
    """A word in window time; `text` keeps its leading space where the model put one."""

    text: str
    start_s: float
    end_s: float
    probability: float | None


@dataclasses.dataclass(frozen=True, slots=True)
class TextSegment:
    """A stretch of text that the model itself bounded by timestamps, in window time."""

    text: str
    start_s: float
    end_s: float


@dataclasses.dataclass(frozen=True, slots=True)
class WindowResult:
    """What a backend heard in one window.

    What a backend cannot tell is None (see `Capabilities`), never a made-up number.
    `words` is None where the backend has no word times; an empty tuple means that nothing was said.
    `heard_by` is the `BackendInfo.signature` of the very model: servers of two models answer during a rollout.
    """

    window_id: str
    text: str
    words: tuple[Word, ...] | None
    segments: tuple[TextSegment, ...]
    language: str | None
    language_probability: float | None
    avg_logprob: float | None
    no_speech_probability: float | None
    temperature: float
    engine_s: float | None = None
    heard_by: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend can tell besides text."""

    word_times: bool
    logprobs: bool
    no_speech: bool
    translation: bool
    prompts: bool


@dataclasses.dataclass(frozen=True, slots=True)
class BackendInfo:
    """Which model answers, for the transcript document and for `status`."""

    backend: str
    model: str
    revision: str
    precision: str | None
    languages: tuple[str, ...] | None
    capabilities: Capabilities

    @property
    def signature(self) -> str:
        """Name the model and its revision."""
        return f"{self.model}@{self.revision}"


class SpeechBackend(Protocol):
    """A speech backend, whether in this process or behind a network.

    `transcribe` may raise `errors.TransientError` (try later) or `errors.PermanentError` (never will work).
    Cancelling it withdraws the window where that is still possible.
    """

    @property
    def info(self) -> BackendInfo:
        """What answers; valid once `start` has returned."""
        ...

    async def start(self) -> None:
        """Load and warm up; return when ready to serve."""
        ...

    async def transcribe(self, window: Window) -> WindowResult:
        """Transcribe one window, in whatever batch it lands."""
        ...

    async def close(self) -> None:
        """Finish what was accepted and free everything."""
        ...
