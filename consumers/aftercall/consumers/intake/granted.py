"""What the operator has granted this consumer of tenants' limits, and until when.

A grant's lease runs on this consumer's monotonic clock, from the moment at which the report was sent that it answers:
the operator counts from the report's arrival, which is later. What is granted comes on top of a floor, which needs no
grant; once the lease has run out, the floor is all there is.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping

from aftercall.consumers.intake import admission
from aftercall.contracts import reports


@dataclasses.dataclass(frozen=True, slots=True)
class Granted:
    """The last answer that was applied: of which operator, its number, until when it is good, and rates by tenant.

    `epoch` is the highest that was seen. `is_drained`: everything was returned, and nothing is taken any more.
    """

    epoch: int = 0
    answered: int = 0
    until_s: float = -math.inf
    grants: Mapping[str, reports.Grant] = dataclasses.field(default_factory=dict)
    is_drained: bool = False

    def held(self, tenant: str, *, now_s: float) -> reports.Grant | None:
        """Return what is held beyond the floor, for a report; None for nothing."""
        return self.grants.get(tenant) if now_s < self.until_s else None


def apply(held: Granted, answer: reports.Grants, *, asked_at_s: float, now_s: float) -> Granted | None:
    """Return what is held after an answer to a report that was sent at `asked_at_s`; None for one that says nothing.

    That is one of an older epoch than was seen, one that is not newer, and one whose lease has run out on the way; of
    that the epoch counts all the same.
    """
    until_s = asked_at_s + answer.lease_s
    if held.is_drained or answer.epoch < held.epoch or answer.number <= held.answered:
        return None
    if until_s <= now_s:
        return dataclasses.replace(held, epoch=answer.epoch) if answer.epoch > held.epoch else None
    return Granted(answer.epoch, answer.number, until_s, {each.tenant: each for each in answer.grants})


def told(held: Granted, tenants: Collection[str]) -> Granted:
    """Return what is held after a report of these tenants: of others nothing, since whoever hears it knows of none."""
    if held.grants.keys() <= set(tenants):
        return held
    kept = {tenant: grant for tenant, grant in held.grants.items() if tenant in tenants}
    return dataclasses.replace(held, grants=kept)


def drained(held: Granted) -> Granted:
    """Return what is held once all of it is returned."""
    return Granted(held.epoch, held.answered, is_drained=True)


def limit_of(whole: admission.Limit, floor: float, held: Granted, tenant: str) -> admission.Limit:
    """Return what this consumer may use of a tenant's whole limit: its floor (audio-seconds a second) and its grant.

    The floor's part of the burst is as large as its part of the rate. What the operator says is held within the limit
    that this consumer knows.
    """
    floor = min(floor, whole.rate)
    alone = admission.Limit(floor, whole.burst_s * floor / whole.rate)
    grant = held.grants.get(tenant)
    if grant is None:
        return alone
    rate = min(whole.rate, floor + grant.per_s)
    burst_s = min(whole.burst_s, alone.burst_s + grant.burst_audio_s)
    return admission.Limit(rate, burst_s, held.until_s, alone)
