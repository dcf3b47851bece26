"""What the operator's account may do, and nothing else: asked of a real API server, and tried on it."""

from __future__ import annotations

import typing
import uuid
from collections.abc import Iterator

import pytest
from peers import control_plane as plane
from peers import helm, kubeclient

from . import conftest

L4 = conftest.SAMPLES[1]
OPERATOR = "calls-aftercall-operator"
CONSUMERS, SPEECH = "calls-aftercall-main-consumers", "calls-aftercall-main-speech"
COST = "controller.kubernetes.io/pod-deletion-cost"

# verb, API group, resource, subresource, name
ALLOWED = [
    ("update", "apps", "deployments", "scale", CONSUMERS),
    ("update", "apps", "deployments", "scale", SPEECH),
    ("get", "apps", "deployments", "", SPEECH),
    ("list", "", "pods", "", ""),
    ("patch", "", "pods", "", "any"),
    ("list", "aftercall.io", "transcriptionpools", "", ""),
    ("watch", "aftercall.io", "tenants", "", ""),
    ("patch", "aftercall.io", "transcriptionpools", "status", "main"),
    ("patch", "aftercall.io", "tenants", "status", "acme"),
    ("create", "", "events", "", ""),
    ("create", "coordination.k8s.io", "leases", "", ""),
    ("update", "coordination.k8s.io", "leases", "", OPERATOR),
    ("patch", "", "configmaps", "", "calls-aftercall-tenants-0"),
    ("patch", "", "configmaps", "", "calls-aftercall-tenants-1"),
    ("list", "autoscaling", "horizontalpodautoscalers", "", ""),
    ("create", "authentication.k8s.io", "tokenreviews", "", ""),
]
DENIED = [
    ("get", "apps", "deployments", "scale", CONSUMERS),
    ("get", "", "secrets", "", "calls-kafka"),
    ("list", "", "secrets", "", ""),
    ("update", "apps", "deployments", "scale", "calls-aftercall-api"),
    ("update", "apps", "deployments", "", CONSUMERS),
    ("patch", "apps", "deployments", "", CONSUMERS),
    ("create", "apps", "deployments", "", ""),
    ("delete", "apps", "deployments", "", CONSUMERS),
    ("list", "apps", "deployments", "", ""),
    ("create", "", "pods", "", ""),
    ("delete", "", "pods", "", "any"),
    ("create", "", "pods", "exec", "any"),
    ("patch", "", "pods", "ephemeralcontainers", "any"),
    ("patch", "", "pods", "status", "any"),
    ("create", "", "serviceaccounts", "token", "calls-aftercall-consumers"),
    ("get", "", "configmaps", "", OPERATOR),
    ("list", "", "configmaps", "", ""),
    ("create", "", "configmaps", "", ""),
    ("patch", "aftercall.io", "transcriptionpools", "", "main"),
    ("create", "aftercall.io", "tenants", "", ""),
    ("delete", "aftercall.io", "tenants", "", "acme"),
    ("update", "coordination.k8s.io", "leases", "", "another"),
    ("delete", "coordination.k8s.io", "leases", "", OPERATOR),
    ("update", "autoscaling", "horizontalpodautoscalers", "", "any"),
    ("create", "authorization.k8s.io", "subjectaccessreviews", "", ""),
    ("create", "batch", "jobs", "", ""),
]


