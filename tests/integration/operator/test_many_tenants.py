"""A thousand tenants, of which one in a hundred is broken, are told what became of them within half a minute."""

from __future__ import annotations

import concurrent.futures
import os
import time
from typing import TYPE_CHECKING, Any

import cluster
import operated
import pytest

from aftercall.contracts import crds

if TYPE_CHECKING:
    from conftest import Build

TENANTS = int(os.environ.get("TENANTS", "1000"))
_BROKEN = 100


def _tenant(at: int) -> dict[str, Any]:
    """Return a tenant; one in a hundred has an id that an older one has."""
    spec: dict[str, Any] = {"audioSecondsPerMinute": 600 + at, "vocabulary": [f"Name {at}"]}
    if at % _BROKEN == _BROKEN - 1:
        spec["id"] = "tenant-0"
    about = {"apiVersion": f"{crds.GROUP}/{crds.VERSION}", "kind": "Tenant"}
    return {**about, "metadata": {"name": f"tenant-{at}"}, "spec": spec}


@pytest.mark.timeout(300)
def test_a_thousand_tenants_are_told_within_30_s_and_the_broken_disturb_nobody(namespace_of: Build) -> None:
    """From creation to Ready, and a pool of theirs is scaled meanwhile."""
    space = namespace_of("calls", "broken", shards=4)
    topic = f"{space.name}.calls"
    space.client.apply(operated.pool("calls", topic=topic, group=space.name), namespace=space.name)
    space.client.apply(operated.pool("broken", topic=f"{space.name}.nowhere"), namespace=space.name)
    space.start()
    cluster.wait_until(lambda: "True" == space.condition("calls")[0], timeout_s=20, what="the pool is ready")
    began_mib = space.rss_mib()
    space.client.create(_tenant(0), namespace=space.name)
    time.sleep(1.1)  # creation times have a second's precision
    created: dict[str, float] = {"tenant-0": time.monotonic()}

    def create(at: int) -> None:
        created[f"tenant-{at}"] = time.monotonic()
        space.client.create(_tenant(at), namespace=space.name)

    told: dict[str, tuple[str, float]] = {}

    def look() -> None:
        found = space.client.list("Tenant", namespace=space.name)
        now = time.monotonic()
        for each in found:
            for condition in each.get("status", {}).get("conditions", ()):
                if condition["type"] == "Ready":
                    told.setdefault(each["metadata"]["name"], (condition["status"], now))

    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        creating = [threads.submit(create, at) for at in range(1, TENANTS)]
        while not all(each.done() for each in creating):
            look()
            time.sleep(0.5)
        for each in creating:
            each.result()
    operated.publish(space.kafka, topic, 10)
    published, scaled_s = time.monotonic(), None
    while len(told) < TENANTS:
        look()
        if scaled_s is None and space.asked("aftercall-calls-speech") > 0:
            scaled_s = time.monotonic() - published
        assert time.monotonic() - published < 60, f"{TENANTS - len(told)} tenants were told nothing"
        time.sleep(0.5)
    cluster.wait_until(lambda: space.asked("aftercall-calls-speech") > 0, timeout_s=10, what="the pool is scaled")

    took_s = sorted(at - created[name] for name, (status, at) in told.items() if status == "True")
    broken = sorted(name for name, (status, _) in told.items() if status == "False")
    p50_s, p99_s = took_s[len(took_s) // 2], took_s[int(0.99 * len(took_s))]
    print(
        f"{TENANTS} tenants, {len(broken)} broken: creation to Ready p50 {p50_s:.1f} s, p99 {p99_s:.1f} s;"
        f" operator RSS {space.rss_mib():.0f} MiB, {began_mib:.0f} MiB without tenants"
    )
    assert p99_s <= 30
    assert sorted(f"tenant-{at}" for at in range(TENANTS) if at % _BROKEN == _BROKEN - 1) == broken
    assert "IdTaken" == space.condition(broken[0], kind="Tenant")[1]
    assert 200 == space.probe("healthz")[0]
    maps = [space.get("ConfigMap", f"aftercall-tenants-{at}") for at in range(4)]
    compiled = sum(each["data"]["tenants.yaml"].count('"name":') for each in maps)
    assert TENANTS - len(broken) == compiled
