"""Reports and what they are answered."""

from __future__ import annotations

import contextlib

import pytest

from aftercall.contracts import reports
from aftercall.operator import exchange, grants, handover, processes

LEASE_S = 900.0
LIMITS = {"t": grants.Limit(100.0, 10, 300.0)}
AT_S = 10_000.0


def begun(epoch: int = 1, *, at_s: float = 0.0) -> exchange.Exchange:
    """Return one that took the Lease."""
    found = exchange.Exchange(lease_s=LEASE_S, stale_s=30.0)
    found.begin(epoch, now_s=at_s)
    return found


def load(
    *,
    waiting: float = 6e5,
    begun: float = 0.0,
    held: float | None = None,
    tenant: str = "t",
    lane: reports.Lane = "live",
) -> reports.TenantLoad:
    """Return a tenant's part of a report; its limit holds it back."""
    return reports.TenantLoad(
        tenant=tenant,
        lane=lane,
        waiting=1,
        waiting_audio_s=waiting,
        is_throttled=True,
        begun_audio_s=begun,
        held_per_s=held,
    )


def report(
    consumer: str,
    number: int,
    *loads: reports.TenantLoad,
    instance: str = "1",
    answered: int = 0,
    epoch: int = 0,
    pool: str = "calls",
    is_draining: bool = False,
) -> reports.ConsumerReport:
    """Return a report."""
    return reports.ConsumerReport(
        consumer=consumer,
        instance=instance,
        pool=pool,
        number=number,
        epoch=epoch,
        answered=answered,
        is_draining=is_draining,
        tenants=loads,
    )


def hear(
    found: exchange.Exchange, told: reports.ConsumerReport, at_s: float = AT_S, *, held_at_s: float | None = None
) -> reports.Grants:
    """Let a report be heard while the Lease is held."""
    return found.hear(told, LIMITS, now_s=at_s, held_at_s=at_s if held_at_s is None else held_at_s)


def test_a_limit_is_one_for_the_consumers_of_all_pools() -> None:
    """What one pool's has is not given to another pool's, until the cut is acknowledged."""
    found = begun()
    first = hear(found, report("a", 1, load()))
    assert [99.0] == [each.per_s for each in first.grants]
    assert [297.0] == [each.burst_audio_s for each in first.grants]
    assert [0.0] == [each.per_s for each in hear(found, report("b", 1, load(), pool="bulk")).grants]
    cut = hear(found, report("a", 2, load(held=99.0), answered=first.number))
    assert [49.5] == [each.per_s for each in cut.grants]
    assert [0.0] == [each.per_s for each in hear(found, report("b", 2, load(), pool="bulk")).grants]
    hear(found, report("a", 3, load(held=49.5), answered=cut.number))

    assert [49.5] == [each.per_s for each in hear(found, report("b", 3, load(), pool="bulk")).grants]
    assert {"t": 99.0} == found.granted_per_s(now_s=AT_S)
    assert {"a"} == found.known("calls").heard.keys()


def test_one_that_is_gone_or_drains_frees_what_it_had_and_one_that_is_silent_does_not() -> None:
    """Not before its lease has run out."""
    for how in ("silent", "gone", "draining", "run out"):
        found = begun()
        hear(found, report("a", 1, load()))
        at_s = AT_S + (LEASE_S if how == "run out" else LEASE_S - 1)
        if how == "gone":
            found.gone("calls", "a")
        if how == "draining":
            assert () == hear(found, report("a", 2, load(), is_draining=True), AT_S + 1).grants
        assert [0.0 if how == "silent" else 99.0] == [
            each.per_s for each in hear(found, report("b", 1, load()), at_s).grants
        ]


def test_a_report_that_comes_late_or_twice_is_refused_and_counts_nothing() -> None:
    """Nor does one of a process whose name another has."""
    found = begun()
    hear(found, report("a", 1, load(begun=10.0)))
    hear(found, report("a", 2, load(begun=70.0)), AT_S + 5)
    for number in (2, 1):
        with pytest.raises(processes.RefusedError, match="came after"):
            hear(found, report("a", number, load(begun=500.0)), AT_S + 6)
    hear(found, report("a", 1, load(begun=5.0), instance="2"), AT_S + 10)
    with pytest.raises(processes.RefusedError, match="name of its own"):
        hear(found, report("a", 3, load(begun=500.0)), AT_S + 11)
    hear(found, report("b", 1, load()), AT_S + 12)
    more = hear(found, report("a", 2, load(begun=8.0), instance="2"), AT_S + 15)

    assert [()] == [each.elsewhere_audio_s for each in more.grants]
    told = hear(found, report("b", 2, load()), AT_S + 16)
    assert [(3.0,)] == [each.elsewhere_audio_s for each in told.grants]


