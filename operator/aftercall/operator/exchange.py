"""Reports in, grants out: all that the operator remembers of consumers, over all pools.

One limit of a tenant is shared by the consumers of every pool. The clock here is the Lease's: it stands still from the
moment at which the Lease was last known to be held. So an operator that has lost it without knowing sends grants that
end before its successor, which began later, raises anything; and it takes nobody's grant for ended that the successor
may have renewed.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from aftercall.contracts import reports
from aftercall.operator import elsewhere, grants, ledger

_ANSWERS_BITS = 32
"""Answers an epoch: at 200 a second for eight months."""
_HORIZON_S = 60.0
"""Within how long a consumer whose limit holds it back could use what waits."""
_ROOM_TO_GROW = 1.25
_RETIRED = 8
"""Processes before the present one of which a consumer's late reports are known."""
_FORGOTTEN_LEASES = 4
"""A consumer that was silent for so many leases is forgotten, though nobody has seen it end."""


class RefusedError(Exception):
    """A report is not taken: it is late, or of a process whose name another has."""


class NotLeadingError(Exception):
    """This operator does not hold the Lease, or not for certain, and answers nobody."""


@dataclasses.dataclass(slots=True)
class _Consumer:
    """A process: its last report's number, when that came by the Lease's clock, and the last answer that was sent.

    `retired` are the processes before it that had its name, `tenants` those that it has a place at.
    """

    instance: str
    number: int
    heard_at_s: float
    retired: tuple[str, ...] = ()
    sent: int = 0
    tenants: frozenset[str] = frozenset()


@dataclasses.dataclass(slots=True)
class _Tenant:
    seats: dict[str, grants.Seat] = dataclasses.field(default_factory=dict)
    services: elsewhere.Services = dataclasses.field(default_factory=elsewhere.Services)


