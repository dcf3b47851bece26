"""What is ours, what of it is unfinished, and what to commit: without a broker."""

from __future__ import annotations

import dataclasses

import pytest

from aftercall.consumers.intake import assignments, offsets, places

AT = ("recordings", 0)
OTHER = ("recordings", 1)


@dataclasses.dataclass
class Raw:
    """A record as the client gives it."""

    offset: int
    value: bytes = b"12345"
    topic: str = "recordings"
    partition: int = 0
    key: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = (("a", None),)
    timestamp: int = 2_000


class Rig:
    """Assignments with a clock that is set by hand, and what was paused and resumed."""

    def __init__(self, *, max_open_offsets: int = 4, max_open_bytes: int = 1_000) -> None:
        self.now_s = 100.0
        bounds = assignments.Bounds(max_open_offsets, max_open_bytes)
        self.assigned = assignments.Assignments(bounds, lambda: self.now_s)
        self.steered: list[str] = []
        self.assigned.restore(AT, offsets.Commit(0, ""))

    def take(self, *numbers: int, value: bytes = b"12345") -> list[places.Record]:
        """Take records of the one partition."""
        return self.assigned.take(AT, [Raw(one, value) for one in numbers])

    def steer(self) -> list[str]:
        """Return what was paused and resumed now."""
        self.steered.clear()
        self.assigned.steer(
            pause=lambda at: self.steered.append(f"pause {at[1]}"),
            resume=lambda at: self.steered.append(f"resume {at[1]}"),
        )
        return self.steered


def test_a_record_is_taken_once_until_its_assignment_ends() -> None:
    """Read again while it is open, it is not fresh; after another assignment it is, and what the old one finishes
    changes nothing.
    """
    rig = Rig()
    (first,) = rig.take(0)
    assert places.Record(places.Place("recordings", 0, 0, 1), None, b"12345", (("a", b""),), 2.0) == first
    assert [] == rig.take(0)
    assert [AT] == rig.assigned.drop([AT, OTHER])
    assert [] == rig.take(0), "lost since"

    rig.assigned.restore(AT, offsets.Commit(0, ""))
    (second,) = rig.take(0)
    rig.assigned.finish(first.place)
    assert {} == rig.assigned.due()
    rig.assigned.finish(second.place)

    assert [1] == [one.offset for one in rig.assigned.due().values()]


def test_progress_is_due_once_and_again_when_it_was_refused() -> None:
    """What finished out of order is progress too."""
    rig = Rig()
    records = rig.take(0, 1)
    rig.assigned.finish(records[1].place)
    (ahead,) = rig.assigned.due().values()
    assert 0 == ahead.offset
    assert ahead.metadata
    assert {} == rig.assigned.due()

    rig.assigned.refused([AT, OTHER])

    assert {AT: ahead} == rig.assigned.due(of=[AT])
    rig.assigned.finish(records[0].place)
    assert {} == rig.assigned.due(of=[OTHER])
    assert {AT: offsets.Commit(2, "")} == rig.assigned.due(of=[AT])


def test_a_partition_pauses_when_full_and_resumes_when_half_empty() -> None:
    """By number: what is on its way elsewhere fills a quarter of its place."""
    rig = Rig()
    records = rig.take(0, 1, 2, 3)
    assert ["pause 0"] == rig.steer()
    assert [] == rig.steer()
    assert {"recordings": 1} == rig.assigned.n_paused()
    rig.assigned.finish(records[0].place)
    assert [] == rig.steer(), "three of four is more than half"
    rig.assigned.leave(records[1].place)
    rig.assigned.leave(records[2].place)
    assert ["resume 0"] == rig.steer()
    assert [] == rig.steer()


def test_bytes_fill_a_partition_too() -> None:
    """Leaving frees the place of a record, not its bytes."""
    rig = Rig(max_open_offsets=100)
    records = rig.take(0, 1, value=b"x" * 600)
    assert ["pause 0"] == rig.steer()
    for record in records:
        rig.assigned.leave(record.place)
    assert [] == rig.steer()
    rig.assigned.finish(records[0].place)
    assert [] == rig.steer(), "600 of 1,000 bytes"
    rig.assigned.finish(records[1].place)
    assert ["resume 0"] == rig.steer()


def test_the_age_is_that_of_the_lowest_unfinished_offset() -> None:
    """It begins anew whenever that offset moves, and is 0 where nothing is open."""
    rig = Rig()
    assert pytest.approx(0.0) == rig.assigned.oldest_unfinished_age_s()
    records = rig.take(0, 1, 2)
    rig.assigned.due()
    rig.now_s = 130.0
    rig.assigned.finish(records[1].place)
    rig.assigned.due()
    assert pytest.approx(30.0) == rig.assigned.oldest_unfinished_age_s()
    rig.assigned.finish(records[0].place)
    rig.assigned.due()
    rig.now_s = 135.0
    assert pytest.approx(5.0) == rig.assigned.oldest_unfinished_age_s()
    rig.assigned.finish(records[2].place)
    rig.assigned.due()
    assert pytest.approx(0.0) == rig.assigned.oldest_unfinished_age_s()


def test_the_position_is_the_next_offset_that_will_be_read() -> None:
    """Whatever of it is finished; of a partition that is another's now there is none."""
    rig = Rig()
    rig.assigned.restore(OTHER, offsets.Commit(70, ""))
    records = rig.take(5, 6, 9)
    rig.assigned.finish(records[1].place)
    assert {AT: 10, OTHER: 70} == rig.assigned.positions()
    rig.assigned.drop([OTHER])

    assert {AT: 10} == rig.assigned.positions()


def test_what_was_passed_without_a_record_is_committed_behind_what_is_unfinished() -> None:
    """Markers and what retention deleted are no work; a position that is behind takes nothing back."""
    rig = Rig()
    (record,) = rig.take(5)
    rig.assigned.reach(AT, 9)
    rig.assigned.reach(AT, 7)
    rig.assigned.reach(OTHER, 4)
    assert {AT: 9} == rig.assigned.positions()
    assert {AT: offsets.Commit(5, "")} == rig.assigned.due()
    rig.assigned.finish(record.place)

    assert {AT: offsets.Commit(9, "")} == rig.assigned.due()
