"""The served API against its own OpenAPI document, by schemathesis: every check, every phase."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

import doubles
import pytest
import schema_check

from aftercall.serve import testing

# Which characters of all scripts an id may hold is more than a JSON Schema can say; tests/properties has those.
CONFIGURATION = """
[generation]
codec = "ascii"

# A body of no bytes is valid by schema, which cannot say how long a binary body is.
[[operations]]
include-method = "PUT"
parameters = {{ tenant = "acme" }}
checks.positive_data_acceptance.expected-statuses = ["2xx", "400"]

# Random bytes are no recording.
[[operations]]
include-path = "/v1/audio/transcriptions"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "404"]

[[operations]]
include-path = "/v1/audio/translations"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "404"]

[[operations]]
include-path = "/v1/models/{{model}}"
parameters = {{ model = "fake" }}

[[operations]]
include-path = "/v1/transcriptions/{{transcription_id}}/transcript"
parameters = {{ transcription_id = "{completed}" }}
"""


class AnyLanguage(testing.FakeBackend):
    """Takes every language, so that what is valid by schema is not refused for what the model knows."""

    info = dataclasses.replace(testing.INFO, languages=None)


@pytest.mark.parametrize("keys", [{}, {"acme": "s3cret", "globex": "0ther"}], ids=["without keys", "with keys"])
def test_the_api_does_what_its_document_says(
    serve: Callable[..., Any], tmp_path: pathlib.Path, keys: dict[str, str]
) -> None:
    """No server error, no status, header, media type or schema that is not documented, no key ignored."""
    running = serve(backend=AnyLanguage(), keys=keys)
    with running.client(keys.get("acme")) as client:
        assert 201 == client.put("/v1/recordings/acme/c1", content=b"RIFF").status_code
    completed = running.complete(lambda id_: doubles.made().model_copy(update={"transcription_id": id_}))
    running.work()

    done = schema_check.run(
        running.url, CONFIGURATION.format(completed=completed), tmp_path, key=keys.get("acme"), timeout_s=100
    )

    assert 0 == done.returncode, done.stdout[-6000:] + done.stderr[-2000:]
    assert "Tested: 13" in done.stdout
