"""What consumers tell, put together."""

from __future__ import annotations

from typing import Any

import pytest

from aftercall.contracts import reports
from aftercall.operator import demand, ledger, unread


def report(consumer: str, *loads: reports.TenantLoad, instance: str = "1") -> reports.ConsumerReport:
    """Return a report."""
    return reports.ConsumerReport(consumer=consumer, instance=instance, pool="calls", tenants=loads)


def load(
    tenant: str, waiting: float = 0.0, *, n: int = 1, running: float = 0.0, served: float = 0.0, **more: Any
) -> reports.TenantLoad:
    """Return a tenant's part of one."""
    return reports.TenantLoad(
        tenant=tenant, waiting=n, waiting_audio_s=waiting, running_audio_s=running, served_audio_s=served, **more
    )


def told(*heard: tuple[float, reports.ConsumerReport]) -> ledger.Ledger:
    """Return what is known after reports."""
    known = ledger.Ledger()
    for at_s, each in heard:
        known = ledger.hear(known, each, now_s=at_s)
    return known


NOTHING = unread.Unread(0)


def loads(known: ledger.Ledger, beyond: unread.Unread = NOTHING, **shares: ledger.Share) -> dict[str, demand.Load]:
    """Return loads where `a` has a limit."""
    return ledger.loads(known, {"live": beyond}, ledger.Terms({"a": 5.0}, 150.0), shares)


def test_consumers_are_summed_and_limits_named() -> None:
    """What arrived is what is there, as nothing was served since the operator began; of what runs half is left."""
    known = told(
        (0, report("x", load("a", 100, running=20, served=999))), (0, report("y", load("a", 50), load("b", 7)))
    )

    assert {"a": demand.Load(170.0, 160.0, 5.0), "b": demand.Load(7.0, 7.0)} == loads(known)


def test_what_moves_from_one_consumer_to_another_has_arrived_once() -> None:
    """Served by one, handed over, read by another: the total only grows by what is new."""
    first = told((0, report("x", load("a", 100))), (0, report("y")))
    served = ledger.hear(first, report("x", load("a", 40, served=60)), now_s=5)
    moved = ledger.hear(
        ledger.hear(served, report("x", load("a", 0, served=60)), now_s=6), report("y", load("a", 40)), now_s=6
    )

    assert [100.0, 100.0, 100.0] == [loads(each)["a"].arrived_audio_s for each in (first, served, moved)]


def test_a_process_that_begins_anew_counts_from_zero() -> None:
    """Its total fell, and nothing was unserved."""
    known = told(
        (0, report("x", load("a", served=500))),
        (5, report("x", load("a", served=560))),
        (9, report("x", load("a", served=10), instance="2")),
    )

    assert {("a", "live"): 70.0} == known.served


def test_of_what_one_told_counts_the_share_that_is_still_its_own() -> None:
    """What waits and what runs; and nothing of one that is gone, which Kafka has again."""
    known = told((0, report("x", load("a", 100, running=20))), (50, report("y", load("a", 10))))

    assert [(120.0, 130.0), (65.0, 100.0), (10.0, 10.0)] == [
        (found["a"].waiting_audio_s, found["a"].arrived_audio_s)
        for found in (loads(known), loads(known, x=ledger.Share(0.75, 0.5)), loads(known, x=ledger.Share(0.0, 0.0)))
    ]
    assert 10.0 == loads(ledger.forget(known, "x"))["a"].waiting_audio_s


def test_unread_messages_count_by_the_recent_mix() -> None:
    """Three recordings of 100 for one of 30: eight more are six and two."""
    known = told((0, report("x", load("a", 300, n=3), load("b", 30, n=1))))

    found = loads(known, unread.Unread(8))

    assert {"a": 300 + 600, "b": 30 + 60} == pytest.approx({name: each.waiting_audio_s for name, each in found.items()})
    assert {"": demand.Load(2400.0, 2400.0)} == loads(ledger.Ledger(), unread.Unread(8))


FOUR_HOURS = ledger.Terms({}, 150.0, later_s={"bulk": 14_400.0})


