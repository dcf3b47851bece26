"""The simulated world: nothing is lost, nothing is done that could not be, limits and cold starts hold."""

from __future__ import annotations

import numpy as np
import pytest

from aftercall.operator.simulator import cluster, traces

WORLD = cluster.World(capacity_per_s=10.0, cold_start_s=30.0, promise_s=60.0, max_replicas=5)


def trace(*calls: tuple[float, str, float], **tenants: traces.Tenant) -> traces.Trace:
    """Return a trace of these calls."""
    named = {name: tenants.get(name, traces.Tenant()) for _, name, _ in calls}
    return traces.Trace("made", tuple(traces.Call(*call) for call in calls), named, 0.0)


def always(replicas: int) -> cluster.Policy:
    """Return a policy that looks at nothing."""
    return lambda _: replicas


def test_a_replica_works_once_its_cold_start_is_over_and_is_paid_from_the_beginning() -> None:
    """100 audio-seconds: 30 s of waiting, 10 of work."""
    run = cluster.run(trace((0.0, "a", 100.0)), always(1), WORLD, interval_s=10)

    assert [cluster.Finished("a", 40.0, is_late=False)] == list(run.finished)
    assert 40.0 == run.gpu_s
    assert ((0.0, 1, 0), (30.0, 1, 1)) == run.replicas


def test_tenants_share_by_weight_and_what_one_leaves_goes_to_the_others() -> None:
    """Three times as much for a weight of three, until it is done."""
    made = trace((0.0, "a", 60.0), (0.0, "b", 60.0), a=traces.Tenant(weight=3.0))

    run = cluster.run(made, always(1), WORLD, interval_s=10)

    assert {"a": 38.0, "b": 42.0} == {each.tenant: each.waited_s for each in run.finished}


def test_a_limit_holds_and_what_it_makes_late_is_promised_nothing() -> None:
    """Two audio-seconds a second: the second call of 100 could not be done within a minute, whatever there is."""
    made = trace(*((0.0, "a", 100.0) for _ in range(3)), a=traces.Tenant(limit_per_s=2.0))

    run = cluster.run(made, always(5), WORLD, interval_s=10)

    assert [each.waited_s for each in run.finished] == pytest.approx([50, 100, 150], abs=35)
    assert not any(each.is_late for each in run.finished)
    alone = cluster.run(trace((0.0, "a", 1000.0)), always(1), WORLD, interval_s=10)
    assert [True] == [each.is_late for each in alone.finished]


def test_what_goes_goes_at_once_and_the_youngest_first() -> None:
    """A replica that was still coming never comes."""
    wanted = iter([2, 2, 2, 2, 4, 2, 2, 2, 2, 2, 2, 2])

    run = cluster.run(trace((0.0, "a", 1000.0)), lambda _: next(wanted), WORLD, interval_s=10)

    assert 2 == max(ready for _, _, ready in run.replicas)
    assert [0.0, 30.0, 40.0, 50.0] == [at_s for at_s, _, _ in run.replicas]
    assert run.changes == 3


def test_every_call_of_every_kind_of_traffic_is_finished_once() -> None:
    """And no more work is done than replicas could."""
    for kind in traces.Kind:
        made = traces.synthetic(kind, np.random.default_rng(3), peak_per_s=20.0, hours=1.0)

        run = cluster.run(made, always(5), WORLD, interval_s=10)

        assert len(made.calls) == len(run.finished)
        assert made.audio_s / WORLD.capacity_per_s <= run.gpu_s


def test_the_view_counts_busy_seconds_and_saturation() -> None:
    """Saturated while work waits throughout, and not when nothing does."""
    seen: list[cluster.View] = []

    def look(view: cluster.View) -> int:
        seen.append(view)
        return 1

    cluster.run(trace((0.0, "a", 250.0), (100.0, "a", 1.0)), look, WORLD, interval_s=10)

    by_time = {view.now_s: view for view in seen}
    assert (100.0, 10.0, True) == (by_time[50.0].done_audio_s, by_time[50.0].busy_s, by_time[50.0].is_saturated)
    assert (50.0, 5.0, False) == (by_time[60.0].done_audio_s, by_time[60.0].busy_s, by_time[60.0].is_saturated)
    assert not by_time[80.0].is_saturated


def test_who_may_ask_early_is_asked_a_cold_start_before_the_trace_and_pays_for_it() -> None:
    """The replica works as the call comes, having been paid for thirty seconds; others know nothing before."""
    seen: list[float] = []

    def one(view: cluster.View) -> int:
        seen.append(view.now_s)
        return 1

    run = cluster.run(trace((0.0, "a", 100.0)), one, WORLD, interval_s=10, early_s=30.0)

    assert [cluster.Finished("a", 10.0, is_late=False)] == list(run.finished)
    assert 40.0 == run.gpu_s
    assert [-30.0, -20.0, -10.0, 0.0] == seen


def test_calls_that_are_due_later_are_counted_apart_too() -> None:
    """They come on a topic of their own."""
    made = trace((0.0, "a", 100.0), (0.0, "b", 100.0), (0.0, "b", 100.0), b=traces.Tenant(promise_s=3600.0))
    seen: list[tuple[int, int]] = []

    def one(view: cluster.View) -> int:
        seen.append((view.waiting_calls, view.later_calls))
        return 1

    cluster.run(made, one, WORLD, interval_s=10)

    assert (3, 2) == seen[0]
