"""Custom resource definitions, generated from the models that the operator reads them with.

An API server wants schemas that are structural: no references, no alternatives of types, nothing but what OpenAPI 3.0
knows. So references are put in their places, what may be absent is simply not required, and what JSON Schema says
beyond that is left to the model, which the operator holds anyway.

`python -m aftercall.contracts.crds` writes them where the chart includes them from; with `--check` it only says whether
they are stale.
"""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Sequence
from typing import Any

import pydantic
import yaml

from aftercall.contracts import identity, pools, tenancy

_FILES = pathlib.Path(__file__).resolve().parents[3] / "charts" / "aftercall" / "files" / "crds"

GROUP = "aftercall.io"
VERSION = "v1alpha1"
_KEPT = {
    "default",
    "description",
    "enum",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "pattern",
    "properties",
    "required",
    "type",
}
_CONDITIONS: dict[str, Any] = {
    "type": "array",
    "description": "What holds of it, by type.",
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["type"],
    "items": {
        "type": "object",
        "required": ["type", "status", "reason", "message", "lastTransitionTime"],
        "properties": {
            "type": {"type": "string"},
            "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
            "observedGeneration": {"type": "integer", "format": "int64"},
            "lastTransitionTime": {"type": "string", "format": "date-time"},
            "reason": {"type": "string"},
            "message": {"type": "string"},
        },
    },
}
_OBSERVED: dict[str, Any] = {
    "type": "integer",
    "format": "int64",
    "description": "Generation of the specification that this status is of.",
}


def definitions() -> dict[str, dict[str, Any]]:
    """Return every definition by the plural of its kind."""
    return {"transcriptionpools": _pool(), "tenants": _tenant()}


def _pool() -> dict[str, Any]:
    count = {"type": "integer", "minimum": 0}
    long = count | {"format": "int64"}
    learned = {"type": "object", "properties": {"audioSecondsPerMinute": long, "busySeconds": long}}
    status = {
        "observedGeneration": _OBSERVED,
        "replicas": count | {"description": "Speech replicas that there are."},
        "wantedReplicas": count | {"description": "Speech replicas that are asked for."},
        "consumers": count | {"description": "Consumers that there are."},
        "selector": {"type": "string", "description": "Labels of the speech replicas, for autoscalers."},
        "backlogAudioSeconds": long | {"description": "What waits."},
        "drainSeconds": long
        | {"description": "Until what is due as promised and within limits is gone; none: unknown, or never."},
        "capacity": learned | {"description": "What was learned of a speech replica, which outlives the operator."},
        "consumerCapacity": learned | {"description": "What was learned of a consumer."},
        "conditions": _CONDITIONS,
    }
    return _definition(
        kind="TranscriptionPool",
        plural="transcriptionpools",
        short=["tpool"],
        spec=pools.TranscriptionPool,
        status=status,
        columns=[
            _column("Ready", '.status.conditions[?(@.type=="Ready")].status'),
            _column("Backend", ".spec.backend.kind"),
            _column("Replicas", ".status.replicas", "integer"),
            _column("Wanted", ".status.wantedReplicas", "integer", priority=1),
            _column("Consumers", ".status.consumers", "integer", priority=1),
            _column("Backlog", ".status.backlogAudioSeconds", "integer"),
            _column("Drain", ".status.drainSeconds", "integer"),
            _column("Reason", '.status.conditions[?(@.type=="Ready")].reason', priority=1),
            _column("Age", ".metadata.creationTimestamp", "date"),
        ],
        subresources={
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.replicas",
                "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.selector",
            },
        },
    )


