"""Places for windows: who gets the next one."""

from __future__ import annotations

import asyncio
import dataclasses

import doubles

from aftercall.consumers import room
from aftercall.consumers.intake import delivery


def taken(tenant: str, *, rank: int = 0, queued_at: float = 0.0) -> delivery.Delivery:
    """Build a delivery of a tenant's call."""
    one = doubles.taken()
    recording = dataclasses.replace(one.work.recording, tenant=tenant)
    work = dataclasses.replace(one.work, recording=recording)
    return dataclasses.replace(one, work=work, rank=rank, queued_at=queued_at)


async def order_of(places: room.Room, wanted: list[tuple[str, delivery.Delivery]]) -> list[str]:
    """Let one task for each wait in this order, give places back one by one, and return who got them when."""
    got: list[str] = []

    async def wait(name: str, one: delivery.Delivery) -> None:
        await places.enter(one, 30.0)
        got.append(name)

    async with asyncio.TaskGroup() as group:
        for name, one in wanted:
            group.create_task(wait(name, one))
            await asyncio.sleep(0)
        for _ in wanted:
            await asyncio.sleep(0)
            places.leave()
    return got


async def test_tenants_take_turns_window_by_window() -> None:
    """However many calls of one are open; two windows of the heavy tenant for one of the other."""
    places = room.Room(1, {"big": 1.0, "small": 1.0}.__getitem__)
    await places.enter(taken("big"), 30.0)

    got = await order_of(places, [(f"big{at}", taken("big")) for at in range(4)] + [("small", taken("small"))])

    assert ["small", "big0", "big1", "big2", "big3"] == got


async def test_within_a_tenant_the_oldest_call_goes_first_and_live_before_bulk() -> None:
    """Bulk windows take what is left."""
    places = room.Room(1, lambda _: 1.0)
    await places.enter(taken("a"), 30.0)
    wanted = [
        ("bulk", taken("a", rank=1)),
        ("new", taken("a", queued_at=5.0)),
        ("old", taken("a", queued_at=1.0)),
    ]

    assert ["old", "new", "bulk"] == await order_of(places, wanted)


async def test_whoever_stops_waiting_takes_no_place() -> None:
    """Neither before its turn nor in the moment of it."""
    places = room.Room(1, lambda _: 1.0)
    await places.enter(taken("a"), 30.0)
    early, late = (asyncio.create_task(places.enter(taken("a"), 30.0)) for _ in range(2))
    await asyncio.sleep(0)
    early.cancel()
    await asyncio.sleep(0)
    places.leave()
    late.cancel()
    await asyncio.gather(early, late, return_exceptions=True)

    async with asyncio.timeout(1):
        await places.enter(taken("a"), 30.0)
