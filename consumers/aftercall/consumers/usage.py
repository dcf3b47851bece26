"""How busy something is, and how full: the seconds that the operator learns capacities from."""

from __future__ import annotations

from collections.abc import Callable

from aftercall.contracts import reports

_BUSY_ANSWER_S = 1.0


class Usage:
    """Counts audio-seconds done, seconds in which anything was done, and those of them in which nothing more fitted.

    Neither counts while it is `is_down`: what cannot be reached is neither busy nor slow.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._done_audio_s = self._busy_s = self._full_s = 0.0
        self._at_s = clock()
        self._is_busy = self._is_full = self._is_down = False
        self._refused_at_s = float("-inf")

    @property
    def is_full(self) -> bool:
        """Whether nothing more fits now."""
        return not self._is_down and self._is_busy and (self._is_full or self._was_refused(self._clock()))

    def set(self, *, is_busy: bool, is_full: bool) -> None:
        """Note what is from now on."""
        self._settle()
        self._is_busy, self._is_full = is_busy, is_full

    def did(self, audio_s: float) -> None:
        """Count what was done."""
        self._done_audio_s += max(0.0, audio_s)

    def refused(self) -> None:
        """Note that it said itself that it is full: that counts for a second."""
        self._settle()
        self._refused_at_s = self._clock()

    def down(self, is_down: bool) -> None:
        """Note that it cannot be reached, or can again."""
        self._settle()
        self._is_down = is_down

    def work(self) -> reports.Work:
        """Return everything since the process began."""
        self._settle()
        return reports.Work(done_audio_s=self._done_audio_s, busy_s=self._busy_s, full_s=self._full_s)

    def _settle(self) -> None:
        now_s = self._clock()
        passed_s = max(0.0, now_s - self._at_s)
        if self._is_busy and not self._is_down:
            self._busy_s += passed_s
            if self._is_full:
                self._full_s += passed_s
            else:
                until_s = min(now_s, self._refused_at_s + _BUSY_ANSWER_S)
                self._full_s += max(0.0, until_s - self._at_s)
        self._at_s = now_s

    def _was_refused(self, now_s: float) -> bool:
        return now_s < self._refused_at_s + _BUSY_ANSWER_S
