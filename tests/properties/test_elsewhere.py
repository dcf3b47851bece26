"""Fair shares between tenants over several consumers, in made-up time: what one is given elsewhere counts here."""

from __future__ import annotations

import collections
import heapq
from collections.abc import Mapping

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from aftercall.consumers.intake import fairness
from aftercall.operator import elsewhere

SPEED, CALL_S, REPORT_S = 50.0, 30.0, 5.0


class Floor:
    """Consumers that serve one call after another, and hear of each other every few seconds by the operator's sums."""

    def __init__(self, n_consumers: int, weights: Mapping[str, float], *, charges: bool = True) -> None:
        self.orders = [fairness.FairOrder[float]() for _ in range(n_consumers)]
        for order in self.orders:
            for tenant, weight in weights.items():
                order.weigh(tenant, weight)
        self.tenants = list(weights)
        self.sums = elsewhere.Services()
        self.begun: collections.Counter[tuple[str, int]] = collections.Counter()
        self.last_s: dict[tuple[str, int], float] = {}
        self.longest_s: collections.Counter[tuple[str, int]] = collections.Counter()
        self.now_s = 0.0
        self._charges = charges
        self._reported: set[int] = set()
        self._events = [(at * REPORT_S / n_consumers, at, "report") for at in range(n_consumers)]
        self._events += [(0.0, at, "free") for at in range(n_consumers)]
        heapq.heapify(self._events)

    def add(self, tenant: str, at: int, n_calls: int) -> None:
        """Let calls of a tenant wait at a consumer."""
        self.last_s[tenant, at] = self.now_s
        for _ in range(n_calls):
            self.orders[at].push(tenant, CALL_S, opened=self.now_s)

    def run(self, until_s: float) -> None:
        """Let time pass."""
        while self._events[0][0] < until_s:
            self.now_s, at, what = heapq.heappop(self._events)
            if what == "report":
                self._report(at)
                heapq.heappush(self._events, (self.now_s + REPORT_S, at, what))
                continue
            taken = self.orders[at].pop()
            if taken is not None:
                tenant, cost_s = taken
                self.orders[at].charge(tenant, cost_s)
                self.begun[tenant, at] += cost_s  # type: ignore[assignment]
                waited_s = self.now_s - self.last_s[tenant, at]
                self.longest_s[tenant, at] = max(self.longest_s[tenant, at], waited_s)  # type: ignore[assignment]
                self.last_s[tenant, at] = self.now_s
            heapq.heappush(self._events, (self.now_s + CALL_S / SPEED, at, what))
        self.now_s = until_s

    def total(self, tenant: str) -> float:
        """Return what a tenant was given everywhere."""
        return sum(audio_s for (name, _), audio_s in self.begun.items() if name == tenant)

    def _report(self, at: int) -> None:
        begun = np.zeros((elsewhere.LANES, len(self.tenants)))
        begun[0] = [self.begun[tenant, at] for tenant in self.tenants]
        is_told = np.ones(len(self.tenants), bool)
        passed_s = REPORT_S if at in self._reported else None
        self.sums.count(str(at), begun, is_told, passed_s=passed_s, is_same=at in self._reported)
        self._reported.add(at)
        given_s = self.sums.elsewhere(str(at), is_applied=True)[0].tolist()
        if self._charges:
            self.orders[at].charge_elsewhere(dict(zip(self.tenants, given_s, strict=True)))


