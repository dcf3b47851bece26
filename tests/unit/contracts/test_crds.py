"""Custom resource definitions are structural, explain every field, and hold what the models hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pydantic
import pytest

from aftercall.contracts import crds, pools

POOL: dict[str, Any] = {
    "topics": [{"name": "recordings"}, {"name": "recordings.bulk", "lane": "Bulk", "promiseSeconds": 14_400}],
    "backend": {"kind": "Deployment", "deployment": {"name": "calls-speech"}},
    "scaling": {"maxReplicas": 8, "capacityAudioSecondsPerMinute": 6000},
    "consumers": {"deployment": "calls-consumers", "maxReplicas": 12},
}


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Return every schema within one, by its path."""
    yield path, schema
    for name, each in schema.get("properties", {}).items():
        yield from nodes(each, f"{path}.{name}")
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")


@pytest.mark.parametrize("plural", crds.definitions())
def test_schemas_are_structural(plural: str) -> None:
    """A type everywhere, no references, no alternatives, no floats, and a description of every field of the spec."""
    definition = crds.definitions()[plural]
    (version,) = definition["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]

    for path, schema in nodes(spec, "spec"):
        assert schema["type"] in {"object", "array", "string", "integer", "boolean"}, path
        assert not schema.keys() & {"$ref", "anyOf", "oneOf", "allOf", "title", "additionalProperties"}, path
        assert path.endswith("[]") or schema.get("description"), path
        assert "default" not in schema or schema["default"] is not None, path
    assert f"{plural}.aftercall.io" == definition["metadata"]["name"]
    assert "status" in version["subresources"]


def test_the_pool_counts_speech_replicas_for_autoscalers() -> None:
    """By the scale subresource, whose paths are there."""
    (version,) = crds.definitions()["transcriptionpools"]["spec"]["versions"]
    properties = version["schema"]["openAPIV3Schema"]["properties"]

    for path in version["subresources"]["scale"].values():
        _, part, name = path.split(".")
        assert name in properties[part]["properties"], path


def test_rules_of_the_api_server_are_those_of_the_models() -> None:
    """Each says in words what it holds."""
    (version,) = crds.definitions()["transcriptionpools"]["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]

    rules = [rule for _, schema in nodes(spec) for rule in schema.get("x-kubernetes-validations", ())]

    assert 7 == len(rules)
    assert all(rule["message"] and "self" in rule["rule"] for rule in rules)


def test_a_pool_is_read_as_it_is_written() -> None:
    """In camel case, with defaults."""
    pool = pools.TranscriptionPool.model_validate(POOL)

    assert (pools.Mode.OPERATOR, 600, 14_400) == (pool.mode, pool.promise_seconds, pool.topics[1].promise_seconds)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"mode": "External"}, "mode External sets replicas"),
        ({"mode": "Sometimes"}, "mode"),
        ({"topics": []}, "topics"),
        ({"topics": [{"name": "a"}, {"name": "a"}]}, "a topic is named twice"),
        ({"backend": {"kind": "Deployment"}}, "kind Deployment names a deployment"),
        ({"backend": {"kind": "External"}}, "an external backend has none"),
        ({"backend": {"kind": "RayServe", "deployment": {"name": "x"}}}, "kind Deployment names a deployment"),
        ({"scaling": {"minReplicas": 9, **POOL["scaling"]}}, "minReplicas is at most maxReplicas"),
        ({"scaling": None}, "scaling says how many"),
        ({"consumers": {"deployment": "Calls", "maxReplicas": 1}}, "consumers.deployment"),
        ({"gpus": 4}, "gpus"),
    ],
)
def test_a_pool_that_cannot_be_is_refused(changes: dict[str, Any], said: str) -> None:
    """By the field."""
    with pytest.raises(pydantic.ValidationError) as caught:
        pools.TranscriptionPool.model_validate(POOL | changes)

    assert said in str(caught.value)
