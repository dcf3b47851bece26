"""Checkpoints in the object store: few objects, and nothing of a long call is heard twice."""

from __future__ import annotations

import doubles

from aftercall.consumers import saved
from aftercall.consumers.publish import objects

WORK = doubles.taken().work


class Clock:
    """Time in hand."""

    now_s = 0.0

    def __call__(self) -> float:
        """Tell it."""
        return self.now_s


async def hear(kept: saved.SavedCheckpoints, clock: Clock, n_windows: int) -> None:
    """Put a result every two seconds."""
    for at in range(n_windows):
        clock.now_s += 2.0
        await kept.put(WORK, f"d{at}", f"r{at}".encode())


async def test_what_a_drain_leaves_is_found_by_the_next_attempt() -> None:
    """All of it; and it is gone once the work has its outcome."""
    store, clock = objects.ObjectStore.in_memory(), Clock()
    first = saved.SavedCheckpoints(store, clock=clock)
    await first.open(WORK, is_first=True)
    await hear(first, clock, 100)
    n_objects = len(await store.keys(WORK.checkpoints_prefix))
    await first.leave(WORK)
    second = saved.SavedCheckpoints(store, clock=clock)
    await second.open(WORK, is_first=False)

    assert 5 <= n_objects <= 8
    assert [f"r{at}".encode() for at in range(100)] == [await second.get(WORK, f"d{at}") for at in range(100)]
    await second.clear(WORK)
    assert [] == await store.keys("")


async def test_a_kill_costs_half_a_minute() -> None:
    """Of the call's own time."""
    store, clock = objects.ObjectStore.in_memory(), Clock()
    first = saved.SavedCheckpoints(store, clock=clock)
    await first.open(WORK, is_first=True)
    await hear(first, clock, 100)
    second = saved.SavedCheckpoints(store, clock=clock)
    await second.open(WORK, is_first=False)

    n_lost = sum([await second.get(WORK, f"d{at}") is None for at in range(100)])
    assert n_lost <= 15


async def test_a_short_call_costs_no_request() -> None:
    """It is done again."""
    store, clock = objects.ObjectStore.in_memory(), Clock()
    kept = saved.SavedCheckpoints(store, clock=clock)
    await kept.open(WORK, is_first=True)
    await hear(kept, clock, 19)
    await kept.leave(WORK)

    assert [] == await store.keys("")


async def test_what_cannot_be_read_is_heard_again() -> None:
    """A newer version may have written it."""
    store = objects.ObjectStore.in_memory()
    await store.put(WORK.checkpoints_prefix + "x.json", b"[1, 2")
    kept = saved.SavedCheckpoints(store)
    await kept.open(WORK, is_first=False)

    assert await kept.get(WORK, "d0") is None
