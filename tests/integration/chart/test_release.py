"""Releases on a real API server, in a namespace that takes restricted pods only: from nothing, and back to nothing."""

from __future__ import annotations

import pathlib
import subprocess
import sys
import typing
import uuid
from collections.abc import Iterator

import pytest
import yaml
from peers import control_plane as plane
from peers import helm, kubeclient, kubeconform

from . import conftest

DEV, L4, MIG, AIRGAP, RAY, EXTERNAL = conftest.SAMPLES
OURS = "app.kubernetes.io/instance=calls"
KINDS = (
    *("Deployment", "Service", "ConfigMap", "Secret", "ServiceAccount", "Pod", "Job", "Role", "RoleBinding"),
    *("PodDisruptionBudget", "NetworkPolicy", "Ingress", "PodMonitor", "PrometheusRule", "RayService"),
)
CLUSTER_KINDS = (
    *("ClusterRole", "ClusterRoleBinding", "PriorityClass"),
    *("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"),
)


@pytest.fixture
def bare(control_plane: plane.ControlPlane) -> Iterator[str]:
    """A namespace in a cluster that has never heard of aftercall, with a claim for models."""
    client = control_plane.client
    conftest.without_crds(client)
    name = f"test-{uuid.uuid4().hex[:8]}"
    control_plane.create_namespace(name, labels={"pod-security.kubernetes.io/enforce": "restricted"})
    for one in _volume(name):
        client.apply(one, namespace=name)
    yield name
    client.delete("Namespace", name)
    client.delete("PersistentVolume", name)
    conftest.without_crds(client)


def _volume(namespace: str) -> list[dict[str, typing.Any]]:
    size = {"storage": "1Gi"}
    claim = {"accessModes": ["ReadOnlyMany"], "resources": {"requests": size}, "storageClassName": ""}
    volume = {"capacity": size, "accessModes": ["ReadOnlyMany"], "hostPath": {"path": "/models"}}
    bound = {"claimRef": {"namespace": namespace, "name": "whisper-models"}}
    return [
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": namespace}, "spec": volume | bound},
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "whisper-models"},
            "spec": claim | {"volumeName": namespace},
        },
    ]


class Release:
    """The release `calls` of a sample in a namespace."""

    def __init__(
        self, control_plane: plane.ControlPlane, folder: pathlib.Path, namespace: str, sample: pathlib.Path, major: int
    ) -> None:
        self.client, self.namespace, self._sample = control_plane.client, namespace, sample
        self._helm = helm.Helm(folder, kubeconfig=control_plane.kubeconfig, major=major)

    def run(self, verb: str, *args: str) -> str:
        """Run a command of Helm; it warns of nothing."""
        # Jobs of kwok's nodes end at once, without waiting for our kinds: so Helm waits for their CRDs.
        chart = [str(conftest.CHART), f"--values={self._sample}"] if verb in {"install", "upgrade"} else []
        args = (*args, "--wait") if verb == "install" else args
        done = self._helm.run(verb, "calls", *chart, f"--namespace={self.namespace}", *args)
        assert "would violate PodSecurity" not in done.stderr
        assert "unknown field" not in done.stderr
        assert "Warning" not in done.stderr, done.stderr
        return done.stdout

    def pools(self) -> dict[str, dict[str, typing.Any]]:
        """Return the pools' specifications, by name."""
        return {
            one["metadata"]["name"]: one["spec"]
            for one in self.client.list("TranscriptionPool", namespace=self.namespace)
        }

    def checksums(self) -> dict[str, str]:
        """Return the checksum of each component's settings."""
        found = {}
        for one in self.client.list("Deployment", namespace=self.namespace, selector=OURS):
            annotations = one["spec"]["template"]["metadata"]["annotations"]
            found[one["metadata"]["name"]] = annotations.get("checksum/settings", "")
        return found

    def is_ready(self) -> bool:
        """Say whether every pod that there should be is ready."""
        deployments = self.client.list("Deployment", namespace=self.namespace, selector=OURS)
        return bool(deployments) and all(
            one["status"].get("observedGeneration") == one["metadata"]["generation"]
            and one["status"].get("readyReplicas", 0) == one["spec"]["replicas"]
            and one["status"].get("updatedReplicas", 0) == one["spec"]["replicas"]
            for one in deployments
        )

    def left(self) -> list[str]:
        """Return what there is of the release."""
        found = []
        for kind in (*KINDS, *CLUSTER_KINDS):
            found += [
                f"{kind} {one['metadata']['name']}"
                for one in self.client.list(kind, namespace=self.namespace, selector=OURS)
                if "deletionTimestamp" not in one["metadata"]
                # Those of the whole cluster begin with the release's namespace.
                and (kind in KINDS or one["metadata"]["name"].startswith(self.namespace))
            ]
        return found


