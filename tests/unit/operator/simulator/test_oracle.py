"""The one that knows what will come: in time where anybody could be, and for few hours."""

from __future__ import annotations

import numpy as np
import pytest

from aftercall.operator.simulator import cluster, comparison, oracle, traces

OURS, _, _, KNOWS = comparison.SIDES


def made(kind: traces.Kind, *, hours: float = 6.0, seed: int = 1) -> traces.Trace:
    """Return traffic that keeps 12 replicas of 50 audio-seconds a second busy."""
    return traces.synthetic(kind, np.random.default_rng(seed), peak_per_s=600.0, hours=hours)


def late(run: cluster.Run) -> int:
    """Count late calls."""
    return sum(each.is_late for each in run.finished)


@pytest.mark.parametrize("cold_start_s", [15.0, 180.0, 600.0])
def test_it_is_in_time_with_little_more_than_the_work_takes(cold_start_s: float) -> None:
    """A day, whatever the cold start: its replicas were asked for in time."""
    world = cluster.World(50.0, cold_start_s, tick_s=2.0)
    trace = made(traces.Kind.DIURNAL)

    run = KNOWS.run(trace, world, comparison.Plan())

    assert 0 == late(run)
    assert run.gpu_s < 1.2 * trace.audio_s / world.capacity_per_s


@pytest.mark.parametrize("kind", list(traces.Kind))
@pytest.mark.parametrize(("promise_s", "cold_start_s"), [(60.0, 600.0), (600.0, 180.0)])
def test_it_is_never_later_than_who_does_not_know(kind: traces.Kind, promise_s: float, cold_start_s: float) -> None:
    """Also where a cold start is ten times the promise: that was 10.7 % late of a day of which ours had 0.7."""
    world = cluster.World(50.0, cold_start_s, promise_s, tick_s=2.0)
    trace, plan = made(kind, hours=3.0), comparison.Plan(min_replicas=0)

    knows, ours = KNOWS.run(trace, world, plan), OURS.run(trace, world, plan)

    assert late(knows) <= late(ours)
    assert knows.gpu_s < ours.gpu_s


def test_it_asks_before_the_first_call_and_pays_for_that() -> None:
    """Ten minutes of work that comes at once, due in a minute: ten replicas and more, there when it comes."""
    calls = tuple(traces.Call(0.0, "acme", 60.0) for _ in range(100))
    trace = traces.Trace("made", calls, {"acme": traces.Tenant()}, 600.0)
    world = cluster.World(10.0, 300.0, promise_s=60.0, max_replicas=20, tick_s=1.0)

    run = KNOWS.run(trace, world, comparison.Plan(min_replicas=0))

    assert 0 == late(run)
    assert (-300.0, 0) == (run.replicas[0][0], run.replicas[0][2])
    assert run.gpu_s > 10 * (300 + 60)


def test_what_would_be_missed_within_a_cold_start_stays() -> None:
    """To go for three steps and come back costs four: a dip of four steps is no less than that, and is taken."""
    assert [5, 5, 5, 5, 5, 5, 5] == oracle._kept([5, 5, 2, 2, 2, 5, 5], 3)
    assert [5, 5, 2, 2, 2, 2, 5] == oracle._kept([5, 5, 2, 2, 2, 2, 5], 3)
    assert [0, 0, 4, 0, 0] == oracle._kept([0, 0, 4, 0, 0], 3)


def test_it_keeps_a_pools_bounds() -> None:
    """Never fewer than the minimum, never more than the maximum."""
    world = cluster.World(50.0, 60.0, max_replicas=7, tick_s=2.0)

    run = KNOWS.run(made(traces.Kind.MONDAY, hours=2.0), world, comparison.Plan(min_replicas=2))

    asked = {asked for _, asked, _ in run.replicas}
    assert (2, 7) == (min(asked), max(asked))
