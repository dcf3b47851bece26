"""Every pool is looked at, again and again, whatever the others do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from pool_material import SPEC, World

from aftercall.contracts import metrics
from aftercall.operator import failures, inventory, kube, tending


@contextlib.asynccontextmanager
async def tended(world: World, *, interval_s: float = 0.01, look_s: float = 5.0) -> AsyncIterator[tending.Tending]:
    """Tend what there is, as a list has shown it."""
    known = inventory.Kind()
    known.list(list(await world.cluster.list(kube.POOLS)), asked_at_s=0.0, now_s=0.0)
    kept = tending.Tending(known, world.means(), limits=dict, interval_s=interval_s, look_s=look_s)
    kept.known = known  # type: ignore[attr-defined]
    stopping = asyncio.Event()
    running = asyncio.create_task(kept.run(stopping))
    yield kept
    stopping.set()
    await running


async def until(world: World, is_so: object, *args: object) -> None:
    """Return once something holds; each request gives it another chance."""
    assert callable(is_so)
    changed = asyncio.Event()
    world.cluster.before = lambda _: changed.set()
    async with asyncio.timeout(5):
        while not is_so(*args):
            changed.clear()
            await changed.wait()
            await asyncio.sleep(0)


async def test_what_is_undone_is_done_again() -> None:
    """Level-triggered: nobody tells of a Deployment that somebody has scaled by hand."""
    world = World()
    world.pool()
    world.offsets.unread("recordings", 50)
    async with tended(world):
        await until(world, lambda: world.asked("speech") > 0)
        asked = world.asked("speech")
        world.cluster.deployment("speech", 0)
        await until(world, lambda: world.asked("speech") == asked)


async def test_a_slow_group_delays_no_other_pool() -> None:
    """Each pool's look is its own."""
    world = World()
    backend = {"kind": "Deployment", "deployment": {"name": "s-speech"}}
    consumers = SPEC["consumers"] | {"deployment": "s-consumers"}
    world.pool(
        "slow",
        consumerGroup="slow",
        topics=[{"name": "s"}],
        deferredTopic="s.aside",
        backend=backend,
        consumers=consumers,
    )
    world.pool()
    world.offsets.unread("recordings", 50)
    world.offsets.late["slow"] = asyncio.Event()
    async with tended(world) as kept:
        await until(world, lambda: world.asked("consumers") > 0)
        world.clock.now_s += 10
        n_looks = len(world.offsets.asked)
        await until(world, lambda: len(world.offsets.asked) > n_looks + 1)
        assert ("slow", 1000.0) == kept.oldest_look()


async def test_a_look_that_never_ends_is_broken_off() -> None:
    """And the next begins: it has its end, and is not counted as one that did its work."""
    world = World()
    world.pool()
    world.offsets.late["g"] = asyncio.Event()
    async with tended(world, look_s=0.01):
        await until(world, lambda: world.offsets.asked)
        began_s = world.clock.utc().timestamp()
        world.clock.now_s += 60
        await until(world, lambda: len(world.offsets.asked) > 2)
        # From when it was begun with: a process that has never ended a look has an age, too.
        assert began_s == world.measured.value(metrics.OPERATOR_LAST_RECONCILE, pool="calls")
        world.offsets.late.clear()
        await until(world, lambda: began_s + 60 == world.measured.value(metrics.OPERATOR_LAST_RECONCILE, pool="calls"))


async def test_a_mistake_that_one_pool_brings_out_stops_no_other() -> None:
    """Nor the pool itself, once it is right again."""
    world = World()
    backend = {"kind": "Deployment", "deployment": {"name": "b-speech"}}
    consumers = SPEC["consumers"] | {"deployment": "b-consumers"}
    world.pool("bad", backend=backend, consumers=consumers, topics=[{"name": "b"}], deferredTopic="b.aside")
    world.cluster.put(kube.DEPLOYMENTS, "b-speech", spec={"replicas": "many"})
    world.pool()
    world.offsets.unread("recordings", 50)
    async with tended(world) as kept:
        await until(world, lambda: world.asked("speech") > 0)
        assert kept.oldest_look() is not None


async def test_pools_come_and_go() -> None:
    """With their tasks, and their series."""
    world = World()
    world.pool()
    async with tended(world) as kept:
        known: inventory.Kind = kept.known  # type: ignore[attr-defined]
        await until(world, lambda: world.measured.value(metrics.OPERATOR_PROMISE, pool="calls"))
        known.tell("DELETED", world.cluster.seen(kube.POOLS, "calls"), now_s=1.0)
        world.cluster.drop(kube.POOLS, "calls")
        kept.follow()
        assert kept.oldest_look() is None
        assert world.measured.value(metrics.OPERATOR_LAST_RECONCILE, pool="calls") is None

        known.tell("ADDED", world.pool("other"), now_s=2.0)
        kept.wake("other")
        await until(world, lambda: world.measured.value(metrics.OPERATOR_PROMISE, pool="other"))


async def test_a_look_at_a_pool_that_is_deleted_meanwhile_is_not_missed() -> None:
    """It is broken off; nobody waits for the next, and no series of it is left."""
    world = World()
    world.pool()
    world.offsets.late["g"] = asyncio.Event()
    async with tended(world) as kept:
        known: inventory.Kind = kept.known  # type: ignore[attr-defined]
        await until(world, lambda: world.offsets.asked)
        known.tell("DELETED", world.cluster.seen(kube.POOLS, "calls"), now_s=1.0)
        kept.follow()
        await asyncio.sleep(0.05)

        assert kept.oldest_look() is None


async def test_two_pools_on_one_topic_and_an_autoscaler_are_found() -> None:
    """From what is listed; where autoscalers cannot be listed, nothing is written."""
    world = World()
    world.pool()["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    world.cluster.put(
        kube.AUTOSCALERS, "h", spec={"scaleTargetRef": {"kind": "Deployment", "name": "speech"}, "maxReplicas": 2}
    )
    world.pool("late", consumers=SPEC["consumers"] | {"deployment": "others"})
    world.offsets.unread("recordings", 50)
    async with tended(world):
        await until(world, lambda: ("False", "TopicTaken") == world.condition("Valid", "late"))
        await until(world, lambda: world.asked("consumers") > 0)
        assert 0 == world.asked("speech")
        assert ("True", "ScalingConflict") == world.condition("ScalingConflict")

        world.cluster.broken["list", "horizontalpodautoscalers"] = failures.UnavailableError("away")
        await until(world, lambda: ("Unknown", "AutoscalersUnknown") == world.condition("ScalingConflict"))


async def test_nothing_begins_before_all_pools_are_known() -> None:
    """The watch tells of one after the other, and the first may name what another has."""
    world = World()
    known = inventory.Kind()
    known.tell(None, world.pool(), now_s=0.0)
    kept = tending.Tending(known, world.means(), limits=dict, interval_s=0.01, look_s=1.0)

    kept.wake("calls")

    assert kept.oldest_look() is None