@pytest.fixture(scope="module")
def installed(control_plane: plane.ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A namespace with a release of two pools' worth of rights."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    control_plane.create_namespace(name)
    for file in sorted((conftest.CHART / "files" / "crds").glob("*.yaml")):
        control_plane.client.apply(file.read_text())
    program = helm.Helm(tmp_path_factory.mktemp("rights"), kubeconfig=control_plane.kubeconfig)
    given = [f"--values={L4}", f"--namespace={name}", "--set=crds.install=false"]
    program.run("install", "calls", str(conftest.CHART), *given, "--set=tests.enabled=false", "--wait=false")
    yield name
    program.run("uninstall", "calls", f"--namespace={name}")
    control_plane.client.delete("Namespace", name)


@pytest.fixture(scope="module")
def operator(control_plane: plane.ControlPlane, installed: str) -> Iterator[kubeclient.Client]:
    """The operator, as the API server knows it."""
    client = control_plane.client_for(installed, OPERATOR)
    yield client
    client.close()


@pytest.fixture(scope="module")
def pod(control_plane: plane.ControlPlane, operator: kubeclient.Client, installed: str) -> dict[str, typing.Any]:
    """A consumer's pod, running, once the API server has taken up the admission policy."""

    def running() -> list[dict[str, typing.Any]]:
        found = control_plane.client.list("Pod", namespace=installed, selector="app.kubernetes.io/component=consumers")
        return [one for one in found if one["status"].get("phase") == "Running"]

    def is_guarded() -> bool:
        path = operator.path("Pod", running()[0]["metadata"]["name"], namespace=installed)
        change = {"metadata": {"labels": {"policy": "tried"}}}
        try:
            operator.request(
                "PATCH", path, change, params={"dryRun": "All"}, content_type="application/merge-patch+json"
            )
        except kubeclient.Refused as exc:
            return "no label of a pod" in str(exc)
        return False

    kubeclient.wait_until(lambda: bool(running()), what="a consumer")
    kubeclient.wait_until(is_guarded, what="the admission policy to hold")
    return running()[0]


def may(client: kubeclient.Client, namespace: str, asked: tuple[str, str, str, str, str]) -> bool:
    """Ask the API server whether the client may."""
    verb, group, resource, subresource, name = asked
    attributes = {"namespace": namespace, "verb": verb, "group": group, "resource": resource, "name": name}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes | {"subresource": subresource}},
    }
    told = client.request("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
    return bool(told["status"]["allowed"])


def test_it_may_do_what_it_does(operator: kubeclient.Client, installed: str) -> None:
    """Every line of what it needs."""
    assert [] == [asked for asked in ALLOWED if not may(operator, installed, asked)]


def test_it_may_do_nothing_else(operator: kubeclient.Client, installed: str) -> None:
    """No Secret, no workload, nobody else's numbers; nothing at all in another namespace."""
    assert [] == [asked for asked in DENIED if may(operator, installed, asked)]
    elsewhere = [asked for asked in ALLOWED if asked[2] != "tokenreviews"]
    assert [] == [asked for asked in elsewhere if may(operator, "default", asked)]


def test_consumers_and_the_rest_may_nothing(control_plane: plane.ControlPlane, installed: str) -> None:
    """Their accounts have no rights."""
    for name in ("consumers", "api", "relay", "speech"):
        client = control_plane.client_for(installed, f"calls-aftercall-{name}")
        try:
            assert [] == [asked for asked in (*ALLOWED, *DENIED) if may(client, installed, asked)]
        finally:
            client.close()


def test_it_may_say_which_pod_goes_first(
    operator: kubeclient.Client, installed: str, pod: dict[str, typing.Any]
) -> None:
    """The annotation is set, changed and taken away."""
    name = pod["metadata"]["name"]
    for cost in ("-1", "7", None):
        told = operator.patch("Pod", name, {"metadata": {"annotations": {COST: cost}}}, namespace=installed)
        assert cost == told["metadata"].get("annotations", {}).get(COST)


IMAGE = {"spec": {"containers": [{"name": "consumer", "image": "elsewhere/evil"}]}}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"metadata": {"annotations": {"other": "x"}}}, "no annotation of a pod but"),
        ({"metadata": {"annotations": {"checksum/settings": "x"}}}, "no annotation of a pod but"),
        ({"metadata": {"annotations": {"checksum/settings": None}}}, "no annotation of a pod but"),
        ({"metadata": {"annotations": {COST: "1", "other": "x"}}}, "no annotation of a pod but"),
        ({"metadata": {"labels": {"app.kubernetes.io/component": None}}}, "no label of a pod"),
        ({"metadata": {"finalizers": ["aftercall.io/stay"]}}, "no finalizer of a pod"),
        ({"metadata": {"ownerReferences": None}}, "no owner of a pod"),
        ({"spec": {"activeDeadlineSeconds": 1}}, "nothing of a pod's specification"),
        (IMAGE, "nothing of a pod's specification"),
    ],
    ids=["annotation", "changed", "removed", "beside", "label", "finalizer", "owner", "deadline", "image"],
)
def test_it_may_change_nothing_else_of_a_pod(
    control_plane: plane.ControlPlane,
    operator: kubeclient.Client,
    installed: str,
    pod: dict[str, typing.Any],
    change: dict[str, typing.Any],
    words: str,
) -> None:
    """The admission policy refuses what RBAC cannot tell apart; others are not its business."""
    name = pod["metadata"]["name"]
    path = operator.path("Pod", name, namespace=installed)
    with pytest.raises(kubeclient.Refused, match=words):
        operator.request("PATCH", path, change, content_type="application/strategic-merge-patch+json")

    other = {"metadata": {"annotations": {"somebody": "else"}}}
    assert control_plane.client.patch("Pod", name, other, namespace=installed)["metadata"]["annotations"]["somebody"]


def test_numbers_are_written_by_scale_alone(operator: kubeclient.Client, installed: str) -> None:
    """With the version of what was read; the same as a patch of the Deployment is refused."""
    seen = operator.get("Deployment", CONSUMERS, namespace=installed)["metadata"]
    metadata = {key: seen[key] for key in ("name", "namespace", "resourceVersion")}
    scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": metadata, "spec": {"replicas": 2}}
    path = operator.path("Deployment", CONSUMERS, namespace=installed, subresource="scale")

    assert 2 == operator.request("PUT", path, scale)["spec"]["replicas"]
    with pytest.raises(kubeclient.Refused, match="forbidden"):
        operator.patch("Deployment", CONSUMERS, {"spec": {"replicas": 3}}, namespace=installed)


def test_a_projected_token_is_for_the_operator_alone(
    control_plane: plane.ControlPlane, operator: kubeclient.Client, installed: str, pod: dict[str, typing.Any]
) -> None:
    """It is bound to its pod, and the API server itself takes it for nobody."""
    name = pod["metadata"]["name"]
    token = control_plane.token(installed, "calls-aftercall-consumers", audiences=("aftercall-operator",), pod=name)
    review = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": token, "audiences": ["aftercall-operator"]},
    }
    told = operator.request("POST", "/apis/authentication.k8s.io/v1/tokenreviews", review)["status"]

    assert told["authenticated"]
    assert f"system:serviceaccount:{installed}:calls-aftercall-consumers" == told["user"]["username"]
    assert [name] == told["user"]["extra"]["authentication.kubernetes.io/pod-name"]