def test_the_last_words_of_a_process_do_not_keep_its_successor_out() -> None:
    """They may come after the successor's first, on connections that outlive who opened them."""
    found = begun()
    first = hear(found, report("a", 1, load(), instance="2"))
    hear(found, report("a", 9, load(), instance="1"), AT_S + 1)
    with pytest.raises(processes.RefusedError, match="name of its own"):
        hear(found, report("a", 2, load(held=99.0), instance="2", answered=first.number), AT_S + 10)

    assert [99.0] == [
        each.per_s
        for each in hear(found, report("a", 3, load(held=99.0), instance="2", answered=first.number), AT_S + 31).grants
    ]
    with pytest.raises(processes.RefusedError, match="name of its own"):
        hear(found, report("a", 10, load(), instance="1"), AT_S + 32)


def test_what_a_process_gives_back_late_is_not_its_successors() -> None:
    """This operator has not heard of it before."""
    found = begun()
    hear(found, report("a", 1, load(), instance="2"))
    with pytest.raises(processes.RefusedError, match="name of its own"):
        hear(found, report("a", 9, instance="1", is_draining=True), AT_S + 1)

    assert [0.0] == [each.per_s for each in hear(found, report("b", 1, load()), AT_S + 2).grants]


def test_what_others_began_is_told_by_lane_until_an_answer_with_it_was_applied() -> None:
    """A lost answer takes nothing with it; a hand-back that begins again counts once; no limit is no matter."""
    found = begun()
    hear(found, report("a", 1, load(tenant="free")))
    hear(found, report("b", 1, load(tenant="free")))
    hear(found, report("b", 2, load(tenant="free", begun=60.0), load(tenant="free", lane="bulk", begun=5.0)))
    assert [(60.0, 5.0)] == [each.elsewhere_audio_s for each in hear(found, report("a", 2, load(tenant="free"))).grants]
    hear(found, report("b", 3, load(tenant="free", begun=20.0), load(tenant="free", lane="bulk", begun=5.0)))
    hear(found, report("b", 4, load(tenant="free", begun=61.0), load(tenant="free", lane="bulk", begun=5.0)))
    again = hear(found, report("a", 3, load(tenant="free")))
    assert [(61.0, 5.0)] == [each.elsewhere_audio_s for each in again.grants]

    assert () == hear(found, report("a", 4, load(tenant="free"), answered=again.number)).grants


def test_one_that_has_just_begun_renews_and_raises_nothing_for_a_lease() -> None:
    """And numbers are higher than any of its forerunner's."""
    old, new = begun(4), begun(5, at_s=AT_S)
    last = hear(old, report("a", 1, load()))
    first = hear(new, report("a", 2, load(held=20.0), answered=last.number, epoch=4))
    assert ([20.0], 5) == ([each.per_s for each in first.grants], first.epoch)
    assert first.number > last.number
    assert [0.0] == [each.per_s for each in hear(new, report("b", 1, load()), AT_S + LEASE_S - 1).grants]

    hear(new, report("a", 3, load(held=20.0), answered=first.number, epoch=5), AT_S + 100)
    assert [79.0] == [each.per_s for each in hear(new, report("b", 2, load()), AT_S + LEASE_S).grants]


def after(found: exchange.Exchange, at_s: float) -> exchange.Exchange:
    """Return the successor of one that ended in order."""
    left = handover.parse(handover.encode(found.hand_over(now_s=at_s)))
    new = exchange.Exchange(lease_s=LEASE_S, stale_s=30.0)
    new.begin(2, now_s=at_s, holders=left)
    return new


def test_one_that_was_told_who_holds_something_raises_once_it_has_heard_these() -> None:
    """What it hears of is out until another answer is applied; so a new consumer need not wait for a lease."""
    old = begun()
    first = hear(old, report("a", 1, load()))
    hear(old, report("b", 1, load()))
    found = after(old, AT_S + 10)
    assert ["a", "b"] == found.unheard("calls")

    assert [0.0] == [each.per_s for each in hear(found, report("c", 1, load()), AT_S + 11).grants]
    told = report("a", 2, load(held=99.0), answered=first.number, epoch=1)
    assert [99.0] == [each.per_s for each in hear(found, told, AT_S + 12).grants]
    assert [0.0] == [each.per_s for each in hear(found, report("b", 2, load()), AT_S + 13).grants]
    assert [] == found.unheard("calls")
    cut = hear(found, report("a", 3, load(held=99.0), answered=first.number, epoch=1), AT_S + 14)
    assert [33.0] == [each.per_s for each in cut.grants]
    assert [0.0] == [each.per_s for each in hear(found, report("c", 2, load()), AT_S + 15).grants]
    hear(found, report("a", 4, load(held=33.0), answered=cut.number, epoch=2), AT_S + 16)
    assert [33.0] == [each.per_s for each in hear(found, report("c", 3, load()), AT_S + 17).grants]


