"""The control plane of the tests does what clusters do, where aftercall's operator and charts depend on it."""

from __future__ import annotations

import typing

import pytest
from peers import control_plane as plane
from peers import kubeclient, proxy

RESTRICTED = {
    "runAsNonRoot": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def container(**more: typing.Any) -> dict[str, typing.Any]:
    """Return a container of an image that nobody pulls."""
    return {"name": "main", "image": "example.invalid/main:1", **more}


def deployment(name: str, replicas: int, **spec: typing.Any) -> kubeclient.Manifest:
    """Return a Deployment."""
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container()], **spec}},
        },
    }


def pod(name: str, **spec: typing.Any) -> kubeclient.Manifest:
    """Return a Pod."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": [container()], **spec},
    }


def config_map(name: str, **data: str) -> kubeclient.Manifest:
    """Return a ConfigMap."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def wait_ready(control_plane: plane.ControlPlane, namespace: str, name: str, replicas: int) -> None:
    """Return once a Deployment has exactly these replicas, all ready."""

    def is_there() -> bool:
        status = control_plane.client.get("Deployment", name, namespace=namespace)["status"]
        return (replicas, replicas) == (status.get("replicas", 0), status.get("readyReplicas", 0))

    kubeclient.wait_until(is_there, what=f"{name} has {replicas} ready replicas")


def names(control_plane: plane.ControlPlane, namespace: str) -> set[str]:
    """Return the pods that are not being deleted."""
    found = control_plane.client.list("Pod", namespace=namespace)
    return {each["metadata"]["name"] for each in found if "deletionTimestamp" not in each["metadata"]}


