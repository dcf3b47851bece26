"""The operator has the rights that the chart gives it: each is needed, and none is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import charted
import cluster
import operated

from aftercall.contracts import crds, reports

if TYPE_CHECKING:
    from conftest import Build

Right = tuple[str, str]
"""A verb and a resource, with its subresource."""


def _granted(space: operated.Namespace) -> set[Right]:
    """Return what the operator's roles allow."""
    found: set[Right] = set()
    for each in charted.operator(space.name, space.pools, space.shards):
        for rule in each.get("rules", ()):
            found |= {(verb, resource) for verb in rule["verbs"] for resource in rule["resources"]}
    return found


def _used(space: operated.Namespace) -> set[Right]:
    """Return what the operator has done, as the audit log has it; which APIs there are, everybody may ask."""
    return {
        (event.verb, event.resource)
        for event in space.control_plane.audit()
        if event.user == space.user and event.code < 300 and event.resource
    }


def test_every_right_is_used_and_nothing_else_is_asked_for(namespace_of: Build) -> None:
    """Over a pool's whole day: it wakes, consumers report, one falls silent, the idle one goes; a tenant comes."""
    space = namespace_of("calls")
    topic = f"{space.name}.calls"
    operated.publish(space.kafka, topic, 200)
    space.client.apply(operated.pool("calls", topic=topic, group=space.name), namespace=space.name)
    tenant: dict[str, Any] = {"apiVersion": f"{crds.GROUP}/{crds.VERSION}", "kind": "Tenant"}
    space.client.apply({**tenant, "metadata": {"name": "acme"}, "spec": {}}, namespace=space.name)
    space.start()
    cluster.wait_until(
        lambda: len(space.pods("aftercall-calls-consumers")) > 1, timeout_s=30, what="consumers are there"
    )
    cluster.wait_until(
        lambda: "True" == space.condition("acme", kind="Tenant")[0], timeout_s=20, what="the tenant is compiled"
    )
    there = space.pods("aftercall-calls-consumers")
    running = reports.TenantLoad(tenant="acme", running_audio_s=300.0)
    operated.commit(space.kafka, space.name, topic, 50)

    def is_down() -> bool:
        for at, pod in enumerate(there):
            # The first works, the others leave: those are looked for.
            more = {"tenants": (running,)} if at == 0 else {"is_draining": True}
            if pod in space.pods("aftercall-calls-consumers"):
                space.report("calls", pod, **more)
        return len(space.pods("aftercall-calls-consumers")) < len(there)

    cluster.wait_until(is_down, timeout_s=60, what="an idle consumer goes")
    # Nobody reports any more, so that pods are asked for.
    granted = _granted(space)
    cluster.wait_until(lambda: granted <= _used(space), timeout_s=30, what=f"{granted - _used(space)} are used")
    assert granted == _used(space)
    assert [] == space.refused()


def test_nothing_is_granted_beyond_the_namespace_and_the_names(namespace_of: Build) -> None:
    """No Secret, no other namespace, no Deployment that no pool names, no ConfigMap or Lease of another."""
    space = namespace_of("calls", topics=False)
    space.client.apply(operated.deployment("other", 1), namespace=space.name)
    with_its_rights = space.control_plane.client_for(space.name, space.account)
    try:
        told = {
            (verb, resource, name, namespace): _may(with_its_rights, verb, resource, name, namespace)
            for verb, resource, name, namespace in (
                ("get", "apps/deployments", "aftercall-calls-speech", space.name),
                ("update", "apps/deployments/scale", "aftercall-calls-speech", space.name),
                ("update", "apps/deployments/scale", "other", space.name),
                ("update", "apps/deployments", "aftercall-calls-speech", space.name),
                ("patch", "apps/deployments", "aftercall-calls-speech", space.name),
                ("create", "apps/deployments", "", space.name),
                ("get", "/secrets", "any", space.name),
                ("list", "/secrets", "", space.name),
                ("create", "/pods", "", space.name),
                ("delete", "/pods", "any", space.name),
                ("get", "/configmaps", "aftercall-tenants-0", space.name),
                ("get", "/configmaps", "another", space.name),
                ("update", "coordination.k8s.io/leases", "another", space.name),
                ("list", "aftercall.io/transcriptionpools", "", space.name),
                ("list", "aftercall.io/transcriptionpools", "", "default"),
                ("update", "apps/deployments/scale", "aftercall-calls-speech", "default"),
                ("patch", "aftercall.io/transcriptionpools", "calls", space.name),
            )
        }
    finally:
        with_its_rights.close()
    allowed = {
        ("get", "apps/deployments", "aftercall-calls-speech", space.name),
        ("update", "apps/deployments/scale", "aftercall-calls-speech", space.name),
        ("get", "/configmaps", "aftercall-tenants-0", space.name),
        ("list", "aftercall.io/transcriptionpools", "", space.name),
    }
    assert allowed == {asked for asked, is_allowed in told.items() if is_allowed}


def _may(client: Any, verb: str, resource: str, name: str, namespace: str) -> bool:
    """Ask the API server whether an account may do something."""
    group, plural, *part = resource.split("/")
    attributes = {"verb": verb, "group": group, "resource": plural, "name": name, "namespace": namespace}
    if part:
        attributes["subresource"] = part[0]
    made = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    return bool(client.request("POST", path, made)["status"]["allowed"])
