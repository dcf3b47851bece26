"""Two traps that policies of this kind fall into, and ours does not: neither the policy nor a whole look at a pool."""

from __future__ import annotations

import dataclasses
import statistics

import pytest

from aftercall.contracts import pools, reports
from aftercall.operator import capacity, ledger, pool, scaling, unread
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


class Operator:
    """All that the operator decides of a pool, from what one consumer reports of a simulated world."""

    def __init__(self, *, headroom_percent: int, capacity_per_s: float = 50.0) -> None:
        self._spec = pools.TranscriptionPool.model_validate(
            {
                "topics": [{"name": "recordings"}],
                "backend": {"kind": "Deployment", "deployment": {"name": "speech"}},
                "scaling": {
                    "maxReplicas": 30,
                    "capacityAudioSecondsPerMinute": round(60 * capacity_per_s),
                    "drainTargetSeconds": 300,
                    "headroomPercent": headroom_percent,
                    "stabilizationSeconds": 60,
                    "coldStartSeconds": 60,
                },
                "consumers": {"deployment": "consumers", "maxReplicas": 12},
            }
        )
        self._heard = reports.Work()
        self._known = ledger.Ledger()
        self.state = pool.State()

    def __call__(self, view: cluster.View) -> int:
        """Report what can be seen, look, and return the speech replicas."""
        self._heard = reports.Work(
            done_audio_s=self._heard.done_audio_s + view.done_audio_s,
            busy_s=self._heard.busy_s + view.busy_s,
            full_s=self._heard.full_s + 10.0 * view.is_saturated,
        )
        waiting, arrived = view.waiting_audio_s["acme"], view.arrived_audio_s["acme"]
        load = reports.TenantLoad(
            tenant="acme", waiting=view.waiting_calls, waiting_audio_s=waiting, served_audio_s=arrived - waiting
        )
        position = reports.Position(topic="recordings", partition=0, position=1000)
        report = reports.ConsumerReport(
            consumer="c", instance="1", pool="calls", tenants=(load,), positions=(position,), heard=self._heard
        )
        self._known = ledger.hear(self._known, report, now_s=view.now_s)
        partitions = {("recordings", 0): unread.Partition(0, 1000, 900)}
        seen = pool.Reading(self._known, partitions, {}, view.asked, view.ready, 1, 1)
        found, self.state = pool.decide(self._spec, seen, self.state, now_s=view.now_s)
        assert found.speech is not None
        assert found.speech.replicas is not None
        return found.speech.replicas


@pytest.mark.parametrize(
    ("headroom_percent", "believed"), [(10, 50.0), (0, 50.0), (0, 35.0), (-20, 50.0), (-20, 100.0)]
)
def test_at_steady_load_a_call_waits_far_less_than_a_pools_drain_target(headroom_percent: int, believed: float) -> None:
    """Of 300 s: with reports, ledger and a capacity that has to be learned where what was configured is wrong."""
    operator = Operator(headroom_percent=headroom_percent, capacity_per_s=believed)
    run = cluster.run(steady(5.3), operator, WORLD, interval_s=10)
    settled = [each.waited_s for each in run.finished[len(run.finished) // 3 :]]

    assert statistics.median(settled) < (10 if headroom_percent >= 0 else 60)
    assert max(settled) < 100
    if headroom_percent < 0:
        assert operator.state.heard is not None
        assert operator.state.heard.per_s == pytest.approx(50, rel=0.05)


def test_a_pools_replicas_stay_put_at_a_fifth_of_their_load() -> None:
    """With a fifth of headroom: one, whatever was believed of it."""
    for believed in (25.0, 50.0, 100.0):
        run = cluster.run(steady(0.2), Operator(headroom_percent=20, capacity_per_s=believed), WORLD, interval_s=10)

        assert {1} == {asked for _, asked, _ in run.replicas}


def test_a_pool_that_counted_idle_seconds_would_run_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the test above guards against: every sample taken for a full one."""
    learn = capacity.learn

    def naive(
        before: capacity.Estimate | None, sample: capacity.Sample | None, prior: capacity.Prior
    ) -> capacity.Estimate | None:
        full = None if sample is None else dataclasses.replace(sample, is_saturated=True)
        return learn(before, full, dataclasses.replace(prior, spread=1000.0))

    monkeypatch.setattr(capacity, "learn", naive)
    monkeypatch.setattr(capacity, "per_replica", lambda estimate, prior: estimate.per_s if estimate else prior.per_s)
    run = cluster.run(steady(0.9), Operator(headroom_percent=20), WORLD, interval_s=10)

    assert WORLD.max_replicas == max(asked for _, asked, _ in run.replicas)
