"""How much of a tenant's limit each consumer may use. Shares never add up to more, whatever is lost, late or restarted.

A grant is a rate with a lease. It counts as out from the moment it is sent until a later one is acknowledged, its lease
has run out, or its consumer is confirmed gone; nothing that is out for one is given to another. The lease runs on the
consumer's clock from the sending of its report, and on the operator's from the report's arrival, which is later.

Each consumer may use a floor without any grant, so that nobody starves while no operator answers. Floors are set aside
from the limit for as many consumers as there may be, before anything is shared.

An operator that has just begun knows nothing of what its forerunner sent: for one lease it renews what consumers say
they hold, as far as others leave it, and raises nothing.

A limit may change while grants are out. They count as what they are, not as the parts of the new limit that they would
be, with their parts of the burst: so together they are never more than the largest limit of the last lease, and one
lease after it was lowered no more than the new one.

A report tells of all tenants at once, and so does an answer: rates are arrays, with a place for each tenant.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

FLOOR_SHARE = 0.01
"""Of a limit, for all floors together. What is set aside for consumers that are not there lies idle: with a tenth for
20 consumers, one alone could never use more than 90.5 of a limit of 100, and with a hundredth 99.05. A limit whose
consumers must do more than crawl while no operator answers wants a longer lease instead."""

Rates = npt.NDArray[np.float64]
"""Audio-seconds a second, by tenant."""


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
class Answer:
    """What was sent to one consumer: rates beyond the floors, until a time of the operator's monotonic clock.

    Each has a part of the burst. Numbers only grow. Tenants that came after it have no place in it.
    """

    number: int
    until_s: float
    per_s: Rates
    burst_audio_s: Rates


def acknowledged(out: tuple[Answer, ...], number: int, *, now_s: float) -> tuple[Answer, ...]:
    """Return what is still out for one that applies the answer of this number: nothing older, and nothing ended."""
    return tuple(each for each in out if each.number >= number and each.until_s > now_s)


def out_per_s(out: tuple[Answer, ...], n_tenants: int, *, now_s: float) -> Rates:
    """Return the rates that a consumer may be using: of what is out the largest."""
    return _largest([each.per_s for each in out if each.until_s > now_s], n_tenants)


def share(shared_per_s: Rates, wanted_per_s: Rates) -> Rates:
    """Return what each consumer should have: what it wants, the least first, and the rest in equal parts.

    `wanted_per_s` has a row for each consumer that has reported lately, and NaN where it told nothing of a tenant; what
    one that has fallen silent has stays out until its lease ends, but it gets nothing new. What nobody wants now is
    there for whoever has work next, without a report in between.
    """
    is_told = ~np.isnan(wanted_per_s)
    n_told = is_told.sum(axis=0)
    rising = np.sort(np.where(is_told, wanted_per_s, np.inf), axis=0)
    is_wish = np.isfinite(rising)
    wishes = np.where(is_wish, rising, 0.0)
    left = np.maximum(1, n_told - np.arange(len(rising))[:, None])
    # What each would get if all that want less had what they want: the first that wants more ends the filling.
    parts = (shared_per_s - (np.cumsum(wishes, axis=0) - wishes)) / left
    is_cut = is_wish & (rising >= parts)
    level = np.where(is_cut.any(axis=0), np.take_along_axis(parts, is_cut.argmax(axis=0)[None], axis=0)[0], np.inf)
    spare = np.where(is_cut.any(axis=0), 0.0, (shared_per_s - wishes.sum(axis=0)) / np.maximum(1, n_told))
    return np.where(is_told, np.minimum(wanted_per_s, level) + spare, 0.0)


def answer(
    consumer: str,
    shared: tuple[Rates, Rates],
    wanted_per_s: Mapping[str, Rates],
    out: Mapping[str, tuple[Answer, ...]],
    *,
    held: tuple[Rates, Rates],
    number: int,
    now_s: float,
    lease_s: float,
    may_raise: bool = True,
) -> Answer:
    """Return the answer to a consumer that has just reported what it holds; that, and what is shared, with its burst.

    `wanted_per_s` is of those that have reported lately, itself among them; `number` is larger than any before, a
    forerunner's too. An operator that has just begun may not raise: it renews what is held, since what it took from one
    now it could give to nobody.
    """
    shared_per_s, shared_burst_s = shared
    shares, burst_s = held
    if may_raise:
        shares = share(shared_per_s, np.stack(list(wanted_per_s.values())))[list(wanted_per_s).index(consumer)]
        burst_s = shared_burst_s
    room, burst_room = shared_per_s.copy(), shared_burst_s.copy()
    for name, each in out.items():
        if name != consumer:
            room -= out_per_s(each, len(room), now_s=now_s)
            burst_room -= _largest([one.burst_audio_s for one in each if one.until_s > now_s], len(room))
    per_s = np.maximum(0.0, np.minimum(shares, room))
    part = np.divide(per_s, shared_per_s, out=np.zeros_like(per_s), where=shared_per_s > 0)
    burst_s = np.maximum(0.0, np.minimum(np.minimum(burst_s, part * shared_burst_s), burst_room))
    return Answer(number, now_s + lease_s, per_s, burst_s)


def _largest(amounts: Sequence[Rates], n_tenants: int) -> Rates:
    most = np.zeros(n_tenants)
    for each in amounts:
        known = most[: len(each)]
        np.maximum(known, each, out=known)
    return most
