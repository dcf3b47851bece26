"""Replicas from demand: rows of what is seen and what is decided, with the reason."""

from __future__ import annotations

import dataclasses

import material
import pytest

from aftercall.operator import demand, scaling
from aftercall.operator.scaling import Reason

POLICY = scaling.Policy(1, 20, drain_target_s=300.0, headroom=0.2, stabilization_s=300.0, cold_start_s=60.0)
FLEET = scaling.Fleet(asked=4, ready=4, capacity_per_s=100.0)


def wanted(
    rate_per_s: float = 0.0, waiting_audio_s: float = 0.0, *, limit_per_s: float = 1e9, is_whole: bool = True
) -> demand.Demand:
    """Return the demand of one tenant."""
    return demand.Demand((demand.Share(rate_per_s, waiting_audio_s, limit_per_s),), is_whole)


@pytest.mark.parametrize(
    ("seen", "fleet", "policy", "replicas", "reason"),
    [
        # 320 a second keep four replicas of 100 busy, with a fifth of each kept free.
        (wanted(320), {}, {}, 4, Reason.KEEPING_UP),
        (wanted(321), {}, {}, 5, Reason.KEEPING_UP),
        # 150,000 that wait, in 300 s: five of 100 a second.
        (wanted(0, 150_000), {"asked": 5, "ready": 5}, {"cold_start_s": 0}, 5, Reason.DRAINING),
        # Until new ones come, after 60 s, four do 24,000; the other 126,000 are to be gone 300 s later.
        (wanted(0, 150_000), {}, {}, 5, Reason.DRAINING),
        # What arrives is more than they can do: in those 60 s 12,000 more are left over.
        (wanted(600, 90_000), {}, {}, 10, Reason.COLD_START),
        # A throttled tenant's million hours buy nothing.
        (wanted(20, 3.6e9, limit_per_s=10), {}, {"stabilization_s": 0.0}, 1, Reason.KEEPING_UP),
        (wanted(0, 0), {"asked": 1, "ready": 1}, {}, 1, Reason.AT_MINIMUM),
        (wanted(9000), {}, {}, 20, Reason.AT_MAXIMUM),
        (wanted(9000), {}, {"max_step": 3}, 7, Reason.STEP_LIMITED),
        (wanted(9000), {"ceiling": 6}, {}, 6, Reason.AT_MAXIMUM),
        # Only two of them would have something to do; what is there stays for the window.
        (wanted(9000), {"useful": 6}, {}, 6, Reason.AT_MAXIMUM),
        (wanted(9000), {"useful": 2}, {}, 4, Reason.STABILIZING),
        (wanted(9000), {"held_back": Reason.CONSUMERS_FIRST}, {}, 4, Reason.CONSUMERS_FIRST),
        # From nothing: anything that waits, even of a tenant whose limit lets nothing through just now.
        (wanted(0, 1), {"asked": 0, "ready": 0}, {"min_replicas": 0}, 1, Reason.WOKEN),
        (wanted(0, 0), {"asked": 0, "ready": 0}, {"min_replicas": 0}, 0, Reason.IDLE),
        (wanted(0, 0), {"asked": 1, "ready": 1}, {"min_replicas": 0, "stabilization_s": 0.0}, 0, Reason.IDLE),
        # Unknown raises and never lowers.
        (wanted(0, 0, is_whole=False), {}, {}, 4, Reason.UNKNOWN_BACKLOG),
        (wanted(900, is_whole=False), {}, {}, 12, Reason.KEEPING_UP),
        (wanted(900), {"asked": None}, {}, None, Reason.UNKNOWN_REPLICAS),
        # Over its bounds it goes down at once, whatever the window says.
        (wanted(9000), {"asked": 25, "ready": 25}, {}, 20, Reason.AT_MAXIMUM),
    ],
)
def test_decisions(
    seen: demand.Demand,
    fleet: dict[str, object],
    policy: dict[str, object],
    replicas: int | None,
    reason: Reason,
) -> None:
    """One look at a fleet that has seen nothing before."""
    decision, _ = scaling.decide(
        seen,
        dataclasses.replace(FLEET, **fleet),  # type: ignore[arg-type]
        scaling.State(),
        dataclasses.replace(POLICY, **policy),  # type: ignore[arg-type]
        now_s=1000.0,
    )

    assert (replicas, reason) == (decision.replicas, decision.reason)


