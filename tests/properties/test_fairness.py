"""Fair order and limits, over many steps of made-up time."""

from __future__ import annotations

import random

import hypothesis
import pytest
from hypothesis import strategies as st

from aftercall.consumers.intake import admission, fairness

costs = st.floats(0.5, 30)


@hypothesis.given(st.lists(st.floats(0.25, 8), min_size=2, max_size=5), st.randoms(use_true_random=False))
def test_backlogged_tenants_get_their_weights_share(weights: list[float], rng: random.Random) -> None:
    """No two counters ever differ by more than one piece of work of either, whatever the pieces cost."""
    order: fairness.FairOrder[float] = fairness.FairOrder()
    names = [f"t{at}" for at in range(len(weights))]
    for name, weight in zip(names, weights, strict=True):
        order.weigh(name, weight)
        for at in range(300):
            order.push(name, rng.uniform(0.5, 30), opened=at)
    had = dict.fromkeys(names, 0.0)
    for _ in range(250):
        taken = order.pop()
        assert taken is not None
        name, cost_s = taken
        order.charge(name, cost_s)
        had[name] += cost_s / weights[names.index(name)]
        widest = 30 / min(weights)
        assert max(had.values()) - min(had.values()) <= widest + 1e-6


@hypothesis.given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5), st.integers(0, 3)), max_size=60))
def test_everything_comes_out_once_and_within_a_tenant_in_order(work: list[tuple[str, int, int]]) -> None:
    """By deadline, then by age, then as it came."""
    order: fairness.FairOrder[int] = fairness.FairOrder()
    for at, (tenant, opened, deadline) in enumerate(work):
        order.push(tenant, at, opened=opened, deadline=deadline or fairness.LAST)
    out = []
    while (taken := order.pop()) is not None:
        out.append(taken)
        order.charge(taken[0], 1.0)
    assert sorted(at for _, at in out) == list(range(len(work)))
    for tenant in "abc":
        mine = [at for name, at in out if name == tenant]
        assert mine == sorted(mine, key=lambda at: (work[at][2] or fairness.LAST, work[at][1], at))
    assert 0 == len(order)


@hypothesis.given(st.integers(1, 50), st.integers(1, 20))
def test_nobody_saves_up_while_away_or_held(alone: int, together: int) -> None:
    """A tenant that comes late, or whose limit held it, shares from then on; it does not catch up."""
    for held in (False, True):
        order: fairness.FairOrder[int] = fairness.FairOrder()
        if held:
            order.push("late", 0, opened=0)
            order.hold("late")
        for at in range(alone + 2 * together):
            order.push("early", at, opened=at)
        for _ in range(alone):
            taken = order.pop()
            assert taken is not None
            assert "early" == taken[0]
            order.charge("early", 10.0)
        if held:
            order.release("late")
        for at in range(2 * together):
            order.push("late", at, opened=at)
        names = []
        for _ in range(2 * together):
            taken = order.pop()
            assert taken is not None
            names.append(taken[0])
            order.charge(taken[0], 10.0)
        assert abs(names.count("late") - together) <= 1


def test_a_correction_at_completion_counts() -> None:
    """A tenant whose calls are longer than believed is served less often afterwards."""
    order: fairness.FairOrder[int] = fairness.FairOrder()
    for at in range(40):
        order.push("long", at, opened=at)
        order.push("short", at, opened=at)
    names = []
    for _ in range(20):
        taken = order.pop()
        assert taken is not None
        names.append(taken[0])
        order.charge(taken[0], 10.0)
        if taken[0] == "long":
            order.charge("long", 30.0)
    assert 4 == names.count("long")
    with pytest.raises(ValueError, match="weight"):
        order.weigh("long", 0)


@hypothesis.given(st.lists(st.tuples(costs, st.floats(0, 20)), min_size=1, max_size=80), st.floats(0.1, 20))
def test_a_limit_holds_over_any_time(arrivals: list[tuple[float, float]], rate: float) -> None:
    """What began is never more than the rate's share of the time passed, the burst, and one dear piece of work."""
    limit = admission.Limit(rate, 30.0)
    bucket = admission.Bucket(limit.burst_s, 0.0)
    now_s, begun_s, waits = 0.0, 0.0, 0
    for cost_s, gap_s in arrivals:
        now_s += gap_s
        while isinstance(said := admission.decide(bucket, cost_s, limit, now_s=now_s), admission.Wait):
            assert said.until_s > now_s
            now_s = said.until_s
            waits += 1
            assert waits <= 2 * len(arrivals)
        bucket = said.bucket
        begun_s += cost_s
        assert begun_s <= 30.0 + rate * now_s + 1e-3


def test_work_dearer_than_the_burst_begins_and_leaves_a_debt() -> None:
    """An hour in one piece against a burst of half a minute: later work waits until the debt is paid."""
    limit = admission.Limit(1.0, 30.0)
    said = admission.decide(admission.Bucket(30.0, 0.0), 3600.0, limit, now_s=0.0)
    assert admission.Admitted(admission.Bucket(-3570.0, 0.0)) == said
    assert isinstance(said, admission.Admitted)
    assert admission.Wait(3580.0) == admission.decide(said.bucket, 10.0, limit, now_s=0.0)
    given_back = admission.correct(said.bucket, -3570.0)
    assert isinstance(admission.decide(given_back, 10.0, limit, now_s=10.0), admission.Admitted)
    with pytest.raises(ValueError, match="lets none in"):
        admission.Limit(0.0, 30.0)
