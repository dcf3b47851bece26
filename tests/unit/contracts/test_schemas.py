"""Generated files follow the code, and what the code writes follows them."""

from __future__ import annotations

import json
import pathlib

import jsonschema
import pytest
import yaml

from aftercall.contracts import events, reference, schemas

ROOT = pathlib.Path(__file__).resolve().parents[3]


def test_schemas_and_references_are_not_stale() -> None:
    """`make schemas` has been run."""
    assert (0, 0) == (schemas.main(["--check"]), reference.main(["--check"]))


@pytest.mark.parametrize("name", sorted(schemas.json_schemas()))
def test_every_schema_is_a_valid_schema(name: str) -> None:
    """Draft 2020-12."""
    jsonschema.Draft202012Validator.check_schema(schemas.json_schemas()[name])


@pytest.mark.parametrize("name", sorted(schemas.examples()))
def test_examples_are_valid_and_can_be_read(name: str) -> None:
    """What the documentation shows is what the code takes."""
    example = schemas.examples()[name]

    jsonschema.validate(example, schemas.json_schemas()[name])
    assert events.parse(json.dumps(example)).type == example["type"]


def test_the_asyncapi_document_refers_to_files_that_exist() -> None:
    """Its messages point at the checked-in schemas."""
    document = yaml.safe_load((ROOT / "contracts" / "asyncapi.yaml").read_text())

    assert document["asyncapi"] == "3.0.0"
    messages = document["components"]["messages"]
    assert {"recordings_ready", "transcripts_ready", "recordings_dead"} == set(document["channels"])
    for message in (one for name, one in messages.items() if name != "dead-letter"):
        assert (ROOT / "contracts" / message["payload"]["schema"]["$ref"]).is_file()


def test_the_recording_schema_refuses_what_the_code_refuses() -> None:
    """An event without any id breaks both."""
    example = schemas.examples()["recording-ready"]
    data = {name: value for name, value in example["data"].items() if name not in {"call_id", "recording_id"}}

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**example, "data": data}, schemas.json_schemas()["recording-ready"])