def by_lane(
    known: ledger.Ledger, beyond: dict[reports.Lane | None, unread.Unread], terms: ledger.Terms = FOUR_HOURS
) -> dict[str, demand.Load]:
    """Return loads where bulk is due in four hours."""
    return ledger.loads(known, beyond, terms, {})


def test_what_comes_on_a_lane_that_is_due_later_stands_apart() -> None:
    """Its arrivals say nothing, and a quarter of the four hours is its time."""
    rows = load("a", 100, running=20), load("a", 5000, running=70, lane="bulk")

    found = by_lane(told((0, report("x", *rows))), {})

    assert {"a": demand.Load(120.0, 110.0, None, (demand.Later(5035.0, 3600.0),))} == found
    alike = by_lane(told((0, report("x", *rows))), {}, ledger.Terms({}, 150.0))
    assert {"a": demand.Load(5190.0, 5145.0)} == alike


@pytest.mark.parametrize(
    ("ages_s", "target_s"),
    [((None, None), 3600.0), ((400.0, None), 3500.0), ((0.0, 12_400.0), 500.0), ((20_000.0, 1.0), 150.0)],
)
def test_the_oldest_says_how_much_of_the_promise_is_left(ages_s: tuple[float | None, ...], target_s: float) -> None:
    """A quarter of it, and never less than what is due soonest gets."""
    told_by = [
        (0.0, report(str(at), load("a", 50, lane="bulk", oldest_waiting_s=age))) for at, age in enumerate(ages_s)
    ]

    assert (demand.Later(100.0, target_s),) == by_lane(told(*told_by), {})["a"].later


def test_unread_messages_of_a_lane_count_by_that_lanes_mix() -> None:
    """Where nobody tells of a lane, they are nobody's, due when the lane is."""
    known = told((0, report("x", load("a", 300, n=3), load("b", 900, n=3, lane="bulk"))))

    found = by_lane(known, {"live": unread.Unread(2), "bulk": unread.Unread(4)})

    assert {"a": demand.Load(500.0, 500.0), "b": demand.Load(0.0, 0.0, None, (demand.Later(2100.0, 3600.0),))} == found
    asleep = {"": demand.Load(0.0, 0.0, None, (demand.Later(3000.0, 3600.0),))}
    assert asleep == by_lane(ledger.Ledger(), {"bulk": unread.Unread(10)})


def test_what_was_put_aside_counts_by_the_mix_of_all_that_waits() -> None:
    """It is of those who wait the most, so that their limits and their lanes hold for it; else it is urgent."""
    known = told((0, report("x", load("a", 900, n=9), load("b", 100, n=1, lane="bulk"))))

    found = by_lane(known, {None: unread.Unread(10)}, ledger.Terms({"a": 2.0}, 150.0, later_s={"bulk": 14_400.0}))

    assert (1800.0, 2.0) == (found["a"].waiting_audio_s, found["a"].limit_per_s)
    assert (demand.Later(200.0, 3600.0),) == found["b"].later
    assert {"": demand.Load(3000.0, 3000.0)} == by_lane(ledger.Ledger(), {None: unread.Unread(10)})


def test_a_total_does_not_fall_where_a_line_is_told_of_no_more() -> None:
    """A tenant of whom only bulk is left has not lost what it had served: else it would arrive again."""
    first = told((0, report("x", load("a", 40))), (1, report("x", load("a", served=40), load("a", 7, lane="bulk"))))
    later = ledger.hear(first, report("x", load("a", 7, lane="bulk")), now_s=2)

    assert [40.0, 40.0] == [by_lane(each, {})["a"].arrived_audio_s for each in (first, later)]


def test_a_tenant_that_is_left_out_and_told_of_again_is_not_served_twice() -> None:
    """Consumers may tell only of tenants that have something."""
    known = told(
        (0, report("x", load("a", served=500))),
        (5, report("x", load("a", served=560))),
        (9, report("x")),
        (12, report("x", load("a", served=565))),
    )

    assert {("a", "live"): 65.0} == known.served
