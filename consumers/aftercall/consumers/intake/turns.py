"""Whose turn it is: fair order, limits and concurrency caps of tenants put together, over work of any kind.

Nothing here waits or tells the time; `next_change_s` says when to ask again.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from aftercall.consumers.intake import admission, fairness

Item = TypeVar("Item")

_A_MOMENT_S = 1.0


@dataclasses.dataclass(frozen=True, slots=True)
class Terms:
    """What a tenant is given: its share, its limit and how much of its work may be open; None is no limit."""

    weight: float = 1.0
    limit: admission.Limit | None = None
    max_open: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Turn(Generic[Item]):
    """Work that may begin; its estimate is charged already. Its tenant's limit held that until `held_until_s`."""

    tenant: str
    item: Item
    estimate_s: float
    held_until_s: float | None = None


@dataclasses.dataclass(slots=True)
class _Account:
    limit: admission.Limit | None = None
    bucket: admission.Bucket | None = None
    n_open: int = 0

    def renew(self, limit: admission.Limit | None, now_s: float) -> None:
        """Let another limit hold from now on: what the old one has let in stays, and the new one is no gift."""
        if limit == self.limit:
            return
        if limit is not None:
            before = self.bucket or admission.empty(now_s=now_s)
            # Without a limit nothing was saved up; what was owed still is.
            no_gift = admission.Bucket(min(0.0, before.level_s), now_s)
            self.bucket = no_gift if self.limit is None else admission.settle(before, self.limit, now_s=now_s)
        self.limit = limit


class Accounts:
    """What the lanes of one consumer share of each tenant: its limit, what is left of that, and how much is open."""

    def __init__(self) -> None:
        self._of: dict[str, _Account] = {}

    def of(self, tenant: str) -> _Account:
        """Return a tenant's."""
        return self._of.setdefault(tenant, _Account())

    def renew(self, terms_of: Callable[[str], Terms], *, now_s: float) -> None:
        """Let the limits of now hold from now on."""
        for tenant, account in self._of.items():
            account.renew(terms_of(tenant).limit, now_s)


@dataclasses.dataclass(slots=True)
class _Tenant:
    terms: Terms
    account: _Account
    n_open: int = 0
    waiting_s: float = 0.0
    running_s: float = 0.0
    held_until_s: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Standing:
    """How a tenant stands: audio-seconds waiting and running, its limit's rate, and whether that is used up."""

    waiting_s: float = 0.0
    running_s: float = 0.0
    rate: float | None = None
    is_throttled: bool = False


