"""A day of one big tenant and nine small ones, in made-up time: waits, use of the server, and limits."""

from __future__ import annotations

import dataclasses
import heapq
import statistics

import pytest

from aftercall.consumers.intake import admission, turns

SERVERS, SPEED = 32, 20.0
"""Calls at once, and audio-seconds a second of each."""
CALL_S = 60.0
SMALL = {f"small{at}": 4.0 if at < 3 else 1.0 for at in range(9)}


@dataclasses.dataclass(slots=True)
class Day:
    """When each call began, and how long servers were busy."""

    began: dict[str, list[float]]
    busy_s: float
    ended_s: float


def simulate(n_big: int, *, limit: admission.Limit | None = None, until_s: float = float("inf")) -> Day:
    """Let the big one's calls wait from the beginning and the nine's twenty each come after a minute."""
    terms = {name: turns.Terms(weight) for name, weight in SMALL.items()} | {"big": turns.Terms(limit=limit)}
    order: turns.Turns[float] = turns.Turns(terms.__getitem__)
    day = Day({name: [] for name in terms}, 0.0, 0.0)
    ends: list[tuple[float, int, turns.Turn[float]]] = []
    n_begun, now_s, come = 0, 0.0, False
    for _ in range(n_big):
        order.add("big", 0.0, estimate_s=CALL_S, opened=0.0)
    while now_s < until_s:
        if not come and now_s >= 60.0:
            come = True
            for at in range(20):
                for name in SMALL:
                    order.add(name, now_s, estimate_s=CALL_S, opened=now_s + at)
        while len(ends) < SERVERS and (turn := order.take(now_s=now_s, n_free=SERVERS - len(ends))) is not None:
            n_begun += 1
            day.began[turn.tenant].append(now_s - turn.item if turn.tenant != "big" else now_s)
            day.busy_s += CALL_S / SPEED
            heapq.heappush(ends, (now_s + CALL_S / SPEED, n_begun, turn))
        free_s = order.next_change_s() if len(ends) < SERVERS else None
        changes = [at for at in (free_s, None if come else 60.0) if at is not None]
        if not ends and not changes:
            break
        if ends and (not changes or ends[0][0] <= min(changes)):
            now_s, _, done = heapq.heappop(ends)
            order.end(done, actual_s=CALL_S)
        else:
            now_s = min(changes)
        day.ended_s = now_s
    return day


def p95_of_the_nine(day: Day) -> float:
    """Return the p95 of how long the nine's calls waited."""
    return statistics.quantiles([wait for name in SMALL for wait in day.began[name]], n=20)[-1]


def test_three_hundred_thousand_calls_hardly_delay_the_nine() -> None:
    """Their p95 wait is at most twice what it is alone, and what may be busy is busy."""
    alone, beside = simulate(0), simulate(300_000)

    p95_alone, p95_beside = p95_of_the_nine(alone), p95_of_the_nine(beside)
    # Alone, a tenant has two thirds of the places: the rest is there for whoever comes.
    used = beside.busy_s / (beside.ended_s * (SERVERS * 2 // 3 + 1))
    print(f"\np95 wait of the nine {p95_alone:.1f} s alone, {p95_beside:.1f} s beside 300,000 calls; busy {used:.1%}")
    assert p95_beside <= 2 * p95_alone
    assert used >= 0.95
    assert 300_000 == len(beside.began["big"])


@pytest.mark.parametrize("rate", [50.0, 300.0])
def test_a_limit_is_kept_over_every_minute(rate: float) -> None:
    """Within 5 % of it, from above and, there being enough to do, from below."""
    limit = admission.Limit(rate, burst_s=CALL_S)
    day = simulate(100_000, limit=limit, until_s=1800.0)

    begun = day.began["big"]
    worst = max(
        abs(sum(CALL_S for at_s in begun if start <= at_s < start + 60.0) / (60.0 * rate) - 1)
        for start in range(120, 1700, 60)
    )
    print(f"\nlimit of {rate:g} audio-seconds a second: largest error of a minute {worst:.1%}")
    assert worst <= 0.05
