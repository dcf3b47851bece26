"""The simulator's HPA does what the real one does, look by look, on the same series of a metric."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest
from peers import control_plane as plane
from peers import external_metrics, kubeclient, process

from aftercall.operator.simulator import cluster, policies

STEP_S = 3.0
"""From look to look, in the place of 15 s. Other times are shorter, too, and none is a multiple of it: what happens
just then would be a matter of milliseconds."""
TARGET = 10
MOST = 40
FAST = policies.Hpa(up_period_s=2.0, down_stabilization_s=28.0)

pytestmark = pytest.mark.timeout(300)


@dataclasses.dataclass(frozen=True, slots=True)
class Case:
    """A Deployment of some replicas, what the HPA is told of it at each look, and how it is to behave."""

    replicas: int
    values: Sequence[int]
    hpa: policies.Hpa = FAST
    has_behavior: bool = True


CASES = {
    # Up by steps to twenty, tolerance on both sides, and down once the largest wish is out of the window.
    "step": Case(1, (10, 11, *(200,) * 4, 180, 220, 221, *(10,) * 12)),
    "sawtooth": Case(4, tuple((20 + 90 * (at % 4)) * (24 - at) // 24 for at in range(20))),
    # More replicas than are wanted from the first look on: that look counts as a wish for what there is.
    "slow-fall": Case(25, tuple(200 - 10 * at for at in range(21))),
    # Within a period, what was taken away may come back beyond the step, and what was added counts against it.
    "flapping": Case(
        10,
        (100, 20, 200, 200, 300, 30, 300, 50, 50, 50, 399, 399, 399, 10, 399),
        policies.Hpa(up_period_s=8.0, down_stabilization_s=0.0),
    ),
    "no-behavior": Case(1, (200,) * 8, has_behavior=False),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Looks:
    """What the HPA saw and did, and when what it did was refused, by case."""

    syncs: dict[str, list[external_metrics.Sync]]
    refused_s: dict[str, list[float]]


@pytest.fixture(scope="module")
def looks(tmp_path_factory: pytest.TempPathFactory) -> Looks:
    """What the real HPA saw and did in every case, all at once."""
    # It reads the scale before it asks, and is refused if that has changed until it writes: it must not wait long.
    args = ("--horizontal-pod-autoscaler-sync-period=2.7s", "--horizontal-pod-autoscaler-downscale-stabilization=28s")
    folder = tmp_path_factory.mktemp("hpa")
    for running in process.running(lambda: plane.ControlPlane(folder, controller_args=args)):
        for at in range(3):
            running.create_node(f"cpu-{at}")
        running.create_namespace("hpa")
        metrics = external_metrics.ExternalMetrics(running.api, running.client, step_s=STEP_S)
        metrics.start()
        try:
            for name, case in CASES.items():
                metrics.tell(name, case.values, namespace="hpa", deployment=name)
                start(running.client, name, case)
            kubeclient.wait_until(metrics.are_told, timeout_s=120, what="the HPA has looked at every value")
        finally:
            metrics.stop()
    return Looks({name: metrics.syncs(name) for name in CASES}, {name: refused(running, name) for name in CASES})


def refused(control_plane: plane.ControlPlane, name: str) -> list[float]:
    """Return when the HPA's writes to a Deployment were refused."""
    user = "system:serviceaccount:kube-system:horizontal-pod-autoscaler"
    wrote = [each for each in control_plane.audit() if (each.user, each.resource) == (user, "deployments/scale")]
    return [each.at_s for each in wrote if each.name == name and each.code == 409]


def start(client: kubeclient.Client, name: str, case: Case) -> None:
    """Create a Deployment, wait until it has its pods, and let an HPA loose on it."""
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "a:1"}]}}
    deployment = {"replicas": case.replicas, "selector": {"matchLabels": labels}, "template": template}
    about = {"name": name, "namespace": "hpa"}
    client.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": about, "spec": deployment})
    kubeclient.wait_until(
        lambda: client.get("Deployment", name, namespace="hpa")["status"].get("readyReplicas") == case.replicas,
        what=f"{name} is ready",
    )
    target = {"metric": {"name": name}, "target": {"type": "AverageValue", "averageValue": str(TARGET)}}
    autoscaler: kubeclient.Manifest = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
        "minReplicas": 1,
        "maxReplicas": MOST,
        "metrics": [{"type": "External", "external": target}],
    }
    if case.has_behavior:
        autoscaler["behavior"] = behavior(case.hpa)
    client.apply(
        {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": about, "spec": autoscaler}
    )


def behavior(hpa: policies.Hpa) -> kubeclient.Manifest:
    """Return what Kubernetes lets an HPA do unless told otherwise, in the time of this test."""
    period, percent = int(hpa.up_period_s), round(100 * (hpa.up_factor - 1))
    return {
        "scaleUp": {
            "policies": [
                {"type": "Percent", "value": percent, "periodSeconds": period},
                {"type": "Pods", "value": hpa.up_pods, "periodSeconds": period},
            ]
        },
        "scaleDown": {"stabilizationWindowSeconds": int(hpa.down_stabilization_s)},
    }


def simulated(hpa: policies.Hpa, looks: Sequence[external_metrics.Sync]) -> list[int]:
    """Return what the simulator's HPA asks for at each of these looks."""
    scaler = policies.Keda(lag_threshold=TARGET, min_replicas=1, max_replicas=MOST, partitions=1_000, hpa=hpa)
    return [
        scaler(
            cluster.View(
                now_s=look.now_s,
                asked=look.replicas,
                ready=look.replicas,
                waiting_calls=look.value,
                waiting_audio_s={},
                oldest_waiting_s={},
                arrived_audio_s={},
                limits_per_s={},
                promises_s={},
                done_audio_s=0.0,
                busy_s=0.0,
                is_saturated=False,
            )
        )
        for look in looks
    ]


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.has_behavior])
def test_the_simulated_hpa_does_what_the_real_one_does(looks: Looks, name: str) -> None:
    """After every look there are as many replicas as the simulator asks for."""
    seen, hpa = looks.syncs[name], CASES[name].hpa
    # On a busy machine a Deployment's status may change just as it is scaled, which is then refused, until the next
    # look; a simulation has nothing of the kind, and remembers for a period what it believes to have done.
    kept = [
        at
        for at, look in enumerate(seen[:-1])
        if not any(-STEP_S < look.now_s - at_s < hpa.up_period_s for at_s in looks.refused_s[name])
    ]

    asked = simulated(hpa, seen[:-1])

    print(name, [(look.value, look.replicas) for look in seen], looks.refused_s[name])
    assert len(kept) > 8
    assert [(at, seen[at + 1].replicas) for at in kept] == [(at, asked[at]) for at in kept]


def test_without_behavior_the_hpa_goes_by_an_older_rule(looks: Looks) -> None:
    """At most twice as many or four at a look, and not four more: the simulator plays an HPA that has it."""
    assert [1, 4, 8, 16, 20] == list(dict.fromkeys(look.replicas for look in looks.syncs["no-behavior"]))
