"""Policies side by side on the same traffic, each with the settings that it would have there."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from aftercall.operator import capacity, scaling
from aftercall.operator.simulator import cluster, oracle, policies, results, traces


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """What a platform team would set: what a pool has unless told otherwise, and the same of others."""

    min_replicas: int = 1
    headroom: float = 0.0
    drain_share: float = 0.25
    stabilization_s: float = 300.0
    time_constant_s: float = 180.0
    lag_threshold: float | None = None
    """KEDA's, in calls a replica. None: as many as a replica does within the drain target."""
    later_share: float = 0.25
    """KEDA's of what is due later, beside the threshold that would let it wait as large a share of its promise: that
    many would be late, since calls wait in proportion and the last ones longest."""
    target_ongoing: float = 12.0
    """Ray Serve's, in windows a replica."""
    downscale_delay_s: float = 600.0
    """Ray Serve's."""
    windows_in_flight: int = 32
    """By each consumer."""
    price_per_hour: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class Side:
    """A policy by name: how it is built for a trace, and how often it looks."""

    name: str
    build: Callable[[traces.Trace, cluster.World, Plan], cluster.Policy]
    interval_s: float
    is_early: bool = False
    """Whether it may ask a cold start before the trace begins."""

    def run(self, trace: traces.Trace, world: cluster.World, plan: Plan) -> cluster.Run:
        """Play a trace."""
        early_s = world.cold_start_s if self.is_early else 0.0
        policy = self.build(trace, world, plan)
        return cluster.run(trace, policy, world, interval_s=self.interval_s, early_s=early_s)


@dataclasses.dataclass(frozen=True, slots=True)
class Thresholds:
    """KEDA's, in calls a replica: of what is due as promised, and of what is due later (None: nothing is)."""

    usual: float
    later: float | None


def thresholds(trace: traces.Trace, world: cluster.World, plan: Plan) -> Thresholds:
    """Return what KEDA is set to: what was asked for, or what lets calls wait for as long as our drain target does.

    A replica of 100 audio-seconds a second does 42 calls of 360 in 150 s. What is due later has a trigger of its own,
    with as many more calls as its promise is longer.
    """
    promises_s = {name: tenant.promise_s for name, tenant in trace.tenants.items() if tenant.promise_s is not None}
    usual = [call.audio_s for call in trace.calls if call.tenant not in promises_s]
    later = [call.audio_s for call in trace.calls if call.tenant in promises_s]
    target_audio_s = plan.drain_share * world.promise_s * world.capacity_per_s

    def equal(lengths: list[float]) -> float:
        mean_s = sum(lengths) / len(lengths) if lengths else traces.MEDIAN_AUDIO_S
        return max(1.0, round(target_audio_s / mean_s))

    threshold = equal(usual or later) if plan.lag_threshold is None else plan.lag_threshold
    if not later:
        return Thresholds(threshold, None)
    longer = plan.later_share * min(promises_s.values()) / world.promise_s
    return Thresholds(threshold, max(1.0, round(longer * threshold)))


def _ours(_: traces.Trace, world: cluster.World, plan: Plan) -> cluster.Policy:
    policy = scaling.Policy(
        plan.min_replicas,
        world.max_replicas,
        drain_target_s=plan.drain_share * world.promise_s,
        headroom=plan.headroom,
        stabilization_s=plan.stabilization_s,
        cold_start_s=world.cold_start_s,
        promise_s=world.promise_s,
    )
    prior = capacity.Prior(world.capacity_per_s)
    return policies.Ours(policy, prior=prior, drain_share=plan.drain_share, time_constant_s=plan.time_constant_s)


def _keda(trace: traces.Trace, world: cluster.World, plan: Plan) -> cluster.Policy:
    found = thresholds(trace, world, plan)
    return policies.Keda(
        lag_threshold=found.usual,
        later_threshold=found.later,
        min_replicas=plan.min_replicas,
        max_replicas=world.max_replicas,
        partitions=world.max_replicas,
        hpa=policies.Hpa(down_stabilization_s=plan.stabilization_s),
    )


def _ray(_: traces.Trace, world: cluster.World, plan: Plan) -> cluster.Policy:
    return policies.RayServe(
        target_ongoing=plan.target_ongoing,
        max_in_flight=plan.windows_in_flight * world.max_replicas,
        min_replicas=plan.min_replicas,
        max_replicas=world.max_replicas,
        downscale_delay_s=plan.downscale_delay_s,
    )


def _oracle(trace: traces.Trace, world: cluster.World, plan: Plan) -> cluster.Policy:
    return oracle.best(trace, world, min_replicas=plan.min_replicas)


SIDES = (
    Side("aftercall", _ours, 10.0),
    Side("KEDA and HPA", _keda, 15.0),
    Side("Ray Serve", _ray, 10.0),
    Side("oracle", _oracle, oracle.STEP_S, is_early=True),
)


def play(trace: traces.Trace, world: cluster.World, plan: Plan) -> dict[str, tuple[results.Result, cluster.Run]]:
    """Return what each policy came to on a trace, and the run itself."""
    found = {}
    for side in SIDES:
        run = side.run(trace, world, plan)
        found[side.name] = (results.result(side.name, [run], price_per_hour=plan.price_per_hour), run)
    return found
