"""One look at a pool: everything that was read in, how many speech replicas and consumers there are to be out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from aftercall.contracts import pools, reports
from aftercall.operator import capacity, demand, ledger, presence, samples, scaling, unread

TIME_CONSTANT_S = 180.0
"""Of the arrival rate: longer reacts late, shorter to every long call."""
_LANES: dict[pools.Lane, reports.Lane] = {pools.Lane.LIVE: "live", pools.Lane.BULK: "bulk"}


@dataclasses.dataclass(frozen=True, slots=True)
class Reading:
    """What was read; None is unknown.

    `partitions` are by topic and number: of the pool's topics, and of the one where its consumers put aside what is
    over a tenant's share. What is parked until it can be taken is no work, and has no place in them.
    """

    known: ledger.Ledger
    partitions: Mapping[tuple[str, int], unread.Partition]
    limits_per_s: Mapping[str, float]
    speech_asked: int | None
    speech_ready: int | None
    consumers_asked: int | None
    consumers_ready: int | None


@dataclasses.dataclass(frozen=True, slots=True)
class State:
    """What one look hands to the next. The estimates outlive the operator, the rest may begin anew."""

    rates: Mapping[str, demand.Rate] = dataclasses.field(default_factory=dict)
    speech: scaling.State = dataclasses.field(default_factory=scaling.State)
    consumers: scaling.State = dataclasses.field(default_factory=scaling.State)
    heard: capacity.Estimate | None = None
    prepared: capacity.Estimate | None = None
    sampled: samples.State = dataclasses.field(default_factory=samples.State)
    present: presence.State = dataclasses.field(default_factory=presence.State)


@dataclasses.dataclass(frozen=True, slots=True)
class Decisions:
    """What is to be, and from what. `speech` is None for a backend that is somebody else's."""

    speech: scaling.Decision | None
    consumers: scaling.Decision
    wanted: demand.Demand
    beyond: unread.Unread
    """What nobody has read."""
    present: presence.Presence
    """Which consumers speak, which have fallen silent, and how many are ready and tell nothing."""
    drain_s: float | None = None
    """Seconds until what is due as the pool promises is gone, with what answers now; the slower of both fleets counts.
    None: not known; infinity: never."""


def decide(spec: pools.TranscriptionPool, seen: Reading, state: State, *, now_s: float) -> tuple[Decisions, State]:
    """Return what a pool is to be, and the state for the next look."""
    unfinished = unread.unfinished(seen.partitions.values())
    present, presence_state = presence.take(
        seen.known.heard, seen.consumers_ready, state.present, seen.partitions, is_done=not unfinished, now_s=now_s
    )
    beyond = _unread(spec, seen.partitions, presence.positions(present))
    shares = presence.shares(seen.partitions, present)
    loads = ledger.loads(seen.known, beyond, _terms(spec, seen), shares)
    is_whole = (
        not present.n_missing
        and not any(each.left for each in shares.values())
        and all(each.is_whole for each in beyond.values())
    )
    wanted, rates = demand.read(loads, state.rates, now_s=now_s, time_constant_s=TIME_CONSTANT_S, is_whole=is_whole)
    did, sampled = samples.take(present.speaking, state.sampled, replicas=seen.speech_ready)
    unheard = scaling.Reason.UNKNOWN_BACKLOG if present.is_beginning else None
    prior = _prior(spec.consumers)
    prepared = capacity.learn(state.prepared, did.prepared, prior)
    prepares_per_s = capacity.per_replica(prepared, prior)
    fleet = _consumers_there(seen, prepares_per_s, unfinished, unheard)
    consumers, consumers_state = _consumers(spec, wanted, fleet, state.consumers, now_s)
    drains = [_drain_s(wanted, seen.consumers_ready, prepares_per_s)]
    speech, speech_state, heard = None, state.speech, state.heard
    if spec.scaling is not None:
        prior = _prior(spec.scaling)
        heard = capacity.learn(heard, did.heard, prior)
        is_behind = sampled.are_consumers_full and not sampled.is_speech_full
        fleet = scaling.Fleet(
            seen.speech_asked,
            seen.speech_ready,
            capacity.per_replica(heard, prior),
            held_back=scaling.Reason.CONSUMERS_FIRST if is_behind else unheard,
        )
        speech, speech_state = _speech(spec, spec.scaling, wanted, fleet, state.speech, now_s)
        drains.append(
            _drain_s(wanted, seen.speech_ready, fleet.capacity_per_s, headroom=spec.scaling.headroom_percent / 100)
        )
    after = State(rates, speech_state, consumers_state, heard, prepared, sampled, presence_state)
    known = [each for each in drains if each is not None]
    drain_s = max(known) if len(known) == len(drains) else None
    return Decisions(speech, consumers, wanted, unread.total(beyond.values()), present, drain_s), after


