"""Reading documents of other versions."""

from __future__ import annotations

import json

import pytest

from aftercall.contracts import documents, errors, outcomes

OUTCOME = {
    "kind": "rejected",
    "reason": "empty_file",
    "tenant": "a",
    "call_id": "c",
    "recording_id": "c",
    "version": "v",
    "generation": 1,
    "transcription_id": "t",
    "decided_at": "2026-01-01T00:00:00Z",
}


def test_a_newer_minor_version_is_read() -> None:
    """A minor version only adds fields."""
    parsed = documents.parse(outcomes.Outcome, json.dumps({**OUTCOME, "schema_version": "1.7", "more": 1}), what="o")

    assert parsed.kind is outcomes.Kind.REJECTED


def test_an_unknown_major_version_is_refused() -> None:
    """A major version may mean anything."""
    with pytest.raises(errors.ContractError, match=r"schema version 2\.0; this code knows 1\.0"):
        documents.parse(outcomes.Outcome, json.dumps({**OUTCOME, "schema_version": "2.0"}), what="o")


def test_equal_documents_give_equal_bytes() -> None:
    """Keys are sorted, so that content addresses mean content."""
    one = documents.validate(outcomes.Outcome, dict(OUTCOME), what="o")
    other = documents.validate(outcomes.Outcome, dict(reversed(OUTCOME.items())), what="o")

    assert documents.encode(one) == documents.encode(other)


@pytest.mark.parametrize("changes", [{"kind": "canonical"}, {"transcript_key": "k"}])
def test_only_a_canonical_outcome_names_a_transcript(changes: dict[str, str]) -> None:
    """An outcome that contradicts itself is never written."""
    with pytest.raises(errors.ContractError, match="transcript_key"):
        documents.validate(outcomes.Outcome, {**OUTCOME, **changes}, what="o")
