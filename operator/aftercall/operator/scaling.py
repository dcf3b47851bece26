"""How many replicas a fleet should have: demand, what is there and a policy in, one number with its reason out.

A fleet is the speech replicas of a pool, or its consumers. Three wishes are weighed, and the largest counts:

- to keep up: what arrives, with headroom;
- to drain: what arrives and what waits, spread over the drain target;
- to make up for the cold start: until new replicas answer, the old ones alone work off what arrives and waits; what
  they leave, the new ones must do within the drain target that follows. What was ordered already counts, and until it
  comes the sum of what waits and what is yet to arrive stays the same, so that a wait for a GPU orders no second one.

Up goes at once, by a step; down goes to the largest wish of the stabilization window and a tenth, and that window is
longer where replicas come back too late for what is promised. A number that could not be read is a lower bound: it may
raise, it never lowers.
"""

from __future__ import annotations

import dataclasses
import enum
import math

from aftercall.operator import demand

_SLACK = 1.1
"""Replicas go down to what is needed and a tenth: else one would go and come back with every swing. What that costs is
less than what it saves: of those that went, most were missed."""
_BLIND_S = 60.0
"""Seconds without a decision after which none is known, where the window is shorter: looks are seconds apart."""
_KEPT = 2.0
"""Cold starts without a use for it after which a replica goes that could not come back in time."""


class Reason(enum.StrEnum):
    """Why a fleet is to have that many replicas: in conditions, events, metrics and logs."""

    KEEPING_UP = "KeepingUp"
    DRAINING = "Draining"
    COLD_START = "ColdStart"
    STABILIZING = "Stabilizing"
    AT_MINIMUM = "AtMinimum"
    AT_MAXIMUM = "AtMaximum"
    STEP_LIMITED = "StepLimited"
    WOKEN = "Woken"
    IDLE = "Idle"
    UNKNOWN_BACKLOG = "UnknownBacklog"
    UNKNOWN_REPLICAS = "UnknownReplicas"
    CONSUMERS_FIRST = "ConsumersFirst"
    PAUSED = "Paused"
    EXTERNAL = "External"
    SCALING_CONFLICT = "ScalingConflict"


@dataclasses.dataclass(frozen=True, slots=True)
class Policy:
    """A fleet's bounds and temper."""

    min_replicas: int
    max_replicas: int
    drain_target_s: float
    headroom: float = 0.0
    """Share of a replica's capacity that is kept free for what comes unevenly. Below zero, replicas are fewer than what
    arrives would take until what waits asks for more: at -0.2 calls wait up to a sixth of the drain target at steady
    load, and no part of a replica idles."""
    stabilization_s: float = 300.0
    """Seconds for which the largest wish counts before replicas go; `window_s` may be longer."""
    cold_start_s: float = 60.0
    """Seconds from asking for a replica to its first work."""
    promise_s: float | None = None
    """Seconds in which work is due; None: nothing is promised."""
    max_step: int | None = None
    """Replicas that may be added by one decision; None: as many as are wanted."""

    def __post_init__(self) -> None:
        if not 0 <= self.min_replicas <= self.max_replicas:
            raise ValueError(f"{self.min_replicas} to {self.max_replicas} replicas are no range")
        if not (self.drain_target_s > 0 and -1 <= self.headroom < 1):
            raise ValueError("a drain target is over 0 s and headroom is -1 to under 1")

    @property
    def window_s(self) -> float:
        """Return the seconds for which the largest wish counts before replicas go.

        A replica that is asked for when work comes begins after the cold start, and works off what waits within the
        drain target. Where the promise is shorter than both, only one that has stayed is in time: then one stays until
        twice the cold start has passed without a use for it.
        """
        if self.promise_s is None or self.cold_start_s + self.drain_target_s <= self.promise_s:
            return self.stabilization_s
        return max(self.stabilization_s, _KEPT * self.cold_start_s)


@dataclasses.dataclass(frozen=True, slots=True)
class Fleet:
    """What is there: replicas asked for, those that answer, and what one of them does a second.

    `ceiling` is another bound that is known only now (a consumer for each partition); None: none is known.
    """

    asked: int | None
    ready: int | None
    capacity_per_s: float
    ceiling: int | None = None
    useful: int | None = None
    """How many have something to do, however much that is (consumers: partitions with something in them); None: all.
    Another bound, but one that changes by the second: what is there goes at its leisure."""
    held_back: Reason | None = None
    """Why none are added to those that are there: what feeds them is at its end (no GPU while consumers are), or has
    not told yet what waits. None: nothing holds them back."""


@dataclasses.dataclass(frozen=True, slots=True)
class Wish:
    """What was wanted at a time."""

    at_s: float
    replicas: int


@dataclasses.dataclass(frozen=True, slots=True)
class State:
    """What one decision hands to the next: wishes of the stabilization window, when replicas were last added, and when
    all that is wanted was last known.
    """

    wishes: tuple[Wish, ...] = ()
    raised_at_s: float | None = None
    whole_at_s: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Decision:
    """So many replicas (None: leave them alone), why, and what was wished for before any bound."""

    replicas: int | None
    reason: Reason
    wish: int | None = None


