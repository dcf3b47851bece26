"""The custom resources on a real API server: accepted, refused by the field, shown, scaled, and with a status."""

from __future__ import annotations

from typing import Any

import bad_specs
import pytest
from peers import control_plane as plane
from peers import kubeclient

from aftercall.contracts import crds, tenancy

KINDS = {"Tenant": "tenants", "TranscriptionPool": "transcriptionpools"}
_TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
SINCE = "2026-03-01T09:30:00Z"


@pytest.fixture(scope="module")
def api(control_plane: plane.ControlPlane) -> kubeclient.Client:
    """The API with both kinds, from the files that the chart has."""
    client = control_plane.client
    for text in crds.files().values():
        client.apply(text)
    for plural in KINDS.values():
        name = f"{plural}.{crds.GROUP}"

        def is_established(name: str = name) -> bool:
            conditions = client.get("CustomResourceDefinition", name)["status"].get("conditions") or ()
            return {"Established": "True", "NamesAccepted": "True"}.items() <= {
                each["type"]: each["status"] for each in conditions
            }.items()

        kubeclient.wait_until(is_established, what=f"{name} is established")
    kubeclient.wait_until(lambda: bool(client.path("Tenant")), what="the kinds are served")
    return client


def resource(kind: str, spec: dict[str, Any], name: str = "acme") -> kubeclient.Manifest:
    """Return an object."""
    return {
        "apiVersion": f"{crds.GROUP}/{crds.VERSION}",
        "kind": kind,
        "metadata": {"name": name},
        "spec": spec,
    }


def test_definitions_have_no_complaints(api: kubeclient.Client) -> None:
    """The server finds nothing in the schemas that is not structural."""
    for plural in KINDS.values():
        found = api.get("CustomResourceDefinition", f"{plural}.{crds.GROUP}")

        bad = {each["type"]: each for each in found["status"]["conditions"] if each["type"] == "NonStructuralSchema"}
        assert {} == bad


@pytest.mark.parametrize(("kind", "spec"), [("Tenant", bad_specs.TENANT), ("TranscriptionPool", bad_specs.POOL)])
def test_what_is_good_is_kept_whole(api: kubeclient.Client, namespace: str, kind: str, spec: dict[str, Any]) -> None:
    """Every field comes back as it went in, strictly read; what is left out gets its default."""
    params = {"fieldValidation": "Strict"}
    made = api.request("POST", api.path(kind, namespace=namespace), resource(kind, spec), params=params)

    expected = dict(spec)
    if kind == "TranscriptionPool":
        live = {"lane": "Live", "name": "recordings"}
        expected["topics"] = [live, *spec["topics"][1:]]
    assert expected == made["spec"]


@pytest.mark.parametrize(("changes", "said"), bad_specs.BAD_TENANTS, ids=bad_specs.name_of)
def test_a_tenant_that_cannot_be_is_refused(
    api: kubeclient.Client, namespace: str, changes: dict[str, Any], said: str
) -> None:
    """By the server itself, by the field."""
    assert said in refusal(api, namespace, "Tenant", bad_specs.changed(bad_specs.TENANT, changes))


@pytest.mark.parametrize(("changes", "said"), bad_specs.BAD_POOLS, ids=bad_specs.name_of)
def test_a_pool_that_cannot_be_is_refused(
    api: kubeclient.Client, namespace: str, changes: dict[str, Any], said: str
) -> None:
    """By the server itself, by the field."""
    assert said in refusal(api, namespace, "TranscriptionPool", bad_specs.changed(bad_specs.POOL, changes))


def refusal(api: kubeclient.Client, namespace: str, kind: str, spec: dict[str, Any]) -> str:
    """Return what the server says against a specification, which it must refuse."""
    with pytest.raises(kubeclient.Refused) as caught:
        api.create(resource(kind, spec), namespace=namespace)
    assert (422, "Invalid") == (caught.value.code, caught.value.reason)
    return caught.value.message


