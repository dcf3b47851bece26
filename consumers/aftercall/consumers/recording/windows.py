"""Cut and merge: pieces of one channel's speech, laid end to end into windows, and the way back to call time."""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Iterable, Sequence

from aftercall.consumers.recording import speech

SAMPLE_RATE_HZ = 16_000
MAX_WINDOW_SAMPLES = 30 * SAMPLE_RATE_HZ


@dataclasses.dataclass(frozen=True, slots=True)
class TimeMap:
    """Where a window's samples lie in the call: its spans in order, laid end to end without their gaps."""

    spans: tuple[speech.Span, ...]

    @property
    def n_samples(self) -> int:
        """Length of the window in samples."""
        return sum(span.n_samples for span in self.spans)

    def piece_at(self, window_s: float) -> int:
        """Return which span a window time lies in; a time on a border belongs to the later one."""
        ends, total = [], 0
        for span in self.spans:
            total += span.n_samples
            ends.append(total)
        return min(bisect.bisect_right(ends, window_s * SAMPLE_RATE_HZ), len(self.spans) - 1)

    def to_call_s(self, window_s: float, *, piece: int | None = None) -> float:
        """Map window time to call time; with `piece`, the result stays within that span."""
        at = self.piece_at(window_s) if piece is None else piece
        before = sum(span.n_samples for span in self.spans[:at])
        span = self.spans[at]
        call_samples = span.start + window_s * SAMPLE_RATE_HZ - before
        return min(max(call_samples, span.start), span.end) / SAMPLE_RATE_HZ


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """A window to be: its spans, and where in them speech was found."""

    time_map: TimeMap
    speech: tuple[speech.Span, ...]


class Merger:
    """Lays the pieces of one channel into windows, greedily and in order.

    A window is closed when the next piece does not fit, or when that piece begins more than `max_gap_s` later: windows
    stay local, so that a call's first words need not wait for its last, and audio need not be kept for long.
    """

    def __init__(self, *, max_samples: int = MAX_WINDOW_SAMPLES, max_gap_s: float = 30.0) -> None:
        self._max_samples = max_samples
        self._max_gap_samples = int(max_gap_s * SAMPLE_RATE_HZ)
        self._open: list[speech.Piece] = []

    @property
    def open_since(self) -> int | None:
        """First sample of the window being filled; None when it is empty."""
        return self._open[0].span.start if self._open else None

    def add(self, piece: speech.Piece) -> Plan | None:
        """Add the next piece; return the window that it closed, if any."""
        held = sum(each.span.n_samples for each in self._open)
        closed = None
        if self._open and (
            held + piece.span.n_samples > self._max_samples
            or piece.span.start - self._open[-1].span.end > self._max_gap_samples
        ):
            closed = self.close()
        self._open.append(piece)
        return closed

    def pass_by(self, sample: int) -> Plan | None:
        """Learn that no piece begins before `sample`; return the window that this closes, if any."""
        if self._open and sample - self._open[-1].span.end > self._max_gap_samples:
            return self.close()
        return None

    def close(self) -> Plan | None:
        """Close the window being filled and return it."""
        if not self._open:
            return None
        pieces, self._open = self._open, []
        return Plan(TimeMap(tuple(piece.span for piece in pieces)), tuple(piece.speech for piece in pieces))


def merge(pieces: Iterable[speech.Piece], **options: int) -> list[Plan]:
    """Lay all pieces of a channel into windows at once."""
    merger = Merger(**options)
    plans = [plan for piece in pieces if (plan := merger.add(piece)) is not None]
    last = merger.close()
    return [*plans, last] if last is not None else plans


def seconds(spans: Sequence[speech.Span]) -> float:
    """Return the length of spans together."""
    return sum(span.n_samples for span in spans) / SAMPLE_RATE_HZ
