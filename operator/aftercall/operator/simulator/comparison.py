"""Policies side by side on the same traffic, each with the settings that it would have there."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from aftercall.operator import capacity, scaling
from aftercall.operator.simulator import cluster, policies, results, traces


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """What a platform team would set. Lag thresholds are in calls a replica, Ray's target in windows a replica."""

    min_replicas: int = 1
    headroom: float = 0.0
    drain_share: float = 0.25
    stabilization_s: float = 300.0
    time_constant_s: float = 180.0
    lag_threshold: float = 12.0
    target_ongoing: float = 12.0
    windows_in_flight: int = 32
    """By each consumer."""
    price_per_hour: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class Side:
    """A policy by name: how it is built for a trace, and how often it looks."""

    name: str
    build: Callable[[traces.Trace, cluster.World, Plan], cluster.Policy]
    interval_s: float


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


def _keda(_: traces.Trace, world: cluster.World, plan: Plan) -> cluster.Policy:
    return policies.Keda(
        lag_threshold=plan.lag_threshold,
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
    )


def _oracle(trace: traces.Trace, world: cluster.World, _: Plan) -> cluster.Policy:
    return policies.Oracle(trace, world, share=0.2)


SIDES = (
    Side("aftercall", _ours, 10.0),
    Side("KEDA and HPA", _keda, 15.0),
    Side("Ray Serve", _ray, 10.0),
    Side("oracle", _oracle, 10.0),
)


def play(trace: traces.Trace, world: cluster.World, plan: Plan) -> dict[str, tuple[results.Result, cluster.Run]]:
    """Return what each policy came to on a trace, and the run itself."""
    found = {}
    for side in SIDES:
        run = cluster.run(trace, side.build(trace, world, plan), world, interval_s=side.interval_s)
        found[side.name] = (results.result(side.name, [run], price_per_hour=plan.price_per_hour), run)
    return found
