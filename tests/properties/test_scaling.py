"""Whatever is seen: bounds hold, more work never means fewer replicas, unknown lowers nothing, nothing flaps.

First from any state at all, then over 100,000 looks in a row at traffic that jumps about, with readings that fail.
"""

from __future__ import annotations

import collections
import dataclasses
import random
from collections.abc import Callable

import pytest
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
HELD_BACK = (scaling.Reason.CONSUMERS_FIRST, scaling.Reason.UNKNOWN_BACKLOG)
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
    held_back=st.sampled_from([None, *HELD_BACK]),
)
STATES = st.builds(
    scaling.State,
    st.lists(st.builds(scaling.Wish, st.floats(0, 1000), st.integers(0, 50)), max_size=5).map(tuple),
    st.none() | st.floats(0, 1000),
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


STEPS = 100_000
LOOK_S = (5.0, 10.0, 15.0)
Decide = Callable[..., tuple[scaling.Decision, scaling.State]]


def any_policy(rng: random.Random) -> scaling.Policy:
    """Draw bounds and temper."""
    return scaling.Policy(
        min_replicas=rng.choice((0, 0, 1, 3)),
        max_replicas=rng.choice((3, 10, 50)),
        drain_target_s=rng.choice((60.0, 150.0, 300.0)),
        headroom=rng.choice((-0.5, -0.15, 0.0, 0.2)),
        stabilization_s=rng.choice((0.0, 60.0, 300.0)),
        cold_start_s=rng.choice((0.0, 60.0, 600.0)),
        promise_s=rng.choice((None, 600.0)),
        max_step=rng.choice((None, None, 1, 4)),
    )


class Traffic:
    """Three tenants whose work jumps about: one open, one with a limit, one whose work is due later.

    Some readings are missing (None), negative, or stale: then not all is known, and what is known is a lower bound.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._arrived = dict.fromkeys("abc", 0.0)
        self._per_s = dict.fromkeys("abc", 0.0)
        self._waiting = dict.fromkeys("abc", 0.0)
        self.rates: dict[str, demand.Rate] = {}

    def look(self, passed_s: float, now_s: float) -> demand.Demand:
        """Return what is wanted after so many seconds."""
        for name in "abc":
            if self._rng.random() < 0.03:
                self._per_s[name] = self._rng.choice((0.0, 0.0, 20.0, 200.0, 1500.0))
                self._waiting[name] = self._rng.choice((0.0, 0.0, 1e3, 1e5))
            self._arrived[name] += self._per_s[name] * passed_s
        later = (demand.Later(self._waiting["c"], 3600.0),)
        loads = {
            "a": demand.Load(self._arrived["a"], self._waiting["a"]),
            "b": demand.Load(self._arrived["b"], self._waiting["b"], limit_per_s=30.0),
            "c": demand.Load(self._arrived["c"], 0.0, later=later),
        }
        is_whole = True
        match self._rng.choice(("missing", "unread", "negative", "stale", "gone", *("fine",) * 35)):
            case "missing":
                loads["a"] = dataclasses.replace(loads["a"], arrived_audio_s=None, waiting_audio_s=None)
            case "unread":
                loads["a"] = dataclasses.replace(loads["a"], waiting_audio_s=None)
            case "negative":
                loads["a"] = dataclasses.replace(loads["a"], waiting_audio_s=-2.0)
            case "stale":
                is_whole = False
            case "gone":
                del loads["a"]
                is_whole = False
        found, self.rates = demand.read(loads, self.rates, now_s=now_s, time_constant_s=180.0, is_whole=is_whole)
        return found


def walk(decide: Decide, steps: int, seed: int = 1) -> collections.Counter[str]:
    """Look so many times, hold every property at each, and return how often what happened."""
    rng = random.Random(seed)
    seen: collections.Counter[str] = collections.Counter()
    while seen["looks"] < steps:
        policy, traffic = any_policy(rng), Traffic(rng)
        state, asked, ready, now_s = scaling.State(), rng.randint(0, 12), 0, rng.uniform(0, 1e6)
        since_s, by_wish = -1e9, 0
        whole_at_s, blind_until_s = -1e9, -1e9
        for _ in range(500):
            seen["looks"] += 1
            passed_s = rng.choice(LOOK_S)
            now_s += passed_s
            ready = asked if rng.random() < 0.3 else min(ready, asked)
            wanted = traffic.look(passed_s, now_s)
            if rng.random() < 0.002:
                blind_until_s = now_s + rng.uniform(30.0, 900.0)
            if now_s < blind_until_s:
                wanted = dataclasses.replace(wanted, is_whole=False)
            if rng.random() < 0.002:
                state, traffic.rates = scaling.State(), {}
                whole_at_s = -1e9
                seen["restarts"] += 1
            fleet = scaling.Fleet(
                asked,
                None if rng.random() < 0.02 else ready,
                50.0,
                ceiling=rng.randint(0, 20) if rng.random() < 0.02 else None,
                useful=rng.randint(0, 20) if rng.random() < 0.1 else None,
                held_back=rng.choice(HELD_BACK) if rng.random() < 0.05 else None,
            )
            is_blind = now_s - whole_at_s >= max(policy.window_s, 60.0)
            whole_at_s = now_s if wanted.is_whole else whole_at_s
            decision, after = decide(wanted, fleet, state, policy, now_s=now_s)
            replicas = decision.replicas
            assert replicas is not None

            # Bounds, and the step.
            ceiling = policy.max_replicas if fleet.ceiling is None else min(policy.max_replicas, fleet.ceiling)
            ceiling = max(policy.min_replicas, ceiling)
            assert policy.min_replicas <= replicas <= ceiling
            if policy.max_step is not None:
                assert replicas <= max(asked + policy.max_step, policy.min_replicas)
            # What is unknown, was so for the whole window, and a restart take nothing away but by a bound.
            if not wanted.is_whole:
                assert replicas >= min(asked, ceiling)
                seen["looks at what is not all known"] += 1
            if is_blind and policy.window_s > 0:
                assert replicas >= min(asked, ceiling)
                seen["first looks"] += wanted.is_whole
            # More that waits, in the same state, never means fewer.
            at = rng.randrange(len(wanted.shares))
            more = _with_more(wanted, at, rng.choice((1.0, 1e3, 1e6)))
            assert (decide(more, fleet, state, policy, now_s=now_s)[0].replicas or 0) >= replicas
            # The same look again, once it was done: the same; but one that has just raised knows when new ones come.
            if replicas <= asked or policy.max_step is not None:
                applied = dataclasses.replace(fleet, asked=replicas)
                assert decide(wanted, applied, after, policy, now_s=now_s)[0].replicas == replicas
            # What was wished for stays for the window, but for a bound.
            if replicas < asked and replicas < ceiling and now_s - since_s < policy.window_s:
                assert replicas >= by_wish
            if replicas > asked:
                since_s, by_wish = now_s, replicas
            seen["up" if replicas > asked else "down" if replicas < asked else "same"] += 1
            state, asked = after, replicas
            ready = min(ready, asked)
    return seen


def _with_more(wanted: demand.Demand, at: int, audio_s: float) -> demand.Demand:
    shares = list(wanted.shares)
    one = shares[at]
    if one.later:
        later = dataclasses.replace(one.later[0], audio_s=one.later[0].audio_s + audio_s)
        shares[at] = dataclasses.replace(one, later=(later,))
    else:
        shares[at] = dataclasses.replace(one, waiting_audio_s=one.waiting_audio_s + audio_s)
    return dataclasses.replace(wanted, shares=tuple(shares))


def test_every_property_holds_over_a_hundred_thousand_looks() -> None:
    """Bounds, steps, more is never fewer, unknown and restarts take nothing away, a look again is the same."""
    seen = walk(scaling.decide, STEPS)

    print(dict(seen))
    assert seen["looks at what is not all known"] > STEPS / 10
    assert min(seen["up"], seen["down"], seen["restarts"], seen["first looks"]) > STEPS / 1000


def noisy(decide: Decide, steps: int, rng: random.Random) -> collections.Counter[str]:
    """Look at steady work whose every reading is up to 15 % off, and count changes and those that take one back.

    A change takes one back when it goes the other way within the window.
    """
    seen: collections.Counter[str] = collections.Counter()
    while seen["looks"] < steps:
        policy = scaling.Policy(
            1,
            50,
            drain_target_s=rng.choice((150.0, 300.0)),
            headroom=rng.choice((-0.3, 0.0, 0.1)),
            cold_start_s=rng.choice((15.0, 180.0, 600.0)),
            promise_s=600.0,
        )
        per_s, waiting = rng.uniform(50, 1500), rng.choice((0.0, 1e3, 1e4, 4e4))
        state, rates, total, asked, now_s = scaling.State(), {}, 0.0, 10, 0.0
        changed: tuple[int, float] = (0, -1e9)
        for _ in range(2000):
            seen["looks"] += 1
            now_s += 10.0
            total += 10.0 * per_s * rng.uniform(0.85, 1.15)
            load = demand.Load(total, waiting * rng.uniform(0.85, 1.15))
            wanted, rates = demand.read({"a": load}, rates, now_s=now_s, time_constant_s=180.0)
            decision, state = decide(wanted, scaling.Fleet(asked, asked, 50.0), state, policy, now_s=now_s)
            assert decision.replicas is not None
            way = (decision.replicas > asked) - (decision.replicas < asked)
            if way:
                seen["changes"] += 1
                seen["taken back"] += way != changed[0] and now_s - changed[1] < policy.window_s
                changed = (way, now_s)
            asked = decision.replicas
    return seen


def test_noise_of_fifteen_percent_takes_no_change_back() -> None:
    """Within the window, over 100,000 looks: neither down after up, nor up after down."""
    seen = noisy(scaling.decide, STEPS, random.Random(2))

    print(dict(seen))
    assert seen["changes"] > 0
    assert 0 == seen["taken back"]


def _unbounded(decide: Decide) -> Decide:
    def wrong(wanted: demand.Demand, fleet: scaling.Fleet, *rest: object, **more: object) -> object:
        return decide(wanted, dataclasses.replace(fleet, ceiling=None), *rest, **more)

    return wrong  # type: ignore[return-value]


def _unstepped(decide: Decide) -> Decide:
    def wrong(
        wanted: demand.Demand, fleet: scaling.Fleet, state: object, policy: scaling.Policy, **more: object
    ) -> object:
        return decide(wanted, fleet, state, dataclasses.replace(policy, max_step=None), **more)

    return wrong  # type: ignore[return-value]


def _trusting(decide: Decide) -> Decide:
    def wrong(wanted: demand.Demand, *rest: object, **more: object) -> object:
        return decide(dataclasses.replace(wanted, is_whole=True), *rest, **more)

    return wrong  # type: ignore[return-value]


def _forgetful(decide: Decide) -> Decide:
    def wrong(wanted: object, fleet: object, state: scaling.State, *rest: object, **more: object) -> object:
        at_s = more["now_s"]
        assert isinstance(at_s, float)
        known = dataclasses.replace(state, whole_at_s=at_s) if state.whole_at_s is None else state
        return decide(wanted, fleet, known, *rest, **more)

    return wrong  # type: ignore[return-value]


def _sleepwalking(decide: Decide) -> Decide:
    def wrong(wanted: object, fleet: object, state: scaling.State, *rest: object, **more: object) -> object:
        at_s = more["now_s"]
        assert isinstance(at_s, float)
        known = state if state.whole_at_s is None else dataclasses.replace(state, whole_at_s=at_s)
        return decide(wanted, fleet, known, *rest, **more)

    return wrong  # type: ignore[return-value]


def _hasty(decide: Decide) -> Decide:
    def wrong(wanted: object, fleet: object, state: object, policy: scaling.Policy, **more: object) -> object:
        short = dataclasses.replace(policy, stabilization_s=policy.stabilization_s / 2, promise_s=None)
        return decide(wanted, fleet, state, short, **more)

    return wrong  # type: ignore[return-value]


def _overwhelmed(decide: Decide) -> Decide:
    def wrong(wanted: demand.Demand, *rest: object, **more: object) -> object:
        shares = tuple(each for each in wanted.shares if each.waiting_audio_s < 1e6)
        return decide(dataclasses.replace(wanted, shares=shares), *rest, **more)

    return wrong  # type: ignore[return-value]


def _restless(decide: Decide) -> Decide:
    def wrong(wanted: object, fleet: scaling.Fleet, state: object, policy: scaling.Policy, **more: object) -> object:
        decided, after = decide(wanted, fleet, state, policy, **more)
        if fleet.asked and decided.replicas == fleet.asked < policy.max_replicas and fleet.asked % 7 == 6:
            decided = dataclasses.replace(decided, replicas=fleet.asked + 1)
        return decided, after

    return wrong  # type: ignore[return-value]


FAULTS = (_unbounded, _unstepped, _trusting, _forgetful, _sleepwalking, _hasty, _overwhelmed, _restless)


@pytest.mark.parametrize("seed", FAULTS)
def test_each_property_catches_its_fault(seed: Callable[[Decide], Decide]) -> None:
    """A ceiling or a step that is not held, trust in what is unknown, a restart, blindness, half a window, lost work,
    an echo.
    """
    with pytest.raises(AssertionError):
        walk(seed(scaling.decide), STEPS)


def test_noise_is_told_from_a_policy_that_follows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the tenth of slack replicas go and come back."""
    monkeypatch.setattr(scaling, "_SLACK", 1.0)

    assert noisy(scaling.decide, STEPS // 5, random.Random(2))["taken back"] > 0
