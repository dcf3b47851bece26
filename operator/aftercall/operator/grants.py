"""How much of a tenant's limit each consumer may use. Shares never add up to more, whatever is lost, late or restarted.

A grant is a rate with a lease. It counts as out from the moment it is sent until a later one is acknowledged, its lease
has run out, or its consumer is confirmed gone; nothing that is out for one is given to another. The lease runs on the
consumer's clock from the sending of its report, and on the operator's from the report's arrival, which is later.

Each consumer may use a floor without any grant, so that nobody starves while no operator answers. Floors are set aside
from the limit for as many consumers as there may be, before anything is shared.

An operator that has just begun knows nothing of what its forerunner sent: for one lease it renews what consumers say
they hold, cuts it, and raises nothing.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping

FLOOR_SHARE = 0.1
"""Of a limit, for all floors together."""


@dataclasses.dataclass(frozen=True, slots=True)
class Limit:
    """A tenant's limit in audio-seconds a second, for how many consumers floors are set aside, and its burst."""

    per_s: float
    max_consumers: int
    burst_audio_s: float = 0.0

    @property
    def floor_per_s(self) -> float:
        """What one consumer may use without any grant."""
        return FLOOR_SHARE * self.per_s / self.max_consumers

    def shared_per_s(self, n_consumers: int = 0) -> float:
        """Return what is shared out beyond the floors; of more consumers than there should be, each uses one too."""
        return self.per_s - max(self.max_consumers, n_consumers) * self.floor_per_s

    def burst_of(self, per_s: float) -> float:
        """Return the part of the burst that goes with a part of the rate: together they are never more than it."""
        return self.burst_audio_s * per_s / self.per_s


@dataclasses.dataclass(frozen=True, slots=True)
class Grant:
    """A rate beyond the floor, until a time of the operator's monotonic clock. Numbers only grow."""

    number: int
    per_s: float
    until_s: float


@dataclasses.dataclass(frozen=True, slots=True)
class Seat:
    """One consumer's place at a tenant's limit: what it could use, in audio-seconds a second, when it said so, and
    what was sent to it and may still be in use, oldest first.
    """

    wanted_per_s: float
    heard_at_s: float
    out: tuple[Grant, ...] = ()

    def out_per_s(self, now_s: float) -> float:
        """Return the rate that it may be using: the largest of what is out."""
        return max((each.per_s for each in self.out if each.until_s > now_s), default=0.0)

    def acknowledged(self, number: int, *, now_s: float) -> tuple[Grant, ...]:
        """Return what is still out for one that applies the grant of this number: nothing older, and nothing ended."""
        return tuple(each for each in self.out if each.number >= number and each.until_s > now_s)


def share(limit: Limit, seats: Mapping[str, Seat], *, now_s: float, stale_s: float) -> dict[str, float]:
    """Return what each should have beyond its floor: what it wants, the least first, and the rest in equal parts.

    A consumer that has not reported for `stale_s` gets nothing new; what it has stays out until its lease ends.
    """
    fresh = {name: each.wanted_per_s for name, each in seats.items() if now_s - each.heard_at_s < stale_s}
    level, spare = _level(limit.shared_per_s(len(seats)), fresh.values())
    return {name: min(wanted, level) + spare for name, wanted in fresh.items()}


def answer(
    consumer: str,
    limit: Limit,
    seats: Mapping[str, Seat],
    *,
    held_per_s: float | None,
    number: int,
    now_s: float,
    lease_s: float,
    stale_s: float,
    may_raise: bool = True,
) -> Grant:
    """Return the grant for a consumer that has just reported that it holds `held_per_s`.

    `number` is larger than any before, a forerunner's too. An operator that has just begun may not raise.
    """
    fresh, others_per_s = [], 0.0
    for name, seat in seats.items():
        if now_s - seat.heard_at_s < stale_s:
            fresh.append(seat.wanted_per_s)
        if name != consumer:
            others_per_s += seat.out_per_s(now_s)
    shared_per_s = limit.shared_per_s(len(seats))
    level, spare = _level(shared_per_s, fresh)
    room = shared_per_s - others_per_s
    if not may_raise:
        room = min(room, held_per_s or 0.0)
    return Grant(number, max(0.0, min(min(seats[consumer].wanted_per_s, level) + spare, room)), now_s + lease_s)


def _level(room: float, wanted: Iterable[float]) -> tuple[float, float]:
    """Return up to which rate wishes are met, and what is left over for each.

    What nobody wants now is there for whoever has work next, without a report in between.
    """
    rising = sorted(wanted)
    for left, each in zip(range(len(rising), 0, -1), rising, strict=True):
        if each >= room / left:
            return room / left, 0.0
        room -= each
    return math.inf, room / max(1, len(rising))
