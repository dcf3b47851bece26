"""What a replica can do is learned from its busy seconds, never from its idle ones."""

from __future__ import annotations

import math

import pytest

from aftercall.operator import capacity

PRIOR = capacity.Prior(100.0)


def test_what_was_configured_counts_until_something_was_measured() -> None:
    """And bounds what was."""
    assert 100.0 == capacity.per_replica(None, PRIOR)
    assert 400.0 == capacity.per_replica(capacity.Estimate(1e9, 600), PRIOR)
    assert 25.0 == capacity.per_replica(capacity.Estimate(0.1, 600), PRIOR)


@pytest.mark.parametrize(
    "sample",
    [
        None,
        capacity.Sample(10.0, 10.0, is_saturated=False),  # idle replicas must not look slow
        capacity.Sample(10.0, 0.0, is_saturated=True),
        capacity.Sample(-10.0, 10.0, is_saturated=True),  # a counter that was restarted
        capacity.Sample(math.nan, 10.0, is_saturated=True),
        capacity.Sample(math.inf, 10.0, is_saturated=True),
        capacity.Sample(10.0, math.nan, is_saturated=True),
        capacity.Sample(10.0, -1.0, is_saturated=True),
    ],
)
def test_what_says_nothing_changes_nothing(sample: capacity.Sample | None) -> None:
    """Neither nothing nor what is known."""
    known = capacity.Estimate(80.0, 300.0)

    assert known == capacity.learn(known, sample, PRIOR)
    assert capacity.learn(None, sample, PRIOR) is None


def test_busy_seconds_of_work_move_it() -> None:
    """A minute as much as what was configured; after a long time it is what is measured."""
    once = capacity.learn(None, capacity.Sample(60 * 50.0, 60.0, is_saturated=True), PRIOR)
    assert once is not None
    assert (75.0, 120.0) == (once.per_s, once.weight_s)

    found: capacity.Estimate | None = once
    for _ in range(200):
        found = capacity.learn(found, capacity.Sample(30 * 50.0, 30.0, is_saturated=True), PRIOR)
    assert found is not None
    assert found.per_s == pytest.approx(50.0, rel=0.01)
    assert 600.0 == found.weight_s


def test_one_absurd_sample_moves_it_no_further_than_belief_allows() -> None:
    """A thousand times the configured rate counts as four times."""
    found = capacity.learn(capacity.Estimate(100.0, 600.0), capacity.Sample(1e6, 10.0, is_saturated=True), PRIOR)

    assert found is not None
    assert found.per_s == pytest.approx(100 + 300 * 10 / 610)
