"""What checks manifests knows the kinds of the control plane, and refuses what is wrong."""

from __future__ import annotations

import json
import pathlib

import pytest
from peers import control_plane as plane
from peers import kubeclient, kubeconform, kubescore

_CUSTOM = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "lamps.example.invalid"},
    "spec": {
        "group": "example.invalid",
        "names": {"kind": "Lamp", "plural": "lamps"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "required": ["watts"],
                                "properties": {
                                    "watts": {"type": "integer", "minimum": 1},
                                    "colour": {"type": "string", "nullable": True},
                                },
                            }
                        },
                    }
                },
            }
        ],
    },
}


@pytest.fixture(scope="module")
def schemas(control_plane: plane.ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Schemas of all that the control plane serves, a custom kind included."""
    folder = tmp_path_factory.mktemp("schemas")
    control_plane.client.apply(_CUSTOM)
    kubeclient.wait_until(
        lambda: "lamp-example.invalid-v1.json" in kubeconform.write_schemas(control_plane.client, folder),
        what="the custom kind is served",
    )
    return folder


def _deployment(**container: object) -> str:
    labels = {"app": "one"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "a:1", **container}]}}
    made = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "one"},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }
    return json.dumps(made)


def _lamp(**spec: object) -> str:
    return json.dumps({"apiVersion": "example.invalid/v1", "kind": "Lamp", "metadata": {"name": "one"}, "spec": spec})


def test_good_manifests_are_valid(schemas: pathlib.Path) -> None:
    """Quantities and ports in both of their forms, RBAC, core and custom kinds keep to their schemas."""
    probe = {"httpGet": {"path": "/", "port": "http"}}
    limits = {"limits": {"cpu": 1, "memory": "1Gi"}}
    several = [
        _deployment(livenessProbe=probe, resources=limits),
        json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}, "data": {"a": "b"}}),
        json.dumps({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "one"}}),
        json.dumps(_CUSTOM),
        _lamp(watts=5, colour=None),
    ]

    assert 5 == kubeconform.check("\n---\n".join(several), schemas)


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        (_deployment(imagePullPolice="Always"), "imagePullPolice"),
        (_deployment(env=None), "env"),
        (_deployment(ports=[{"containerPort": "eighty"}]), "containerPort"),
        (_lamp(watts=0), "watts"),
        (_lamp(watts=5, volts=12), "volts"),
        (_lamp(), "watts"),
        (_lamp(watts=5).replace("Lamp", "Torch"), "could not find schema for Torch"),
    ],
)
def test_bad_manifests_are_refused(schemas: pathlib.Path, manifest: str, said: str) -> None:
    """A misspelt field, a null, a wrong type, a value out of bounds, a field too few and an unknown kind are told."""
    with pytest.raises(kubeconform.Invalid, match=said):
        kubeconform.check(manifest, schemas)


def test_a_careless_container_is_complained_of() -> None:
    """kube-score says what is wanting, and nothing of what it is to ignore."""
    complaints = kubescore.score(_deployment())
    ignored = kubescore.score(_deployment(), ignore=["container-resources"])

    assert "container-resources" in {each.check for each in complaints}
    assert "container-resources" not in {each.check for each in ignored}
    assert {"Deployment one"} == {each.subject for each in complaints}
