"""The whole operator, over an API server in memory: who hears of what, and when it is not well."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable

import pytest
from pool_material import SPEC, World

from aftercall.contracts import metrics, reports, sections
from aftercall.operator import exchange, failures, kube, processes, running, targets, testing


def operator(world: World, **more: object) -> running.Operator:
    """Return an operator of this world, whose watch is left out."""
    configured = sections.Operator.model_validate({"namespace": "calls", "interval_s": 0.01, **more})
    world.cluster.put(kube.CONFIG_MAPS, "aftercall-tenants-0")

    def no_ray(_: object) -> targets.Target:
        raise AssertionError

    return running.Operator(
        configured,
        world.cluster,
        world.offsets,
        no_ray,
        world.measured,
        deferred_topic="deferred",
        now=world.clock,
        utc=world.clock.utc,
    )


def report(pool: str = "calls") -> reports.ConsumerReport:
    """Return what a consumer tells that has work of a tenant."""
    load = reports.TenantLoad(tenant="acme", waiting=1, waiting_audio_s=600.0)
    return reports.ConsumerReport(consumer="c", instance="1", pool=pool, number=1, tenants=(load,))


async def leading(world: World) -> running.Operator:
    """Return an operator that has read everything and holds the Lease."""
    found = operator(world)
    await found.list_once()
    await found.lease.step()
    await found.compiling.compile()
    return found


async def test_a_report_is_answered_with_a_grant() -> None:
    """Of a tenant's limit, under the epoch of the Lease."""
    world = World()
    world.pool()
    world.cluster.put(kube.TENANTS, "acme", spec={"audioSecondsPerMinute": 600})
    found = await leading(world)

    answer = await found.hear(report())

    assert ["acme"] == [each.tenant for each in answer.grants]
    assert found.lease.epoch == answer.epoch
    found.refresh()
    assert 1.0 == world.measured.value(metrics.OPERATOR_LEASE)
    granted = world.measured.value(metrics.OPERATOR_GRANTED, tenant="acme")
    assert granted is not None
    assert 0.1 <= granted <= 10.0  # floors at least, the limit at most


async def test_a_successor_raises_what_a_consumer_has_that_came_with_it() -> None:
    """An upgrade replaces all of them; the first operator of all has none to wait for."""
    world = World()
    world.pool()
    world.cluster.put(kube.TENANTS, "acme", spec={"audioSecondsPerMinute": 600})
    first = await leading(world)
    answer = await first.hear(report())
    assert (9.9,) == tuple(each.per_s for each in answer.grants)
    world.cluster.pod("c", of="consumers")
    await first.lease.release()
    second = await leading(world)
    assert ["c"] == second.exchange.unheard("calls")

    gone = report().model_copy(update={"number": 2, "is_draining": True, "tenants": ()})
    await second.hear(gone)
    answer = await second.hear(report().model_copy(update={"consumer": "d"}))

    assert (9.9,) == tuple(each.per_s for each in answer.grants)


async def test_who_does_not_lead_answers_nobody() -> None:
    """Before it has read everything and knows limits, without the Lease, and once that may be another's."""
    world = World()
    world.pool()
    found = operator(world)
    await found.lease.step()
    with pytest.raises(exchange.NotLeadingError, match="not read"):
        await found.hear(report())
    assert "pools and tenants are not read yet" == found.why_not_ready()

    await found.list_once()
    with pytest.raises(exchange.NotLeadingError, match="not compiled"):
        await found.hear(report())
    assert "tenants are not compiled yet" == found.why_not_ready()

    await found.compiling.compile()
    assert found.why_not_ready() is None
    world.clock.now_s += 11
    with pytest.raises(exchange.NotLeadingError, match="Lease"):
        await found.hear(report())
    assert "waits for the Lease" == found.why_not_ready()


async def test_a_report_of_no_pool_is_refused() -> None:
    """Its sentence names the pool and the namespace."""
    found = await leading(World())

    with pytest.raises(processes.RefusedError, match="no TranscriptionPool calls in calls"):
        await found.hear(report())


async def test_a_watch_that_does_not_tell_turns_the_probe_red() -> None:
    """Once what lists show is older than it may be; and it turns green when the watch has caught up."""
    world = World()
    tenant = world.cluster.put(kube.TENANTS, "acme", spec={})
    found = await leading(world)
    found.tell(kube.TENANTS, None, tenant)
    changed = world.cluster.put(kube.TENANTS, "acme", spec={"weight": 2})
    world.clock.now_s += 20
    await found.list_once()
    await found.lease.step()

    async def later(by_s: float) -> str | None:
        world.clock.now_s += by_s
        await found.list_once()
        await found.lease.run_once()
        return found.why_not_healthy()

    assert await later(50) is None
    assert "the watch of tenants does not tell of changes any more" == await later(11)
    found.tell(kube.TENANTS, "MODIFIED", changed)
    assert found.why_not_healthy() is None


