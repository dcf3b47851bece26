"""Whatever is seen: bounds hold, more work never means fewer replicas, unknown lowers nothing, nothing flaps."""

from __future__ import annotations

import dataclasses
import random

from hypothesis import given
from hypothesis import strategies as st

from aftercall.operator import demand, scaling

POLICIES = st.builds(
    scaling.Policy,
    min_replicas=st.integers(0, 3),
    max_replicas=st.integers(3, 50),
    drain_target_s=st.floats(10, 3600),
    headroom=st.floats(-0.5, 0.5),
    stabilization_s=st.floats(0, 900),
    cold_start_s=st.floats(0, 900),
    promise_s=st.none() | st.floats(1, 3600),
    max_step=st.none() | st.integers(1, 10),
)
AUDIO = st.floats(0, 1e7)
LATER = st.builds(demand.Later, AUDIO, st.floats(60, 1e5))
SHARES = st.builds(
    demand.Share,
    rate_per_s=st.floats(0, 1e4),
    waiting_audio_s=AUDIO,
    limit_per_s=st.floats(0.1, 1e5) | st.just(float("inf")),
    later=st.lists(LATER, max_size=2).map(tuple),
)
DEMANDS = st.builds(demand.Demand, st.lists(SHARES, max_size=5).map(tuple), st.booleans())
FLEETS = st.builds(
    scaling.Fleet,
    asked=st.integers(0, 60),
    ready=st.none() | st.integers(0, 60),
    capacity_per_s=st.floats(0.1, 1000),
    ceiling=st.none() | st.integers(0, 60),
    useful=st.none() | st.integers(0, 60),
    is_held_back=st.booleans(),
)
STATES = st.builds(
    scaling.State,
    st.lists(st.builds(scaling.Wish, st.floats(0, 1000), st.integers(0, 50)), max_size=5).map(tuple),
    st.none() | st.floats(0, 1000),
)


@given(DEMANDS, FLEETS, STATES, POLICIES)
def test_bounds_hold(seen: demand.Demand, fleet: scaling.Fleet, state: scaling.State, policy: scaling.Policy) -> None:
    """Between the minimum and the maximum, and at most a consumer for each partition."""
    decision, _ = scaling.decide(seen, fleet, state, policy, now_s=1000.0)

    assert decision.replicas is not None
    assert decision.replicas <= policy.max_replicas
    assert decision.replicas >= policy.min_replicas
    if fleet.ceiling is not None:
        assert decision.replicas <= max(policy.min_replicas, fleet.ceiling)


@given(DEMANDS, FLEETS, STATES, POLICIES, st.integers(0, 4), AUDIO)
def test_more_that_waits_never_means_fewer(
    seen: demand.Demand, fleet: scaling.Fleet, state: scaling.State, policy: scaling.Policy, at: int, more: float
) -> None:
    """In the same state."""
    if not seen.shares:
        return
    shares = list(seen.shares)
    one = shares[at % len(shares)]
    shares[at % len(shares)] = dataclasses.replace(one, waiting_audio_s=one.waiting_audio_s + more)

    before, _ = scaling.decide(seen, fleet, state, policy, now_s=1000.0)
    after, _ = scaling.decide(dataclasses.replace(seen, shares=tuple(shares)), fleet, state, policy, now_s=1000.0)

    assert before.replicas is not None
    assert after.replicas is not None
    assert after.replicas >= before.replicas


@given(DEMANDS, FLEETS, STATES, POLICIES)
def test_unknown_lowers_nothing(
    seen: demand.Demand, fleet: scaling.Fleet, state: scaling.State, policy: scaling.Policy
) -> None:
    """But to a bound."""
    unknown = dataclasses.replace(seen, is_whole=False)
    ceiling = policy.max_replicas
    if fleet.ceiling is not None:
        ceiling = min(ceiling, max(policy.min_replicas, fleet.ceiling))

    decision, _ = scaling.decide(unknown, fleet, state, policy, now_s=1000.0)

    assert fleet.asked is not None
    assert decision.replicas is not None
    assert decision.replicas >= min(fleet.asked, ceiling)


@given(DEMANDS, FLEETS, STATES, POLICIES)
def test_deciding_again_at_once_changes_nothing(
    seen: demand.Demand, fleet: scaling.Fleet, state: scaling.State, policy: scaling.Policy
) -> None:
    """A decision that was applied is a fixed point, but for a step that goes on and a cold start that is now known."""
    policy = dataclasses.replace(policy, max_step=None)
    first, after = scaling.decide(seen, fleet, state, policy, now_s=1000.0)
    if first.replicas is None or fleet.asked is None or first.replicas > fleet.asked:
        return

    again, _ = scaling.decide(seen, dataclasses.replace(fleet, asked=first.replicas), after, policy, now_s=1000.0)

    assert first.replicas == again.replicas


def test_nothing_goes_down_within_the_window_after_it_went_up() -> None:
    """100,000 looks at traffic that jumps about, with readings that fail."""
    rng = random.Random(1)
    policy = scaling.Policy(0, 30, drain_target_s=300, stabilization_s=300, cold_start_s=60)
    state, asked, ready, now_s = scaling.State(), 0, 0, 0.0
    raised: tuple[float, int] = (-1e9, 0)
    rate = waiting = 0.0
    for _ in range(100_000):
        now_s += rng.choice((5.0, 10.0, 15.0))
        if rng.random() < 0.05:
            rate, waiting = rng.choice((0.0, 50.0, 500.0, 2500.0)), rng.choice((0.0, 1e3, 1e5))
        ready = asked if rng.random() < 0.3 else min(ready, asked)
        seen = demand.Demand((demand.Share(rate, waiting, float("inf")),), is_whole=rng.random() < 0.9)
        decision, state = scaling.decide(seen, scaling.Fleet(asked, ready, 100.0), state, policy, now_s=now_s)
        assert decision.replicas is not None
        if decision.replicas > asked:
            raised = (now_s, decision.replicas)
        if decision.replicas < asked and now_s - raised[0] < policy.stabilization_s:
            assert decision.replicas >= raised[1]
        asked = decision.replicas
