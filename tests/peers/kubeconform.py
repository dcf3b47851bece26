"""kubeconform: manifests against schemas, which a real API server tells of its own kinds and of custom ones."""

from __future__ import annotations

import json
import pathlib
import subprocess
from typing import Any

from peers import cache, kubeclient

_REFERENCE = "#/components/schemas/"
_FILE = "{{ .ResourceKind }}-{{ .Group }}-{{ .ResourceAPIVersion }}.json"


class Invalid(Exception):
    """A manifest does not keep to its schema, or its kind has none; the message names each."""


def build() -> pathlib.Path:
    """Return the folder that holds the program."""
    return cache.build_go("kubeconform", "github.com/yannh/kubeconform/cmd/kubeconform")


def write_schemas(client: kubeclient.Client, folder: pathlib.Path) -> list[str]:
    """Write a strict schema of every kind that a cluster serves, `{kind}-{group}-{version}.json`; return their names.

    Unknown properties are refused, and null too: the API server drops it, and a chart that renders it is mistaken.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for served in client.request("GET", "/openapi/v3")["paths"].values():
        schemas = client.request("GET", served["serverRelativeURL"]).get("components", {}).get("schemas", {})
        for name, schema in schemas.items():
            if "properties" not in schema:
                continue
            for about in schema.get("x-kubernetes-group-version-kind", ()):
                # kubeconform takes the version of a core kind for its group.
                group = about["group"] or about["version"]
                file = f"{about['kind'].lower()}-{group}-{about['version']}.json"
                (folder / file).write_text(json.dumps(_alone(name, schemas)), encoding="utf-8")
                written.append(file)
    return sorted(set(written))


def _alone(name: str, schemas: dict[str, Any]) -> dict[str, Any]:
    """Return a schema with all that it refers to."""
    found: dict[str, Any] = {}
    open_names = [name]
    while open_names:
        if (one := open_names.pop()) not in found:
            found[one] = _strict(schemas[one])
            open_names += _references(schemas[one])
    return {"$schema": "http://json-schema.org/draft-07/schema#", "$ref": f"#/definitions/{name}", "definitions": found}


def _references(schema: object) -> list[str]:
    if isinstance(schema, list):
        return [name for each in schema for name in _references(each)]
    if not isinstance(schema, dict):
        return []
    here = [schema["$ref"].removeprefix(_REFERENCE)] if isinstance(schema.get("$ref"), str) else []
    return here + [name for each in schema.values() for name in _references(each)]


def _strict(schema: dict[str, Any]) -> dict[str, Any]:
    """Return an OpenAPI 3.0 schema as a JSON schema that allows only what it names.

    What stands in `anyOf` and its like only narrows what the schema around it names, and stays as open as it is.
    """
    made = dict(schema)
    if "$ref" in made:
        return {"$ref": made["$ref"].replace(_REFERENCE, "#/definitions/")}
    for within in ("allOf", "anyOf", "oneOf"):
        if within in made:
            made[within] = [_strict(each) if "$ref" in each else each for each in made[within]]
    if "properties" in made:
        made["properties"] = {name: _strict(each) for name, each in made["properties"].items()}
        if not made.get("x-kubernetes-preserve-unknown-fields"):
            made.setdefault("additionalProperties", False)
    for within in ("items", "additionalProperties"):
        if isinstance(made.get(within), dict):
            made[within] = _strict(made[within])
    if made.get("x-kubernetes-int-or-string"):
        made.pop("type", None)
        made.setdefault("anyOf", [{"type": "integer"}, {"type": "string"}])
    if made.pop("nullable", False) and "type" in made:
        made["type"] = [made["type"], "null"]
    return made


def check(manifests: str, schemas: pathlib.Path) -> int:
    """Check manifests, as Helm renders them; return how many there were, or raise `Invalid`."""
    done = subprocess.run(
        [
            *(str(build() / "kubeconform"), "-strict", "-output", "json", "-summary"),
            *("-schema-location", f"{schemas}/{_FILE}", "-"),
        ],
        input=manifests,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = json.loads(done.stdout)
    wrong = [f"{each['kind']} {each['name']}: {each['msg']}" for each in said.get("resources") or ()]
    if done.returncode != 0 or wrong:
        raise Invalid("\n".join(wrong) or done.stderr)
    return int(said["summary"]["valid"])
