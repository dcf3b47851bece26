"""Whose turn it is: what a decision costs, and how fair it is beside first come, round robin and per-request limits.

Fairness is simulated: one server of a thousand audio-seconds a second, and workloads in the shapes of Sheng et al.
(Fairness in Serving Large Language Models, OSDI 2024): overload, on and off, short and long.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import itertools
import random
import statistics
import time
from collections.abc import Callable, Iterable

from aftercall.consumers.intake import fairness, turns

SPEED = 1000.0
"""Audio-seconds that the simulated server works off in a second."""
WINDOW_S = 60.0
HORIZON_S = 300.0


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    """A call: when it comes, whose, how long."""

    at_s: float
    tenant: str
    cost_s: float


def arrivals(
    rng: random.Random, tenant: str, load: float, cost_s: float, spans: Iterable[tuple[float, float]]
) -> list[Call]:
    """Return calls of a tenant that offers `load` times the server's speed in these spans of time."""
    found = []
    for start_s, end_s in spans:
        at_s = start_s
        while (at_s := at_s + rng.expovariate(load * SPEED / cost_s)) < end_s:
            found.append(Call(at_s, tenant, rng.uniform(0.5, 1.5) * cost_s))
    return found


def shapes(rng: random.Random) -> dict[str, list[Call]]:
    """Return the workloads."""
    whole = [(0.0, HORIZON_S)]
    on_off = [(start_s, start_s + 60.0) for start_s in range(0, int(HORIZON_S), 120)]
    return {
        "overload": arrivals(rng, "a", 1.5, 120, whole) + arrivals(rng, "b", 0.75, 120, whole),
        "on and off": arrivals(rng, "a", 1.2, 120, whole) + arrivals(rng, "b", 0.9, 120, on_off),
        "short and long": arrivals(rng, "a", 0.9, 60, whole) + arrivals(rng, "b", 0.9, 1800, whole),
    }


def first_come(line: list[Call], _: dict[str, float], __: float) -> Call | None:
    """Whoever came first."""
    return line[0] if line else None


def round_robin() -> Callable[[list[Call], dict[str, float], float], Call | None]:
    """Each tenant's call in turn, however long."""
    turn = itertools.count()

    def choose(line: list[Call], _: dict[str, float], __: float) -> Call | None:
        tenants = sorted({call.tenant for call in line})
        if not tenants:
            return None
        mine = tenants[next(turn) % len(tenants)]
        return next(call for call in line if call.tenant == mine)

    return choose


def per_request(limit_per_s: float) -> Callable[[list[Call], dict[str, float], float], Call | None]:
    """First come, with so many calls a second for each tenant at most."""
    begun: dict[str, float] = collections.defaultdict(lambda: float("-inf"))

    def choose(line: list[Call], _: dict[str, float], now_s: float) -> Call | None:
        may = {tenant for tenant in "ab" if now_s - begun[tenant] >= 1 / limit_per_s}
        chosen = next((call for call in line if call.tenant in may), None) if may else None
        if chosen is not None:
            begun[chosen.tenant] = now_s
        return chosen

    return choose


def ours() -> Callable[[list[Call], dict[str, float], float], Call | None]:
    """Virtual counters of audio-seconds; the cost is only guessed when a call begins, and corrected when it ends."""
    order: fairness.FairOrder[Call] = fairness.FairOrder()
    known: set[int] = set()
    running: list[Call] = []

    def choose(line: list[Call], _: dict[str, float], __: float) -> Call | None:
        for call in running:
            order.charge(call.tenant, call.cost_s - 120.0)
        running.clear()
        for call in line:
            if id(call) not in known:
                known.add(id(call))
                order.push(call.tenant, call, opened=call.at_s)
        taken = order.pop()
        if taken is None:
            return None
        order.charge(taken[0], 120.0)
        running.append(taken[1])
        return taken[1]

    return choose


def simulate(
    calls: list[Call], choose: Callable[[list[Call], dict[str, float], float], Call | None]
) -> tuple[float, float, float]:
    """Return the largest gap of service while both wait, the worst Jain index of a minute of it, and the makespan."""
    coming = collections.deque(sorted(calls, key=lambda call: call.at_s))
    line: list[Call] = []
    served: dict[str, float] = collections.defaultdict(float)
    now_s, gap, both_since = 0.0, 0.0, {}
    minutes: dict[int, dict[str, float]] = collections.defaultdict(lambda: collections.defaultdict(float))
    contended: set[int] = set()
    alone: set[int] = set()
    while coming or line:
        while coming and coming[0].at_s <= now_s:
            line.append(coming.popleft())
        waiting = {call.tenant for call in line}
        if len(waiting) == 2:
            both_since = both_since or dict(served)
            had = [served[tenant] - both_since.get(tenant, 0.0) for tenant in sorted(waiting)]
            gap = max(gap, abs(had[0] - had[1]))
        else:
            both_since = {}
        call = choose(line, served, now_s)
        if call is None:
            now_s = max(now_s + 0.01, coming[0].at_s if coming and not line else now_s + 0.01)
            continue
        line.remove(call)
        (contended if len(waiting) == 2 else alone).add(int(now_s // WINDOW_S))
        minutes[int(now_s // WINDOW_S)][call.tenant] += call.cost_s
        served[call.tenant] += call.cost_s
        now_s += call.cost_s / SPEED
    jain = [
        sum(share) ** 2 / (2 * sum(each**2 for each in share))
        for minute in contended - alone
        if (share := [minutes[minute][tenant] for tenant in "ab"]) and sum(share)
    ]
    return gap, min(jain, default=1.0), now_s


def cost(tenants: int, n: int) -> float:
    """Return decisions a second, limits and caps included, with so many tenants waiting."""
    order: turns.Turns[int] = turns.Turns(lambda _: turns.Terms(max_open=10**9))
    for at in range(n):
        order.add(f"t{at % tenants}", at, estimate_s=30.0, opened=at)
    started = time.perf_counter()
    while (turn := order.take(now_s=0.0)) is not None:
        order.end(turn, actual_s=29.0)
    return n / (time.perf_counter() - started)


def main() -> None:
    """Print both."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=3)
    given = arguments.parse_args()
    print("decisions a second (take and end of a window), median of rounds")
    for tenants in (1, 10, 1_000):
        speeds = [cost(tenants, 100_000) for _ in range(given.rounds)]
        print(f"  {tenants:>5} tenants {statistics.median(speeds):>10,.0f} ({min(speeds):,.0f} to {max(speeds):,.0f})")
    print(f"\nsimulated, one server of {SPEED:.0f} audio-seconds a second, two tenants of equal weight")
    print(f"{'workload':<16} {'order':<22} {'largest gap':>12} {'worst Jain, 60 s':>17} {'makespan':>9}")
    for name, calls in shapes(random.Random(1)).items():
        systems = {
            "first come": first_come,
            "round robin": round_robin(),
            "8 calls a second each": per_request(8.0),
            "aftercall": ours(),
        }
        for system, choose in systems.items():
            gap, jain, makespan_s = simulate(calls, choose)
            print(f"{name:<16} {system:<22} {gap:>10,.0f} s {jain:>17.2f} {makespan_s:>7.0f} s", flush=True)


if __name__ == "__main__":
    main()
