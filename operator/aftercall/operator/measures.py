"""What the operator tells of itself, without knowing who counts it."""

from __future__ import annotations

from typing import Protocol

from aftercall.contracts import metrics
from aftercall.operator import conditions, scaling


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

    def forget(self, **labels: str) -> None:
        """Drop every series that has all of these labels: what it was of is gone."""
        ...


def tell_conditions(observe: Observer, pool: str, found: tuple[conditions.Condition, ...]) -> None:
    """Set, of each condition, the status that it has to 1 and the others to 0."""
    for each in found:
        for status in conditions.Status:
            value = 1.0 if each.finding.status is status else 0.0
            observe.set(metrics.OPERATOR_CONDITION, value, pool=pool, type=each.type, status=status)


def tell_decision(observe: Observer, pool: str, fleet: str, decision: scaling.Decision) -> None:
    """Count a decision, and set what it wants."""
    observe.add(metrics.OPERATOR_DECISIONS, pool=pool, fleet=fleet, reason=decision.reason)
    if decision.replicas is not None:
        observe.set(metrics.OPERATOR_WANTED, decision.replicas, pool=pool, fleet=fleet)