async def test_a_loop_that_stands_still_turns_the_probe_red() -> None:
    """An API server that is away does not: a new start would not bring it back."""
    world = World()
    found = await leading(world)
    world.cluster.broken["*", "*"] = failures.UnavailableError("away")
    for _ in range(10):
        world.clock.now_s += 50
        await found.list_once()
        await found.lease.run_once()
        assert found.why_not_healthy() is None

    world.clock.now_s += 61
    assert "the Lease is not looked at any more" == found.why_not_healthy()
    await found.lease.run_once()
    assert "pools and tenants are not listed any more" == found.why_not_healthy()


async def test_a_pool_that_is_not_looked_at_turns_the_probe_red() -> None:
    """By its name."""
    world = World()
    world.pool()
    found = await leading(world)
    world.clock.now_s += 61
    await found.list_once()
    await found.lease.run_once()

    assert "pool calls is not looked at any more" == found.why_not_healthy()


async def test_when_pools_and_tenants_were_last_listed_is_told() -> None:
    """From the start on, also where they never can be; each for itself."""
    world = World()
    world.cluster.broken["list", "transcriptionpools"] = failures.ForbiddenError("may not list: 403")
    found = operator(world)
    began_s = world.clock.utc().timestamp()

    def told() -> list[float | None]:
        kinds = ("transcriptionpools", "tenants")
        return [world.measured.value(metrics.OPERATOR_LAST_LIST, kind=kind) for kind in kinds]

    assert [began_s, began_s] == told()
    world.clock.now_s += 20
    await found.list_once()
    assert [began_s, began_s + 20] == told()
    del world.cluster.broken["list", "transcriptionpools"]
    await found.list_once()
    assert [began_s + 20, began_s + 20] == told()


async def test_it_ends_when_it_is_told_to() -> None:
    """And lets another take the Lease at once."""
    world = World()
    world.pool()
    world.offsets.unread("recordings", 50)
    found = operator(world)
    found.watch = None
    stopping, scaled = asyncio.Event(), asyncio.Event()
    world.cluster.before = lambda call: scaled.set() if call.what == "deployments/scale" else None

    async with asyncio.timeout(10):
        ending = asyncio.create_task(found.run(stopping))
        await scaled.wait()
        stopping.set()
        await ending

    assert "" == world.cluster.seen(kube.LEASES, "aftercall-operator")["spec"]["holderIdentity"]


async def test_who_begins_waits_for_reports_before_it_orders() -> None:
    """Its first looks are over before a report can be answered; four consumers have work of a throttled tenant."""
    world = World()
    world.pool(consumers=dict(SPEC["consumers"], stabilizationSeconds=300))
    world.cluster.put(kube.TENANTS, "acme", spec={"audioSecondsPerMinute": 2400})
    world.cluster.deployment("speech", 1)
    world.cluster.deployment("consumers", 4)
    world.offsets.unread("recordings", 1, 1, 1, 1)
    world.offsets.unread("deferred", 100)
    found = operator(world)
    found.watch = None
    stopping = asyncio.Event()

    async def until(holds: Callable[[], bool]) -> None:
        for _ in range(1000):
            if holds():
                return
            await asyncio.sleep(0.01)
        raise AssertionError(world.condition("BacklogKnown"))

    ending = asyncio.create_task(found.run(stopping))
    await until(lambda: world.condition("BacklogKnown") == ("False", "UnknownBacklog"))
    await until(lambda: found.compiling.has_compiled)
    for at in range(4):
        await found.hear(report().model_copy(update={"consumer": f"c{at}"}))
    await until(lambda: world.condition("BacklogKnown") == ("True", "AsRead"))
    stopping.set()
    await ending

    assert [] == world.cluster.made("write", "deployments/scale")
    assert (1, 4) == (world.asked("speech"), world.asked("consumers"))


async def test_what_the_watch_tells_is_looked_at_at_once() -> None:
    """A new pool, and a changed one; a status that comes back wakes nobody."""
    world = World()
    found = operator(world, interval_s=3600)
    found.watch = None
    stopping = asyncio.Event()
    seen: asyncio.Queue[str] = asyncio.Queue()

    def note(call: testing.Call) -> None:
        if call.what in ("deployments", "transcriptionpools/status"):
            seen.put_nowait(call.what)

    async with asyncio.timeout(10):
        await found.list_once()
        await found.lease.step()
        tending = asyncio.create_task(found.run(stopping))
        world.cluster.before = note
        found.tell(kube.POOLS, "ADDED", copy.deepcopy(world.pool()))
        assert ["deployments", "deployments", "transcriptionpools/status"] == [await seen.get() for _ in range(3)]
        found.tell(kube.POOLS, "MODIFIED", copy.deepcopy(world.cluster.seen(kube.POOLS, "calls")))
        for _ in range(50):
            await asyncio.sleep(0)
        assert seen.empty()
        changed = world.pool(promiseSeconds=60)
        changed["metadata"]["generation"] = 2
        found.tell(kube.POOLS, "MODIFIED", changed)
        assert ["deployments", "deployments", "transcriptionpools/status"] == [await seen.get() for _ in range(3)]
        stopping.set()
        await tending
    assert seen.empty()
