"""A release whose pods run, as processes, with a real Kafka and a real S3, each with nothing in it: topics, buckets and
kinds come, `helm test` passes, and a rollout under way loses nothing.
"""

from __future__ import annotations

import pathlib
import uuid
from collections.abc import Iterator

import cluster
import material
import obstore
import pytest
import yaml
from peers import broker, helm, kubeclient, kubelet, pods, process, s3
from peers import control_plane as plane

from aftercall.contracts import events

from . import conftest

GRACE_S = 60
"""The chart's own, of consumers."""
WITHOUT_TOPICS = 3
"""How a consumer ends whose topics or buckets are not there."""


@pytest.fixture
def kafka(tmp_path: pathlib.Path) -> Iterator[broker.Broker]:
    """A broker."""
    (tmp_path / "broker").mkdir()
    yield from process.running(lambda: broker.Broker(tmp_path / "broker"))


@pytest.fixture
def store(tmp_path: pathlib.Path) -> Iterator[s3.S3]:
    """An S3 server."""
    (tmp_path / "s3").mkdir()
    yield from process.running(lambda: s3.S3(tmp_path / "s3"))


class Release:
    """The release `calls`: its operator and its consumers run here, and so does its test."""

    def __init__(
        self, control_plane: plane.ControlPlane, ours: cluster.Cluster, node: str, folder: pathlib.Path, major: int
    ) -> None:
        self.client, self.namespace = control_plane.client, f"test-{uuid.uuid4().hex[:8]}"
        self._helm = helm.Helm(folder, kubeconfig=control_plane.kubeconfig, major=major)
        self._values = folder / "values.yaml"
        self._values.write_text(yaml.safe_dump(_values(ours, node)))
        restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
        control_plane.create_namespace(self.namespace, labels=restricted)
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s3"}}
        keys = {"access-key-id": s3.ACCESS_KEY, "secret-access-key": s3.SECRET_KEY}
        self.client.apply(secret | {"stringData": keys}, namespace=self.namespace)

    def run(self, verb: str, *args: str) -> str:
        """Run a command of Helm."""
        chart = [str(conftest.CHART), f"--values={self._values}"] if verb in {"install", "upgrade"} else []
        return self._helm.run(verb, "calls", *chart, f"--namespace={self.namespace}", *args).stdout

    def pods(self, component: str) -> list[kubeclient.Manifest]:
        """Return the pods of a component."""
        selector = f"app.kubernetes.io/component={component}"
        return self.client.list("Pod", namespace=self.namespace, selector=selector)


def _values(ours: cluster.Cluster, node: str) -> dict[str, object]:
    return {
        "podDefaults": {"nodeSelector": {"kubernetes.io/hostname": node}},
        "kafka": {
            "bootstrapServers": [ours.kafka.address],
            "consumerGroup": ours.name,
            "topics": {"transcripts": ours.transcripts, "deadLetter": ours.dead},
        },
        "s3": {
            "bucket": ours.outbox,
            "recordingBuckets": [{"name": ours.inbox}],
            "endpoint": ours.s3.endpoint,
            "region": s3.REGION,
            "existingSecret": "s3",
        },
        "models": {"source": "Baked"},
        "setup": {"enabled": True, "replication": 1},
        "pools": {
            "main": {
                "backend": "InProcess",
                "topics": [{"name": ours.recordings}],
                "deferredTopic": ours.deferred,
                "parkedTopic": ours.parked,
                "partitions": 4,
                "model": {"name": str(material.MODEL)},
                "speech": {"threads": 1},
                "consumers": {"minReplicas": 1, "maxReplicas": 1, "maxOpenCalls": 2},
            }
        },
        "tenants": {"resources": [{"name": "acme", "spec": {"audioSecondsPerMinute": 12000}}]},
        "api": {"enabled": False},
        "relay": {"enabled": False},
    }


@pytest.fixture
def node(control_plane: plane.ControlPlane, tmp_path: pathlib.Path) -> Iterator[kubelet.Kubelet]:
    """A node whose pods run."""
    (tmp_path / "pods").mkdir()
    name = f"node-{uuid.uuid4().hex[:8]}"
    yield from process.running(lambda: kubelet.Kubelet(control_plane, tmp_path / "pods", name))


