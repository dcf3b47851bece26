"""Demand is what arrives and what waits, within limits; what was not read lowers nothing."""

from __future__ import annotations

import pytest

from aftercall.operator import demand


def read(*readings: tuple[float, dict[str, demand.Load]]) -> demand.Demand:
    """Return demand after readings at these times."""
    rates: dict[str, demand.Rate] = {}
    found = demand.Demand(())
    for now_s, loads in readings:
        found, rates = demand.read(loads, rates, now_s=now_s, time_constant_s=60)
    return found


def test_the_rate_is_what_totals_grow_by() -> None:
    """From the second reading on, and not wholly before a minute is known."""
    load = demand.Load
    assert 0.0 == read((0, {"a": load(1000, 0)})).rate_per_s
    assert 0 < read((0, {"a": load(1000, 0)}), (10, {"a": load(1200, 0)})).rate_per_s < 20 / 4
    assert 20.0 == pytest.approx(read((0, {"a": load(1000, 0)}), (60, {"a": load(2200, 0)})).rate_per_s)


def test_a_rate_follows_with_its_time_constant_and_ends() -> None:
    """After one, two thirds of the way; five without an arrival, and it is zero."""
    steady = [(10.0 * at, {"a": demand.Load(200.0 * at, 0)}) for at in range(60)]
    assert read(*steady).rate_per_s == pytest.approx(20)

    stopped = [(590.0 + 10 * at, {"a": demand.Load(200.0 * 59, 0)}) for at in range(1, 7)]
    assert read(*steady, *stopped).rate_per_s == pytest.approx(20 / 2.71828, rel=0.01)
    quiet = [(590.0 + 10 * at, {"a": demand.Load(200.0 * 59, 0)}) for at in range(1, 31)]
    assert 0.0 == read(*steady, *quiet).rate_per_s


@pytest.mark.parametrize("total", [None, 0.0])
def test_a_total_that_is_missing_or_fell_keeps_the_rate(total: float | None) -> None:
    """A consumer that restarts must not look like a tenant that left."""
    steady = [(10.0 * at, {"a": demand.Load(200.0 * at, 0)}) for at in range(10)]

    found = read(*steady, (100, {"a": demand.Load(total, 0)}))

    assert found.rate_per_s == pytest.approx(20)
    assert (total is not None) == found.is_whole


@pytest.mark.parametrize("waiting", [None, -5.0])
def test_what_waits_and_cannot_be_read_is_a_lower_bound(waiting: float | None) -> None:
    """The rest still counts."""
    found = read((0, {"a": demand.Load(0, waiting), "b": demand.Load(0, 300)}))

    assert (300.0, False) == (found.waiting_audio_s, found.is_whole)


def test_what_may_take_longer_counts_by_what_waits_alone() -> None:
    """In its own time, whatever the pool's; and a limit is one for all of a tenant's work."""
    bulk = demand.Later(3600.0, drain_target_s=600.0)
    seen = demand.Load(0, 300, later=(bulk,))

    assert (3900.0, 0.0) == (read((0, {"a": seen})).waiting_audio_s, read((0, {"a": seen})).rate_per_s)
    assert [300 + 360, 300 + 3600] == [read((0, {"a": seen})).within(each) for each in (60, 1200)]
    throttled = demand.Load(0, 300, limit_per_s=6, later=(bulk,))
    assert 360.0 == read((0, {"a": throttled})).within(60)


def test_a_throttled_tenant_counts_with_its_limit() -> None:
    """Whatever waits."""
    found = read(
        (0, {"a": demand.Load(0, 1e6, limit_per_s=2), "b": demand.Load(0, 300)}),
        (100, {"a": demand.Load(1e5, 1e6, limit_per_s=2), "b": demand.Load(1000, 300)}),
    )

    assert 12.0 == pytest.approx(found.rate_per_s)
    assert 2 * 60 + 10 * 60 + 300 == found.within(60)


def test_a_burst_within_the_first_look_is_no_rate_for_ever() -> None:
    """100 calls of 300 s within a second are 30,000 audio-seconds a second only for that second."""
    found = read((0, {"a": demand.Load(0, 0)}), (1, {"a": demand.Load(30_000, 30_000)}))

    assert found.rate_per_s < 1000