def _crds_by_hand(client: kubeclient.Client, sample: pathlib.Path) -> None:
    """Install the CRDs as an administrator does, where the sample wants that."""
    if sample != AIRGAP:
        return
    for file in sorted((conftest.CHART / "files" / "crds").glob("*.yaml")):
        client.apply(file.read_text())
    _await_crds(client)


def _await_crds(client: kubeclient.Client) -> None:
    kubeclient.wait_until(
        lambda: all(
            {"Established": "True"}.items()
            <= {
                one["type"]: one["status"]
                for one in client.get("CustomResourceDefinition", name)["status"].get("conditions") or []
            }.items()
            for name in conftest.OUR_CRDS
        ),
        what="CRDs to be served",
    )


@pytest.mark.timeout(240)
@pytest.mark.parametrize("major", [3, 4])
@pytest.mark.parametrize("sample", conftest.SAMPLES, ids=lambda one: one.name)
def test_a_release_comes_changes_goes_back_and_goes(
    control_plane: plane.ControlPlane, bare: str, tmp_path: pathlib.Path, sample: pathlib.Path, major: int
) -> None:
    """Every pod is ready; what the operator has scaled stays; one changed value restarts one component."""
    _crds_by_hand(control_plane.client, sample)
    release = Release(control_plane, tmp_path, bare, sample, major)
    client = control_plane.client

    release.run("install")
    kubeclient.wait_until(release.is_ready, timeout_s=60, what="pods to be ready")
    installed, pools = release.checksums(), release.pools()
    assert set(yaml.safe_load(sample.read_text())["pools"]) == set(pools)
    consumers = next(iter(pools.values()))["consumers"]["deployment"]
    client.patch("Deployment", consumers, {"spec": {"replicas": 3}}, namespace=bare, subresource="scale")

    release.run("upgrade", "--set=operator.grantLeaseSeconds=1234")
    kubeclient.wait_until(release.is_ready, timeout_s=60, what="pods to be ready again")
    upgraded = release.checksums()
    assert {"calls-aftercall-operator"} == {name for name in installed if installed[name] != upgraded[name]}
    assert pools == release.pools()
    assert 3 == client.get("Deployment", consumers, namespace=bare)["spec"]["replicas"]

    release.run("rollback", "1")
    assert installed == release.checksums()
    assert pools == release.pools()
    assert 3 == client.get("Deployment", consumers, namespace=bare)["spec"]["replicas"]

    release.run("uninstall")
    assert [] == [one for one in release.left() if not one.startswith("Pod ")]
    # Pods go by the garbage collector, which looks at every kind anew after a CRD has come or gone: half a minute.
    kubeclient.wait_until(lambda: [] == release.left(), timeout_s=120, what="pods to go")
    assert {} == release.pools()
    assert [] == client.list("Tenant", namespace=bare)
    assert all(conftest.is_there(client, "CustomResourceDefinition", name) for name in conftest.OUR_CRDS)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("major", [3, 4])
