"""Whose work comes next: weighted fair order between tenants, counted in audio-seconds.

Each tenant has a counter of the service it had, divided by its weight; the lowest goes next (virtual token counters:
Sheng et al., Fairness in Serving Large Language Models, OSDI 2024). A tenant that had nothing waiting starts where the
others are, so that nobody saves up while away; nor does one that is held back for its own limit.
"""

from __future__ import annotations

import dataclasses
import heapq
import itertools
from collections.abc import Mapping
from typing import Generic, TypeVar

Item = TypeVar("Item")

LAST = float("inf")
"""The deadline of work that has none."""
_MOST_ELSEWHERE = 19.0
"""For each audio-second that a tenant is given here it is charged at most so many that it was given elsewhere: with all
that it is due at other consumers it still gets one here for each 20 of another's. At 50 audio-seconds a second that is
a call of a minute every 25 s, however much it is given elsewhere."""
_MOST_OWED_S = 3600.0
"""Of service elsewhere that is not charged yet: what is told of between two calls here, at 500 audio-seconds a second
everywhere else for 7 s. What goes beyond is forgiven, so that a tenant that has left the others is even again after the
charge for 189 audio-seconds here (3600 / 19)."""


@dataclasses.dataclass(slots=True)
class _Tenant(Generic[Item]):
    """`stamp` names the entry of the heap that is current; older ones are passed over."""

    name: str
    weight: float = 1.0
    counter: float = 0.0
    held: bool = False
    stamp: int = 0
    owed_s: float = 0.0
    waiting: list[tuple[float, float, int, Item]] = dataclasses.field(default_factory=list)


class FairOrder(Generic[Item]):
    """Waiting work of many tenants. Adding and taking cost O(log n) each; nothing here waits or tells the time."""

    def __init__(self) -> None:
        self._tenants: dict[str, _Tenant[Item]] = {}
        self._heap: list[tuple[float, int, _Tenant[Item]]] = []
        self._tickets = itertools.count(1)
        self._now = 0.0
        """Virtual time: the counter of whoever went last. Counters of waiting tenants are at or above it."""

    def __len__(self) -> int:
        return sum(len(tenant.waiting) for tenant in self._tenants.values())

    def weigh(self, tenant: str, weight: float) -> None:
        """Give a tenant a share: one of weight 4 gets four times the audio-seconds of one of weight 1."""
        if not weight > 0:
            raise ValueError(f"the weight of tenant {tenant!r} is {weight}; it must be above 0")
        known = self._tenant(tenant)
        if known.weight == weight:
            return
        # What it had keeps its place among the others, whose counters have nothing to do with the new weight.
        known.counter = self._now + (known.counter - self._now) * known.weight / weight
        known.weight = weight
        self._queue(known)

    def push(self, tenant: str, item: Item, *, opened: float, deadline: float = LAST) -> None:
        """Add work: within its tenant the earliest deadline goes first, then what was opened first."""
        known = self._tenant(tenant)
        if not known.waiting:
            known.counter = max(known.counter, self._now)
        heapq.heappush(known.waiting, (deadline, opened, next(self._tickets), item))
        if len(known.waiting) == 1:
            self._queue(known)

    def peek(self) -> tuple[str, Item] | None:
        """Return the next work of the tenant that had least, and leave it there; None when all that waits is held."""
        while self._heap:
            _, stamp, tenant = self._heap[0]
            if stamp == tenant.stamp:
                return tenant.name, tenant.waiting[0][-1]
            heapq.heappop(self._heap)
        return None

    def pop(self) -> tuple[str, Item] | None:
        """Take what `peek` shows. Taking charges nothing: see `charge`."""
        found = self.peek()
        if found is not None:
            counter, _, tenant = heapq.heappop(self._heap)
            self._now = max(self._now, counter)
            heapq.heappop(tenant.waiting)
            self._queue(tenant)
        return found

    def charge(self, tenant: str, cost_s: float) -> None:
        """Count service: an estimate when work begins, and later the difference, which may be negative."""
        known = self._tenant(tenant)
        elsewhere_s = min(known.owed_s, _MOST_ELSEWHERE * max(0.0, cost_s))
        known.owed_s -= elsewhere_s
        known.counter += (cost_s + elsewhere_s) / known.weight
        self._queue(known)

    def charge_elsewhere(self, costs_s: Mapping[str, float]) -> None:
        """Count what other consumers have given since the last time, of tenants that have work here.

        Without this, ten consumers would give ten shares to a tenant that is on all of them. It is charged along with
        what the tenant is given here, so that virtual time goes along, and whoever comes new has no credit for it; and
        nobody owes for service elsewhere while nothing of his waits here, so that whoever comes back has no handicap.
        """
        for tenant in self._tenants.values():
            owed_s = tenant.owed_s + costs_s.get(tenant.name, 0.0)
            tenant.owed_s = min(_MOST_OWED_S, owed_s) if tenant.waiting else 0.0

    def hold(self, tenant: str) -> None:
        """Pass over a tenant until `release`: its limit is used up."""
        known = self._tenant(tenant)
        known.held = True
        self._queue(known)

    def release(self, tenant: str) -> None:
        """Let a tenant go on, from where the others are: being held is no credit."""
        known = self._tenant(tenant)
        if known.held:
            known.held = False
            known.counter = max(known.counter, self._now)
            self._queue(known)

    def _tenant(self, name: str) -> _Tenant[Item]:
        return self._tenants.setdefault(name, _Tenant(name))

    def _queue(self, tenant: _Tenant[Item]) -> None:
        """Enter a tenant anew under its counter, and make its older entry void."""
        tenant.stamp = next(self._tickets)
        if tenant.waiting and not tenant.held:
            heapq.heappush(self._heap, (tenant.counter, tenant.stamp, tenant))
