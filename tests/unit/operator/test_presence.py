"""Who of a pool's consumers tells what it has, and what that leaves unknown."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from aftercall.contracts import reports
from aftercall.operator import ledger, presence, unread


def told(
    consumer: str, at_s: float = 0.0, *, is_draining: bool = False, waiting_audio_s: float = 0.0, **positions: int
) -> ledger.Heard:
    """Return what a consumer has told at a time; positions by partition, as `p0=100`."""
    loads = (reports.TenantLoad(tenant="acme", waiting_audio_s=waiting_audio_s),)
    found = tuple(
        reports.Position(topic="recordings", partition=int(name[1:]), position=at) for name, at in positions.items()
    )
    report = reports.ConsumerReport(
        consumer=consumer, instance="1", pool="calls", positions=found, is_draining=is_draining, tenants=loads
    )
    return ledger.Heard(report, at_s)


def take(
    heard: dict[str, ledger.Heard],
    ready: int | None,
    state: presence.State,
    now_s: float,
    *,
    is_done: bool = False,
    seen: Mapping[presence.Place, unread.Partition] | None = None,
) -> tuple[presence.Presence, presence.State]:
    """Take with work in Kafka, unless it is said to be done."""
    return presence.take(heard, ready, state, {} if seen is None else seen, is_done=is_done, now_s=now_s)


LONG_AGO = presence.State(began_at_s=-1000.0)


def test_one_that_has_not_reported_for_half_a_minute_is_silent() -> None:
    """Which is not one that is missing: it has told something."""
    found, _ = take({"x": told("x", 0.0), "y": told("y", 0.1)}, 1, LONG_AGO, 30.0)

    assert ({"y"}, {"x"}, 0) == (found.speaking.keys(), found.silent.keys(), found.n_missing)


def test_a_new_consumer_has_half_a_minute_to_tell_what_it_has() -> None:
    """A rollout is no reason for a condition; a port that is blocked is one, for as long as it is."""
    state, counts = LONG_AGO, []
    for now_s, ready in ((0, 3), (29, 3), (30, 3), (600, 3), (605, 2), (610, 3), (639, 3)):
        found, state = take({"x": told("x", now_s), "y": told("y", now_s)}, ready, state, float(now_s))
        counts.append(found.n_missing)
        assert not found.is_beginning

    assert [0, 0, 1, 1, 0, 0, 0] == counts


def test_those_that_leave_are_none_of_those_that_are_ready() -> None:
    """They report until they end, and are no longer ready: so one of two is missing."""
    heard = {"x": told("x"), "y": told("y", is_draining=True)}

    assert 1 == take(heard, 2, presence.State(-1000.0, 2, -100.0), 0.0)[0].n_missing


@pytest.mark.parametrize(
    ("ready", "now_s", "is_done", "is_beginning"),
    [
        (4, 0, False, True),
        (4, 89, False, True),
        (4, 90, False, False),
        (0, 0, False, False),
        (4, 0, True, False),
        (None, 0, False, True),
        (None, 90, False, False),
        (None, 0, True, False),
    ],
)
def test_an_operator_that_begins_has_heard_nobody_yet(
    ready: int | None, now_s: float, is_done: bool, is_beginning: bool
) -> None:
    """For a minute and a half, where consumers are ready or not known, and something is not committed."""
    found, _ = take({}, ready, presence.State(0.0, ready), now_s, is_done=is_done)

    assert is_beginning is found.is_beginning


def test_consumers_that_it_has_ordered_itself_are_not_waited_for() -> None:
    """They have read nothing that was read before it; those that were there before, and not known at first, are."""
    _, asleep = take({}, 0, presence.State(), 0.0)
    _, unknown = take({}, None, presence.State(), 0.0)

    assert not take({}, 4, asleep, 10.0)[0].is_beginning
    assert take({}, 4, unknown, 10.0)[0].is_beginning
    there = {"x": told("x", 10.0), "y": told("y", 10.0)}
    assert not take(there, 4, presence.State(0.0, 2), 10.0)[0].is_beginning


def test_the_first_look_is_the_beginning() -> None:
    """And it is over as soon as all have reported."""
    first, state = take({}, 1, presence.State(), 500.0)
    second, _ = take({"x": told("x", 505.0)}, 1, state, 505.0)

    assert (True, 1, False, 0) == (first.is_beginning, first.n_missing, second.is_beginning, second.n_missing)


PARTITIONS = {("recordings", at): unread.Partition(0, 360, 0) for at in range(4)}


def positions(*heard: ledger.Heard, now_s: float = 100.0) -> list[int | None]:
    """Return the positions that count, by partition."""
    found, _ = take({each.report.consumer: each for each in heard}, 0, LONG_AGO, now_s)
    found_at = presence.positions(found)
    return [found_at.get(place) for place in PARTITIONS]


def test_the_furthest_position_counts_and_a_silent_ones_where_nobody_else_reads() -> None:
    """A topic that was made anew has its own numbers: 5,000 of the old one hide nothing of 360."""
    silent = told("x", 0.0, p0=5000, p1=70)

    assert [5000, 70, None, None] == positions(silent)
    assert [30, 70, 9, None] == positions(silent, told("y", 100.0, p0=20, p2=9), told("z", 100.0, p0=30))


def test_what_a_silent_consumer_had_is_its_own_until_another_has_it_or_it_is_done() -> None:
    """One of its four partitions is another's, one is committed up to where it had read, and one further."""
    seen = PARTITIONS | {
        ("recordings", 1): unread.Partition(0, 360, 100),
        ("recordings", 2): unread.Partition(0, 360, 200),
    }
    heard = {
        "x": told("x", 0.0, p0=100, p1=100, p2=100, p3=100),
        "y": told("y", 100.0, p0=50),
    }
    found, state = take(heard, 0, LONG_AGO, 100.0, seen=PARTITIONS)
    assert {"x": ledger.Share(0.75, 0.75)} == presence.shares(PARTITIONS, found)
    found, _ = take(heard, 0, state, 105.0, seen=seen)

    assert {"x": ledger.Share(0.75, 0.25)} == presence.shares(seen, found)
    unknown = {place: unread.Partition(None, None) for place in PARTITIONS}
    for partitions in (unknown, {}):
        assert {"x": ledger.Share(0.75, 0.75)} == presence.shares(partitions, found)
        blind, _ = take(heard, 0, LONG_AGO, 100.0, seen=partitions)
        assert {"x": ledger.Share(0.75, 0.25)} == presence.shares(seen, blind)  # its partitions count alike then


