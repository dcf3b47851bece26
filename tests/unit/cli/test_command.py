"""The command: help for everything, exit codes that mean something, problems in one line."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys

import material
import pytest
import yaml

COMMANDS = (
    "transcribe",
    "up",
    "consume",
    "relay",
    "operator",
    "api",
    "publish",
    "status",
    "topics",
    "buckets",
    "check",
    "events",
    "dlq",
    "triton",
    "replay",
    "delete",
    "doctor",
    "eval",
    "simulate",
    "schema",
    "demo",
)


def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a person would."""
    return subprocess.run(
        [sys.executable, "-m", "aftercall.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, "COLUMNS": "200", "HF_HUB_OFFLINE": "1", **env},
        check=False,
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_documented_and_has_help(command: str) -> None:
    """The README names it, and --help explains it with an example."""
    done = run(command, "--help")

    assert done.returncode == 0
    assert "Example" in done.stdout or command in {"events", "dlq", "triton"}
    assert f"aftercall {command}" in (material.ROOT / "README.md").read_text() or command == "demo"


def test_no_command_is_forgotten() -> None:
    """Whatever --help lists is in the list above."""
    listed = run("--help").stdout.partition("Commands:")[2]

    assert set(COMMANDS) == set(re.findall(r"^  (\w+)  ", listed, re.MULTILINE))


def test_transcribe_prints_text_and_writes_files(tmp_path: pathlib.Path) -> None:
    """Two files at once; one of them is no recording."""
    good = material.SAMPLES / "recordings" / "acme" / "voicemail.wav"
    bad = tmp_path / "letter.wav"
    bad.write_text("Dear customer")

    done = run("transcribe", str(good), str(bad), "--model", str(material.MODEL))
    written = run(
        "transcribe", str(good), "--model", str(material.MODEL), "--format", "srt", "--out", str(tmp_path / "out")
    )

    assert done.returncode == 1
    assert "Speaker 1: " in done.stdout
    assert "letter.wav: the recording is not audio in a known form (not_audio)" in done.stderr
    assert written.returncode == 0
    assert (tmp_path / "out" / "voicemail.srt").read_text().startswith("1\n00:00:00")


def test_transcribe_as_json_is_a_transcript_document() -> None:
    """And nothing else is on standard output."""
    good = material.SAMPLES / "recordings" / "acme" / "voicemail.wav"

    done = run("transcribe", str(good), "--model", str(material.MODEL), "--format", "json", "--language", "en")

    assert json.loads(done.stdout)["language_source"] == "requested"


@pytest.mark.parametrize(
    ("arguments", "env", "code", "said"),
    [
        (("transcribe", "x.wav", "--model", "no-such-model"), {}, 3, "--model /path"),
        (("transcribe", "x.wav", "--format", "docx"), {}, 2, "docx"),
        (("transcribe",), {}, 2, "Missing argument"),
        (("up",), {"AFTERCALL_API__HOST": "0.0.0.0"}, 3, "api.keys"),
        (("up",), {"AFTERCALL_SPEECH__TYPO": "1"}, 3, "no such setting"),
        (("schema", "nothing"), {}, 2, "there are"),
        (("status", "nobody", "--data", "/nonexistent"), {}, 4, "no call 'nobody'"),
        (("transcribe", "gone.wav", "--model", str(material.MODEL)), {}, 1, "not_found"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_with_a_code(
    arguments: tuple[str, ...], env: dict[str, str], code: int, said: str
) -> None:
    """2 wrong usage, 3 settings, 4 not found, 1 the work failed; never a traceback."""
    done = run(*arguments, **env)

    assert code == done.returncode, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_schema_prints_what_validates() -> None:
    """A name lists nothing else; no name lists all."""
    assert "transcript" in run("schema").stdout.split()
    assert json.loads(run("schema", "recording-ready").stdout)["title"] == "io.aftercall.recording.ready.v1"
    definition = yaml.safe_load(run("schema", "tenants.aftercall.io").stdout)
    assert ("CustomResourceDefinition", "Tenant") == (definition["kind"], definition["spec"]["names"]["kind"])


def test_doctor_checks_everything(tmp_path: pathlib.Path) -> None:
    """All well with the test model; the model that cannot be had is named, and the rest is still checked."""
    well = run("doctor", "--model", str(material.MODEL), "--data", str(tmp_path), "--json")
    ill = run("doctor", "--model", "/nowhere", "--data", str(tmp_path))

    assert well.returncode == 0, well.stdout
    assert {finding["ok"] for finding in json.loads(well.stdout)} == {True}
    assert ill.returncode == 1
    assert "FAIL  speech: no model at /nowhere" in ill.stdout
    assert "ok    decoder" in ill.stdout


def test_the_version_is_told() -> None:
    """As packages have it."""
    assert run("--version").stdout.startswith("aftercall 0.")


@pytest.mark.parametrize(("command", "n_problems"), [("consume", 3), ("relay", 2)])
def test_a_pod_says_at_once_everything_that_it_lacks(command: str, n_problems: int) -> None:
    """Nobody should have to start it three times to find three gaps."""
    done = run(command)

    assert 3 == done.returncode
    lines = done.stderr.splitlines()
    assert n_problems == len(lines)
    assert all(line.startswith("aftercall: ") for line in lines)
