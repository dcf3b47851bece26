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
from collections.abc import Mapping

from aftercall.contracts import reports

FLOOR_SHARE = 0.1
"""Of a limit, for all floors together."""


@dataclasses.dataclass(frozen=True, slots=True)
class Limit:
    """A tenant's limit in audio-seconds a second, and for how many consumers floors are set aside."""

    per_s: float
    max_consumers: int

    @property
    def floor_per_s(self) -> float:
        """What one consumer may use without any grant."""
        return FLOOR_SHARE * self.per_s / self.max_consumers

    @property
    def shared_per_s(self) -> float:
        """What is shared out beyond the floors."""
        return (1 - FLOOR_SHARE) * self.per_s


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """What a consumer said last of one tenant. `wanted_per_s` is what it could use, in audio-seconds a second."""

    wanted_per_s: float
    heard_at_s: float
    held: reports.Held | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Grant:
    """A rate beyond the floor, until a time of the operator's monotonic clock. Numbers only grow."""

    number: int
    per_s: float
    until_s: float


Issued = Mapping[str, tuple[Grant, ...]]
"""By consumer: what was sent and may still be in use, oldest first."""


def share(limit: Limit, told: Mapping[str, Report], *, now_s: float, stale_s: float) -> dict[str, float]:
    """Return what each should have beyond its floor: what it wants, the least first, and the rest in equal parts.

    A consumer that has not reported for `stale_s` gets nothing new; what it has stays out until its lease ends.
    """
    fresh = {name: max(0.0, each.wanted_per_s) for name, each in told.items() if now_s - each.heard_at_s < stale_s}
    room, shares = limit.shared_per_s, {}
    for left, (name, wanted) in zip(
        range(len(fresh), 0, -1), sorted(fresh.items(), key=lambda each: each[1]), strict=True
    ):
        shares[name] = min(wanted, room / left)
        room -= shares[name]
    # What nobody wants now is there for whoever has work next, without a report in between.
    return {name: each + room / len(fresh) for name, each in shares.items()}


def outstanding(grants: tuple[Grant, ...], *, now_s: float) -> float:
    """Return the rate that a consumer may be using: the largest of what is out."""
    return max((each.per_s for each in grants if each.until_s > now_s), default=0.0)


def answer(
    consumer: str,
    limit: Limit,
    told: Mapping[str, Report],
    issued: Issued,
    *,
    number: int,
    now_s: float,
    lease_s: float,
    stale_s: float,
    began_at_s: float,
) -> tuple[Grant, dict[str, tuple[Grant, ...]]]:
    """Return the grant for a consumer that has just reported, and what is out with it.

    `number` is larger than any before, a forerunner's too; `began_at_s` is when this operator began to answer.
    """
    report = told[consumer]
    out = {name: tuple(each for each in grants if each.until_s > now_s) for name, grants in issued.items()}
    mine = out.get(consumer, ())
    if report.held is not None:
        # What a forerunner sent needs no place here: it runs out before this operator raises anything.
        mine = tuple(each for each in mine if each.number >= report.held.number)
    wanted = share(limit, told, now_s=now_s, stale_s=stale_s)[consumer]
    if now_s - began_at_s < lease_s:
        room = report.held.per_s if report.held is not None else 0.0
    else:
        others = sum(outstanding(grants, now_s=now_s) for name, grants in out.items() if name != consumer)
        room = limit.shared_per_s - others
    grant = Grant(number, max(0.0, min(wanted, room)), now_s + lease_s)
    out[consumer] = (*mine, grant)
    return grant, {name: grants for name, grants in out.items() if grants}


def gone(consumer: str, issued: Issued) -> dict[str, tuple[Grant, ...]]:
    """Return what is out once a consumer is confirmed to be gone: its pod has ended, not merely fallen silent."""
    return {name: grants for name, grants in issued.items() if name != consumer}