class Exchange:
    """Hears reports and answers them. Nothing here tells the time."""

    def __init__(self, *, lease_s: float, stale_s: float = 30.0) -> None:
        self._lease_s = lease_s
        self._stale_s = stale_s
        self._epoch = 0
        self._n_answers = 0
        self._began_at_s = math.inf
        self._swept_at_s = -math.inf
        self._ledgers: dict[str, ledger.Ledger] = {}
        self._consumers: dict[str, _Consumer] = {}
        self._tenants: dict[str, _Tenant] = {}
        self.newest_epoch = 0
        """The highest that was begun here, or that a consumer has told of; whoever takes the Lease takes a higher."""

    def begin(self, epoch: int, *, now_s: float) -> None:
        """Begin to answer, having taken the Lease; `epoch` is higher than that of whoever held it before.

        For one lease nothing is raised: what a forerunner has sent may be out for as long.
        """
        if epoch <= self.newest_epoch:
            raise ValueError(f"epoch {epoch} is not higher than {self.newest_epoch}, which was before")
        self._epoch = self.newest_epoch = epoch
        self._n_answers = 0
        self._began_at_s = now_s

    def known(self, pool: str) -> ledger.Ledger:
        """Return what a pool's consumers have told."""
        return self._ledgers.get(pool, ledger.Ledger())

    def granted_per_s(self, *, now_s: float) -> dict[str, float]:
        """Return what is out of each tenant's limit, beyond floors."""
        return {name: sum(seat.out_per_s(now_s) for seat in one.seats.values()) for name, one in self._tenants.items()}

    def hear(
        self, report: reports.ConsumerReport, limits: Mapping[str, grants.Limit], *, now_s: float, held_at_s: float
    ) -> reports.Grants:
        """Take a report in and answer it. `held_at_s`: when the Lease was asked for the last time that it was given.

        Raises `NotLeadingError`, or `RefusedError` for a report that is late or of a second process of one name;
        nothing of such a report is taken in.
        """
        self.newest_epoch = max(self.newest_epoch, report.epoch)
        sure_s = min(now_s, held_at_s)
        lease_s = self._lease_s - (now_s - sure_s)
        if self.newest_epoch > self._epoch:
            raise NotLeadingError(f"epoch {self.newest_epoch} has begun, and this operator is of epoch {self._epoch}")
        if sure_s < self._began_at_s or lease_s <= 0:
            raise NotLeadingError("this operator is not known to hold the Lease")
        self._sweep(sure_s)
        name = _name(report.pool, report.consumer)
        before = self._consumers.get(name)
        one = _next(before, report, sure_s)
        self._n_answers += 1
        one.sent = self._epoch << _ANSWERS_BITS | self._n_answers
        self._consumers[name] = one
        self._ledgers[report.pool] = ledger.hear(self.known(report.pool), report, now_s=now_s)
        found: list[reports.Grant] = []
        if report.is_draining:
            self._release(name)
        else:
            found = self._share_out(name, report, limits, before, one, sure_s)
            one.tenants = self._left(name, report, before, sure_s)
        return reports.Grants(epoch=self._epoch, number=one.sent, lease_s=lease_s, grants=tuple(found))

    def gone(self, pool: str, consumer: str) -> None:
        """Forget a consumer that is confirmed to be gone: its pod has ended, not merely fallen silent."""
        name = _name(pool, consumer)
        self._consumers.pop(name, None)
        self._release(name)
        if pool in self._ledgers:
            self._ledgers[pool] = ledger.forget(self._ledgers[pool], consumer)
            if not self._ledgers[pool].heard:
                del self._ledgers[pool]

    def _share_out(
        self,
        name: str,
        report: reports.ConsumerReport,
        limits: Mapping[str, grants.Limit],
        before: _Consumer | None,
        one: _Consumer,
        now_s: float,
    ) -> list[reports.Grant]:
        passed_s = now_s - before.heard_at_s if before is not None else None
        same = before if before is not None and before.instance == one.instance else None
        is_told = before is not None and report.answered >= before.sent
        may_raise = now_s - self._began_at_s >= self._lease_s
        found = []
        for load in report.tenants:
            tenant = self._tenants.setdefault(load.tenant, _Tenant())
            begun_per_s = tenant.services.count(
                name,
                load.begun_audio_s,
                number=one.number,
                before=None if same is None else same.number,
                passed_s=passed_s,
            )
            others = tenant.services.elsewhere(name, is_told=is_told)
            seat = tenant.seats.get(name)
            out = seat.acknowledged(report.answered, now_s=now_s) if seat is not None else ()
            limit = limits.get(load.tenant)
            tenant.seats[name] = grants.Seat(wanted_per_s(load, begun_per_s), now_s, out)
            if limit is None:
                if others:
                    found.append(reports.Grant(tenant=load.tenant, elsewhere_audio_s=others))
                continue
            grant = grants.answer(
                name,
                limit,
                tenant.seats,
                held_per_s=load.held_per_s,
                number=one.sent,
                now_s=now_s,
                lease_s=self._lease_s,
                stale_s=self._stale_s,
                may_raise=may_raise,
            )
            tenant.seats[name] = dataclasses.replace(tenant.seats[name], out=(*out, grant))
            found.append(
                reports.Grant(
                    tenant=load.tenant,
                    per_s=grant.per_s,
                    burst_audio_s=limit.burst_of(grant.per_s),
                    elsewhere_audio_s=others,
                )
            )
        return found

    def _left(
        self, name: str, report: reports.ConsumerReport, before: _Consumer | None, now_s: float
    ) -> frozenset[str]:
        """Take back what a consumer had of tenants that it tells no more of, once it has applied an answer without."""
        told = {load.tenant for load in report.tenants}
        kept = set(told)
        for each in before.tenants - told if before is not None else ():
            tenant = self._tenants[each]
            seat = tenant.seats[name]
            if out := seat.acknowledged(report.answered, now_s=now_s):
                tenant.seats[name] = dataclasses.replace(seat, out=out)
                kept.add(each)
            else:
                self._vacate(each, name)
        return frozenset(kept)

    def _vacate(self, of: str, name: str) -> None:
        tenant = self._tenants[of]
        tenant.seats.pop(name, None)
        tenant.services.of.pop(name, None)
        if not tenant.seats:
            del self._tenants[of]

    def _release(self, name: str) -> None:
        """Take back what a consumer had, and forget tenants that no other knows."""
        for each in list(self._tenants):
            self._vacate(each, name)

    def _sweep(self, now_s: float) -> None:
        """Once a lease, forget consumers that nobody hears of any more."""
        if now_s - self._swept_at_s < self._lease_s:
            return
        self._swept_at_s = now_s
        for name, one in list(self._consumers.items()):
            if now_s - one.heard_at_s >= _FORGOTTEN_LEASES * self._lease_s:
                self.gone(*name.split("/", 1))


def wanted_per_s(load: reports.TenantLoad, begun_per_s: float) -> float:
    """Return what a consumer could use of a tenant's limit, in audio-seconds a second.

    One that the limit does not hold back has what it uses, and some room: however much waits there, more of the limit
    would lie idle. Where it holds back, what waits is to begin within a minute.
    """
    waiting_s = load.waiting_audio_s if load.is_throttled else 0.0
    return begun_per_s * _ROOM_TO_GROW + waiting_s / _HORIZON_S


def _next(before: _Consumer | None, report: reports.ConsumerReport, now_s: float) -> _Consumer:
    if before is None:
        return _Consumer(report.instance, report.number, now_s)
    if before.instance == report.instance:
        if report.number <= before.number:
            raise RefusedError(f"report {report.number} of {report.consumer} came after its report {before.number}")
        return _Consumer(report.instance, report.number, now_s, before.retired)
    if report.instance in before.retired:
        raise RefusedError(f"another process reports as {report.consumer}; each needs a name of its own")
    return _Consumer(report.instance, report.number, now_s, (*before.retired, before.instance)[-_RETIRED:])


def _name(pool: str, consumer: str) -> str:
    return f"{pool}/{consumer}"