def test_pools_are_the_releases_own_from_the_second_revision_on(
    control_plane: plane.ControlPlane, bare: str, tmp_path: pathlib.Path, major: int
) -> None:
    """A hook makes them at first; what was learned, in their status, outlives upgrades; a changed value arrives."""
    release = Release(control_plane, tmp_path, bare, EXTERNAL, major)
    release.run("install")
    (before,) = control_plane.client.list("TranscriptionPool", namespace=bare)
    learned = {"status": {"capacity": {"audioSecondsPerMinute": 7000}}}
    control_plane.client.patch("TranscriptionPool", "main", learned, namespace=bare, subresource="status")

    release.run("upgrade", "--set=operator.grantLeaseSeconds=1234")
    release.run("upgrade", "--set=operator.grantLeaseSeconds=1235")
    release.run("upgrade", "--set=pools.main.consumers.maxReplicas=5", "--set=tenants.resources=null")
    (after,) = control_plane.client.list("TranscriptionPool", namespace=bare)
    assert before["metadata"]["uid"] == after["metadata"]["uid"]
    assert (5, learned["status"]) == (after["spec"]["consumers"]["maxReplicas"], after["status"])
    tenants = control_plane.client.list("Tenant", namespace=bare)
    assert ["aftercall-test"] == [one["metadata"]["name"] for one in tenants]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("major", [3, 4])
def test_what_a_hook_made_follows_the_first_upgrade(
    control_plane: plane.ControlPlane, bare: str, tmp_path: pathlib.Path, major: int
) -> None:
    """A changed pool is changed and a tenant that is gone is gone, though no manifest ever held them."""
    release = Release(control_plane, tmp_path, bare, EXTERNAL, major)
    release.run("install")
    assert 2 == len(control_plane.client.list("Tenant", namespace=bare))

    release.run("upgrade", "--set=pools.main.consumers.maxReplicas=5", "--set=tenants.resources=null")

    assert 5 == release.pools()["main"]["consumers"]["maxReplicas"]
    tenants = control_plane.client.list("Tenant", namespace=bare)
    assert ["aftercall-test"] == [one["metadata"]["name"] for one in tenants]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("major", [3, 4])
def test_a_first_revision_that_is_uninstalled_leaves_no_pool(
    control_plane: plane.ControlPlane, bare: str, tmp_path: pathlib.Path, major: int
) -> None:
    """And installed again it finds its CRDs, which stayed."""
    release = Release(control_plane, tmp_path, bare, EXTERNAL, major)
    release.run("install")
    assert {"main"} == set(release.pools())
    release.run("uninstall")
    assert {} == release.pools()

    release.run("install")
    assert {"main"} == set(release.pools())
    release.run("uninstall")
    assert {} == release.pools()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("major", [3, 4])
def test_an_autoscalers_number_outlives_upgrades(
    control_plane: plane.ControlPlane, bare: str, tmp_path: pathlib.Path, major: int
) -> None:
    """In mode External, by the scale subresource: in the first upgrade, which adopts the pool, and in later ones."""
    client = control_plane.client
    release = Release(control_plane, tmp_path, bare, L4, major)
    external = ("--set=pools.main.mode=External", "--set=pools.main.speech.replicas=2")
    release.run("install", *external)
    (before,) = client.list("TranscriptionPool", namespace=bare)
    assert 2 == before["spec"]["replicas"]

    for replicas in (5, 7):
        path = client.path("TranscriptionPool", "main", namespace=bare, subresource="scale")
        scale = client.request("GET", path)
        client.request("PUT", path, {**scale, "spec": {"replicas": replicas}})
        release.run("upgrade", *external, f"--set=operator.grantLeaseSeconds={replicas}00")
        (after,) = client.list("TranscriptionPool", namespace=bare)
        assert (before["metadata"]["uid"], replicas) == (after["metadata"]["uid"], after["spec"]["replicas"])


