"""What policies are set to when nobody says otherwise: settings that mean the same, so that policies are compared."""

from __future__ import annotations

import numpy as np
import pytest

from aftercall.operator.simulator import cluster, comparison, traces

WORLD = cluster.World(capacity_per_s=100.0, cold_start_s=180.0, promise_s=600.0)


def trace(*lengths: tuple[str, float], **tenants: traces.Tenant) -> traces.Trace:
    """Return calls of these tenants and lengths."""
    named = {name: tenants.get(name, traces.Tenant()) for name, _ in lengths}
    return traces.Trace("made", tuple(traces.Call(0.0, *each) for each in lengths), named, 0.0)


def test_kedas_threshold_is_what_a_replica_does_within_our_drain_target() -> None:
    """100 a second for 150 s: 42 calls of 360 s on average. Twelve of them would be 43 s of work."""
    made = trace(("a", 120.0), ("a", 600.0))

    assert comparison.Thresholds(42.0, None) == comparison.thresholds(made, WORLD, comparison.Plan())
    assert 83.0 == comparison.thresholds(made, WORLD, comparison.Plan(drain_share=0.5)).usual
    slower = cluster.World(capacity_per_s=0.1, cold_start_s=180.0)
    assert 1.0 == comparison.thresholds(made, slower, comparison.Plan()).usual


def test_a_threshold_that_is_asked_for_counts() -> None:
    """Whatever calls are like."""
    assert 12.0 == comparison.thresholds(trace(("a", 360.0)), WORLD, comparison.Plan(lag_threshold=12.0)).usual


def test_what_is_due_later_has_a_threshold_of_its_own() -> None:
    """Of four hours, 24 promises of ten minutes: a quarter of 24 times as many calls."""
    made = trace(("a", 360.0), ("bulk", 36_000.0), bulk=traces.Tenant(promise_s=14_400.0))

    assert comparison.Thresholds(42.0, 252.0) == comparison.thresholds(made, WORLD, comparison.Plan())
    assert comparison.Thresholds(42.0, 504.0) == comparison.thresholds(made, WORLD, comparison.Plan(later_share=0.5))
    alone = trace(("bulk", 360.0), bulk=traces.Tenant(promise_s=14_400.0))
    assert comparison.Thresholds(42.0, 252.0) == comparison.thresholds(alone, WORLD, comparison.Plan())


@pytest.mark.parametrize("kind", [traces.Kind.DIURNAL, traces.Kind.BACKFILL])
def test_keda_as_it_is_played_is_no_scapegoat(kind: traces.Kind) -> None:
    """All calls in time, for little more than the work takes: a fixed threshold of 12 calls took twice as much."""
    made = traces.synthetic(kind, np.random.default_rng(1), peak_per_s=1200.0)
    keda = next(side for side in comparison.SIDES if side.name == "KEDA and HPA")

    run = keda.run(made, WORLD, comparison.Plan())

    assert not any(each.is_late for each in run.finished)
    assert run.gpu_s < 1.2 * made.audio_s / WORLD.capacity_per_s
