"""Reports in, grants out: all that the operator remembers of consumers, over all pools.

One limit of a tenant is shared by the consumers of every pool. The clock here is the Lease's: it stands still from the
moment at which the Lease was last known to be held. So an operator that has lost it without knowing sends grants that
end before its successor, which began later, raises anything; and it takes nobody's grant for ended that the successor
may have renewed. One that was told by its forerunner who holds grants may raise as soon as all of these have told what.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from aftercall.contracts import reports
from aftercall.operator import elsewhere, grants, handover, ledger, processes, told

_ANSWERS_BITS = 32
"""Answers an epoch: at 200 a second for eight months."""
_FORGOTTEN_LEASES = 4
"""A consumer that was silent for so many leases is forgotten, though nobody has seen it end."""


class NotLeadingError(Exception):
    """This operator does not hold the Lease, or not for certain, and answers nobody."""


class Exchange:
    """Hears reports and answers them. Nothing here tells the time."""

    def __init__(self, *, lease_s: float, stale_s: float) -> None:
        self._lease_s = lease_s
        self._stale_s = stale_s
        self._epoch = 0
        self._n_answers = 0
        self._began_at_s = math.inf
        self._unheard = handover.Unheard(None)
        self._swept_at_s = -math.inf
        self._ledgers: dict[str, ledger.Ledger] = {}
        self._consumers: dict[str, processes.Consumer] = {}
        self._places: dict[str, int] = {}
        """Of tenants, in arrays."""
        self._limits: dict[str, grants.Limit] = {}
        """The last of each tenant. One that is removed is shared out on: consumers know of that later, and until then
        would have to do with their floors."""
        self._services = elsewhere.Services()
        self.newest_epoch = 0
        """The highest that was begun here, or that a consumer has told of; whoever takes the Lease takes a higher."""

    def begin(self, epoch: int, *, now_s: float, holders: handover.Holders | None = None) -> None:
        """Begin to answer, having taken the Lease; `epoch` is higher than that of whoever held it before.

        For one lease nothing is raised, since what a forerunner has sent may be out for as long; or, where it has told
        who holds something, until these have told what.
        """
        if epoch <= self.newest_epoch:
            raise ValueError(f"epoch {epoch} is not higher than {self.newest_epoch}, which was before")
        self._epoch = self.newest_epoch = epoch
        self._n_answers = 0
        self._began_at_s = now_s
        self._unheard = handover.Unheard(holders)

    def hand_over(self, *, now_s: float) -> handover.Holders | None:
        """Return who may hold grants, for a successor, having answered for the last time; None: that is not known."""
        unheard = {} if now_s - self._began_at_s >= self._lease_s else self._unheard.holders()
        if unheard is None:
            return None
        return unheard | {
            name: handover.Heard(each.instance, each.number)
            for name, each in self._consumers.items()
            if any(one.until_s > now_s for one in each.out)
        }

    def unheard(self, pool: str) -> list[str]:
        """Return a pool's consumers that hold grants of a forerunner, and have not been heard since."""
        names = (name.split("/", 1) for name in self._unheard.holders() or ())
        return [consumer for of, consumer in names if of == pool]

    def known(self, pool: str) -> ledger.Ledger:
        """Return what a pool's consumers have told."""
        return self._ledgers.get(pool, ledger.Ledger())

    def granted_per_s(self, *, now_s: float) -> dict[str, float]:
        """Return what is out of each tenant's limit, beyond floors."""
        total = np.zeros(len(self._places))
        for each in self._consumers.values():
            total += grants.out_per_s(each.out, len(total), now_s=now_s)
        return dict(zip(self._places, total.tolist(), strict=True))

    def hear(
        self, report: reports.ConsumerReport, limits: Mapping[str, grants.Limit], *, now_s: float, held_at_s: float
    ) -> reports.Grants:
        """Take a report in and answer it. `held_at_s`: when the Lease was asked for the last time that it was given.

        Raises `NotLeadingError`, or `processes.RefusedError` for a report that is late, of a second process of one name
        or of an epoch that cannot be; nothing of such a report is taken in.
        """
        processes.refuse_unlikely(report, self._epoch)
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
        one = processes.heard(before, report, now_s=sure_s, stale_s=self._stale_s)
        is_first = self._unheard.hear(name, report) or before is None
        self._n_answers += 1
        one.sent = self._epoch << _ANSWERS_BITS | self._n_answers
        self._consumers[name] = one
        self._ledgers[report.pool] = ledger.hear(self.known(report.pool), report, now_s=now_s)
        found: tuple[reports.Grant, ...] = ()
        if report.is_draining:
            one.out, one.wanted_per_s = (), np.zeros(0)
            self._forget_tenants(sure_s)
        else:
            found = self._share_out(name, report, limits, before, one, sure_s, is_first=is_first)
        return reports.Grants(epoch=self._epoch, number=one.sent, lease_s=lease_s, grants=found)

    def gone(self, pool: str, consumer: str) -> None:
        """Forget a consumer that is confirmed to be gone: its pod has ended, not merely fallen silent."""
        name = _name(pool, consumer)
        self._consumers.pop(name, None)
        self._unheard.forget(name)
        self._services.of.pop(name, None)
        self._forget_tenants(-math.inf)
        if pool in self._ledgers:
            self._ledgers[pool] = ledger.forget(self._ledgers[pool], consumer)
            if not self._ledgers[pool].heard:
                del self._ledgers[pool]

    def _share_out(
        self,
        name: str,
        report: reports.ConsumerReport,
        limits: Mapping[str, grants.Limit],
        before: processes.Consumer | None,
        one: processes.Consumer,
        now_s: float,
        *,
        is_first: bool,
    ) -> tuple[reports.Grant, ...]:
        said = told.read(report.tenants, self._places)
        begun_per_s = self._services.count(
            name,
            said.begun_audio_s,
            said.is_told,
            passed_s=now_s - before.heard_at_s if before is not None else None,
            is_same=before is not None and before.instance == one.instance,
        )
        is_applied = before is not None and report.answered >= before.sent
        others = self._services.elsewhere(name, is_applied=is_applied)
        one.out = grants.acknowledged(one.out, report.answered, now_s=now_s)
        held = said.held_per_s, said.held_burst_audio_s
        if is_first:
            # Until it applies what it is answered now, it may use what a forerunner gave it.
            one.out = (*one.out, grants.Answer(report.answered, now_s + self._lease_s, *held))
        one.wanted_per_s = said.wanted_per_s(begun_per_s)
        known = {each: other for each, other in self._consumers.items() if now_s - other.heard_at_s < self._stale_s}
        made = grants.answer(
            name,
            self._shared(limits),
            {each: _fit(other.wanted_per_s, len(self._places)) for each, other in known.items()},
            {each: other.out for each, other in self._consumers.items()},
            held=held,
            number=one.sent,
            now_s=now_s,
            lease_s=self._lease_s,
            may_raise=self._unheard.holders() == {} or now_s - self._began_at_s >= self._lease_s,
        )
        one.out = (*one.out, made)
        return told.answers(said, made, others, frozenset(self._limits))

    def _shared(self, limits: Mapping[str, grants.Limit]) -> tuple[grants.Rates, grants.Rates]:
        """Return what there is of each tenant's limit and burst beside floors; who has no limit has none to share."""
        shared_per_s, shared_burst_s = [0.0] * len(self._places), [0.0] * len(self._places)
        n_consumers = len(self._consumers)
        for at, tenant in enumerate(self._places):
            limit = limits.get(tenant) or self._limits.get(tenant)
            if limit is not None:
                self._limits[tenant] = limit
                shared_per_s[at] = per_s = limit.shared_per_s(n_consumers)
                shared_burst_s[at] = limit.burst_of(per_s)
        return np.array(shared_per_s), np.array(shared_burst_s)

    def _forget_tenants(self, now_s: float) -> None:
        """Forget tenants that nobody tells of, and of which nothing is out."""
        is_known = np.zeros(len(self._places), bool)
        for each in self._consumers.values():
            is_known |= ~np.isnan(_fit(each.wanted_per_s, len(is_known)))
            is_known |= grants.out_per_s(each.out, len(is_known), now_s=now_s) > 0
        if is_known.all():
            return
        kept = np.flatnonzero(is_known)
        for each in self._consumers.values():
            each.wanted_per_s = _fit(each.wanted_per_s, len(is_known))[kept]
            each.out = tuple(
                dataclasses.replace(
                    one,
                    per_s=_fit(one.per_s, len(is_known), 0.0)[kept],
                    burst_audio_s=_fit(one.burst_audio_s, len(is_known), 0.0)[kept],
                )
                for one in each.out
            )
        self._services.keep(kept)
        names = list(self._places)
        self._places = {names[place]: at for at, place in enumerate(kept.tolist())}
        self._limits = {tenant: limit for tenant, limit in self._limits.items() if tenant in self._places}

    def _sweep(self, now_s: float) -> None:
        """Once a lease, forget consumers that nobody hears of any more."""
        if now_s - self._swept_at_s < self._lease_s:
            return
        self._swept_at_s = now_s
        for name, one in list(self._consumers.items()):
            if now_s - one.heard_at_s >= _FORGOTTEN_LEASES * self._lease_s:
                self.gone(*name.split("/", 1))
        self._forget_tenants(now_s)


def _fit(rates: grants.Rates, n_tenants: int, missing: float = math.nan) -> grants.Rates:
    """Return rates with a place for tenants that came since."""
    return np.concatenate([rates, np.full(n_tenants - len(rates), missing)]) if len(rates) < n_tenants else rates


def _name(pool: str, consumer: str) -> str:
    return f"{pool}/{consumer}"
