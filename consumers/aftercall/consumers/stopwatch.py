"""What the stages of one recording took."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable


class Stopwatch:
    """Adds up the wall time of stages; stages that run side by side each count their own."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.spent_s: dict[str, float] = {}

    def stage(self, name: str) -> _Lap:
        """Count what is done inside as this stage's."""
        return _Lap(self, name)

    def add(self, name: str, seconds: float) -> None:
        """Add to a stage."""
        self.spent_s[name] = self.spent_s.get(name, 0.0) + seconds

    def now(self) -> float:
        """Return the time."""
        return self._clock()


@dataclasses.dataclass(slots=True)
class _Lap:
    watch: Stopwatch
    name: str
    started: float = 0.0

    def __enter__(self) -> None:
        self.started = self.watch.now()

    def __exit__(self, *_: object) -> None:
        self.watch.add(self.name, self.watch.now() - self.started)