def test_a_deployment_becomes_ready_and_leaves_the_cheapest_pod_first(
    control_plane: plane.ControlPlane, namespace: str
) -> None:
    """Three replicas are ready by kwok; scaled to two, the pod of the lowest deletion cost goes."""
    client = control_plane.client
    client.apply(deployment("consumer", 3), namespace=namespace)
    wait_ready(control_plane, namespace, "consumer", 3)
    kept, cheap, other = sorted(names(control_plane, namespace))
    for name, cost in ((kept, "10"), (cheap, "-10"), (other, "10")):
        change = {"metadata": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": cost}}}
        client.patch("Pod", name, change, namespace=namespace)

    client.patch("Deployment", "consumer", {"spec": {"replicas": 2}}, namespace=namespace, subresource="scale")
    wait_ready(control_plane, namespace, "consumer", 2)

    assert {kept, other} == names(control_plane, namespace)


def test_a_stale_scale_is_refused(control_plane: plane.ControlPlane, namespace: str) -> None:
    """Who writes `/scale` with a resource version that is past gets 409, and changes nothing."""
    client = control_plane.client
    client.apply(deployment("consumer", 1), namespace=namespace)
    wait_ready(control_plane, namespace, "consumer", 1)
    read = client.get("Deployment", "consumer", namespace=namespace, subresource="scale")
    client.patch("Deployment", "consumer", {"spec": {"replicas": 2}}, namespace=namespace, subresource="scale")

    with pytest.raises(kubeclient.Refused) as refused:
        client.replace(
            "Deployment", "consumer", read | {"spec": {"replicas": 5}}, namespace=namespace, subresource="scale"
        )

    assert (409, "Conflict") == (refused.value.code, refused.value.reason)
    assert 2 == client.get("Deployment", "consumer", namespace=namespace)["spec"]["replicas"]


def test_gpus_are_placed_and_counted(control_plane: plane.ControlPlane, namespace: str) -> None:
    """Pods that ask for GPUs go where there are some; one too many waits as unschedulable, and says what is missing."""
    limits = {"limits": {"nvidia.com/gpu": "3"}}
    client = control_plane.client
    client.create(pod("first", containers=[container(resources=limits)]), namespace=namespace)
    kubeclient.wait_until(
        lambda: client.get("Pod", "first", namespace=namespace)["status"]["phase"] == "Running", what="the first runs"
    )
    client.create(pod("second", containers=[container(resources=limits)]), namespace=namespace)

    def waits() -> list[str]:
        conditions = client.get("Pod", "second", namespace=namespace)["status"].get("conditions", ())
        return [each["message"] for each in conditions if each.get("reason") == "Unschedulable"]

    kubeclient.wait_until(lambda: bool(waits()), what="the second is unschedulable")
    assert "gpu-0" == client.get("Pod", "first", namespace=namespace)["spec"]["nodeName"]
    assert "Insufficient nvidia.com/gpu" in waits()[0]


def test_a_service_account_may_do_what_its_role_names_and_no_more(
    control_plane: plane.ControlPlane, namespace: str
) -> None:
    """RBAC denies with 403; a role that names one Deployment's scale gives that, and the audit log says who wrote."""
    admin = control_plane.client
    admin.apply(deployment("consumer", 1), namespace=namespace)
    admin.apply(deployment("other", 1), namespace=namespace)
    admin.apply(
        f"""
apiVersion: v1
kind: ServiceAccount
metadata: {{name: operator}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: scale}}
rules:
- {{apiGroups: [apps], resources: [deployments/scale], resourceNames: [consumer], verbs: [get, patch]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: scale}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: scale}}
subjects:
- {{kind: ServiceAccount, name: operator, namespace: {namespace}}}
""",
        namespace=namespace,
    )
    operator = control_plane.client_for(namespace, "operator")

    def scale(name: str) -> None:
        operator.request(
            "PATCH",
            f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale",
            {"spec": {"replicas": 2}},
            content_type="application/merge-patch+json",
        )

    # The authorizer sees a new role a moment after it was made.
    kubeclient.wait_until(lambda: scale("consumer") is None, what="the role holds")
    with pytest.raises(kubeclient.Refused) as refused:
        scale("other")
    operator.close()

    assert 403 == refused.value.code
    assert 1 == admin.get("Deployment", "other", namespace=namespace)["spec"]["replicas"]
    user = f"system:serviceaccount:{namespace}:operator"
    wrote = [
        (event.verb, event.name, event.code, event.request)
        for event in control_plane.audit()
        if (event.user, event.resource, event.namespace) == (user, "deployments/scale", namespace)
    ]
    assert ("patch", "consumer", 200, {"spec": {"replicas": 2}}) in wrote
    assert ("patch", "other", 403) in [each[:3] for each in wrote]


def test_a_restricted_namespace_takes_only_restricted_pods(control_plane: plane.ControlPlane, namespace: str) -> None:
    """PodSecurity refuses a pod that says nothing, and takes one that gives everything up."""
    client = control_plane.client
    label = {"pod-security.kubernetes.io/enforce": "restricted"}
    client.patch("Namespace", namespace, {"metadata": {"labels": label}})

    with pytest.raises(kubeclient.Refused) as refused:
        client.create(pod("careless"), namespace=namespace)
    client.create(pod("careful", containers=[container(securityContext=RESTRICTED)]), namespace=namespace)

    assert 403 == refused.value.code
    assert 'violates PodSecurity "restricted:latest"' in refused.value.message


def test_a_token_names_its_pod_to_its_audience_only(control_plane: plane.ControlPlane, namespace: str) -> None:
    """TokenReview knows a bound token's pod, until the pod is gone; another audience's token is not authenticated."""
    client = control_plane.client
    client.create(pod("consumer-1"), namespace=namespace)
    token = control_plane.token(namespace, "default", audiences=["aftercall-operator"], pod="consumer-1")

    def review(audience: str) -> dict[str, typing.Any]:
        spec = {"token": token, "audiences": [audience]}
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}
        return dict(client.create(asked)["status"])

    known, foreign = review("aftercall-operator"), review("another")

    assert known["authenticated"]
    assert ["consumer-1"] == known["user"]["extra"]["authentication.kubernetes.io/pod-name"]
    assert f"system:serviceaccount:{namespace}:default" == known["user"]["username"]
    assert not foreign.get("authenticated", False)
    client.delete("Pod", "consumer-1", namespace=namespace)
    kubeclient.wait_until(
        lambda: not review("aftercall-operator").get("authenticated", False), what="the pod's token ends with it"
    )


