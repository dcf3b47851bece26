"""What lies in Kafka beyond what consumers have read: messages, never the same offsets twice.

Where a consumer reports its position, what it has read it reports as waiting itself, and only what lies beyond counts
here, and beyond what is committed. Where none does, what is not committed counts: then nobody has read ahead of it.

What others get wrong, and why it does not happen here: a partition without a commit counts from its beginning, as
consumers will read it; messages that retention has deleted are no backlog, since nobody can read them any more; an
offset that is stuck behind a poison message holds the commit back but not the position; end offsets count transaction
markers, which positions pass over; and a partition that could not be read makes the sum a lower bound, never a zero.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable


@dataclasses.dataclass(frozen=True, slots=True)
class Partition:
    """Offsets of one partition as they were read; None is unknown, and for `committed` also none yet.

    `begin` is the first that retention has left, `end` the one after the last.
    """

    begin: int | None
    end: int | None
    committed: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Unread:
    """Messages that nobody has read. `is_whole` is False when something could not be read: it is that much or more."""

    messages: int
    is_whole: bool = True


def of_partition(seen: Partition, position: int | None = None) -> int | None:
    """Return what is unread of one partition; None when it cannot be said.

    `position` is the next that its consumer says it will read; None: none says so.
    """
    if position is None or seen.end is None:
        return _beyond(seen, seen.committed)
    # A report may be newer than the reading of the end, and older than the commit: its consumer may have fallen silent.
    done = seen.committed if seen.committed is not None and seen.committed <= seen.end else 0
    return _beyond(seen, max(done, min(position, seen.end)))


def _beyond(seen: Partition, since: int | None) -> int | None:
    if seen.begin is None or seen.end is None or seen.begin > seen.end:
        return None
    if since is None:
        return seen.end - seen.begin
    if since > seen.end:
        return None  # committed to a topic of that name that is gone
    return seen.end - max(since, seen.begin)


def unfinished(partitions: Iterable[Partition]) -> int:
    """Return how many partitions hold what is not committed, or may: more consumers than those have nothing to do."""
    found = [_beyond(each, each.committed) for each in partitions]
    return sum(each is None or each > 0 for each in found)


def count(messages: Iterable[int | None]) -> Unread:
    """Return what is unread of partitions together, of what is unread of each."""
    found = list(messages)
    return Unread(sum(each for each in found if each is not None), is_whole=None not in found)


def total(parts: Iterable[Unread]) -> Unread:
    """Return parts together."""
    found = list(parts)
    return Unread(sum(each.messages for each in found), is_whole=all(each.is_whole for each in found))
