"""How busy something is, and how full: the seconds that the operator learns capacities from."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

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


class Meters:
    """A consumer's two: `prepared` is its own work, `heard` the speech backend's as it looks from here.

    - `prepared`: recordings fetched, decoded and cut. Done are the audio-seconds of channels that were cut, with the
      silences between; busy are seconds in which at least one recording is being fetched or decoded, not those in which
      all of them wait for a place at the backend; full are those of them in which work waited for a place among the
      open calls (`is_crowded`) while the backend was not full: more consumers would have begun it.
    - `heard`: windows answered. Done are the audio-seconds of channels that the answered windows take forward, with the
      silences between, so that it compares with demand; what comes from a checkpoint was done before. Busy are seconds
      with a window in flight, full those of them in which a window waited for one of the places in flight, or within a
      second of the backend's own word that it is full. While the backend is down neither counts.
    """

    def __init__(
        self, is_crowded: Callable[[], bool] = lambda: False, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._is_crowded = is_crowded
        self._n_preparing = 0
        self.prepared, self.heard = Usage(clock), Usage(clock)

    @contextlib.contextmanager
    def preparing(self) -> Iterator[None]:
        """Count what is done inside as preparing a recording."""
        self._n_preparing += 1
        self._look()
        try:
            yield
        finally:
            self._n_preparing -= 1
            self._look()

    def flying(self, n_taken: int, n_waiting: int) -> None:
        """Note how many windows are in flight, and how many wait for a place."""
        self.heard.set(is_busy=n_taken > 0, is_full=n_waiting > 0)

    def works(self) -> tuple[reports.Work, reports.Work]:
        """Return what was prepared and what was heard, since the process began."""
        return self.prepared.work(), self.heard.work()

    def _look(self) -> None:
        is_full = self._n_preparing > 0 and not self.heard.is_full and self._is_crowded()
        self.prepared.set(is_busy=self._n_preparing > 0, is_full=is_full)
