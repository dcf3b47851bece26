"""What waits here of each partition's read-ahead, and whether a tenant has more of it than its share."""

from __future__ import annotations

import collections
from collections.abc import Mapping

from aftercall.consumers.intake import places

Mine = tuple[places.Partition, str]
"""A partition, and a tenant whose work comes from it."""


class Shares:
    """Counts records read ahead of each partition, at most `max_ahead`, and the recordings of each tenant in them."""

    def __init__(self, max_ahead: int) -> None:
        self._max_ahead = max_ahead
        self._n_ahead: collections.Counter[places.Partition] = collections.Counter()
        self._n_waiting: collections.Counter[Mine] = collections.Counter()

    def enter(self, at: places.Partition) -> None:
        """Count a record as read ahead."""
        self._n_ahead[at] += 1

    def leave(self, at: places.Partition) -> None:
        """Count one record less."""
        self._n_ahead[at] -= 1

    def wait(self, many: Mapping[Mine, int]) -> None:
        """Count recordings as waiting."""
        self._n_waiting.update(many)

    def go(self, mine: Mine) -> None:
        """Count one recording less."""
        self._n_waiting[mine] -= 1
        if not self._n_waiting[mine]:
            del self._n_waiting[mine]

    def is_over(self, mine: Mine, n_more: int) -> bool:
        """Say whether a tenant that has `n_more` recordings to wait here would have more than its share."""
        n_waiting = self._n_waiting[mine]
        return n_waiting > 0 and is_over_share(n_waiting + n_more - 1, self._n_ahead[mine[0]], self._max_ahead)


def is_over_share(n_waiting: int, n_open: int, max_open: int) -> bool:
    """Say whether a tenant with so much waiting of a partition's read-ahead may have no more of it.

    It may have half of what is free (dynamic thresholds, as in `turns`): alone a third of the window, and k tenants
    together at most k / (k + 2) of it, so that waiting calls never fill it and the partition is always read.
    """
    return n_waiting >= max(1, (max_open - n_open) // 2)
