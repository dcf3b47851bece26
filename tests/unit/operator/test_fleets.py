"""A fleet is brought to a number."""

from __future__ import annotations

import pytest

from aftercall.operator import failures, fleets, targets, testing
from aftercall.operator.fleets import Outcome


def bringing(cluster: testing.FakeKubernetes, *, is_leading: bool = True) -> fleets.Fleets:
    """Return what brings fleets to numbers."""
    return fleets.Fleets(cluster, may_write=lambda: is_leading, utc=testing.Clock().utc)


async def brought(cluster: testing.FakeKubernetes, to: int | None, *, is_leading: bool = True) -> Outcome:
    """Bring the Deployment `d` to a number."""
    target = targets.Deployment(cluster, "d")
    found = await bringing(cluster, is_leading=is_leading).bring(target, await target.read(), to, running_audio_s={})
    return found.outcome


@pytest.mark.parametrize(("to", "outcome"), [(None, Outcome.AS_WANTED), (2, Outcome.AS_WANTED), (5, Outcome.WRITTEN)])
async def test_only_another_number_is_written(to: int | None, outcome: Outcome) -> None:
    """Without a list of pods where there are to be more."""
    cluster = testing.FakeKubernetes()
    cluster.deployment("d", 2)

    assert outcome is await brought(cluster, to)
    assert [] == cluster.made("list", "pods")


async def test_ray_replicas_that_stop_are_waited_for() -> None:
    """They are no pods of ours; Ray tells of them."""
    cluster = testing.FakeKubernetes()
    seen = targets.Seen(asked=3, ready=3, there=4, leaving=1)
    found = await bringing(cluster).bring(targets.Deployment(cluster, "d"), seen, 1)

    assert Outcome.WAITS_FOR_DRAINING is found.outcome
    assert "1 of d were let go" in found.message
    assert [] == cluster.calls


async def test_a_pod_that_cannot_be_marked_does_not_keep_the_others() -> None:
    """Marks are a wish: what is to go goes."""
    cluster = testing.FakeKubernetes()
    cluster.deployment("d", 2)
    cluster.pod("a", of="d")
    cluster.broken["patch", "pods"] = failures.ForbiddenError("403")

    assert Outcome.WRITTEN is await brought(cluster, 1)


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [
        (failures.ConflictError("409"), Outcome.CHANGED_MEANWHILE),
        (failures.UnavailableError("503"), Outcome.NOT_WRITTEN),
        (failures.ForbiddenError("403"), Outcome.NOT_WRITTEN),
    ],
)
async def test_what_is_not_written_has_a_name(failure: Exception, outcome: Outcome) -> None:
    """And nothing is raised: the look goes on to its end."""
    cluster = testing.FakeKubernetes()
    cluster.deployment("d", 2)
    cluster.broken["write", "deployments/scale"] = failure

    assert outcome is await brought(cluster, 3)


async def test_who_does_not_lead_writes_and_marks_nothing() -> None:
    """Whatever is wanted."""
    cluster = testing.FakeKubernetes()
    cluster.deployment("d", 2)
    cluster.pod("a", of="d")

    assert Outcome.NOT_LEADING is await brought(cluster, 1, is_leading=False)
    assert {"read", "list"} == {each.verb for each in cluster.calls}


async def test_pods_that_cannot_be_listed_keep_the_number() -> None:
    """Somebody may still be draining."""
    cluster = testing.FakeKubernetes()
    cluster.deployment("d", 2)
    cluster.broken["list", "pods"] = failures.UnavailableError("503")

    assert Outcome.NOT_WRITTEN is await brought(cluster, 1)
    assert [] == cluster.made("write", "deployments/scale")


async def test_only_what_is_gone_or_over_has_ended() -> None:
    """An API server that is away says nothing of it."""
    cluster = testing.FakeKubernetes()
    cluster.pod("runs", of="d")
    cluster.pod("failed", of="d", status={"phase": "Failed"})

    assert [False, True, True] == [await fleets.has_ended(cluster, name) for name in ("runs", "failed", "nowhere")]
    cluster.broken["read", "pods"] = failures.UnavailableError("503")
    with pytest.raises(failures.UnavailableError):
        await fleets.has_ended(cluster, "nowhere")
