"""Who speaks when on one channel: what goes to a diarizer and what comes back."""

from __future__ import annotations

import dataclasses
from typing import Protocol

MAX_SPEAKERS = 20


@dataclasses.dataclass(frozen=True, slots=True)
class Conversation:
    """A whole recording of one channel: `pcm` is little-endian signed 16-bit, 16 kHz, mono.

    How many speak may be known from outside: at least and at most so many, None where it is not.
    """

    tenant: str
    pcm: bytes
    min_speakers: int | None = None
    max_speakers: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Turn:
    """One speaker, counted from 0 in order of appearance, from one second of the recording to another."""

    speaker: int
    start_s: float
    end_s: float


@dataclasses.dataclass(frozen=True, slots=True)
class DiarizerInfo:
    """Which pipeline answers."""

    backend: str
    pipeline: str
    revision: str


class Diarizer(Protocol):
    """Tells speakers apart, in this process or behind a network.

    `diarize` may raise `errors.TransientError` (try later) or `errors.PermanentError` (never will work).
    """

    @property
    def info(self) -> DiarizerInfo:
        """What answers; valid once `start` has returned."""
        ...

    async def start(self) -> None:
        """Load; return when ready to serve."""
        ...

    async def diarize(self, conversation: Conversation) -> tuple[Turn, ...]:
        """Return turns that do not overlap, in order of their beginnings."""
        ...

    async def close(self) -> None:
        """Free everything."""
        ...
