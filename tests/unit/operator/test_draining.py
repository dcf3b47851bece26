"""What the time to drain says of simulated days: whom it wakes, and that pools which keep their promise wake nobody."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest

from aftercall.operator import capacity, demand, scaling
from aftercall.operator.simulator import cluster, policies, traces

PROMISE_S = 600.0
HELD_S = 900.0
"""For which `AftercallBacklogCannotDrain` waits."""
REPLICA_PER_S = 100.0


@dataclasses.dataclass(frozen=True, slots=True)
class Day:
    """What came of a trace: whether somebody was woken, and the share of late calls of those that were promised."""

    is_paged: bool
    late: float


def played(
    trace: traces.Trace, monkeypatch: pytest.MonkeyPatch, *, headroom: float = 0.0, max_replicas: int = 20
) -> Day:
    """Return what the alert, asked at each look, makes of a trace."""
    over: list[tuple[float, bool]] = []
    decide = scaling.decide

    def watched(
        wanted: demand.Demand, fleet: scaling.Fleet, state: scaling.State, policy: scaling.Policy, *, now_s: float
    ) -> tuple[scaling.Decision, scaling.State]:
        drain_s = wanted.drain_s((fleet.ready or 0) * fleet.capacity_per_s, scaling.share_of_rate(policy.headroom))
        assert drain_s is not None
        over.append((now_s, drain_s > PROMISE_S))
        return decide(wanted, fleet, state, policy, now_s=now_s)

    monkeypatch.setattr(scaling, "decide", watched)
    policy = scaling.Policy(
        1, max_replicas, PROMISE_S / 4, headroom, stabilization_s=300.0, cold_start_s=180.0, promise_s=PROMISE_S
    )
    ours = policies.Ours(policy, prior=capacity.Prior(REPLICA_PER_S), drain_share=0.25, time_constant_s=180.0)
    world = cluster.World(REPLICA_PER_S, 180.0, PROMISE_S, max_replicas, tick_s=2.0)
    run = cluster.run(trace, ours, world, interval_s=10.0)
    stretches = [
        [now_s for now_s, _ in each] for is_over, each in itertools.groupby(over, key=lambda one: one[1]) if is_over
    ]
    promised = [each for each in run.finished if each.tenant != "floodgate"]
    return Day(
        any(stretch[-1] - stretch[0] >= HELD_S for stretch in stretches),
        sum(each.is_late for each in promised) / len(promised),
    )


def steady(per_s: float, *, hours: float = 4.0) -> traces.Trace:
    """Return calls of a minute that come one after the other."""
    calls = tuple(traces.Call(at * 60 / per_s, "acme", 60.0) for at in range(int(per_s * hours * 60)))
    return traces.Trace(f"steady {per_s}", calls, {"acme": traces.Tenant()}, hours * 3600)


@pytest.mark.parametrize("headroom", [0.0, -0.2])
@pytest.mark.parametrize("kind", [traces.Kind.FLOOD, traces.Kind.BACKFILL])
def test_what_a_limit_holds_or_is_due_later_wakes_nobody(
    kind: traces.Kind, headroom: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For hours a limited tenant has far more than it may use, or the archive waits that is due in four hours."""
    trace = traces.synthetic(kind, np.random.default_rng(1), peak_per_s=12 * REPLICA_PER_S, hours=4.0)

    day = played(trace, monkeypatch, headroom=headroom)

    assert day.late < 0.01
    assert not day.is_paged


@pytest.mark.parametrize("per_s", [101, 110])
def test_fewer_replicas_than_what_arrives_on_purpose_wake_nobody(per_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """With headroom below zero what waits asks for the replica that is missing, well before a call is late."""
    assert Day(is_paged=False, late=0.0) == played(steady(per_s), monkeypatch, headroom=-0.2)


@pytest.mark.parametrize("headroom", [0.0, -0.2])
def test_a_pool_that_is_too_small_wakes_somebody(headroom: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three replicas at most, where four are needed."""
    day = played(steady(400), monkeypatch, headroom=headroom, max_replicas=3)

    assert day.late > 0.3
    assert day.is_paged


@pytest.mark.parametrize(
    ("shares", "per_s", "drain_s"),
    [
        ([], 0, 0.0),
        ([(10, 0, math.inf)], 0, 0.0),
        ([(0, 300, math.inf)], 0, math.inf),
        ([(100, 30_000, math.inf)], 400, 100.0),
        ([(400, 1, math.inf)], 400, math.inf),
        # What the limit of the second lets through is done as it comes; its million hours are its own affair.
        ([(100, 30_000, math.inf), (90, 3.6e9, 50)], 450, 100.0),
        ([(90, 3.6e9, 50)], 50, 0.0),
        ([(90, 3.6e9, 50)], 49, math.inf),
        # A limit that leaves 30 a second for 300 that wait holds for ten seconds: 13,300 in all, at 100 a second.
        ([(0, 13_000, math.inf), (20, 300, 50)], 120, 133.0),
        # The third is held for longer than all takes: 300 and 13,000 at 100 - 10 a second.
        ([(0, 13_000, math.inf), (20, 300, 50), (0, 9e9, 10)], 120, 13_300 / 90),
        ([(0, 300, 10), (0, 900, 10)], 20, 0.0),
        ([(0, 300, 10), (0, 900, 10)], 15, 60.0),
    ],
)
def test_the_time_to_drain_is_of_what_limits_let_through(
    shares: list[tuple[float, float, float]], per_s: float, drain_s: float
) -> None:
    """Arriving, waiting and limit of each tenant, and what is done a second."""
    seen = demand.Demand(tuple(demand.Share(*each) for each in shares))

    assert pytest.approx(drain_s) == seen.drain_s(per_s)
    if 0 < drain_s < math.inf:  # the shortest time in which so much can be done
        assert pytest.approx(per_s * drain_s) == seen.within(drain_s)
    assert dataclasses.replace(seen, is_whole=False).drain_s(per_s) is None