def test_an_admission_policy_is_held(control_plane: plane.ControlPlane, namespace: str) -> None:
    """A ValidatingAdmissionPolicy in CEL refuses what it says, in the namespaces that it is bound to."""
    client = control_plane.client
    client.apply(
        f"""
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {{name: "{namespace}"}}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
    - {{apiGroups: [""], apiVersions: [v1], resources: [configmaps], operations: [CREATE]}}
  validations:
  - expression: "!has(object.data) || !('forbidden' in object.data)"
    message: forbidden is not allowed here
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {{name: "{namespace}"}}
spec:
  policyName: "{namespace}"
  validationActions: [Deny]
  matchResources:
    namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: "{namespace}"}}}}
"""
    )

    def is_refused() -> bool:
        client.delete("ConfigMap", "bad", namespace=namespace)
        try:
            client.create(config_map("bad", forbidden="1"), namespace=namespace)
        except kubeclient.Refused as exc:
            return exc.code == 422 and "forbidden is not allowed here" in exc.message
        return False

    kubeclient.wait_until(is_refused, what="the policy holds")
    client.create(config_map("good", allowed="1"), namespace=namespace)
    for kind in ("ValidatingAdmissionPolicyBinding", "ValidatingAdmissionPolicy"):
        client.delete(kind, namespace)


def test_a_job_completes_and_a_namespace_goes(control_plane: plane.ControlPlane, namespace: str) -> None:
    """kwok ends a Job's pods as succeeded, and the controllers empty a deleted namespace."""
    client = control_plane.client
    template = {"spec": {"restartPolicy": "Never", "containers": [container()]}}
    client.apply(
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once"}, "spec": {"template": template}},
        namespace=namespace,
    )
    kubeclient.wait_until(
        lambda: client.get("Job", "once", namespace=namespace)["status"].get("succeeded") == 1, what="the job is done"
    )

    client.delete("Namespace", namespace)

    def is_gone() -> bool:
        return all(namespace != each["metadata"]["name"] for each in client.list("Namespace", namespace=""))

    kubeclient.wait_until(is_gone, what="the namespace is gone")


def test_an_api_server_that_was_killed_comes_back_with_its_data(
    control_plane: plane.ControlPlane, namespace: str
) -> None:
    """What was written is there after a kill, and the controllers, which were not restarted, go on."""
    client = control_plane.client
    client.apply(deployment("consumer", 1), namespace=namespace)
    wait_ready(control_plane, namespace, "consumer", 1)

    control_plane.kill_apiserver()
    control_plane.start_apiserver()
    client.patch("Deployment", "consumer", {"spec": {"replicas": 2}}, namespace=namespace)

    wait_ready(control_plane, namespace, "consumer", 2)


def test_a_watch_through_a_proxy_can_be_made_to_hang(control_plane: plane.ControlPlane, namespace: str) -> None:
    """A kubeconfig through the proxy is verified by the same authority; hung, not a byte comes back."""
    import httpx2
    import yaml

    through = proxy.Proxy()
    through.start(control_plane.api.port)
    told = yaml.safe_load(control_plane.proxied_kubeconfig(through).read_text())
    trust = control_plane.api.trust(control_plane.api.admin)
    try:
        with httpx2.Client(
            base_url=told["clusters"][0]["cluster"]["server"], verify=trust, timeout=1, trust_env=False
        ) as client:
            assert 200 == client.get(f"/api/v1/namespaces/{namespace}").status_code
            through.mode = "hang"
            with pytest.raises(httpx2.ReadTimeout):
                client.get(f"/api/v1/namespaces/{namespace}")
    finally:
        through.mode = "pass"
        through.stop()
