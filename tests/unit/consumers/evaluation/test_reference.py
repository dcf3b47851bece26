"""Manifests: every form that people have them in, and every problem told at once."""

from __future__ import annotations

import json
import pathlib

import pytest

from aftercall.consumers.evaluation import reference
from aftercall.contracts import errors


def test_every_form_reads_the_same(tmp_path: pathlib.Path) -> None:
    """JSON lines, a list, CSV; text inline, in a file, or as turns; what has no meaning of its own is a slice."""
    (tmp_path / "a.wav").touch()
    (tmp_path / "a.txt").write_text("hello anna")
    (tmp_path / "a.json").write_text(json.dumps({"turns": [{"start_s": 0, "end_s": 1, "text": "hello anna"}]}))
    row = {"audio": "a.wav", "tenant": "acme", "language": "en", "line": "g711"}
    (tmp_path / "lines.jsonl").write_text(json.dumps(row | {"text": "hello anna"}) + "\n\n")
    (tmp_path / "list.json").write_text(json.dumps([row | {"reference": "a.txt"}]))
    (tmp_path / "table.csv").write_text("audio,tenant,language,line,reference\na.wav,acme,en,g711,a.json\n")

    for name, timed in (("lines.jsonl", False), ("list.json", False), ("table.csv", True)):
        (found,) = reference.read_manifest(tmp_path / name)
        assert ("acme", "a.wav", "en", {"line": "g711"}) == (
            found.tenant,
            found.call_id,
            found.language,
            found.slices,
        )
        assert ("hello anna", timed) == (found.reference.turns[0].text, found.reference.timed)


def test_every_problem_is_told_with_its_row(tmp_path: pathlib.Path) -> None:
    """Not the first alone."""
    (tmp_path / "a.wav").touch()
    (tmp_path / "bad.json").write_text('[{"start_s": -1, "end_s": 1, "text": "x"}]')
    rows = [
        {"audio": "a.wav", "text": "x"},
        {"audio": "a.wav", "text": "x"},
        {"text": "x"},
        {"audio": "none.wav", "text": "x"},
        {"audio": "a.wav"},
        {"audio": "a.wav", "reference": "none.txt"},
        {"audio": "a.wav", "reference": "bad.json"},
        {"audio": "a.wav", "text": "x", "tenant": "a/b"},
        [],
    ]
    manifest = tmp_path / "calls.jsonl"
    manifest.write_text("\n".join(map(json.dumps, rows)))

    with pytest.raises(errors.ConfigurationError) as failed:
        reference.read_manifest(manifest)
    told = str(failed.value)
    for row in range(3, 10):
        assert f"row {row}:" in told
    assert "comes twice" in told


@pytest.mark.parametrize("text", ["", "[]", "{", "\x00"])
def test_no_manifest_is_one_line(tmp_path: pathlib.Path, text: str) -> None:
    """Empty, or none at all."""
    (tmp_path / "calls.json").write_text(text)

    with pytest.raises(errors.ConfigurationError, match=r"calls\.json"):
        reference.read_manifest(tmp_path / "calls.json")