def test_one_that_drained_or_is_gone_is_not_waited_for() -> None:
    """As when an upgrade replaces operator and consumers."""
    old = begun()
    first = hear(old, report("a", 1, load()))
    hear(old, report("b", 1, load()))
    found = after(old, AT_S + 10)
    hear(found, report("a", 2, answered=first.number, is_draining=True), AT_S + 11)
    found.gone("calls", "b")

    assert [99.0] == [each.per_s for each in hear(found, report("c", 1, load()), AT_S + 12).grants]


@pytest.mark.parametrize("told", [report("a", 1, load()), report("a", 9, load(), instance="0")])
def test_what_is_late_or_of_another_process_is_not_what_a_holder_holds(told: reports.ConsumerReport) -> None:
    """It may hold more than it did then."""
    old = begun()
    hear(old, report("a", 1, load()))
    found = after(old, AT_S + 10)
    with contextlib.suppress(processes.RefusedError):
        hear(found, told, AT_S + 11)

    assert ["a"] == found.unheard("calls")
    assert [0.0] == [each.per_s for each in hear(found, report("c", 1, load()), AT_S + 12).grants]
    assert [99.0] == [each.per_s for each in hear(found, report("c", 2, load()), AT_S + 10 + LEASE_S).grants]


def test_one_that_does_not_know_who_holds_something_leaves_nothing() -> None:
    """And one that has waited for holders in vain leaves these."""
    waits = begun(at_s=AT_S)
    assert waits.hand_over(now_s=AT_S + LEASE_S - 1) is None
    assert {} == waits.hand_over(now_s=AT_S + LEASE_S)
    old = begun()
    hear(old, report("a", 1, load()))
    found = after(old, AT_S + 10)
    assert {"calls/a": ("1", 1)} == after(found, AT_S + 20).hand_over(now_s=AT_S + 30)


def test_one_that_may_have_lost_the_lease_sends_leases_that_end_in_time_and_then_none() -> None:
    """Its clock stands still: nobody's grant ends by it either. One that hears of a later epoch answers nobody."""
    found = begun()
    hear(found, report("a", 1, load()))
    late = hear(found, report("b", 1, load()), AT_S + LEASE_S - 1, held_at_s=AT_S)
    assert (1.0, [0.0]) == (late.lease_s, [each.per_s for each in late.grants])
    with pytest.raises(exchange.NotLeadingError, match="not known to hold"):
        hear(found, report("b", 2, load()), AT_S + LEASE_S, held_at_s=AT_S)
    with pytest.raises(exchange.NotLeadingError, match="epoch 3 has begun"):
        hear(found, report("b", 3, load(), epoch=3), AT_S + LEASE_S)
    with pytest.raises(exchange.NotLeadingError, match="epoch 3 has begun"):
        hear(found, report("a", 2, load(), epoch=1), AT_S + LEASE_S)
    with pytest.raises(ValueError, match="not higher than 3"):
        found.begin(3, now_s=AT_S)
    with pytest.raises(exchange.NotLeadingError):
        hear(exchange.Exchange(lease_s=LEASE_S, stale_s=30.0), report("a", 1, load()))


def test_what_is_gone_is_forgotten() -> None:
    """Consumers, and tenants that nobody tells of; by themselves after some leases."""
    found = begun()
    for at in range(50):
        hear(found, report(f"c{at}", 1, load(tenant=f"t{at}")))
    hear(found, report("c0", 2, load()), AT_S + 4 * LEASE_S)
    assert {"c0"} == found.known("calls").heard.keys()
    assert {"t"} == found.granted_per_s(now_s=AT_S).keys() - {"t0"}
    found.gone("calls", "c0")

    assert {} == found.granted_per_s(now_s=AT_S)
    assert {} == found.known("calls").heard


def test_a_limit_that_is_removed_is_shared_out_until_consumers_know() -> None:
    """They would have nothing but floors until their tenants files come; one that is restored holds at once."""
    found = begun()
    first = hear(found, report("a", 1, load()))

    def asked(number: int, answered: int, limits: dict[str, grants.Limit]) -> reports.Grants:
        told = report("a", number, load(held=99.0), answered=answered)
        return found.hear(told, limits, now_s=AT_S + 5 * number, held_at_s=AT_S + 5 * number)

    gone = asked(2, first.number, {})
    assert [(99.0, 297.0)] == [(each.per_s, each.burst_audio_s) for each in gone.grants]
    lower = asked(3, gone.number, {"t": grants.Limit(10.0, 10, 300.0)})
    assert [pytest.approx(9.9)] == [each.per_s for each in lower.grants]


def test_an_epoch_that_cannot_be_stops_nobody() -> None:
    """The Lease counts in 32 bits: whoever had to be above it could never take the Lease again."""
    found = begun(29_000_000)

    with pytest.raises(processes.RefusedError, match="far beyond"):
        hear(found, report("a", 1, load(), epoch=2**40))

    assert 29_000_000 == found.newest_epoch
    assert hear(found, report("b", 1, load())).grants
