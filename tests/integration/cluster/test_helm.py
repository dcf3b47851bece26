"""Helm of both majors installs charts on the control plane of the tests."""

from __future__ import annotations

import pathlib

import pytest
from peers import control_plane as plane
from peers import helm

_CHART = """\
apiVersion: v2
name: trivial
version: 1.0.0
kubeVersion: ">=1.33.0 <1.34.0"
"""
_DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata: {labels: {app: {{ .Release.Name }}}}
    spec: {containers: [{name: main, image: "example.invalid/main:1"}]}
"""
_TEST = """\
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .Release.Name }}-test
  annotations: {helm.sh/hook: test}
spec:
  template:
    spec: {restartPolicy: Never, containers: [{name: main, image: "example.invalid/main:1"}]}
"""


@pytest.fixture
def chart(tmp_path: pathlib.Path) -> pathlib.Path:
    """A chart of one Deployment and a test, for the version of the control plane and no other."""
    folder = tmp_path / "trivial"
    (folder / "templates" / "tests").mkdir(parents=True)
    (folder / "Chart.yaml").write_text(_CHART)
    (folder / "values.yaml").write_text("replicas: 2\n")
    (folder / "templates" / "deployment.yaml").write_text(_DEPLOYMENT)
    (folder / "templates" / "tests" / "job.yaml").write_text(_TEST)
    return folder


@pytest.mark.parametrize("major", [3, 4])
def test_a_chart_is_installed_tested_upgraded_and_removed(
    control_plane: plane.ControlPlane, namespace: str, chart: pathlib.Path, tmp_path: pathlib.Path, major: int
) -> None:
    """`--wait` ends as kwok's pods are ready, `helm test` as its Job is done, and an uninstall leaves nothing."""
    client = control_plane.client
    tool = helm.Helm(tmp_path, kubeconfig=control_plane.kubeconfig, major=major)

    tool.run("install", "one", str(chart), "-n", namespace, "--wait", "--timeout=60s")
    tested = tool.run("test", "one", "-n", namespace, "--timeout=60s")
    tool.run("upgrade", "one", str(chart), "-n", namespace, "--set=replicas=3", "--wait", "--timeout=60s")
    upgraded = client.get("Deployment", "one", namespace=namespace)
    tool.run("uninstall", "one", "-n", namespace, "--wait", "--timeout=60s")

    assert (tmp_path / f"helm{major}" / ".kube").exists()
    assert "Succeeded" in tested.stdout
    assert 3 == upgraded["status"]["readyReplicas"]
    assert [] == client.list("Deployment", namespace=namespace)


@pytest.mark.parametrize("major", [3, 4])
def test_a_failure_says_what_helm_said(
    control_plane: plane.ControlPlane, namespace: str, chart: pathlib.Path, tmp_path: pathlib.Path, major: int
) -> None:
    """A chart for another Kubernetes is refused, and the error says which was wanted and which is there."""
    (chart / "Chart.yaml").write_text(_CHART.replace("<1.34.0", "<1.33.1"))
    tool = helm.Helm(tmp_path, kubeconfig=control_plane.kubeconfig, major=major)

    with pytest.raises(helm.HelmError, match=r"helm install failed: .*<1\.33\.1.* Kubernetes v1\.33\.1"):
        tool.run("install", "one", str(chart), "-n", namespace)
