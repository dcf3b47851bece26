"""Kafka's offsets, and what they say of work: rows for what other scalers get wrong."""

from __future__ import annotations

import pytest

from aftercall.operator import unread
from aftercall.operator.unread import Partition


@pytest.mark.parametrize(
    ("seen", "position", "messages"),
    [
        (Partition(0, 100, committed=40), None, 60),
        # What a consumer has read it reports itself: never the same offsets twice.
        (Partition(0, 100, committed=40), 90, 10),
        # Nothing was ever committed: consumers begin at the beginning (KEDA counts 1, or nothing).
        (Partition(20, 100), None, 80),
        # Retention has deleted what was not read: it is no work (kedacore/keda issue 7936).
        (Partition(70, 100, committed=40), None, 30),
        (Partition(100, 100, committed=40), None, 0),
        # The end counts a transaction's marker, which nobody can read; the position is past it (issue 5675).
        (Partition(0, 101, committed=100), 101, 0),
        # A stuck offset holds the commit back for hours, and all beyond is done (issue 3997 and the like).
        (Partition(0, 5000, committed=12), 5000, 0),
        # A broker that does not answer is no empty topic (issue 4098: scaled to zero by an error).
        (Partition(None, None, committed=40), None, None),
        (Partition(0, None, committed=40), 50, None),
        (Partition(None, 100, committed=40), None, None),
        # A topic that was made anew under the same name: the commit is beyond its end.
        (Partition(0, 10, committed=4000), None, None),
        # A report that is newer than the reading of the end.
        (Partition(0, 100, committed=40), 105, 0),
        # One that is older than the commit: of a consumer that works on, and cannot report.
        (Partition(0, 100, committed=95), 90, 5),
        (Partition(0, 10, committed=4000), 4, 6),
        (Partition(50, 10, committed=5), None, None),
    ],
)
def test_one_partition(seen: Partition, position: int | None, messages: int | None) -> None:
    """Messages that nobody has read."""
    assert messages == unread.of_partition(seen, position)


def test_consumers_have_something_to_do_where_something_is_not_committed() -> None:
    """Whatever was read of it already; and where nobody knows."""
    seen = Partition(0, 90, 90), Partition(0, 90, 40), Partition(None, None), Partition(5, 5)

    assert 2 == unread.unfinished(seen)


def test_one_partition_that_cannot_be_read_makes_the_sum_a_lower_bound() -> None:
    """And a partition that is missing hides no other."""
    assert unread.Unread(90, is_whole=False) == unread.count([60, None, 30])
    assert unread.Unread(0) == unread.count([])