def test_a_name_that_is_no_id_needs_one(api: kubeclient.Client, namespace: str) -> None:
    """Names of objects may be longer than ids."""
    name = "n" * 201
    with pytest.raises(kubeclient.Refused, match=r"metadata\.name is the tenant's id"):
        api.create(resource("Tenant", {}, name), namespace=namespace)

    api.create(resource("Tenant", {"id": "short"}, name), namespace=namespace)


@pytest.mark.parametrize(("before", "after"), [({"id": "a"}, {"id": "b"}), ({}, {"id": "b"}), ({"id": "a"}, {})])
def test_an_id_stays_what_it_is(
    api: kubeclient.Client, namespace: str, before: dict[str, str], after: dict[str, str]
) -> None:
    """All the rest may change."""
    made = api.create(resource("Tenant", before | {"weight": 2}), namespace=namespace)
    made["spec"] = after
    with pytest.raises(kubeclient.Refused, match="id stays what it is"):
        api.replace("Tenant", "acme", made, namespace=namespace)

    made["spec"] = before | {"weight": 3}

    assert 3 == api.replace("Tenant", "acme", made, namespace=namespace)["spec"]["weight"]


def test_what_nobody_knows_is_told_or_refused(api: kubeclient.Client, namespace: str) -> None:
    """As kubectl asks by itself; a field that is dropped is at least not kept."""
    path = api.path("Tenant", namespace=namespace)
    with pytest.raises(kubeclient.Refused, match=r'unknown field "spec\.wieght"'):
        api.request("POST", path, resource("Tenant", {"wieght": 2}), params={"fieldValidation": "Strict"})

    assert {"weight": 1} == api.create(resource("Tenant", {"wieght": 2}), namespace=namespace)["spec"]


def columns(api: kubeclient.Client, namespace: str, kind: str, *, wide: bool = False) -> dict[str, Any]:
    """Return what `kubectl get` shows of the one object there is."""
    table = api.request("GET", api.path(kind, namespace=namespace), accept=_TABLE)
    (row,) = table["rows"]
    shown = zip(table["columnDefinitions"], row["cells"], strict=True)
    return {column["name"]: cell for column, cell in shown if wide or not column["priority"]}


def condition(kind: str, status: str, reason: str) -> dict[str, Any]:
    """Return a condition as the operator writes it."""
    return {
        "type": kind,
        "status": status,
        "observedGeneration": 1,
        "lastTransitionTime": SINCE,
        "reason": reason,
        "message": "a sentence",
    }


def test_a_tenant_is_shown(api: kubeclient.Client, namespace: str) -> None:
    """With its limit, its share and whether it is ready."""
    api.create(resource("Tenant", bad_specs.TENANT), namespace=namespace)
    status = {"observedGeneration": 1, "conditions": [condition("Ready", "False", "NoRoom")]}
    api.patch("Tenant", "acme", {"status": status}, namespace=namespace, subresource="status")

    shown = columns(api, namespace, "Tenant", wide=True)

    assert ["Name", "Ready", "Limit", "Burst", "Weight", "Lanes", "Id", "Reason", "Age"] == list(shown)
    assert ["acme", "False", 600, 30, 1000, '["Live","Bulk"]', "Acme (EU)", "NoRoom"] == list(shown.values())[:-1]


