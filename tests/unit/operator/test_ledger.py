"""What consumers tell, put together."""

from __future__ import annotations

import pytest

from aftercall.contracts import reports
from aftercall.operator import demand, ledger, unread


def report(consumer: str, *loads: reports.TenantLoad, instance: str = "1") -> reports.ConsumerReport:
    """Return a report."""
    return reports.ConsumerReport(consumer=consumer, instance=instance, pool="calls", tenants=loads)


def load(
    tenant: str, waiting: float = 0.0, *, n: int = 1, running: float = 0.0, served: float = 0.0
) -> reports.TenantLoad:
    """Return a tenant's part of one."""
    return reports.TenantLoad(
        tenant=tenant, waiting=n, waiting_audio_s=waiting, running_audio_s=running, served_audio_s=served
    )


def told(*heard: tuple[float, reports.ConsumerReport]) -> ledger.Ledger:
    """Return what is known after reports."""
    known = ledger.Ledger()
    for at_s, each in heard:
        known = ledger.hear(known, each, now_s=at_s)
    return known


NOTHING = unread.Unread(0)


def loads(
    known: ledger.Ledger, beyond: unread.Unread = NOTHING, now_s: float = 10.0
) -> tuple[dict[str, demand.Load], bool]:
    """Return loads where `a` has a limit."""
    return ledger.loads(known, beyond, {"a": 5.0}, audio_per_message_s=300.0, now_s=now_s, stale_s=30.0)


def test_consumers_are_summed_and_limits_named() -> None:
    """What arrived is what is there, as nothing was served since the operator began."""
    known = told(
        (0, report("x", load("a", 100, running=20, served=999))), (0, report("y", load("a", 50), load("b", 7)))
    )

    assert ({"a": demand.Load(170.0, 150.0, 5.0), "b": demand.Load(7.0, 7.0)}, True) == loads(known)


def test_what_moves_from_one_consumer_to_another_has_arrived_once() -> None:
    """Served by one, handed over, read by another: the total only grows by what is new."""
    first = told((0, report("x", load("a", 100))), (0, report("y")))
    served = ledger.hear(first, report("x", load("a", 40, served=60)), now_s=5)
    moved = ledger.hear(
        ledger.hear(served, report("x", load("a", 0, served=60)), now_s=6), report("y", load("a", 40)), now_s=6
    )

    assert [100.0, 100.0, 100.0] == [loads(each)[0]["a"].arrived_audio_s for each in (first, served, moved)]


def test_a_process_that_begins_anew_counts_from_zero() -> None:
    """Its total fell, and nothing was unserved."""
    known = told(
        (0, report("x", load("a", served=500))),
        (5, report("x", load("a", served=560))),
        (9, report("x", load("a", served=10), instance="2")),
    )

    assert {"a": 70.0} == known.served


def test_one_that_has_fallen_silent_makes_it_a_lower_bound_and_one_that_is_gone_does_not() -> None:
    """What it had still counts, until Kafka has it again."""
    known = told((0, report("x", load("a", 100))), (50, report("y", load("a", 10))))

    assert (110.0, False) == (loads(known, now_s=55)[0]["a"].waiting_audio_s, loads(known, now_s=55)[1])
    assert (10.0, True) == (
        loads(ledger.forget(known, "x"), now_s=55)[0]["a"].waiting_audio_s,
        loads(ledger.forget(known, "x"), now_s=55)[1],
    )


def test_unread_messages_count_by_the_recent_mix() -> None:
    """Three recordings of 100 for one of 30: eight more are six and two."""
    known = told((0, report("x", load("a", 300, n=3), load("b", 30, n=1))))

    found, is_whole = loads(known, unread.Unread(8))

    assert is_whole
    assert {"a": 300 + 600, "b": 30 + 60} == pytest.approx({name: each.waiting_audio_s for name, each in found.items()})
    assert ({"": demand.Load(2400.0, 2400.0)}, False) == loads(ledger.Ledger(), unread.Unread(8, is_whole=False))