def test_a_partition_that_held_nothing_of_a_silent_consumers_counts_for_nothing() -> None:
    """Twelve of a topic of what is put aside, where nothing is, made four of 30,000 s look like 7,500."""
    seen = {("recordings", 0): unread.Partition(0, 0), ("recordings", 1): unread.Partition(70, 90)}
    found, _ = take({"x": told("x", 0.0, p0=0, p1=80)}, 0, LONG_AGO, 100.0, seen=seen)

    assert {"x": ledger.WHOLE} == presence.shares(seen, found)
    done = {("recordings", 0): unread.Partition(0, 0), ("recordings", 1): unread.Partition(70, 90, 80)}
    assert {"x": ledger.DONE} == presence.shares(done, found)
    found, _ = take({"x": told("x", 0.0, p0=0, p1=80)}, 0, LONG_AGO, 100.0, seen=done)
    assert {"x": ledger.DONE} == presence.shares(done, found)


def test_what_another_has_had_does_not_come_back_to_a_silent_consumer_until_it_speaks() -> None:
    """The taker may sleep, begin anew, or pass it on: its offsets and its work count where they lie in Kafka then."""
    before = {"x": told("x", 0.0, p0=100, p1=100)}
    _, state = take(before | {"y": told("y", 100.0, p0=50)}, 0, LONG_AGO, 100.0, seen=PARTITIONS)
    gone, state = take(before, 0, state, 105.0, seen=PARTITIONS)

    assert {"x": ledger.Share(0.5, 0.5)} == presence.shares(PARTITIONS, gone)
    assert {("recordings", 1): 100} == presence.positions(gone)

    back = {"x": told("x", 110.0, p0=100, p1=100)}
    _, state = take(back, 0, state, 110.0, seen=PARTITIONS)
    again, _ = take(back, 0, state, 200.0, seen=PARTITIONS)
    assert {"x": ledger.WHOLE} == presence.shares(PARTITIONS, again)


def test_who_falls_silent_without_partitions_has_what_it_told_of_work() -> None:
    """Which of one that said so with its last words is nothing: its pod may stay for days, and the rest is known."""
    heard = {"over": told("over", is_draining=True), "ending": told("ending", is_draining=True, waiting_audio_s=9.0)}
    found, _ = take(heard, 0, LONG_AGO, 100.0, seen=PARTITIONS)

    assert {"over": ledger.DONE, "ending": ledger.WHOLE} == presence.shares(PARTITIONS, found)
