"""Custom resource definitions are structural, explain every field, and hold what the models hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import bad_specs
import pydantic
import pytest

from aftercall.contracts import crds, errors, pools, tenancy

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


@pytest.mark.parametrize(("plural", "n_rules"), [("transcriptionpools", 7), ("tenants", 7)])
def test_rules_of_the_api_server_are_those_of_the_models(plural: str, n_rules: int) -> None:
    """Each says in words what it holds."""
    (version,) = crds.definitions()[plural]["spec"]["versions"]

    whole = version["schema"]["openAPIV3Schema"]
    rules = [rule for _, schema in nodes(whole) for rule in schema.get("x-kubernetes-validations", ())]

    assert n_rules == len(rules)
    assert all(rule["message"] and "self" in rule["rule"] for rule in rules)


def test_files_are_not_stale() -> None:
    """`make schemas` has been run."""
    assert 0 == crds.main(["--check"])


@pytest.mark.parametrize("plural", crds.definitions())
def test_nothing_unknown_is_kept_and_no_secret_has_a_place(plural: str) -> None:
    """What is not in the schema is dropped; what is in it are names."""
    text = crds.files()[f"{plural}.aftercall.io.yaml"]

    assert "x-kubernetes-preserve-unknown-fields" not in text
    assert not {"url:", "token:", "password:", "authToken:"} & {line.strip() for line in text.splitlines()}


def test_good_specifications_are_read_and_written_as_they_are() -> None:
    """Every field of both."""
    pool = pools.TranscriptionPool.model_validate(bad_specs.POOL)
    tenant = tenancy.Tenant.model_validate(bad_specs.TENANT)

    assert bad_specs.TENANT == tenant.model_dump(mode="json", by_alias=True)
    assert bad_specs.POOL == pool.model_dump(mode="json", by_alias=True, exclude_defaults=True) | {
        name: bad_specs.POOL[name] for name in ("promiseSeconds", "scaling", "consumers")
    }


@pytest.mark.parametrize(("changes", "said"), bad_specs.BAD_TENANTS, ids=bad_specs.name_of)
def test_a_tenant_that_cannot_be_is_refused(changes: dict[str, Any], said: str) -> None:
    """By the field, in words; a secret in the wrong place is not repeated."""
    with pytest.raises(errors.ContractError) as caught:
        tenancy.parse("acme", bad_specs.changed(bad_specs.TENANT, changes))

    assert said in str(caught.value)
    assert str(caught.value).startswith("spec")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(("changes", "said"), bad_specs.BAD_POOLS, ids=bad_specs.name_of)
def test_a_pool_of_the_table_is_refused(changes: dict[str, Any], said: str) -> None:
    """By the field."""
    with pytest.raises(pydantic.ValidationError) as caught:
        pools.TranscriptionPool.model_validate(bad_specs.changed(bad_specs.POOL, changes))

    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "said"), [({"wieght": 2}, "wieght"), ({"webhook": {"secret": "a", "url": "https://x"}}, "webhook.url")]
)
def test_a_field_that_nobody_knows_is_refused(spec: dict[str, Any], said: str) -> None:
    """By the model; an API server drops it, and warns whoever applies it."""
    with pytest.raises(errors.ContractError, match=said):
        tenancy.parse("acme", spec)


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