def test_what_somebody_took_away_is_asked_for_again_in_the_same_look() -> None:
    """A step is one a look; without steps a look may be taken again at once."""
    for max_step, again in ((None, 20), (3, 4)):
        policy = dataclasses.replace(POLICY, max_step=max_step)
        _, state = scaling.decide(wanted(9000), FLEET, scaling.State(), policy, now_s=1000.0)
        decision, _ = scaling.decide(wanted(9000), FLEET, state, policy, now_s=1000.0)

        assert again == decision.replicas


def test_one_goes_once_nine_tenths_of_the_others_would_do() -> None:
    """Four of 80 do 320: one that is asked for at 321 stays until 290, and what swings about 320 moves nothing."""
    state, fleet, seen = scaling.State(), FLEET, []
    for at, rate in enumerate((321, 319, 321, 300, 291, 290)):
        for now_s in (1000.0 * at, 1000.0 * at + 290, 1000.0 * at + 580, 1000.0 * at + 870):
            decision, state = scaling.decide(wanted(rate), fleet, state, POLICY, now_s=now_s)
        seen.append((decision.replicas, decision.reason))
        assert decision.replicas is not None
        fleet = dataclasses.replace(fleet, asked=decision.replicas, ready=decision.replicas)

    assert [5, 5, 5, 5, 5, 4] == [replicas for replicas, _ in seen]
    assert [Reason.KEEPING_UP, Reason.STABILIZING] == [reason for _, reason in seen[:2]]


def test_down_goes_to_the_largest_wish_of_the_window() -> None:
    """And the window ends."""
    state, fleet, seen = scaling.State(), FLEET, []
    for now_s, rate in [(0, 280), (100, 70), (200, 140), (301, 70), (499, 70), (501, 70)]:
        decision, state = scaling.decide(wanted(rate), fleet, state, POLICY, now_s=now_s)
        seen.append((decision.replicas, decision.reason))
        assert decision.replicas is not None
        fleet = dataclasses.replace(fleet, asked=decision.replicas, ready=decision.replicas)

    assert [
        (4, Reason.KEEPING_UP),
        (4, Reason.STABILIZING),
        (4, Reason.STABILIZING),
        (2, Reason.STABILIZING),
        (2, Reason.STABILIZING),
        (1, Reason.KEEPING_UP),
    ] == seen


@pytest.mark.parametrize(
    ("cold_start_s", "promise_s", "window_s"),
    [
        # One that is asked for when work comes is there after 60 s, and done with it 300 s later.
        (60.0, 600.0, 300.0),
        (300.0, 600.0, 300.0),
        # One that comes after 400 s is too late: who has it keeps it.
        (400.0, 600.0, 800.0),
        (400.0, None, 300.0),
        # Never shorter than was set.
        (120.0, 400.0, 300.0),
    ],
)
def test_a_replica_that_would_come_back_too_late_stays_longer(
    cold_start_s: float, promise_s: float | None, window_s: float
) -> None:
    """It goes once nothing asked for it all that time."""
    policy = dataclasses.replace(POLICY, cold_start_s=cold_start_s, promise_s=promise_s)
    state = scaling.State((scaling.Wish(0.0, 4),), whole_at_s=0.0)

    still, state = scaling.decide(wanted(0), FLEET, state, policy, now_s=window_s - 1)
    then, _ = scaling.decide(wanted(0), FLEET, state, policy, now_s=window_s)

    assert (window_s, 4, 1) == (policy.window_s, still.replicas, then.replicas)


def test_who_has_just_begun_takes_nothing_away() -> None:
    """A restart of the operator forgets why there were so many; that is no reason to have fewer."""
    fresh, state = scaling.decide(wanted(0), FLEET, scaling.State(), POLICY, now_s=1000.0)
    still, state = scaling.decide(wanted(0), FLEET, state, POLICY, now_s=1299.0)
    later, _ = scaling.decide(wanted(0), FLEET, state, POLICY, now_s=1301.0)

    assert (4, Reason.STABILIZING) == (fresh.replicas, fresh.reason) == (still.replicas, still.reason)
    assert 1 == later.replicas


