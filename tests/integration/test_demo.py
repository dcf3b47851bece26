"""`make demo`'s job on the sample calls."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import material


def test_the_demo_shows_every_sample_and_exits_0(tmp_path: pathlib.Path) -> None:
    """A table, a transcript, and where everything lies."""
    done = subprocess.run(
        [sys.executable, "-m", "aftercall.cli", "demo", "--data", str(tmp_path / "demo")],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    samples = [
        path for path in (material.SAMPLES / "recordings").rglob("*") if path.suffix in {".flac", ".opus", ".wav"}
    ]
    assert f"{len(samples)} calls" in done.stdout
    assert "tiny test Whisper" in done.stdout
    assert f"({len(samples)} recordings in recordings_current)" in done.stdout
    assert "[00:00:0" in done.stdout
    for sample in samples:
        tenant = sample.parent.name
        made = json.loads((tmp_path / "demo" / "objects" / "transcripts" / tenant / f"{sample.stem}.json").read_text())
        told = material.reference(sample)
        assert abs(made["audio"]["duration_s"] - told["length_s"]) < 0.1
        assert bool(made["segments"]) == bool(told["turns"])
    silence = json.loads((tmp_path / "demo/objects/transcripts/globex/nothing-said.json").read_text())
    assert silence["coverage"]["ratio"] is None


def test_the_demo_never_empties_a_folder_that_is_not_its_own(tmp_path: pathlib.Path) -> None:
    """A slip of the finger costs nothing."""
    (tmp_path / "precious").write_text("x")

    done = subprocess.run(
        [sys.executable, "-m", "aftercall.cli", "demo", "--data", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 3
    assert (tmp_path / "precious").exists()