def _tenant() -> dict[str, Any]:
    longest = identity.MAX_ID_CHARS
    return _definition(
        kind="Tenant",
        plural="tenants",
        short=["ten"],
        spec=tenancy.Tenant,
        status={"observedGeneration": _OBSERVED, "conditions": _CONDITIONS},
        columns=[
            _column("Ready", '.status.conditions[?(@.type=="Ready")].status'),
            _column("Limit", ".spec.audioSecondsPerMinute", "integer"),
            _column("Burst", ".spec.burstAudioSeconds", "integer"),
            _column("Weight", ".spec.weight", "integer"),
            _column("Lanes", ".spec.lanes"),
            _column("Id", ".spec.id", priority=1),
            _column("Reason", '.status.conditions[?(@.type=="Ready")].reason', priority=1),
            _column("Age", ".metadata.creationTimestamp", "date"),
        ],
        subresources={"status": {}},
        rules=[
            {
                "rule": f"has(self.spec.id) || size(self.metadata.name) <= {longest}",
                "message": f"metadata.name is the tenant's id, which has at most {longest} characters; set spec.id",
            }
        ],
    )


def _definition(
    *,
    kind: str,
    plural: str,
    short: list[str],
    spec: type[pydantic.BaseModel],
    status: dict[str, Any],
    columns: list[dict[str, Any]],
    subresources: dict[str, Any],
    rules: Sequence[dict[str, str]] = (),
) -> dict[str, Any]:
    schema: dict[str, Any] = {
        "type": "object",
        "description": (spec.__doc__ or "").strip(),
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": structural(spec),
            "status": {"type": "object", "properties": status},
        },
    }
    if rules:
        schema["x-kubernetes-validations"] = list(rules)
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": subresources,
        "additionalPrinterColumns": columns,
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": short,
                "categories": ["aftercall"],
            },
            "versions": [version],
        },
    }


def _column(name: str, path: str, of: str = "string", *, priority: int = 0) -> dict[str, Any]:
    column: dict[str, Any] = {"name": name, "type": of, "jsonPath": path}
    return column | {"priority": priority} if priority else column


def structural(model: type[pydantic.BaseModel]) -> dict[str, Any]:
    """Return a model's schema as an API server takes it."""
    whole = model.model_json_schema(by_alias=True)
    return _plain(whole, whole.get("$defs", {}))


def _plain(schema: dict[str, Any], named: dict[str, Any]) -> dict[str, Any]:
    schema = dict(schema)
    if "$ref" in schema:
        schema = {**named[schema.pop("$ref").rpartition("/")[2]], **schema}
    others = [each for each in schema.pop("anyOf", []) if each.get("type") != "null"]
    if len(others) > 1:
        raise ValueError(f"{others} are alternatives, which no structural schema has")
    if others:
        schema = {**_plain(others[0], named), **schema}
    if isinstance(schema.get("type"), str) and schema["type"] == "number":
        raise ValueError("a float in a specification comes back as another one")
    if schema.get("default", ...) in (None, []):
        del schema["default"]
    found = {key: value for key, value in schema.items() if key in _KEPT or key.startswith("x-kubernetes-")}
    if "properties" in found:
        found["properties"] = {name: _plain(each, named) for name, each in found["properties"].items()}
    if "items" in found:
        found["items"] = _plain(found["items"], named)
    return found


def files() -> dict[str, str]:
    """Return the file of each definition, by its name."""
    return {
        f"{found['metadata']['name']}.yaml": yaml.safe_dump(found, sort_keys=False, allow_unicode=True, width=120)
        for found in definitions().values()
    }


def main(arguments: list[str]) -> int:
    """Write the definitions, or with `--check` name those that are stale."""
    stale = {
        name: text
        for name, text in files().items()
        if not (_FILES / name).exists() or (_FILES / name).read_text(encoding="utf-8") != text
    }
    if arguments == ["--check"]:
        if stale:
            sys.stderr.write(
                f"stale: {', '.join(f'charts/aftercall/files/crds/{name}' for name in stale)}; run `make schemas`\n"
            )
        return 1 if stale else 0
    _FILES.mkdir(parents=True, exist_ok=True)
    for name, text in stale.items():
        (_FILES / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
