"""How much of each tenant's work on each lane waits and runs here, and how much was served: what the operator is told.

A piece of work counts as waiting from when its record was read, also while its object is looked up and while it waits
for a retry; not any more once another consumer has its partition. So what was read is told of here, and what was not
by its offset.
"""

from __future__ import annotations

import dataclasses

Line = tuple[str, int]
"""A tenant, and the rank of a lane: 0 is the liveliest."""
MAX_LINES = 10_000
"""Those that come after so many are not told of."""
_IDLE_S = 600.0


@dataclasses.dataclass(slots=True, eq=False)
class Entry:
    """A piece of work, when it was announced (Unix seconds), and which sum it is in: `waiting`, `running` or none."""

    tenant: str
    rank: int
    estimate_s: float
    announced_s: float = 0.0
    place: str = ""

    @property
    def line(self) -> Line:
        """Whose it is, and on which lane."""
        return self.tenant, self.rank


@dataclasses.dataclass(slots=True)
class Sums:
    """A line's, in audio-seconds; `begun_s` is less what was handed back."""

    waiting: set[Entry] = dataclasses.field(default_factory=set)
    waiting_s: float = 0.0
    n_running: int = 0
    running_s: float = 0.0
    served_s: float = 0.0
    begun_s: float = 0.0
    touched_at_s: float = 0.0

    @property
    def oldest_announced_s(self) -> float | None:
        """When the oldest of what waits was announced; None where nothing does."""
        return min((each.announced_s for each in self.waiting), default=None)


class Tally:
    """Counts entries. One that is forgotten after a rest begins at zero when it comes again."""

    def __init__(self) -> None:
        self._of: dict[Line, Sums] = {}

    def wait(self, entry: Entry) -> None:
        """Count an entry as waiting."""
        self._leave(entry)
        sums = self._sums(entry.line)
        sums.waiting.add(entry)
        sums.waiting_s += entry.estimate_s
        entry.place = "waiting"

    def begin(self, entry: Entry) -> None:
        """Count an entry as running."""
        self._leave(entry)
        sums = self._sums(entry.line)
        sums.n_running += 1
        sums.running_s += entry.estimate_s
        _begin(sums, entry.estimate_s)
        entry.place = "running"

    def hand_back(self, entry: Entry) -> None:
        """Count an entry as not begun, and nowhere."""
        _begin(self._sums(entry.line), -entry.estimate_s)
        self._leave(entry)

    def end(self, entry: Entry, *, actual_s: float | None) -> None:
        """Count an entry as served: as long as it turned out to be, or as was believed."""
        sums, audio_s = self._sums(entry.line), entry.estimate_s if actual_s is None else actual_s
        _begin(sums, audio_s - entry.estimate_s)
        sums.served_s += audio_s
        self._leave(entry)

    def withdraw(self, entry: Entry) -> None:
        """Count an entry that waits as another consumer's."""
        if entry.place == "waiting":
            self._leave(entry)

    def read(self, *, now_s: float) -> dict[Line, Sums]:
        """Return what is counted, by line; those of which nothing was here for ten minutes are forgotten."""
        for sums in self._of.values():
            if sums.waiting or sums.n_running or not sums.touched_at_s:
                sums.touched_at_s = now_s
        self._of = {name: sums for name, sums in self._of.items() if now_s - sums.touched_at_s < _IDLE_S}
        return self._of

    def _leave(self, entry: Entry) -> None:
        sums = self._sums(entry.line)
        sums.touched_at_s = 0.0
        if entry.place == "waiting":
            sums.waiting.discard(entry)
            # Sums of floats that came and went end beside zero.
            sums.waiting_s = max(0.0, sums.waiting_s - entry.estimate_s) if sums.waiting else 0.0
        if entry.place == "running":
            sums.n_running -= 1
            sums.running_s = max(0.0, sums.running_s - entry.estimate_s) if sums.n_running else 0.0
        entry.place = ""

    def _sums(self, line: Line) -> Sums:
        known = self._of.get(line)
        if known is None:
            known = Sums()
            if len(self._of) < MAX_LINES:
                self._of[line] = known
        return known


def _begin(sums: Sums, audio_s: float) -> None:
    sums.begun_s = max(0.0, sums.begun_s + audio_s)
