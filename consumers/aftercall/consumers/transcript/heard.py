"""What recording and speech hand to the transcript: plain values, so that nothing here needs their libraries."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from aftercall.consumers.transcript import quality
from aftercall.contracts import transcript, windows

SAMPLE_RATE_HZ = 16_000
Values = np.ndarray[typing.Any, np.dtype[np.float32]]


class Span(Protocol):
    """A half-open stretch of samples of the call at 16 kHz."""

    @property
    def start(self) -> int:
        """First sample."""
        ...

    @property
    def end(self) -> int:
        """Sample after the last."""
        ...


class TimeMap(Protocol):
    """The way from window time to call time."""

    @property
    def spans(self) -> Sequence[Span]:
        """The call's spans that the window is made of, in order."""
        ...

    def piece_at(self, window_s: float) -> int:
        """Return which span a window time lies in."""
        ...

    def to_call_s(self, window_s: float, *, piece: int | None = None) -> float:
        """Map a window time to call time, within a span where one is given."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class HeardWindow:
    """One window of one channel, and what it came to."""

    channel: int
    index: int
    time_map: TimeMap
    speech: Sequence[Span]
    duration_s: float
    result: windows.WindowResult
    verdict: quality.Verdict
    attempts: int


@dataclasses.dataclass(frozen=True, slots=True)
class Channel:
    """What one channel held; `rms` is the level of each 512 samples, for telling echo from voice."""

    speech: Sequence[Span]
    rms: Values


@dataclasses.dataclass(frozen=True, slots=True)
class Utterance:
    """Words of one speaker on one channel without a long pause, in call time.

    `speaker` is None where the channel is the speaker.
    """

    channel: int
    words: tuple[transcript.Word, ...]
    language: str | None
    flags: tuple[transcript.Flag, ...] = ()
    speaker: int | None = None

    @property
    def start_s(self) -> float:
        """When its first word begins."""
        return self.words[0].start_s

    @property
    def end_s(self) -> float:
        """When its last word ends."""
        return self.words[-1].end_s

    @property
    def text(self) -> str:
        """Its words, joined."""
        return " ".join(word.text for word in self.words)


def seconds(spans: Sequence[Span]) -> float:
    """Return the length of spans together."""
    return sum(span.end - span.start for span in spans) / SAMPLE_RATE_HZ
