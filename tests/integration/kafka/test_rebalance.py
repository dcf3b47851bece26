"""Rebalances under long jobs, and a consumer that hangs and comes back."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import random
import signal
import time

import cluster
import obstore
import pytest
from peers import broker, s3

from aftercall.contracts import events

POLL_INTERVAL_S = 2.0


@pytest.fixture
def ours(kafka: broker.Broker, store: s3.S3, names: str) -> cluster.Cluster:
    """Topics and buckets of this test."""
    found = cluster.Cluster(kafka, store, names)
    found.create(partitions=6)
    return found


def announce(ours: cluster.Cluster, n: int, sleep_s: float) -> None:
    """Announce recordings that take so long."""
    told = []
    for at in range(n):
        uri = f"s3://{ours.inbox}/r{at}"
        obstore.put(ours.bucket(ours.inbox), f"r{at}", json.dumps({"sleep_s": sleep_s}).encode())
        plain = {"tenant": "acme", "call_id": f"r{at}", "recording_uri": uri, "version": "1"}
        told.append(events.RecordingReady.model_validate(plain))
    ours.announce(told)


def began(tmp_path: pathlib.Path) -> list[str]:
    """Return the recordings that work was begun on, once for each time."""
    return [json.loads(line)["id"] for line in (tmp_path / "began").read_bytes().splitlines()]


@pytest.mark.timeout(240)
def test_long_jobs_keep_their_partitions_through_joins_and_leaves(
    ours: cluster.Cluster, tmp_path: pathlib.Path
) -> None:
    """Jobs ten times as long as the poll interval, and a member that joins or leaves every few seconds."""
    n, rng = 24, random.Random(1)
    announce(ours, n, 10 * POLL_INTERVAL_S)
    env = ours.env(
        STUB_LOG=str(tmp_path / "began"),
        AFTERCALL_KAFKA__MAX_POLL_INTERVAL_S=str(POLL_INTERVAL_S),
        AFTERCALL_KAFKA__DRAIN_S="60",
        AFTERCALL_INTAKE__MAX_OPEN_CALLS="6",
    )
    steady = [cluster.Consumer(env, tmp_path / f"steady{at}", command=cluster.STUB) for at in range(2)]
    visitors: list[cluster.Consumer] = []
    leaving: list[cluster.Consumer] = []
    started, rounds = time.monotonic(), 0
    try:
        while len(ours.outcomes()) < n:
            rounds += 1
            if visitors and rng.random() < 0.5:
                visitors[0].signal(signal.SIGTERM)  # it finishes what is open, and leaves
                leaving.append(visitors.pop(0))
            elif len(visitors) < 2:
                visitors.append(cluster.Consumer(env, tmp_path / f"visitor{rounds}", command=cluster.STUB))
            for consumer in steady:
                consumer.check()
            assert time.monotonic() - started < 200
            time.sleep(5)
        cluster.wait_until(lambda: ours.lag() == 0, timeout_s=30, what="every offset committed")
    finally:
        for consumer in (*steady, *visitors, *leaving):
            consumer.kill()
    logs = b"".join(path.read_bytes() for path in tmp_path.glob("*") if path.is_file() and path.name != "began")
    assert 0 == logs.count(b"partitions lost"), "a member was evicted"
    assert n == len(set(began(tmp_path)))
    # Nobody was killed, so nothing had to be done twice.
    assert [] == cluster.doubled(began(tmp_path))


@dataclasses.dataclass(frozen=True, slots=True)
class Comeback:
    """Which transcript each outcome named before a hung consumer came back, and after; and all transcripts then."""

    before: dict[str, str | None]
    after: dict[str, str | None]
    kept: list[str]


def hang(ours: cluster.Cluster, tmp_path: pathlib.Path, **more: str) -> Comeback:
    """Stop a consumer past its session, let another do its work, and let it come back with its own results."""
    announce(ours, 4, 3.0)
    env = ours.env(STUB_LOG=str(tmp_path / "began"), AFTERCALL_INTAKE__MAX_OPEN_CALLS="8", **more)
    hung = cluster.Consumer(env, tmp_path / "hung", command=cluster.STUB)
    other = None
    try:
        cluster.wait_until(
            lambda: (tmp_path / "began").exists() and len(began(tmp_path)) == 4, timeout_s=30, what="work begun"
        )
        hung.signal(signal.SIGSTOP)
        other = cluster.Consumer(env, tmp_path / "other", command=cluster.STUB)
        cluster.wait_until(lambda: len(ours.outcomes()) == 4, timeout_s=60, what="the other's outcomes")
        before = {one.recording_id: one.transcript_key for one in ours.outcomes()}
        hung.signal(signal.SIGCONT)
        cluster.wait_until(
            lambda: hung.log.read_bytes().count(b"partitions lost") > 0, timeout_s=30, what="its own eviction known"
        )
        time.sleep(3)  # whatever it had to say has been said
        hung.check()
        cluster.wait_until(lambda: ours.lag() == 0, timeout_s=30, what="every offset committed")
        assert (0, 0) == (hung.stop(), other.stop())
    finally:
        hung.kill()
        if other is not None:
            other.kill()
    kept = [entry["path"] for batch in obstore.list(ours.bucket(ours.outbox), "transcripts/acme/") for entry in batch]
    after = {one.recording_id: one.transcript_key for one in ours.outcomes()}
    return Comeback(before, after, sorted(path for path in kept if path.count("/") == 3))


@pytest.mark.timeout(120)
def test_the_late_result_of_a_hung_consumer_loses(ours: cluster.Cluster, tmp_path: pathlib.Path) -> None:
    """There is one outcome, and what lost leaves nothing behind."""
    found = hang(ours, tmp_path)

    assert found.before == found.after
    assert sorted([*found.before] * 2) == sorted(began(tmp_path))
    assert sorted(map(str, found.before.values())) == found.kept, "a loser's transcript stayed"


@pytest.mark.timeout(120)
def test_a_store_that_lets_the_last_writer_win_would_be_noticed(ours: cluster.Cluster, tmp_path: pathlib.Path) -> None:
    """The same with a consumer that overwrites: the late result changes what was decided."""
    found = hang(ours, tmp_path, STUB_MUTANT="decide_by_overwriting")

    assert found.before != found.after
