"""The chart, Helm 3 and 4, and a real control plane that has what the chart's samples ask for."""

from __future__ import annotations

import pathlib
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence

import pytest
import yaml
from peers import control_plane as plane
from peers import helm, kubeclient, process

CHART = pathlib.Path(__file__).resolve().parents[3] / "charts" / "aftercall"
SAMPLES = sorted((CHART / "samples").glob("*.values.yaml"))
STAND_INS = pathlib.Path(__file__).parent / "stand_ins.yaml"
OUR_CRDS = ("transcriptionpools.aftercall.io", "tenants.aftercall.io")
OFFLINE = ("--set=capabilities.kubeRay=Present", "--set=capabilities.prometheusOperator=Present")

Values = Mapping[str, typing.Any]


@pytest.fixture(scope="session")
def helm3(tmp_path_factory: pytest.TempPathFactory) -> helm.Helm:
    """Helm 3, without a cluster."""
    return helm.Helm(tmp_path_factory.mktemp("helm3"), major=3)


@pytest.fixture(scope="session", params=[3, 4])
def any_helm(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> helm.Helm:
    """Each Helm, without a cluster."""
    return helm.Helm(tmp_path_factory.mktemp("helm"), major=request.param)


class Render:
    """Renders the chart, and keeps what it has rendered."""

    def __init__(self, program: helm.Helm, folder: pathlib.Path) -> None:
        self._program, self._folder = program, folder
        self._kept: dict[str, list[dict[str, typing.Any]]] = {}

    def __call__(self, *files: pathlib.Path, values: Values | None = None) -> list[dict[str, typing.Any]]:
        """Return every object, hooks and tests among them, that a new release has."""
        told = yaml.safe_dump(dict(values or {}))
        key = " ".join([*map(str, files), told])
        if key not in self._kept:
            own = self._folder / f"values-{len(self._kept)}.yaml"
            own.write_text(told)
            given = [f"--values={file}" for file in (*files, own)]
            done = self._program.run("template", "calls", str(CHART), "--namespace=calls", *OFFLINE, *given)
            self._kept[key] = [one for one in yaml.safe_load_all(done.stdout) if one]
        return self._kept[key]


@pytest.fixture(scope="session")
def render(helm3: helm.Helm, tmp_path_factory: pytest.TempPathFactory) -> Render:
    """Render the chart with values."""
    return Render(helm3, tmp_path_factory.mktemp("render"))


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[plane.ControlPlane]:
    """A control plane with KubeRay's and the Prometheus operator's kinds, and nodes of GPUs, whole and partitioned."""
    for running in process.running(lambda: plane.ControlPlane(tmp_path_factory.mktemp("control-plane"))):
        running.client.apply(STAND_INS.read_text())
        running.create_node("cpu-0")
        running.create_node("gpu-0", gpus=16, labels={"nvidia.com/gpu.product": "NVIDIA-L4"})
        running.create_node("mig-0")
        partitions = {"nvidia.com/mig-1g.6gb": "16", "nvidia.com/mig-2g.12gb": "4"}
        node = running.client.get("Node", "mig-0")
        offered = {name: {**node["status"][name], **partitions} for name in ("capacity", "allocatable")}
        running.client.patch("Node", "mig-0", {"status": offered}, subresource="status")
        yield running


def without_crds(client: kubeclient.Client) -> None:
    """Take our CRDs away, with all that is of them."""
    for name in OUR_CRDS:
        if is_there(client, "CustomResourceDefinition", name):
            client.delete("CustomResourceDefinition", name)
    kubeclient.wait_until(
        lambda: not any(is_there(client, "CustomResourceDefinition", name) for name in OUR_CRDS),
        what="CRDs to go",
    )


def is_there(client: kubeclient.Client, kind: str, name: str, namespace: str = "default") -> bool:
    """Say whether there is such an object."""
    try:
        client.get(kind, name, namespace=namespace)
    except kubeclient.Refused as exc:
        if exc.code != 404:
            raise
        return False
    return True


def pods_of(objects: Sequence[dict[str, typing.Any]]) -> list[tuple[str, dict[str, typing.Any]]]:
    """Return the specification of every pod that objects make, by the object's kind and name."""
    found = []
    for one in objects:
        name, spec = f"{one['kind']} {one['metadata']['name']}", one.get("spec", {})
        match one["kind"]:
            case "Pod":
                found.append((name, spec))
            case "Deployment" | "Job":
                found.append((name, spec["template"]["spec"]))
            case "RayService":
                cluster = spec["rayClusterConfig"]
                for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
                    found.append((f"{name} {group.get('groupName', 'head')}", group["template"]["spec"]))
    return found


def every(kind: str) -> Callable[[Sequence[dict[str, typing.Any]]], dict[str, dict[str, typing.Any]]]:
    """Return what picks objects of a kind, by name."""
    return lambda objects: {one["metadata"]["name"]: one for one in objects if one["kind"] == kind}
