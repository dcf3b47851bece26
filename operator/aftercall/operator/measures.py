"""What the operator tells of itself, without knowing who counts it."""

from __future__ import annotations

import math
from typing import Protocol

from aftercall.contracts import metrics, pools
from aftercall.operator import capacity, conditions, failures, gathering, pool, scaling


class Observer(Protocol):
    """Takes measurements of declared metrics."""

    def add(self, metric: metrics.Metric, amount: float = 1.0, **labels: str) -> None:
        """Add to a counter or gauge."""
        ...

    def set(self, metric: metrics.Metric, value: float, **labels: str) -> None:
        """Set a gauge."""
        ...

    def observe(self, metric: metrics.Metric, value: float, **labels: str) -> None:
        """Add an observation to a histogram."""
        ...

    def forget(self, *of: metrics.Metric, **labels: str) -> None:
        """Drop every series of these metrics, or of all, that has all of these labels: what it was of is gone."""
        ...


def tell_conditions(observe: Observer, name: str, found: tuple[conditions.Condition, ...]) -> None:
    """Set, of each condition, the status that it has to 1 and the others to 0."""
    for each in found:
        for status in conditions.Status:
            value = 1.0 if each.finding.status is status else 0.0
            observe.set(metrics.OPERATOR_CONDITION, value, pool=name, type=each.type, status=status)


def tell_decision(observe: Observer, name: str, fleet: str, decision: scaling.Decision, asked: int) -> None:
    """Count a decision, and set what it wants; one that leaves alone what is there wants that."""
    observe.add(metrics.OPERATOR_DECISIONS, pool=name, fleet=fleet, reason=decision.reason)
    wanted = asked if decision.replicas is None else decision.replicas
    observe.set(metrics.OPERATOR_WANTED, wanted, pool=name, fleet=fleet)


def tell_look(
    observe: Observer,
    name: str,
    spec: pools.TranscriptionPool,
    decided: pool.Decisions,
    state: pool.State,
) -> None:
    """Set what a look at a pool has shown."""
    observe.set(metrics.OPERATOR_BACKLOG, decided.wanted.waiting_audio_s, pool=name)
    observe.set(metrics.OPERATOR_UNREAD, decided.beyond.messages, pool=name)
    observe.set(metrics.OPERATOR_ARRIVING, decided.wanted.rate_per_s, pool=name)
    observe.set(metrics.OPERATOR_PROMISE, spec.promise_seconds, pool=name)
    observe.set(metrics.OPERATOR_DRAIN, math.nan if decided.drain_s is None else decided.drain_s, pool=name)
    learned = {"consumers": (state.prepared, spec.consumers.capacity_audio_seconds_per_minute)}
    if spec.scaling is not None:
        learned["speech"] = state.heard, spec.scaling.capacity_audio_seconds_per_minute
        observe.set(metrics.OPERATOR_COLD_START, spec.scaling.cold_start_seconds, pool=name)
    for fleet, (estimate, prior) in learned.items():
        per_s = capacity.per_replica(estimate, capacity.Prior(prior / 60))
        observe.set(metrics.OPERATOR_CAPACITY, per_s, pool=name, fleet=fleet)


def tell_fleet(observe: Observer, name: str, fleet: str, part: gathering.Part | None) -> None:
    """Set how many of a fleet answer, which is none where its target is not there.

    What was not read is not told, nor what is wanted of it: three consumers that were ready when somebody deleted their
    Deployment would be three for ever, and nobody would hear that none is left.
    """
    if part is not None and part.seen is not None:
        observe.set(metrics.OPERATOR_READY, part.seen.ready, pool=name, fleet=fleet)
        return
    observe.forget(metrics.OPERATOR_READY, metrics.OPERATOR_WANTED, pool=name, fleet=fleet)
    if part is not None and isinstance(part.problem, failures.NotFoundError):
        observe.set(metrics.OPERATOR_READY, 0, pool=name, fleet=fleet)