@pytest.mark.parametrize(
    ("n_consumers", "places", "weights", "shares"),
    [
        # One on all, the other on one: of two consumers each has one, of many the one has what it can have.
        (2, {"a": [0, 1], "b": [0]}, {}, {"a": 1 / 2, "b": 1 / 2}),
        (4, {"a": [0, 1, 2, 3], "b": [0]}, {}, {"a": 3 / 4, "b": 1 / 4}),
        (10, {"a": list(range(10)), "b": [0]}, {}, {"a": 9 / 10, "b": 1 / 10}),
        (3, {"a": [0, 1, 2], "b": [0, 1]}, {}, {"a": 1 / 2, "b": 1 / 2}),
        (10, {"a": list(range(10)), "b": list(range(10))}, {}, {"a": 1 / 2, "b": 1 / 2}),
        (4, {"a": [0, 1, 2, 3], "b": [0, 1, 2]}, {"b": 2.0}, {"a": 1 / 3, "b": 2 / 3}),
        (4, {"a": [0, 1, 2, 3], "b": [0, 1], "c": [0, 1]}, {}, {"a": 2 / 4, "b": 1 / 4, "c": 1 / 4}),
    ],
)
def test_shares_converge_to_the_weights_over_all_consumers(
    n_consumers: int, places: dict[str, list[int]], weights: dict[str, float], shares: dict[str, float]
) -> None:
    """As far as a tenant's calls lie where there is room for them; alone each consumer would give equal parts."""
    floor = Floor(n_consumers, {tenant: weights.get(tenant, 1.0) for tenant in places})
    for tenant, ats in places.items():
        for at in ats:
            floor.add(tenant, at, 3000)
    floor.run(300.0)
    before = {tenant: floor.total(tenant) for tenant in places}
    floor.run(1500.0)

    had = {tenant: floor.total(tenant) - before[tenant] for tenant in places}
    got = {tenant: each / sum(had.values()) for tenant, each in had.items()}
    assert got == pytest.approx(shares, rel=0.11 if n_consumers == 2 else 0.06)


@hypothesis.settings(max_examples=30, deadline=None)
@hypothesis.given(
    st.integers(2, 6),
    st.lists(
        st.tuples(st.sampled_from([0.5, 1.0, 4.0]), st.sets(st.integers(0, 5), min_size=1)), min_size=2, max_size=4
    ),
)
def test_nobody_starves_anywhere(n_consumers: int, tenants: list[tuple[float, set[int]]]) -> None:
    """Whoever has a call at a consumer is served there, with a 20th of its share or more, whatever it has elsewhere."""
    weights = {f"t{at}": weight for at, (weight, _) in enumerate(tenants)}
    floor = Floor(n_consumers, weights)
    for name, (_, ats) in zip(weights, tenants, strict=True):
        for at in {each % n_consumers for each in ats}:
            floor.add(name, at, 1500)
    floor.run(600.0)

    for (tenant, at), longest_s in floor.longest_s.items():
        here = sum(weights[name] for name, where in floor.last_s if where == at)
        rate = SPEED * weights[tenant] / here / 20
        assert longest_s <= CALL_S / rate + 2 * REPORT_S + len(weights) * CALL_S / SPEED
        assert longest_s + 600.0 - floor.last_s[tenant, at] > 0
        assert 600.0 - floor.last_s[tenant, at] <= CALL_S / rate + 2 * REPORT_S + len(weights) * CALL_S / SPEED


def test_one_that_was_served_elsewhere_only_comes_here_like_anybody() -> None:
    """An hour of nine other consumers is no handicap that it has to wait for."""
    floor = Floor(10, {"a": 1.0, "b": 1.0})
    for at in range(1, 10):
        floor.add("a", at, 7000)
    floor.add("b", 0, 7000)
    floor.run(3600.0)
    floor.add("a", 0, 100)
    floor.run(3610.0)

    assert floor.longest_s["a", 0] <= 2 * CALL_S / SPEED


def test_one_that_is_new_has_no_credit_for_what_others_were_given_elsewhere() -> None:
    """It shares from its first call on: neither more than the others nor less."""
    floor = Floor(4, {"a": 1.0, "b": 1.0, "new": 1.0})
    for at in range(4):
        floor.add("a", at, 5000)
        floor.add("b", at, 5000)
    floor.run(1800.0)
    for at in range(4):
        floor.add("new", at, 2000)
    before = floor.total("a")
    floor.run(1860.0)
    assert floor.total("new") == pytest.approx(60 * 4 * SPEED / 3, rel=0.15)
    floor.run(2100.0)

    had = floor.total("new"), floor.total("a") - before
    assert had == pytest.approx((300 * 4 * SPEED / 3, 300 * 4 * SPEED / 3), rel=0.1)
