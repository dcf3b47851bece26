"""One look at a pool: everything that was read in, how many speech replicas and consumers there are to be out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from aftercall.contracts import pools, reports
from aftercall.operator import capacity, demand, ledger, scaling, unread

STALE_S = 30.0
"""Seconds after which a consumer that reports every few has fallen silent."""
TIME_CONSTANT_S = 180.0
"""Of the arrival rate: longer reacts late, shorter to every long call."""
_FULL = 0.9
_LANES: dict[pools.Lane, reports.Lane] = {pools.Lane.LIVE: "live", pools.Lane.BULK: "bulk"}


@dataclasses.dataclass(frozen=True, slots=True)
class Reading:
    """What was read; None is unknown.

    `partitions` are by topic and number, without the positions of reports: of the pool's topics, and of the one where
    its consumers put aside what is over a tenant's share. What is parked until it can be taken is no work, and has no
    place in them.
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
    told: Mapping[str, reports.ConsumerReport] = dataclasses.field(default_factory=dict)
    looked_at_s: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Decisions:
    """What is to be, and from what. `speech` is None for a backend that is somebody else's."""

    speech: scaling.Decision | None
    consumers: scaling.Decision
    wanted: demand.Demand
    beyond: unread.Unread
    """What nobody has read."""


def decide(spec: pools.TranscriptionPool, seen: Reading, state: State, *, now_s: float) -> tuple[Decisions, State]:
    """Return what a pool is to be, and the state for the next look."""
    beyond = _unread(spec, seen, now_s)
    loads, is_whole = ledger.loads(seen.known, beyond, _terms(spec, seen), now_s=now_s, stale_s=STALE_S)
    wanted, rates = demand.read(loads, state.rates, now_s=now_s, time_constant_s=TIME_CONSTANT_S, is_whole=is_whole)
    heard = _sample(seen, state, now_s, lambda one: one.heard)
    prepared = _sample(seen, state, now_s, lambda one: one.prepared)
    if heard is not None and seen.speech_ready is not None and state.looked_at_s is not None:
        # Many consumers see the same replicas busy: those were so for the whole time between the looks, each once.
        heard = dataclasses.replace(heard, busy_s=seen.speech_ready * (now_s - state.looked_at_s))
    speech = _speech(spec, seen, state, wanted, heard, prepared, now_s)
    consumers = _consumers(spec, seen, state, wanted, prepared, now_s)
    after = State(
        rates=rates,
        speech=state.speech if speech is None else speech[1],
        consumers=consumers[1],
        heard=state.heard if speech is None else speech[2],
        prepared=consumers[2],
        told={name: each.report for name, each in seen.known.heard.items()},
        looked_at_s=now_s,
    )
    decided = None if speech is None else speech[0]
    return Decisions(decided, consumers[0], wanted, unread.total(beyond.values())), after


_Decided = tuple[scaling.Decision, scaling.State, capacity.Estimate | None]


def _speech(
    spec: pools.TranscriptionPool,
    seen: Reading,
    state: State,
    wanted: demand.Demand,
    heard: capacity.Sample | None,
    prepared: capacity.Sample | None,
    now_s: float,
) -> _Decided | None:
    if spec.scaling is None:
        return None
    asked = spec.scaling
    prior = capacity.Prior(asked.capacity_audio_seconds_per_minute / 60)
    estimate = capacity.learn(state.heard, heard, prior)
    if spec.mode is not pools.Mode.OPERATOR:
        reason = scaling.Reason.PAUSED if spec.mode is pools.Mode.PAUSED else scaling.Reason.EXTERNAL
        replicas = None if spec.mode is pools.Mode.PAUSED else spec.replicas
        return scaling.Decision(replicas, reason), state.speech, estimate
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
    consumers_are_full = prepared is not None and prepared.is_saturated
    speech_is_full = heard is not None and heard.is_saturated
    fleet = scaling.Fleet(
        seen.speech_asked,
        seen.speech_ready,
        capacity.per_replica(estimate, prior),
        is_held_back=consumers_are_full and not speech_is_full,
    )
    return *scaling.decide(wanted, fleet, state.speech, policy, now_s=now_s), estimate


def _consumers(
    spec: pools.TranscriptionPool,
    seen: Reading,
    state: State,
    wanted: demand.Demand,
    prepared: capacity.Sample | None,
    now_s: float,
) -> _Decided:
    asked = spec.consumers
    prior = capacity.Prior(asked.capacity_audio_seconds_per_minute / 60)
    estimate = capacity.learn(state.prepared, prepared, prior)
    if spec.mode is pools.Mode.PAUSED:
        return scaling.Decision(None, scaling.Reason.PAUSED), state.consumers, estimate
    policy = scaling.Policy(
        asked.min_replicas,
        asked.max_replicas,
        drain_target_s=_drain_target_s(spec),
        stabilization_s=asked.stabilization_seconds,
        cold_start_s=0.0,
    )
    # A topic that could not be read has partitions too: a bound that is not known lowers nothing.
    ceiling = len(seen.partitions) if all(number >= 0 for _, number in seen.partitions) else None
    fleet = scaling.Fleet(
        seen.consumers_asked,
        seen.consumers_ready,
        capacity.per_replica(estimate, prior),
        ceiling=ceiling or None,
        useful=None if ceiling is None else max(1, unread.unfinished(seen.partitions.values())),
    )
    return *scaling.decide(wanted, fleet, state.consumers, policy, now_s=now_s), estimate


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


def _unread(spec: pools.TranscriptionPool, seen: Reading, now_s: float) -> dict[reports.Lane | None, unread.Unread]:
    """Return what nobody has read by lane; None is what was put aside, which has lost it."""
    lanes = {topic.name: _LANES[topic.lane] for topic in spec.topics}
    by_lane: dict[reports.Lane | None, list[unread.Partition]] = {}
    for (topic, _), each in _with_positions(seen, now_s).items():
        by_lane.setdefault(lanes.get(topic), []).append(each)
    return {lane: unread.count(each) for lane, each in by_lane.items()}


def _with_positions(seen: Reading, now_s: float) -> dict[tuple[str, int], unread.Partition]:
    """Return the partitions with the positions that consumers have reported; the furthest, if two have reported one."""
    positions: dict[tuple[str, int], int] = {}
    for each in seen.known.heard.values():
        if now_s - each.at_s < STALE_S:
            for one in each.report.positions:
                place = one.topic, one.partition
                positions[place] = max(one.position, positions.get(place, 0))
    return {
        place: unread.Partition(each.begin, each.end, each.committed, positions.get(place))
        for place, each in seen.partitions.items()
    }


def _sample(
    seen: Reading, state: State, now_s: float, part: Callable[[reports.ConsumerReport], reports.Work]
) -> capacity.Sample | None:
    """Return what was done since the last look, by consumers that were there then; None without any.

    It counts as saturated when every consumer that did anything was full for nearly all of the time.
    """
    if state.looked_at_s is None:
        return None
    passed_s, done, busy, full = now_s - state.looked_at_s, 0.0, 0.0, []
    for name, each in seen.known.heard.items():
        before = state.told.get(name)
        if before is None or before.instance != each.report.instance or each.report is before:
            continue
        now, then = part(each.report), part(before)
        if now.busy_s > then.busy_s:
            done += now.done_audio_s - then.done_audio_s
            busy += now.busy_s - then.busy_s
            full.append(now.full_s - then.full_s >= _FULL * passed_s)
    return capacity.Sample(done, busy, is_saturated=all(full)) if full else None
