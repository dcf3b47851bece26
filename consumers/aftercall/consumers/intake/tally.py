"""How much of each tenant's work waits and runs here, and how much was served: what the operator is told.

A piece of work counts as waiting from when its record was read, also while its object is looked up and while it waits
for a retry; not any more once another consumer has its partition. So what was read is told of here, and what was not
by its offset.
"""

from __future__ import annotations

import dataclasses

MAX_TENANTS = 10_000
"""Those that come after so many are not told of."""
_IDLE_S = 600.0


@dataclasses.dataclass(slots=True)
class Entry:
    """A piece of work, and which sum it is in: `waiting`, `running` or none."""

    tenant: str
    rank: int
    estimate_s: float
    place: str = ""


@dataclasses.dataclass(slots=True)
class Sums:
    """A tenant's, in audio-seconds; `begun_s` by rank, less what was handed back."""

    n_waiting: int = 0
    waiting_s: float = 0.0
    n_running: int = 0
    running_s: float = 0.0
    served_s: float = 0.0
    begun_s: list[float] = dataclasses.field(default_factory=list)
    touched_at_s: float = 0.0


class Tally:
    """Counts entries. One that is forgotten after a rest begins at zero when it comes again."""

    def __init__(self) -> None:
        self._of: dict[str, Sums] = {}

    def wait(self, entry: Entry) -> None:
        """Count an entry as waiting."""
        self._leave(entry)
        sums = self._sums(entry.tenant)
        sums.n_waiting += 1
        sums.waiting_s += entry.estimate_s
        entry.place = "waiting"

    def begin(self, entry: Entry) -> None:
        """Count an entry as running."""
        self._leave(entry)
        sums = self._sums(entry.tenant)
        sums.n_running += 1
        sums.running_s += entry.estimate_s
        self._begun(sums, entry.rank, entry.estimate_s)
        entry.place = "running"

    def hand_back(self, entry: Entry) -> None:
        """Count an entry as not begun, and nowhere."""
        self._begun(self._sums(entry.tenant), entry.rank, -entry.estimate_s)
        self._leave(entry)

    def end(self, entry: Entry, *, actual_s: float | None) -> None:
        """Count an entry as served: as long as it turned out to be, or as was believed."""
        sums, audio_s = self._sums(entry.tenant), entry.estimate_s if actual_s is None else actual_s
        self._begun(sums, entry.rank, audio_s - entry.estimate_s)
        sums.served_s += audio_s
        self._leave(entry)

    def withdraw(self, entry: Entry) -> None:
        """Count an entry that waits as another consumer's."""
        if entry.place == "waiting":
            self._leave(entry)

    def read(self, *, now_s: float) -> dict[str, Sums]:
        """Return what is counted, by tenant; those of which nothing was here for ten minutes are forgotten."""
        for sums in self._of.values():
            if sums.n_waiting or sums.n_running or not sums.touched_at_s:
                sums.touched_at_s = now_s
        self._of = {name: sums for name, sums in self._of.items() if now_s - sums.touched_at_s < _IDLE_S}
        return self._of

    def _leave(self, entry: Entry) -> None:
        sums = self._sums(entry.tenant)
        sums.touched_at_s = 0.0
        if entry.place == "waiting":
            sums.n_waiting -= 1
            # Sums of floats that came and went end beside zero.
            sums.waiting_s = max(0.0, sums.waiting_s - entry.estimate_s) if sums.n_waiting else 0.0
        if entry.place == "running":
            sums.n_running -= 1
            sums.running_s = max(0.0, sums.running_s - entry.estimate_s) if sums.n_running else 0.0
        entry.place = ""

    def _begun(self, sums: Sums, rank: int, audio_s: float) -> None:
        sums.begun_s += [0.0] * (rank + 1 - len(sums.begun_s))
        sums.begun_s[rank] = max(0.0, sums.begun_s[rank] + audio_s)

    def _sums(self, tenant: str) -> Sums:
        known = self._of.get(tenant)
        if known is None:
            known = Sums()
            if len(self._of) < MAX_TENANTS:
                self._of[tenant] = known
        return known
