"""Which partitions are ours, what of each is unfinished, when to pause one, and what to commit. No I/O.

The poll thread, the client's own I/O thread (at a rebalance) and whoever finishes work share it: one lock is held for
microseconds.
"""

from __future__ import annotations

import collections
import dataclasses
import threading
import typing
from collections.abc import Callable, Collection, Iterable

from aftercall.consumers.intake import offsets, places

_LEAVING = 0.75
"""How much of a record's place is free again while it is on its way elsewhere: four such fill one place."""
_NEVER_COMMITTED = -1


@dataclasses.dataclass(frozen=True, slots=True)
class Bounds:
    """How far ahead of the unfinished a partition is read, and how often its progress is committed."""

    max_open_offsets: int = 512
    max_open_bytes: int = 16 * 2**20
    commit_interval_s: float = 1.0


@dataclasses.dataclass(slots=True)
class _Assigned:
    """An assigned partition; `sizes` holds the bytes of its open records, `leaving` those that will not wait here."""

    epoch: int
    tracked: offsets.PartitionOffsets
    committed: offsets.Commit
    sizes: dict[int, int] = dataclasses.field(default_factory=dict)
    open_bytes: int = 0
    leaving: set[int] = dataclasses.field(default_factory=set)
    is_paused: bool = False
    waits_since: float | None = None

    def fullness(self, bounds: Bounds) -> float:
        """Return how much of what may be unfinished is; 1 is full."""
        return max(
            (self.tracked.n_open - _LEAVING * len(self.leaving)) / bounds.max_open_offsets,
            self.open_bytes / bounds.max_open_bytes,
            len(self.committed.metadata) / offsets.PAUSE_AT_CHARS,
        )


class Assignments:
    """The partitions of one member of a group. What is of an assignment that has ended changes nothing."""

    def __init__(self, bounds: Bounds, clock: Callable[[], float]) -> None:
        self._bounds = bounds
        self._clock = clock
        self._lock = threading.Lock()
        self._assigned: dict[places.Partition, _Assigned] = {}
        self._epochs = 0

    def __contains__(self, at: places.Partition) -> bool:
        """Say whether a partition's state is known."""
        with self._lock:
            return at in self._assigned

    def restore(self, at: places.Partition, commit: offsets.Commit) -> None:
        """Begin a new assignment where its last commit left off."""
        with self._lock:
            self._epochs += 1
            tracked = offsets.PartitionOffsets.restore(commit.offset, commit.metadata)
            self._assigned.setdefault(at, _Assigned(self._epochs, tracked, commit))

    def take(self, at: places.Partition, polled: Iterable[typing.Any]) -> list[places.Record]:
        """Return those of the client's records that are neither finished nor open, as records of ours; now they are
        open. None of a partition that was lost meanwhile.
        """
        fresh = []
        with self._lock:
            assigned = self._assigned.get(at)
            if assigned is None:
                return []
            for one in polled:
                if assigned.tracked.take(one.offset):
                    record = places.read(one, epoch=assigned.epoch)
                    size = len(record.value or b"") + len(record.key or b"")
                    assigned.sizes[one.offset] = size
                    assigned.open_bytes += size
                    fresh.append(record)
        return fresh

    def reach(self, at: places.Partition, position: int) -> None:
        """Note that everything below a position was read: what of it was not taken is no record."""
        with self._lock:
            assigned = self._assigned.get(at)
            if assigned is not None:
                assigned.tracked.reach(position)

    def finish(self, place: places.Place) -> None:
        """Note that a record needs no more work."""
        with self._lock:
            assigned = self._of(place)
            if assigned is not None:
                assigned.tracked.finish(place.offset)
                assigned.open_bytes -= assigned.sizes.pop(place.offset, 0)
                assigned.leaving.discard(place.offset)

    def leave(self, place: places.Place) -> None:
        """Note that a record is on its way elsewhere: what is read ahead may be one more, its bytes still counting."""
        with self._lock:
            assigned = self._of(place)
            if assigned is not None and place.offset in assigned.sizes:
                assigned.leaving.add(place.offset)

    def steer(self, *, pause: Callable[[places.Partition], None], resume: Callable[[places.Partition], None]) -> None:
        """Pause what is full and resume what is half empty, before a rebalance can take the partition away.

        Resumed only at half: a partition that is paused and resumed at every poll fetches in drops.
        """
        with self._lock:
            for at, assigned in self._assigned.items():
                is_full = assigned.fullness(self._bounds) >= (0.5 if assigned.is_paused else 1.0)
                if is_full != assigned.is_paused:
                    assigned.is_paused = is_full
                    (pause if is_full else resume)(at)

    def due(self, *, of: Collection[places.Partition] | None = None) -> dict[places.Partition, offsets.Commit]:
        """Return the commits that say something new; they count as made until `refused`."""
        found = {}
        with self._lock:
            for at, assigned in self._assigned.items():
                if of is None or at in of:
                    commit = assigned.tracked.commit()
                    if commit != assigned.committed:
                        found[at] = commit
                        if commit.offset != assigned.committed.offset:
                            assigned.waits_since = None
                        assigned.committed = commit
                    if assigned.tracked.n_open and assigned.waits_since is None:
                        assigned.waits_since = self._clock()
                    elif not assigned.tracked.n_open:
                        assigned.waits_since = None
        return found

    def refused(self, partitions: Iterable[places.Partition]) -> None:
        """Note that the broker did not take commits, so that the next ones say the same again."""
        with self._lock:
            for at in partitions:
                assigned = self._assigned.get(at)
                if assigned is not None:
                    assigned.committed = offsets.Commit(_NEVER_COMMITTED, assigned.committed.metadata)

    def drop(self, partitions: Collection[places.Partition]) -> list[places.Partition]:
        """End assignments; return those that were known."""
        with self._lock:
            return [at for at in partitions if self._assigned.pop(at, None) is not None]

    def known(self) -> list[places.Partition]:
        """Return the partitions whose state is known."""
        with self._lock:
            return list(self._assigned)

    def positions(self) -> dict[places.Partition, int]:
        """Return the next offset of each partition that will be read."""
        with self._lock:
            return {at: one.tracked.position for at, one in self._assigned.items()}

    def oldest_unfinished_age_s(self) -> float:
        """Return how long the most stuck partition has stood at its lowest unfinished offset; 0 where none waits."""
        with self._lock:
            since = [one.waits_since for one in self._assigned.values() if one.waits_since is not None]
        return self._clock() - min(since) if since else 0.0

    def n_paused(self) -> collections.Counter[str]:
        """Return how many partitions of each topic are not read on, since too much of them is unfinished."""
        with self._lock:
            return collections.Counter(topic for (topic, _), one in self._assigned.items() if one.is_paused)

    def _of(self, place: places.Place) -> _Assigned | None:
        assigned = self._assigned.get((place.topic, place.partition))
        return assigned if assigned is not None and assigned.epoch == place.epoch else None
