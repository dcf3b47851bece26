"""Two traps that policies of this kind fall into, and ours does not."""

from __future__ import annotations

import statistics

import pytest

from aftercall.operator import capacity, scaling
from aftercall.operator.simulator import cluster, comparison, policies, traces

WORLD = cluster.World(capacity_per_s=50.0, cold_start_s=60.0)


def steady(replicas: float, hours: float = 3.0) -> traces.Trace:
    """Return calls of a minute, as many as keep so many replicas busy."""
    apart_s = 60.0 / (50.0 * replicas)
    calls = tuple(traces.Call(at * apart_s, "acme", 60.0) for at in range(int(hours * 3600 / apart_s)))
    return traces.Trace("steady", calls, {"acme": traces.Tenant()}, hours * 3600)


@pytest.mark.parametrize("headroom", [0.1, 0.0, -0.2])
def test_at_steady_load_a_call_waits_far_less_than_the_drain_target(headroom: float) -> None:
    """Backlog alone would be proportional control: every call would wait the whole target, 300 s."""
    plan = comparison.Plan(headroom=headroom, drain_share=0.5)
    run = cluster.run(steady(5.3), comparison.SIDES[0].build(steady(5.3), WORLD, plan), WORLD, interval_s=10)
    settled = [each.waited_s for each in run.finished[len(run.finished) // 3 :]]

    assert statistics.median(settled) < (10 if headroom >= 0 else 60)
    assert max(settled) < 100


def ours(prior: capacity.Prior) -> policies.Ours:
    """Return the policy with a fifth of headroom."""
    policy = scaling.Policy(1, 30, drain_target_s=300, headroom=0.2, stabilization_s=60, cold_start_s=60)
    return policies.Ours(policy, prior=prior, drain_share=0.5, time_constant_s=60)


def test_idle_replicas_do_not_look_slow() -> None:
    """At a fifth of what one can do one stays, whatever was believed of it before."""
    for believed in (25.0, 50.0, 100.0):
        trace = steady(0.2)

        run = cluster.run(trace, ours(capacity.Prior(believed)), WORLD, interval_s=10)

        assert {1} == {asked for _, asked, _ in run.replicas}


def test_throughput_by_replicas_would_run_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the test above guards against: with every second counted as a busy one, one replica becomes many."""

    def naive(before: capacity.Estimate | None, sample: capacity.Sample | None, prior: capacity.Prior) -> object:
        if sample is None or not sample.done_audio_s:
            return before
        return capacity.Estimate(prior.clamp(sample.done_audio_s / 10 / max(1, asked[-1])), 600)

    asked = [1]
    monkeypatch.setattr(capacity, "learn", naive)
    policy = ours(capacity.Prior(50.0, spread=1000.0))

    def look(view: cluster.View) -> int:
        asked.append(policy(view))
        return asked[-1]

    cluster.run(steady(0.9, hours=1.0), look, WORLD, interval_s=10)

    assert max(asked) > 20
