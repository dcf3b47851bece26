"""What is counted of a tenant's work, wherever it is."""

from __future__ import annotations

from aftercall.consumers.intake import tally


def shown(found: tally.Tally, rank: int = 0, now_s: float = 0.0) -> tuple[int, float, float, float, float]:
    """Return the sums of one tenant on one lane."""
    one = found.read(now_s=now_s)["t", rank]
    return len(one.waiting), one.waiting_s, one.running_s, one.served_s, one.begun_s


def test_work_is_in_one_sum_at_a_time() -> None:
    """Waiting, running, handed back, and served as long as it turned out to be."""
    found, entry = tally.Tally(), tally.Entry("t", 1, 60.0)
    found.wait(entry)
    assert (1, 60.0, 0.0, 0.0, 0.0) == shown(found, 1)
    found.begin(entry)
    assert (0, 0.0, 60.0, 0.0, 60.0) == shown(found, 1)
    found.hand_back(entry)
    found.wait(entry)
    assert (1, 60.0, 0.0, 0.0, 0.0) == shown(found, 1)
    found.begin(entry)
    found.end(entry, actual_s=90.0)

    assert (0, 0.0, 0.0, 90.0, 90.0) == shown(found, 1)


def test_lanes_are_counted_apart_and_the_oldest_that_waits_is_known() -> None:
    """What has begun is not the oldest any more; where nothing waits there is none."""
    found = tally.Tally()
    old, new, bulk = tally.Entry("t", 0, 60.0, 10.0), tally.Entry("t", 0, 60.0, 20.0), tally.Entry("t", 1, 5.0, 1.0)
    for each in (old, new, bulk):
        found.wait(each)
    assert [10.0, 1.0] == [each.oldest_announced_s for each in found.read(now_s=0.0).values()]
    found.begin(old)
    assert 20.0 == found.read(now_s=0.0)["t", 0].oldest_announced_s
    found.begin(new)

    assert [None, 1.0] == [each.oldest_announced_s for each in found.read(now_s=0.0).values()]


def test_what_another_consumer_has_now_waits_here_no_more() -> None:
    """What runs goes on."""
    found, waits, runs = tally.Tally(), tally.Entry("t", 0, 60.0), tally.Entry("t", 0, 30.0)
    for each in (waits, runs):
        found.wait(each)
    found.begin(runs)
    for each in (waits, runs, waits):
        found.withdraw(each)
    found.end(runs, actual_s=None)

    assert (0, 0.0, 0.0, 30.0, 30.0) == shown(found)


def test_a_tenant_of_which_nothing_was_here_for_ten_minutes_is_forgotten() -> None:
    """And begins at zero; one with work that waits is not."""
    found, entry = tally.Tally(), tally.Entry("t", 0, 60.0)
    found.wait(entry)
    assert found.read(now_s=0.0)
    assert found.read(now_s=5000.0)
    found.begin(entry)
    found.end(entry, actual_s=None)
    assert 60.0 == shown(found, now_s=9000.0)[3]
    assert found.read(now_s=9599.0)

    assert {} == found.read(now_s=9600.0)


def test_more_tenants_than_can_be_told_of_are_not_counted() -> None:
    """Those that are known are."""
    found = tally.Tally()
    for at in range(tally.MAX_LINES + 5):
        found.wait(tally.Entry(f"t{at}", 0, 1.0))
    found.wait(tally.Entry("t0", 0, 1.0))

    assert (tally.MAX_LINES, 2) == (len(found.read(now_s=0.0)), len(found.read(now_s=0.0)["t0", 0].waiting))
