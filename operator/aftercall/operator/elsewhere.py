"""What each tenant was given at all consumers together, so that each can be told what it was given elsewhere.

Counted in audio-seconds of work that began, by lane, the liveliest first. What began is counted once: a hand-back may
lower a consumer's own count, and only what goes beyond its highest counts.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

_TIME_CONSTANT_S = 30.0
"""Of the rate at which a consumer begins work."""


@dataclasses.dataclass(slots=True)
class Service:
    """One consumer's part: the highest that it reported, what of that is counted here, and how fast it grows.

    `told` is what others had begun at the last answer that it applied, `sent` at the last that was sent; `at` is the
    number of the report that told of it last.
    """

    reported: Sequence[float] = ()
    mine: Sequence[float] = ()
    told: Sequence[float] = ()
    sent: Sequence[float] = ()
    per_s: float | None = None
    at: int = 0


@dataclasses.dataclass(slots=True)
class Services:
    """A tenant's at all consumers; `begun` since this operator began, by consumers that are gone too."""

    begun: Sequence[float] = ()
    of: dict[str, Service] = dataclasses.field(default_factory=dict)

    def count(
        self, consumer: str, begun: Sequence[float], *, number: int, before: int | None, passed_s: float | None
    ) -> float:
        """Take in what a consumer has begun; return how fast it begins, in audio-seconds a second.

        `number` is its report's, `before` that of the same process before it: a process that has begun anew, or that
        has not told of the tenant since, counts from zero. `passed_s` is since its last report, None at the first of
        all: what it had begun before that, it began before this operator.
        """
        known = self.of.get(consumer)
        if known is None or known.at != before:
            mine = known.mine if known is not None else ()
            others = _less(self.begun, mine)
            known = self.of[consumer] = Service((), mine, others, others)
        known.at = number
        if passed_s is None:
            known.reported = tuple(begun)
            return 0.0
        more = _less(begun, known.reported)
        if any(more):
            known.reported = _plus(known.reported, more)
            known.mine = _plus(known.mine, more)
            self.begun = _plus(self.begun, more)
        if passed_s > 0:
            seen = sum(more) / passed_s
            weight = 1 - math.exp(-passed_s / _TIME_CONSTANT_S)
            known.per_s = seen if known.per_s is None else known.per_s + weight * (seen - known.per_s)
        return known.per_s or 0.0

    def elsewhere(self, consumer: str, *, is_told: bool) -> tuple[float, ...]:
        """Return what others have begun since the last answer that was applied; the last sent was, where `is_told`.

        So an answer that is lost takes nothing with it, and one that was applied is not said again.
        """
        known = self.of[consumer]
        if is_told:
            known.told = known.sent
        known.sent = _less(self.begun, known.mine)
        more = _less(known.sent, known.told)
        return more if any(more) else ()


def _plus(one: Sequence[float], other: Sequence[float]) -> tuple[float, ...]:
    n = max(len(one), len(other))
    return tuple(_at(one, at) + _at(other, at) for at in range(n))


def _less(one: Sequence[float], other: Sequence[float]) -> tuple[float, ...]:
    """Return by how much each is more."""
    return tuple(max(0.0, each - _at(other, at)) for at, each in enumerate(one))


def _at(many: Sequence[float], at: int) -> float:
    return many[at] if at < len(many) else 0.0
