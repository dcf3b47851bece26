"""What is missing of a deployment is said once, by name, before anything starts; one command creates the topics."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import cluster
import pytest
from peers import broker, s3

from aftercall.consumers import topics
from aftercall.contracts import errors, outcomes, settings

RUNNING = ("consume", "relay", "api")


def aftercall(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "aftercall.cli", *arguments],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.timeout(150)
def test_missing_topics_are_named_and_created(
    kafka: broker.Broker, store: s3.S3, names: str, tmp_path: pathlib.Path
) -> None:
    """By every command that needs them, in one line; then `topics --create`, twice."""
    ours = cluster.Cluster(kafka, store, names)
    ours.create_buckets()
    prefix = f"{names}.after"
    env = ours.env(
        AFTERCALL_CLICKHOUSE__FOLDER=str(tmp_path / "ch"),
        AFTERCALL_WEBHOOKS__API_URL="http://127.0.0.1:1",
        AFTERCALL_WEBHOOKS__TOPIC_PREFIX=prefix,
    )
    for command in RUNNING:
        done = aftercall(env, command)
        needed = {"consume": ours.parked, "relay": f"{prefix}.300s", "api": ours.recordings}[command]
        assert 3 == done.returncode, done.stderr
        assert needed in done.stderr
        assert "aftercall topics --create" in done.stderr
        assert 1 == len(done.stderr.splitlines())
    published = aftercall(env, "publish", f"s3://{ours.inbox}/c1", "--tenant", "acme", "--call-id", "c1")
    assert (3, True) == (published.returncode, ours.recordings in published.stderr)
    listed = aftercall(env, "topics", "--json")
    assert 1 == listed.returncode
    assert {None} == {one["partitions"] for one in json.loads(listed.stdout)}
    assert "FAIL  kafka" in aftercall(env, "doctor", "--model", "/nowhere").stdout

    created = aftercall(env, "topics", "--create", "--partitions", "3")
    again = aftercall(env, "topics", "--create", "--json")

    assert (0, 0) == (created.returncode, again.returncode), created.stderr + again.stderr
    assert "3, created" in created.stdout
    shown = {one["name"]: one["partitions"] for one in json.loads(again.stdout)}
    assert {ours.recordings, ours.deferred, ours.parked, ours.dead, ours.transcripts, f"{prefix}.300s"} < shown.keys()
    assert {3} == set(shown.values())
    examined = aftercall(env, "doctor", "--model", "/nowhere").stdout
    assert "ok    kafka: answers, and has all 14 topics" in examined
    assert "ok    object store" in examined
    assert "FAIL  speech" in examined


def test_a_broker_that_is_away_is_said_in_one_line() -> None:
    """By a command that needs an answer."""
    done = aftercall({"AFTERCALL_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:9"}, "topics")

    assert (1, "aftercall: Kafka is not reached, or refuses (KafkaTimeoutError)\n") == (done.returncode, done.stderr)


async def test_a_broker_that_is_away_keeps_nobody_from_starting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who polls goes on asking until it is back."""

    def refuse(_: object) -> dict[str, int]:
        raise errors.TransientError("not reached", reason=outcomes.Reason.BROKER_UNAVAILABLE)

    monkeypatch.setattr(topics, "existing", refuse)
    away = settings.load({}, overrides={"kafka": {"bootstrap_servers": "127.0.0.1:9"}})

    await topics.check(away, ["anything"])
