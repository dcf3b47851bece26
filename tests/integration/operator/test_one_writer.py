"""One operator acts at a time, and none where an autoscaler does: the audit log of the API server says who wrote."""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import cluster
import operated
import pytest
from peers import gateway

if TYPE_CHECKING:
    from conftest import Build

Beside = Callable[[operated.Namespace], operated.Namespace]


@pytest.fixture
def beside() -> Iterator[Beside]:
    """Makes a second operator of a namespace, with an account of its own, which the audit log tells from the first."""
    made: list[operated.Namespace] = []

    def build(first: operated.Namespace) -> operated.Namespace:
        made.append(dataclasses.replace(first, account="another", through=None))
        return made[-1]

    yield build
    for each in made:
        each.stop()
        assert [] == each.refused()


def _add(space: operated.Namespace, n: int = 50) -> None:
    operated.publish(space.kafka, f"{space.name}.calls", n)


def _make_pool(space: operated.Namespace) -> None:
    made = operated.pool("calls", topic=f"{space.name}.calls", group=space.name)
    made["spec"]["scaling"] |= {"maxReplicas": 1000, "stabilizationSeconds": 300}
    made["spec"]["consumers"]["stabilizationSeconds"] = 300
    space.client.apply(made, namespace=space.name)
    # What is there at first is no arrival, and what comes then is one among many seconds without.
    _add(space, 1)


def _turns(space: operated.Namespace) -> list[str]:
    """Return whose turns at writing there were, in their order."""
    return [user for user, _ in itertools.groupby(user for user, _, _ in space.scaled())]


@pytest.mark.timeout(240)
def test_another_operator_takes_over_within_30_s_and_they_never_write_by_turns(
    namespace_of: Build, beside: Beside
) -> None:
    """With the Lease of 15 s that is the default. Who was killed comes back, and waits."""
    first = namespace_of("calls", do_speak=True, settings={"AFTERCALL_OPERATOR__LEASE_S": "15"})
    second = beside(first)
    _make_pool(first)
    for each in (first, second):
        each.start(wait=False)
    both = (first, second)
    for each in both:
        each.settle("calls")
    cluster.wait_until(lambda: any(200 == each.probe("readyz")[0] for each in both), timeout_s=60, what="one leads")
    leads, waits = both if 200 == first.probe("readyz")[0] else both[::-1]
    for _ in range(5):
        _add(first, 25)
        time.sleep(1)
    cluster.wait_until(lambda: bool(first.scaled()), timeout_s=20, what="the pool is scaled at all")
    assert (503, "not ready: waits for the Lease\n") == waits.probe("readyz")
    before = first.asked("aftercall-calls-speech")

    assert leads.operator is not None
    leads.operator.kill()
    killed = time.monotonic()
    _add(first, 200)
    cluster.wait_until(lambda: first.asked("aftercall-calls-speech") > before, timeout_s=30, what="the other scales")
    print(f"fail-over: the other operator's first write {time.monotonic() - killed:.1f} s after the first was killed")

    leads.start(wait=False)
    leads.settle("calls")
    for _ in range(5):
        _add(first)
        time.sleep(1)
    cluster.wait_until(lambda: 503 == leads.probe("readyz")[0], timeout_s=20, what="the first is back, and waits")
    before = first.asked("aftercall-calls-speech")
    _add(first, 200)
    cluster.wait_until(lambda: first.asked("aftercall-calls-speech") > before, timeout_s=20, what="the other goes on")
    assert [leads.user, waits.user] == _turns(first)


@pytest.mark.timeout(180)
def test_a_write_that_comes_after_another_took_over_is_not_taken(
    namespace_of: Build, beside: Beside, before_api: gateway.Gateway
) -> None:
    """The first's write hangs in the network until the second has the Lease and has written itself."""
    first = namespace_of("calls", do_speak=True, through=before_api)
    second = beside(first)
    _make_pool(first)
    first.start()
    second.start(wait=False)
    for each in (first, second):
        each.settle("calls")
    _add(first)
    cluster.wait_until(lambda: bool(first.scaled("aftercall-calls-speech")), timeout_s=30, what="the first scales")
    cluster.wait_until(lambda: "True" == first.condition("calls")[0], timeout_s=30, what="nothing is to be done")
    held: list[gateway.Request] = []

    def hold(request: gateway.Request) -> gateway.Fate:
        # From the write on, nothing of the first's comes through, its renewals of the Lease neither.
        if held or request.is_for("PUT", "/deployments/aftercall-calls-speech/scale"):
            held.append(request)
            return gateway.HOLD
        return None

    before_api.rule = hold
    _add(first)
    cluster.wait_until(lambda: bool(held), timeout_s=20, what="the first writes")
    cluster.wait_until(lambda: 200 == second.probe("readyz")[0], timeout_s=30, what="the second has the Lease")
    _add(first)
    cluster.wait_until(lambda: second.user in _turns(first), timeout_s=30, what="the second scales")

    def answers() -> list[int]:
        return [
            event.code
            for event in first.control_plane.audit()
            if (event.user, event.verb, event.resource) == (first.user, "update", "deployments/scale")
        ]

    before = len(answers())
    before_api.release()
    cluster.wait_until(lambda: len(answers()) > before, timeout_s=20, what="the late write has come")
    time.sleep(3)
    assert {409} == set(answers()[before:])
    assert [first.user, second.user] == _turns(first)
    assert 503 == first.probe("readyz")[0]


def test_nothing_is_written_where_an_autoscaler_does(namespace_of: Build) -> None:
    """It comes and goes while calls wait: no write as long as the conflict is told, and again once it is gone."""
    space = namespace_of("calls", do_speak=True)
    _make_pool(space)
    space.start()
    space.settle("calls")
    _add(space)
    cluster.wait_until(
        lambda: bool(space.scaled("aftercall-calls-speech")), timeout_s=30, what="the pool is scaled at all"
    )
    autoscaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "somebody"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "aftercall-calls-speech"},
            "maxReplicas": 3,
        },
    }
    space.client.apply(autoscaler, namespace=space.name)
    cluster.wait_until(
        lambda: "True" == space.condition("calls", "ScalingConflict")[0], timeout_s=20, what="the conflict is told"
    )
    before = [each for each in space.scaled("aftercall-calls-speech") if each[0] == space.user]
    for _ in range(5):
        _add(space)
        time.sleep(1)
    assert before == [each for each in space.scaled("aftercall-calls-speech") if each[0] == space.user]
    asked = space.asked("aftercall-calls-speech")
    space.client.delete("HorizontalPodAutoscaler", "somebody", namespace=space.name)
    cluster.wait_until(
        lambda: space.asked("aftercall-calls-speech") > asked, timeout_s=20, what="the operator scales again"
    )
    assert "False" == space.condition("calls", "ScalingConflict")[0]
