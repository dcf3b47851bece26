"""The double of an API server keeps to what a real one does, as far as the operator relies on it."""

from __future__ import annotations

import pytest

from aftercall.operator import failures, kube, testing


async def test_versions_grow_and_older_ones_are_refused() -> None:
    """For writes of whole objects, of scales, and for patches that name one."""
    cluster = testing.FakeKubernetes()
    lease = await cluster.create(kube.LEASES, {"metadata": {"name": "l"}, "spec": {"holderIdentity": "a"}})
    newer = await cluster.replace(kube.LEASES, "l", {**lease, "spec": {"holderIdentity": "b"}})

    assert newer["metadata"]["resourceVersion"] > lease["metadata"]["resourceVersion"]
    assert newer["metadata"]["uid"] == lease["metadata"]["uid"]
    with pytest.raises(failures.ConflictError):
        await cluster.replace(kube.LEASES, "l", lease)
    with pytest.raises(failures.ConflictError):
        await cluster.patch(kube.LEASES, "l", {"metadata": {"resourceVersion": "0"}, "spec": {}})
    with pytest.raises(failures.ConflictError):
        await cluster.create(kube.LEASES, {"metadata": {"name": "l"}})


async def test_a_patch_of_the_status_leaves_the_rest() -> None:
    """A merge patch removes what it says is null."""
    cluster = testing.FakeKubernetes()
    cluster.put(kube.POOLS, "p", spec={"mode": "Paused"}, status={"replicas": 1, "drainSeconds": 4})

    await cluster.patch(kube.POOLS, "p", {"spec": {}, "status": {"replicas": 2, "drainSeconds": None}}, part="status")

    found = cluster.seen(kube.POOLS, "p")
    assert ({"mode": "Paused"}, {"replicas": 2}) == (found["spec"], found["status"])


async def test_it_fails_where_it_is_told_to() -> None:
    """For one verb and kind, or for all."""
    cluster = testing.FakeKubernetes()
    cluster.deployment("d")
    cluster.broken["read", "deployments"] = failures.UnavailableError("away")

    with pytest.raises(failures.UnavailableError):
        await cluster.get(kube.DEPLOYMENTS, "d")
    assert await cluster.list(kube.DEPLOYMENTS, labels={"app": "x"}) == []
    with pytest.raises(failures.NotFoundError):
        await cluster.get(kube.PODS, "p")