def _prior(asked: pools.Scaling | pools.Consumers) -> capacity.Prior:
    return capacity.Prior(asked.capacity_audio_seconds_per_minute / 60)


def _speech(
    spec: pools.TranscriptionPool,
    asked: pools.Scaling,
    wanted: demand.Demand,
    fleet: scaling.Fleet,
    state: scaling.State,
    now_s: float,
) -> tuple[scaling.Decision, scaling.State]:
    if spec.mode is pools.Mode.PAUSED:
        return scaling.Decision(None, scaling.Reason.PAUSED), scaling.State()
    if spec.mode is pools.Mode.EXTERNAL:
        return scaling.Decision(spec.replicas, scaling.Reason.EXTERNAL), scaling.State()
    policy = scaling.Policy(
        asked.min_replicas,
        asked.max_replicas,
        drain_target_s=asked.drain_target_seconds,
        headroom=asked.headroom_percent / 100,
        stabilization_s=asked.stabilization_seconds,
        cold_start_s=asked.cold_start_seconds,
        promise_s=spec.promise_seconds,
        max_step=asked.max_step,
    )
    return scaling.decide(wanted, fleet, state, policy, now_s=now_s)


def _consumers_there(
    seen: Reading, capacity_per_s: float, unfinished: int, held_back: scaling.Reason | None
) -> scaling.Fleet:
    # A topic that could not be read has partitions too: a bound that is not known lowers nothing.
    ceiling = len(seen.partitions) if all(number >= 0 for _, number in seen.partitions) else None
    return scaling.Fleet(
        seen.consumers_asked,
        seen.consumers_ready,
        capacity_per_s,
        ceiling=ceiling or None,
        useful=None if ceiling is None else max(1, unfinished),
        held_back=held_back,
    )


def _consumers(
    spec: pools.TranscriptionPool,
    wanted: demand.Demand,
    fleet: scaling.Fleet,
    state: scaling.State,
    now_s: float,
) -> tuple[scaling.Decision, scaling.State]:
    if spec.mode is pools.Mode.PAUSED:
        return scaling.Decision(None, scaling.Reason.PAUSED), scaling.State()
    policy = scaling.Policy(
        spec.consumers.min_replicas,
        spec.consumers.max_replicas,
        drain_target_s=_drain_target_s(spec),
        stabilization_s=spec.consumers.stabilization_seconds,
        cold_start_s=0.0,
    )
    return scaling.decide(wanted, fleet, state, policy, now_s=now_s)


def _drain_s(wanted: demand.Demand, ready: int | None, capacity_per_s: float, *, headroom: float = 0.0) -> float | None:
    return None if ready is None else wanted.drain_s(ready * capacity_per_s, scaling.share_of_rate(headroom))


def _drain_target_s(spec: pools.TranscriptionPool) -> float:
    return spec.promise_seconds / 4 if spec.scaling is None else spec.scaling.drain_target_seconds


def _terms(spec: pools.TranscriptionPool, seen: Reading) -> ledger.Terms:
    """Return when work is due. A lane is as urgent as the most urgent of its topics."""
    due_s: dict[reports.Lane, float] = {}
    for topic in spec.topics:
        promise_s = float(topic.promise_seconds or spec.promise_seconds)
        lane = _LANES[topic.lane]
        due_s[lane] = min(promise_s, due_s.get(lane, promise_s))
    target_s = _drain_target_s(spec)
    return ledger.Terms(
        seen.limits_per_s,
        target_s,
        later_s={lane: each for lane, each in due_s.items() if each > spec.promise_seconds},
        share=min(1.0, target_s / spec.promise_seconds),
    )


def _unread(
    spec: pools.TranscriptionPool,
    partitions: Mapping[presence.Place, unread.Partition],
    positions: Mapping[presence.Place, int],
) -> dict[reports.Lane | None, unread.Unread]:
    """Return what nobody has read by lane; None is what was put aside, which has lost it."""
    lanes = {topic.name: _LANES[topic.lane] for topic in spec.topics}
    by_lane: dict[reports.Lane | None, list[int | None]] = {}
    for place, each in partitions.items():
        by_lane.setdefault(lanes.get(place[0]), []).append(unread.of_partition(each, positions.get(place)))
    return {lane: unread.count(each) for lane, each in by_lane.items()}