@pytest.mark.parametrize(
    ("seen", "fleet"),
    [(wanted(0, is_whole=False), FLEET), (wanted(0), dataclasses.replace(FLEET, asked=None))],
    ids=["Kafka", "the target"],
)
def test_who_could_not_see_for_a_window_takes_nothing_away(seen: demand.Demand, fleet: scaling.Fleet) -> None:
    """What was wanted before is forgotten, and nothing is known of what was wanted since."""
    _, state = scaling.decide(wanted(320), FLEET, scaling.State(), POLICY, now_s=0.0)
    for now_s in range(5, 400, 5):
        _, state = scaling.decide(seen, fleet, state, POLICY, now_s=now_s)

    again, state = scaling.decide(wanted(0), FLEET, state, POLICY, now_s=400.0)
    still, state = scaling.decide(wanted(0), FLEET, state, POLICY, now_s=690.0)
    later, _ = scaling.decide(wanted(0), FLEET, state, POLICY, now_s=701.0)

    assert [4, 4, 1] == [again.replicas, still.replicas, later.replicas]


def test_one_look_that_could_not_see_begins_no_window_anew() -> None:
    """One in ten fails: what nine see for the whole window counts."""
    state = scaling.State()
    for at in range(61):
        found = wanted(0, is_whole=at % 10 != 5)
        decision, state = scaling.decide(found, FLEET, state, POLICY, now_s=5.0 * at)

    assert 1 == decision.replicas


def test_a_window_that_is_shorter_than_the_time_between_looks_ends() -> None:
    """Which is no reason to stay for ever."""
    policy, state = dataclasses.replace(POLICY, stabilization_s=3.0), scaling.State()
    for now_s in (0.0, 5.0):
        decision, state = scaling.decide(wanted(0), FLEET, state, policy, now_s=now_s)

    assert 1 == decision.replicas


def test_what_is_on_its_way_is_not_ordered_twice() -> None:
    """While a GPU is fetched the backlog grows, by as much as was reckoned with."""
    state, asked, waiting = scaling.State(), 4, 20_000.0
    policy = dataclasses.replace(POLICY, cold_start_s=300.0)
    decided = []
    for now_s in range(0, 300, 10):
        fleet = dataclasses.replace(FLEET, asked=asked, ready=4)
        decision, state = scaling.decide(wanted(700, waiting), fleet, state, policy, now_s=float(now_s))
        assert decision.replicas is not None
        asked = decision.replicas
        decided.append(asked)
        waiting += (700 - 4 * 100) * 10

    assert {decided[0]} == set(decided)


def test_one_that_never_comes_is_missed_in_the_end() -> None:
    """Once a cold start has passed, what waits asks again."""
    fleet = dataclasses.replace(FLEET, asked=8, ready=4)
    state = scaling.State(raised_at_s=0.0)

    in_time, _ = scaling.decide(wanted(700, 40_000), fleet, state, POLICY, now_s=30.0)
    overdue, _ = scaling.decide(wanted(700, 90_000), fleet, state, POLICY, now_s=200.0)

    assert in_time.replicas is not None
    assert overdue.replicas is not None
    assert overdue.replicas > in_time.replicas


@pytest.mark.parametrize(
    "wrong", [{"min_replicas": 3, "max_replicas": 2}, {"drain_target_s": 0.0}, {"headroom": 1.0}, {"min_replicas": -1}]
)
def test_a_policy_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    """Before anything is scaled by it."""
    with pytest.raises(ValueError, match=r"replicas|drain target"):
        dataclasses.replace(POLICY, **wrong)  # type: ignore[arg-type]


def test_every_reason_is_explained() -> None:
    """In docs/scaling.md, whoever reads it in a condition or a metric."""
    page = (material.ROOT / "docs" / "scaling.md").read_text()

    assert [] == [reason for reason in Reason if f"`{reason}`" not in page]