@pytest.mark.timeout(180)
@pytest.mark.parametrize("major", [3, 4])
def test_an_upgrade_repairs_an_installation_that_timed_out(
    control_plane: plane.ControlPlane, bare: str, tmp_path: pathlib.Path, major: int
) -> None:
    """Its hooks did not run, so that there was neither pool nor tenant."""
    release = Release(control_plane, tmp_path, bare, EXTERNAL, major)
    nowhere = r"--set=operator.pod.nodeSelector.kubernetes\.io/hostname=nowhere"
    with pytest.raises(helm.HelmError):
        release.run("install", nowhere, "--timeout=5s")
    assert {} == release.pools()

    release.run("upgrade", "--wait")

    assert {"main"} == set(release.pools())
    assert 2 == len(control_plane.client.list("Tenant", namespace=bare))


@pytest.mark.timeout(180)
@pytest.mark.parametrize("major", [3, 4])
def test_crds_that_were_there_first_make_pools_the_releases_from_the_beginning(
    control_plane: plane.ControlPlane, bare: str, tmp_path: pathlib.Path, major: int
) -> None:
    """Given over to the release, as docs/kubernetes.md says; so going back to the first revision leaves pools alone."""
    client = control_plane.client
    release = Release(control_plane, tmp_path, bare, EXTERNAL, major)
    for file in sorted((conftest.CHART / "files" / "crds").glob("*.yaml")):
        older = yaml.safe_load(file.read_text())
        older["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["description"] = "An older one."
        path = client.path("CustomResourceDefinition", older["metadata"]["name"])
        params, form = {"fieldManager": "helm"}, "application/apply-patch+yaml"
        client.request("PATCH", path, older, params=params, content_type=form)
    _await_crds(client)
    with pytest.raises(helm.HelmError, match="invalid ownership metadata"):
        release.run("install")
    give_over(client, bare)

    release.run("install")
    assert "An older one." not in str(client.get("CustomResourceDefinition", conftest.OUR_CRDS[0]))
    (before,) = client.list("TranscriptionPool", namespace=bare)
    release.run("upgrade", "--set=pools.main.consumers.maxReplicas=5")
    release.run("rollback", "1")
    (after,) = client.list("TranscriptionPool", namespace=bare)

    assert before["metadata"]["uid"] == after["metadata"]["uid"]
    assert before["spec"] == after["spec"]
    release.run("uninstall")
    assert {} == release.pools()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("major", [3, 4])
def test_crds_that_come_with_an_upgrade_bring_pools_and_tenants(
    control_plane: plane.ControlPlane, bare: str, tmp_path: pathlib.Path, major: int
) -> None:
    """Of a release that began without an operator."""
    release = Release(control_plane, tmp_path, bare, EXTERNAL, major)
    without = {
        "operator": {"enabled": False},
        "crds": {"install": False},
        "tests": {"enabled": False},
        "tenants": {"source": "File", "list": [{"name": "acme", "egress_hosts": ["stt.example.com"]}], "resources": []},
        "pools": {"main": {"consumers": {"replicas": 1}}},
    }
    file = tmp_path / "without.yaml"
    file.write_text(yaml.safe_dump(without))
    release.run("install", f"--values={file}")
    assert [] == [one for one in release.left() if "operator" in one]

    release.run("upgrade", "--wait", "--timeout=60s")
    assert {"main"} == set(release.pools())
    tenants = control_plane.client.list("Tenant", namespace=bare)
    assert {"acme", "aftercall-test"} == {one["metadata"]["name"] for one in tenants}
    release.run("upgrade")
    assert {"main"} == set(release.pools())
    release.run("uninstall")
    assert {} == release.pools()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("major", [3, 4])
def test_crds_pass_from_a_release_that_is_gone_to_another(
    control_plane: plane.ControlPlane, bare: str, tmp_path: pathlib.Path, major: int
) -> None:
    """They stay with the name of the one that made them; another leaves them alone, or gets them."""
    client = control_plane.client
    other = f"{bare}-other"
    control_plane.create_namespace(other)
    try:
        Release(control_plane, tmp_path, bare, EXTERNAL, major).run("install")
        second = Release(control_plane, tmp_path, other, EXTERNAL, major)
        with pytest.raises(helm.HelmError, match="invalid ownership metadata"):
            second.run("install")
        second.run("install", "--set=crds.install=false")
        assert {"main"} == set(second.pools())
        second.run("uninstall")

        give_over(client, other)
        second.run("install")
        assert {"main"} == set(second.pools())
        second.run("uninstall")
    finally:
        client.delete("Namespace", other)


def give_over(client: kubeclient.Client, namespace: str) -> None:
    """Say that CRDs are those of the release `calls` in a namespace, as Helm knows its own."""
    said = {"meta.helm.sh/release-name": "calls", "meta.helm.sh/release-namespace": namespace}
    for name in conftest.OUR_CRDS:
        labels = {"app.kubernetes.io/managed-by": "Helm"}
        client.patch("CustomResourceDefinition", name, {"metadata": {"annotations": said, "labels": labels}})


@pytest.mark.timeout(120)
@pytest.mark.parametrize("major", [3, 4])
def test_crds_that_are_not_kept_go_with_the_first_revision(
    control_plane: plane.ControlPlane, bare: str, tmp_path: pathlib.Path, major: int
) -> None:
    """And take pools along; no hook asks for a kind that is gone."""
    release = Release(control_plane, tmp_path, bare, EXTERNAL, major)
    release.run("install", "--set=crds.keep=false")
    assert {"main"} == set(release.pools())

    release.run("uninstall")

    kubeclient.wait_until(
        lambda: (
            not any(
                conftest.is_there(control_plane.client, "CustomResourceDefinition", name) for name in conftest.OUR_CRDS
            )
        ),
        what="CRDs to go",
    )


@pytest.mark.timeout(120)
def test_the_hook_waits_until_our_kinds_are_served(
    control_plane: plane.ControlPlane, bare: str, render: conftest.Render, tmp_path: pathlib.Path
) -> None:
    """What its container would do, as a process with the token of its account: no kind, no end; then it ends well."""
    (job,) = [one for name, one in conftest.every("Job")(render(EXTERNAL)).items() if name.endswith("-kinds")]
    (container,) = job["spec"]["template"]["spec"]["containers"]
    client = control_plane.client
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "calls-aftercall-operator"}}
    client.apply(account, namespace=bare)
    told = yaml.safe_load(control_plane.kubeconfig_for(bare, "calls-aftercall-operator").read_text())
    cluster = told["clusters"][0]["cluster"]
    host, port = cluster["server"].removeprefix("https://").split(":")
    (tmp_path / "ca.crt").write_bytes(pathlib.Path(cluster["certificate-authority"]).read_bytes())
    (tmp_path / "token").write_text(told["users"][0]["user"]["token"])
    script = container["args"][0].replace("/var/run/secrets/kubernetes.io/serviceaccount", str(tmp_path))
    env = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
    waiting = subprocess.Popen([sys.executable, "-u", "-c", script], env=env, stdout=subprocess.PIPE, text=True)
    try:
        assert waiting.stdout is not None
        assert "not served yet" in waiting.stdout.readline()
        for file in sorted((conftest.CHART / "files" / "crds").glob("*.yaml")):
            client.apply(file.read_text())
        assert 0 == waiting.wait(30)
    finally:
        waiting.kill()
        waiting.communicate()


@pytest.mark.timeout(120)
def test_manifests_keep_to_the_api_servers_schemas(
    control_plane: plane.ControlPlane, render: conftest.Render, tmp_path: pathlib.Path
) -> None:
    """Strictly: nothing unknown, in any object of any sample, our own kinds among them."""
    client = control_plane.client
    for file in sorted((conftest.CHART / "files" / "crds").glob("*.yaml")):
        client.apply(file.read_text())
    kubeclient.wait_until(
        lambda: any("aftercall.io" in path for path in client.request("GET", "/openapi/v3")["paths"]),
        what="schemas of our kinds",
    )
    kubeconform.write_schemas(client, tmp_path / "schemas")
    for sample in conftest.SAMPLES:
        objects = render(sample)
        assert len(objects) == kubeconform.check(yaml.safe_dump_all(objects), tmp_path / "schemas")