class Turns(Generic[Item]):
    """Waiting work of many tenants, and who may begin. `terms_of` is asked again at every turn of a tenant.

    Several of one consumer, one for each lane, share their `accounts`: a tenant's limit and cap are for all lanes.
    """

    def __init__(self, terms_of: Callable[[str], Terms], accounts: Accounts | None = None) -> None:
        self._terms_of = terms_of
        self._accounts = accounts or Accounts()
        self._order: fairness.FairOrder[tuple[Item, float]] = fairness.FairOrder()
        self._tenants: dict[str, _Tenant] = {}
        self._held: dict[str, float] = {}
        """Until when those wait whose limit is used up; a decision looks at these only, not at every tenant."""
        self._crowded: set[str] = set()
        """Those that wait since they have much open beside little room."""

    def __len__(self) -> int:
        return len(self._order)

    def add(
        self, tenant: str, item: Item, *, estimate_s: float, opened: float, deadline: float = fairness.LAST
    ) -> None:
        """Add work that is believed to cost so many audio-seconds."""
        self._order.push(tenant, (item, estimate_s), opened=opened, deadline=deadline)
        self._known(tenant).waiting_s += estimate_s

    def take(self, *, now_s: float, n_free: int | None = None) -> Turn[Item] | None:
        """Return the work whose turn it is; None when all that waits is over its limit or its cap.

        `n_free` places are left for work of all tenants. One may have twice as much open as is left, so that alone it
        gets two thirds of the places (dynamic thresholds: Choudhury and Hahne, IEEE/ACM Transactions on Networking,
        1998); the last is kept for whoever has none, however long the others' work takes.
        """
        self._let_go(now_s)
        while (found := self._order.peek()) is not None:
            tenant, (item, estimate_s) = found
            known, changed = self._ask_terms(tenant, now_s)
            if changed:
                continue  # with another weight it may not be this tenant's turn any more
            if known.terms.max_open is not None and known.account.n_open >= known.terms.max_open:
                self._order.hold(tenant)
                continue
            if n_free is not None and known.n_open and (known.n_open >= 2 * n_free or n_free == 1):
                self._crowded.add(tenant)
                self._order.hold(tenant)
                continue
            if known.terms.limit is not None and known.account.bucket is not None:
                said = admission.decide(known.account.bucket, estimate_s, known.terms.limit, now_s=now_s)
                if isinstance(said, admission.Wait):
                    self._held[tenant] = said.until_s
                    known.held_until_s = said.until_s
                    self._order.hold(tenant)
                    continue
                known.account.bucket = said.bucket
                if known.held_until_s is not None:
                    known.held_until_s = min(known.held_until_s, now_s)  # what was given back may have ended it sooner
            self._order.pop()
            self._order.charge(tenant, estimate_s)
            known.n_open += 1
            known.account.n_open += 1
            known.waiting_s -= estimate_s
            known.running_s += estimate_s
            return Turn(tenant, item, estimate_s, known.held_until_s)
        return None

    def end(self, turn: Turn[Item], *, actual_s: float | None) -> None:
        """Note that work has ended, and what it cost if that is known; 0 for work that was handed back."""
        known = self._tenants[turn.tenant]
        known.n_open -= 1
        known.account.n_open -= 1
        known.running_s -= turn.estimate_s
        self.make_room()
        if actual_s is not None and actual_s != turn.estimate_s:
            self._order.charge(turn.tenant, actual_s - turn.estimate_s)
            if known.account.bucket is not None:
                known.account.bucket = admission.correct(known.account.bucket, actual_s - turn.estimate_s)
                self._held.pop(turn.tenant, None)
        if turn.tenant not in self._held:
            self._order.release(turn.tenant)

    def reconsider(self, tenant: str) -> None:
        """Note that a tenant's limit or cap may let it go on: work of it has ended, here or in another lane."""
        self._held.pop(tenant, None)
        self._order.release(tenant)

    def reconsider_all(self) -> None:
        """Note that limits are others than before."""
        for tenant in list(self._held):
            self.reconsider(tenant)

    def charge_elsewhere(self, costs_s: Mapping[str, float]) -> None:
        """Count what other consumers have given each tenant since the last time; see `fairness`."""
        self._order.charge_elsewhere(costs_s)

    def is_throttled(self, tenant: str, *, now_s: float) -> bool:
        """Say whether work of a tenant waits for its limit; a moment ago still counts, as one piece has just begun."""
        return self._held.get(tenant, -math.inf) > now_s - _A_MOMENT_S

    def make_room(self) -> None:
        """Note that there is more room than before: work of others has ended."""
        for tenant in self._crowded - self._held.keys():
            self._order.release(tenant)
        self._crowded.clear()

    def next_change_s(self) -> float | None:
        """Return when a limit lets more begin; None when none holds anything."""
        return min(self._held.values(), default=None)

    @property
    def is_crowded(self) -> bool:
        """Whether work waits since there is little room beside what its tenant has open."""
        return bool(self._crowded)

    def standings(self, *, now_s: float) -> dict[str, Standing]:
        """Return how each tenant stands that was ever seen here."""
        return {
            name: Standing(
                max(0.0, known.waiting_s),
                max(0.0, known.running_s),
                known.account.limit.at(now_s).rate if known.account.limit is not None else None,
                name in self._held,
            )
            for name, known in self._tenants.items()
        }

    def _let_go(self, now_s: float) -> None:
        for name in [name for name, until_s in self._held.items() if until_s <= now_s]:
            del self._held[name]
            self._order.release(name)

    def _ask_terms(self, tenant: str, now_s: float) -> tuple[_Tenant, bool]:
        """Return what is known of a tenant, and whether its weight is another than before."""
        terms = self._terms_of(tenant)
        known = self._known(tenant)
        changed = known.terms.weight != terms.weight
        if changed:
            self._order.weigh(tenant, terms.weight)
        known.terms = terms
        known.account.renew(terms.limit, now_s)
        return known, changed

    def _known(self, tenant: str) -> _Tenant:
        known = self._tenants.get(tenant)
        if known is None:
            known = self._tenants[tenant] = _Tenant(Terms(), self._accounts.of(tenant))
        return known
