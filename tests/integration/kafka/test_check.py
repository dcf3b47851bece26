"""`aftercall buckets` and `aftercall check`, on real servers: what a chart's setup and its test run."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import cluster
import pytest
from peers import broker, s3

TINY = pathlib.Path(__file__).resolve().parents[2] / "fixtures" / "asr-tiny"


def aftercall(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "aftercall.cli", *arguments],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=100,
    )


@pytest.mark.timeout(150)
def test_buckets_are_named_and_created(kafka: broker.Broker, store: s3.S3, names: str) -> None:
    """Missing ones end with 1; created twice they are there; a login that may not is told so."""
    env = cluster.Cluster(kafka, store, names).env()

    listed = aftercall(env, "buckets")
    created = aftercall(env, "buckets", "--create", "--json")
    again = aftercall(env, "buckets", "--create", "--json")
    stranger = aftercall({**env, "AFTERCALL_STORE__ACCESS_KEY_ID": "nobody"}, "buckets", "--create")

    assert (1, 2) == (listed.returncode, listed.stdout.count("missing "))
    assert {f"{names}-in": "created", f"{names}-out": "created"} == json.loads(created.stdout)
    assert {f"{names}-in": "there", f"{names}-out": "there"} == json.loads(again.stdout)
    assert stranger.returncode != 1 or "Traceback" not in stranger.stderr


@pytest.mark.timeout(240)
def test_a_synthetic_recording_comes_through_and_is_gone(kafka: broker.Broker, store: s3.S3, names: str) -> None:
    """A real consumer hears it; without a consumer the check says so."""
    ours = cluster.Cluster(kafka, store, names)
    ours.create()
    env = ours.env(AFTERCALL_SPEECH__MODEL=str(TINY))

    alone = aftercall(env, "check", "--tenant", "acme", "--timeout", "3")
    consumer = subprocess.Popen([sys.executable, "-m", "aftercall.cli", "consume"], env={**os.environ, **env})
    try:
        checked = aftercall(env, "check", "--tenant", "acme", "--timeout", "90", "--json")
    finally:
        consumer.terminate()
        consumer.wait(60)

    assert 1 == alone.returncode
    assert "no outcome within 3 s: acme/check-" in alone.stdout
    assert 0 == checked.returncode, checked.stdout + checked.stderr
    told = json.loads(checked.stdout)
    assert told["ok"]
    assert "windows heard" in told["said"]
    assert [] == list(store.folder_of(ours.inbox).rglob("*.wav"))
    assert [] == [path for path in store.folder_of(ours.outbox).rglob("transcripts/**/*.json") if path.is_file()]