def decide(
    wanted: demand.Demand, fleet: Fleet, state: State, policy: Policy, *, now_s: float
) -> tuple[Decision, State]:
    """Return how many replicas there should be, and the state for the next decision."""
    if fleet.asked is None:
        return Decision(None, Reason.UNKNOWN_REPLICAS), state
    need, reason = _need(wanted, fleet, state, policy, now_s)
    wish = _whole(need)
    ceiling = (
        policy.max_replicas
        if fleet.ceiling is None
        else max(policy.min_replicas, min(policy.max_replicas, fleet.ceiling))
    )
    useful = ceiling if fleet.useful is None else min(ceiling, fleet.useful)
    bounded = max(policy.min_replicas, min(useful, wish))
    kept = max(policy.min_replicas, min(useful, _whole(need * _SLACK)))
    if bounded != wish:
        reason = Reason.AT_MAXIMUM if bounded < wish else Reason.AT_MINIMUM
    wishes = _seen(state, fleet.asked, policy, now_s)
    if wanted.is_whole or bounded >= fleet.asked:  # a lower bound says nothing of how few would do
        wishes = _pushed(wishes, Wish(now_s, kept))
    replicas = bounded
    if bounded < fleet.asked:
        # Down to the largest wish of the window, never up because of it.
        most = min(fleet.asked, ceiling)
        replicas = min(most, max(each.replicas for each in wishes)) if wanted.is_whole else most
        if replicas > bounded:
            reason = Reason.STABILIZING if wanted.is_whole else Reason.UNKNOWN_BACKLOG
    elif bounded > fleet.asked:
        stepped = bounded
        if policy.max_step is not None:
            # A look that is taken again, since its write was refused, is no second step.
            step = policy.max_step if state.raised_at_s != now_s else 0
            stepped = max(fleet.asked + step, policy.min_replicas)
        if fleet.held_back is not None and fleet.asked > 0:
            replicas, reason = max(fleet.asked, policy.min_replicas), fleet.held_back
        elif bounded > stepped:
            replicas, reason = stepped, Reason.STEP_LIMITED
    raised_at_s = now_s if replicas > fleet.asked else state.raised_at_s
    whole_at_s = now_s if wanted.is_whole else state.whole_at_s
    return Decision(replicas, reason, wish), State(wishes, raised_at_s, whole_at_s)


def share_of_rate(headroom: float) -> float:
    """Return for which share of what arrives a fleet is built: headroom below zero leaves a part to what waits."""
    return min(1.0, 1 / (1 - headroom))


def _need(wanted: demand.Demand, fleet: Fleet, state: State, policy: Policy, now_s: float) -> tuple[float, Reason]:
    """Return the largest of what is wished for, in replicas and parts of one, before any bound."""
    asked = fleet.asked or 0
    per_s = fleet.capacity_per_s
    target_s = policy.drain_target_s
    keep_up = wanted.rate_per_s / (per_s * (1 - policy.headroom))
    rate_share = share_of_rate(policy.headroom)
    drain = wanted.within(target_s, rate_share) / target_s / per_s
    ready = asked if fleet.ready is None else min(fleet.ready, asked)
    left_s = _cold_start_left_s(fleet, state, policy, now_s)
    horizon_s = target_s + left_s
    missing = wanted.within(horizon_s, rate_share) / per_s - ready * horizon_s
    made_up = ready + missing / target_s if missing > 0 else 0.0
    need = max(keep_up, drain, made_up)
    if _whole(need) == 0:
        return (1.0, Reason.WOKEN) if wanted.waiting_audio_s > 0 else (0.0, Reason.IDLE)
    if asked == 0:
        return need, Reason.WOKEN
    if made_up == need and made_up > drain:
        return need, Reason.COLD_START
    return need, Reason.KEEPING_UP if keep_up >= drain else Reason.DRAINING


def _whole(need: float) -> int:
    return math.ceil(need - 1e-9)


def _cold_start_left_s(fleet: Fleet, state: State, policy: Policy, now_s: float) -> float:
    """Return the seconds until a replica asked for now, or the ones on their way, will answer."""
    on_their_way = fleet.asked is not None and fleet.ready is not None and fleet.ready < fleet.asked
    if not on_their_way or state.raised_at_s is None:
        return policy.cold_start_s
    return max(0.0, policy.cold_start_s - (now_s - state.raised_at_s))


def _seen(state: State, asked: int, policy: Policy, now_s: float) -> tuple[Wish, ...]:
    """Return the wishes of the window.

    Who has just begun has seen none, nor has who could not see for the whole window: what is there was somebody's.
    """
    is_blind = state.whole_at_s is None or now_s - state.whole_at_s >= max(policy.window_s, _BLIND_S)
    wishes = _pushed(state.wishes, Wish(now_s, asked)) if is_blind else state.wishes
    return tuple(each for each in wishes if now_s - each.at_s < policy.window_s)


def _pushed(wishes: tuple[Wish, ...], newest: Wish) -> tuple[Wish, ...]:
    """Return wishes with a newer one: only what may still be the largest of the window is kept, newest last."""
    return (*(each for each in wishes if each.replicas > newest.replicas), newest)