@pytest.fixture
def ours(kafka: broker.Broker, store: s3.S3) -> cluster.Cluster:
    """Names of topics and buckets; the release makes them."""
    return cluster.Cluster(kafka, store, "calls")


def wait_ready(release: Release, node: kubelet.Kubelet, component: str, *, timeout_s: float = 90) -> pods.Pod:
    """Return the only pod of a component once it is ready."""

    def is_ready() -> bool:
        pods = release.pods(component)
        return (
            len(pods) == 1
            and {"Ready": "True"}.items()
            <= {each["type"]: each["status"] for each in pods[0]["status"].get("conditions", ())}.items()
        )

    kubeclient.wait_until(is_ready, timeout_s=timeout_s, what=f"{component} to be ready")
    return node.of(component)[-1]


def announce(ours: cluster.Cluster, n: int) -> None:
    """Announce calls of acme's, of a minute or so."""
    path = sorted(material.CALLS.glob("*.opus"))[0]
    told = []
    for at in range(n):
        obstore.put(ours.bucket(ours.inbox), f"r{at}.opus", path.read_bytes())
        plain = {"tenant": "acme", "call_id": f"r{at}", "version": "1"}
        uri = f"s3://{ours.inbox}/r{at}.opus"
        told.append(events.RecordingReady.model_validate(plain | {"recording_uri": uri}))
    ours.announce(told)


@pytest.fixture
def clean(control_plane: plane.ControlPlane) -> Iterator[None]:
    """A cluster that has never heard of aftercall, and is left so."""
    conftest.without_crds(control_plane.client)
    yield
    conftest.without_crds(control_plane.client)


@pytest.mark.usefixtures("clean")
@pytest.mark.timeout(400)
@pytest.mark.parametrize("major", [3, 4])
def test_a_release_works_and_goes_on_through_a_rollout(
    control_plane: plane.ControlPlane,
    node: kubelet.Kubelet,
    ours: cluster.Cluster,
    tmp_path: pathlib.Path,
    major: int,
) -> None:
    """`helm test` sees a transcript come; a rollout of operator and consumers loses no call and does none twice.

    Nor does it throttle anybody: with floors alone, two audio-seconds a second here, one call would take 80 s.
    """
    release = Release(control_plane, ours, node.node, tmp_path, major)
    release.run("install", "--wait", "--timeout=120s")
    wait_ready(release, node, "operator")
    (setup,) = node.of("setup")
    assert [0] == setup.exit_codes
    before = wait_ready(release, node, "consumers")
    assert "Phase:          Succeeded" in release.run("test")
    (check,) = node.of("test")
    assert "windows heard" in check.log.read_text()

    announce(ours, 12)
    cluster.wait_until(lambda: 1 < len(ours.outcomes()) < 9, timeout_s=60, what="work under way")
    release.run("upgrade", "--set=pools.main.consumers.maxOpenCalls=3", "--set=operator.grantLeaseSeconds=901")
    kubeclient.wait_until(lambda: before.ended_in_s is not None, timeout_s=GRACE_S + 30, what="the old consumer to end")
    after = wait_ready(release, node, "consumers")
    cluster.wait_until(lambda: len(ours.outcomes()) == 13, timeout_s=90, what="all calls")

    assert before.name != after.name
    assert {0, WITHOUT_TOPICS} >= {*before.exit_codes}  # it ended, to begin anew, until the setup had made them
    assert (0, []) == (before.exit_codes[-1], after.exit_codes)
    assert before.ended_in_s is not None
    assert before.ended_in_s < GRACE_S
    print(f"\nHelm {major}: the consumer ended {before.ended_in_s:.1f} s after SIGTERM, of {GRACE_S} s")
    assert {("canonical", 1)} == {(one.kind.value, one.attempts) for one in ours.outcomes()}
    cluster.wait_until(lambda: ours.lag() == 0, timeout_s=20, what="every offset committed")

    release.run("uninstall")
    kubeclient.wait_until(
        lambda: [] == release.pods("consumers") + release.pods("operator"), timeout_s=90, what="pods to go"
    )
    assert [[0]] * 3 == [pod.exit_codes for pod in (after, *node.of("operator"))]