def test_a_pool_is_shown(api: kubeclient.Client, namespace: str) -> None:
    """With what there is of it and what waits."""
    api.create(resource("TranscriptionPool", bad_specs.POOL), namespace=namespace)
    status = {
        "observedGeneration": 1,
        "replicas": 2,
        "wantedReplicas": 3,
        "consumers": 4,
        "backlogAudioSeconds": 3_000_000_000,
        "drainSeconds": 120,
        "conditions": [condition("Ready", "True", "AsWanted")],
    }
    api.patch("TranscriptionPool", "acme", {"status": status}, namespace=namespace, subresource="status")

    shown = columns(api, namespace, "TranscriptionPool")

    assert ["Name", "Ready", "Backend", "Replicas", "Backlog", "Drain", "Age"] == list(shown)
    assert ["acme", "True", "Deployment", 2, 3_000_000_000, 120] == list(shown.values())[:-1]


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_are_found_by_their_short_names(api: kubeclient.Client, kind: str) -> None:
    """And all together as `kubectl get aftercall`."""
    found = api.request("GET", f"/apis/{crds.GROUP}/{crds.VERSION}")["resources"]
    (mine,) = [each for each in found if each["kind"] == kind and "/" not in each["name"]]

    assert ({"Tenant": ["ten"], "TranscriptionPool": ["tpool"]}[kind], ["aftercall"]) == (
        mine["shortNames"],
        mine["categories"],
    )


@pytest.mark.parametrize(("kind", "spec"), [("Tenant", {}), ("TranscriptionPool", bad_specs.POOL)])
def test_a_status_is_kept_apart(api: kubeclient.Client, namespace: str, kind: str, spec: dict[str, Any]) -> None:
    """It comes back as it was written, is nobody's generation, and is not written beside a specification."""
    status = {
        "observedGeneration": 1,
        "conditions": [condition("Ready", "True", "AsWanted"), condition("Valid", "True", "Compiled")],
    }
    made = api.create(resource(kind, spec) | {"status": status}, namespace=namespace)
    assert "status" not in made

    api.patch(kind, "acme", {"status": status}, namespace=namespace, subresource="status")
    found = api.get(kind, "acme", namespace=namespace)

    assert (status, 1) == (found["status"], found["metadata"]["generation"])


def test_a_condition_stands_once(api: kubeclient.Client, namespace: str) -> None:
    """By its type; and says only what conditions say."""
    api.create(resource("Tenant", {}), namespace=namespace)
    for bad in (
        [condition("Ready", "True", "A"), condition("Ready", "False", "B")],
        [condition("Ready", "Perhaps", "A")],
        [{"type": "Ready", "status": "True"}],
    ):
        with pytest.raises(kubeclient.Refused, match=r"status\.conditions"):
            api.patch("Tenant", "acme", {"status": {"conditions": bad}}, namespace=namespace, subresource="status")


def test_an_autoscaler_scales_the_pool(api: kubeclient.Client, namespace: str) -> None:
    """By its scale subresource: what is written is `spec.replicas`, what is read is what there is."""
    kind = "TranscriptionPool"
    api.create(resource(kind, bad_specs.POOL), namespace=namespace)
    status = {"replicas": 1, "selector": "aftercall.io/pool=acme"}
    api.patch(kind, "acme", {"status": status}, namespace=namespace, subresource="status")

    scale = api.get(kind, "acme", namespace=namespace, subresource="scale")
    assert (2, 1, "aftercall.io/pool=acme") == (
        scale["spec"]["replicas"],
        scale["status"]["replicas"],
        scale["status"]["selector"],
    )
    scale["spec"]["replicas"] = 5
    api.replace(kind, "acme", scale, namespace=namespace, subresource="scale")

    found = api.get(kind, "acme", namespace=namespace)
    assert (5, 2) == (found["spec"]["replicas"], found["metadata"]["generation"])
    scale["spec"]["replicas"] = 6
    with pytest.raises(kubeclient.Refused, match="Conflict"):  # its resource version is of before
        api.replace(kind, "acme", scale, namespace=namespace, subresource="scale")


def test_a_large_number_is_whole_however_it_is_written(api: kubeclient.Client, namespace: str) -> None:
    """Helm writes a million as 1e+06; the operator reads back a number that it takes for whole."""
    api.create(resource("Tenant", {"audioSecondsPerMinute": 5e6, "weight": 2.0}), namespace=namespace)

    spec = api.get("Tenant", "acme", namespace=namespace)["spec"]

    assert 5_000_000 == tenancy.parse("acme", spec).audio_seconds_per_minute
