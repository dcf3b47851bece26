"""Tenants in ConfigMaps, and what each is told."""

from __future__ import annotations

import asyncio
from typing import Any

from pool_material import World

from aftercall.contracts import metrics
from aftercall.operator import compiling, failures, inventory, kube


class Tenants:
    """A namespace with two ConfigMaps for tenants."""

    def __init__(self) -> None:
        self.world = World()
        self.tenants, self.pools = inventory.Kind(), inventory.Kind()
        for name in ("t-0", "t-1"):
            self.world.cluster.put(kube.CONFIG_MAPS, name)
        self.compiling = compiling.Compiling(
            self.world.cluster,
            self.tenants,
            self.pools,
            ["t-0", "t-1"],
            may_write=lambda: self.world.is_leading,
            utc=self.world.clock.utc,
            observe=self.world.measured,
        )

    def tenant(self, name: str, **spec: Any) -> None:
        """Let a tenant be there."""
        known = dict(self.world.cluster._objects.get(("tenants", name), {}))
        self.world.cluster.put(kube.TENANTS, name, spec=spec, status=known.get("status", {}))

    async def compile(self) -> bool:
        """List everything, and compile."""
        for kind, resource in ((self.tenants, kube.TENANTS), (self.pools, kube.POOLS)):
            kind.list(list(await self.world.cluster.list(resource)), asked_at_s=0.0, now_s=0.0)
        return await self.compiling.compile()

    def files(self) -> str:
        """Return what both ConfigMaps hold."""
        found = [self.world.cluster.seen(kube.CONFIG_MAPS, name) for name in ("t-0", "t-1")]
        return "".join(each.get("data", {}).get("tenants.yaml", "") for each in found)

    def writes(self) -> list[tuple[str, str]]:
        """Return what was written since the last time."""
        made = [(each.what, each.name) for each in self.world.cluster.calls if each.verb == "patch"]
        self.world.cluster.calls.clear()
        return made


async def test_tenants_are_written_and_told_once() -> None:
    """What has not changed is not written again."""
    at = Tenants()
    at.tenant("acme", audioSecondsPerMinute=600)
    at.tenant("beta")

    assert await at.compile()
    assert '"acme"' in at.files()
    assert ("True", "Compiled") == at.world.condition("Ready", "acme", kube.TENANTS)
    assert {"configmaps", "tenants/status"} == {what for what, _ in at.writes()}
    assert await at.compile()
    assert [] == at.writes()
    assert {"acme": 10.0} == {name: each.per_s for name, each in at.compiling.limits.items()}
    assert 2.0 == at.world.measured.value(metrics.OPERATOR_TENANTS, ready="true")


async def test_a_broken_one_is_told_why_and_the_others_are_given() -> None:
    """Of two with one id the older keeps it."""
    at = Tenants()
    at.tenant("beta", id="acme")
    at.world.cluster.seen(kube.TENANTS, "beta")["metadata"]["creationTimestamp"] = "2026-11-02T00:00:00Z"
    at.tenant("acme", audioSecondsPerMinute=600)
    at.tenant("odd", weight=-1)

    assert await at.compile()

    assert ("True", "Compiled") == at.world.condition("Ready", "acme", kube.TENANTS)
    assert ("False", "IdTaken") == at.world.condition("Valid", "beta", kube.TENANTS)
    assert ("False", "Invalid") == at.world.condition("Valid", "odd", kube.TENANTS)


async def test_floors_are_for_the_consumers_of_all_pools() -> None:
    """As many as there may be: 12 of the one and 8 of the other."""
    at = Tenants()
    at.tenant("acme", audioSecondsPerMinute=600)
    at.world.pool()
    at.world.pool("other", consumers={"deployment": "o", "maxReplicas": 8})

    await at.compile()

    assert 20 == at.compiling.limits["acme"].max_consumers


async def test_a_config_map_that_is_not_written_is_tried_again() -> None:
    """Its tenants are not told that they are given."""
    at = Tenants()
    at.tenant("acme")
    at.world.cluster.broken["patch", "configmaps"] = failures.ConflictError("409")

    assert not await at.compile()
    assert ("", "") == at.world.condition("Ready", "acme", kube.TENANTS)

    at.world.cluster.broken.clear()
    assert await at.compile()
    assert ("True", "Compiled") == at.world.condition("Ready", "acme", kube.TENANTS)


async def test_a_status_that_another_has_changed_is_told_again() -> None:
    """At the next compilation."""
    at = Tenants()
    at.tenant("acme")
    await at.compile()
    at.world.cluster.put(kube.TENANTS, "acme", spec={}, status={})
    at.writes()

    await at.compile()

    assert [("tenants/status", "acme")] == at.writes()
    await at.compile()
    assert [] == at.writes()


async def test_without_the_lease_limits_are_known_and_nothing_is_written() -> None:
    """Who takes it answers reports at once."""
    at = Tenants()
    at.tenant("acme", audioSecondsPerMinute=600)
    at.world.is_leading = False

    assert not await at.compile()

    assert ["acme"] == list(at.compiling.limits)
    assert [] == at.writes()


async def test_a_thousand_tenants_are_told_a_few_at_a_time() -> None:
    """Each with one patch."""
    at = Tenants()
    for number in range(1000):
        at.tenant(f"t{number}")
    open_now, most = 0, 0
    patch = at.world.cluster.patch

    async def counted(*args: Any, **more: Any) -> kube.Object:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        await asyncio.sleep(0)
        open_now -= 1
        return await patch(*args, **more)

    at.world.cluster.patch = counted  # type: ignore[method-assign]
    await at.compile()

    assert 1000 == len([each for each in at.writes() if each[0] == "tenants/status"])
    assert 32 == most


async def test_a_limit_that_is_gone_is_told_of_no_more() -> None:
    """Nor is it granted from."""
    at = Tenants()
    at.tenant("acme", audioSecondsPerMinute=600)
    await at.compile()
    assert 10.0 == at.world.measured.value(metrics.OPERATOR_LIMIT, tenant="acme")

    at.tenant("acme")
    await at.compile()
    assert at.world.measured.value(metrics.OPERATOR_LIMIT, tenant="acme") is None
    assert {} == dict(at.compiling.limits)


async def test_it_compiles_when_told_to_and_ends() -> None:
    """Not before everything is listed."""
    at = Tenants()
    at.tenant("acme")
    stopping, wrote = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(at.compiling.run(stopping))
    at.world.cluster.before = lambda call: wrote.set() if call.what == "configmaps" else None
    for kind, resource in ((at.tenants, kube.TENANTS), (at.pools, kube.POOLS)):
        kind.list(list(await at.world.cluster.list(resource)), asked_at_s=0.0, now_s=0.0)
    at.compiling.mark()

    async with asyncio.timeout(5):
        await wrote.wait()
        stopping.set()
        await running
