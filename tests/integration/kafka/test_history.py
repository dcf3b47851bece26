"""What remains of a history of crashes: every event exactly one outcome, nothing lost, nothing decided twice."""

from __future__ import annotations

import collections
import json
import os
import pathlib
import random
import sys
import time

import cluster
import obstore
import pytest
from peers import broker, s3

from aftercall.contracts import events, outcomes

STUB = str(pathlib.Path(cluster.__file__).with_name("stub_consumer.py"))
EVENTS = int(os.environ.get("HISTORY_EVENTS", "2000"))
KILLS = int(os.environ.get("HISTORY_KILLS", "40"))
OPEN_CALLS = 8


def announce(ours: cluster.Cluster, rng: random.Random, n: int) -> dict[str, dict[str, object]]:
    """Upload and announce recordings; return what each does, by id."""
    inbox = ours.bucket(ours.inbox)
    plans, told = {}, []
    for at in range(n):
        name = f"r{at:05d}"
        plan = {
            "sleep_s": min(2.0, max(0.02, rng.lognormvariate(-2.5, 1.0))),  # 20 ms to 2 s, median 80 ms
            "do": rng.choices(["hear", "reject", "strike"], [0.97, 0.02, 0.01])[0],
            "audio_s": rng.uniform(10, 600),
        }
        obstore.put(inbox, f"acme/{name}", json.dumps(plan).encode())
        plans[name] = plan
        told.append(
            events.RecordingReady.model_validate(
                {
                    "tenant": f"tenant-{at % 5}",
                    "call_id": name,
                    "recording_uri": f"s3://{ours.inbox}/acme/{name}",
                    "version": "1",
                }
            )
        )
    ours.announce(told)
    return plans


def start_relay(ours: cluster.Cluster, tmp_path: pathlib.Path) -> cluster.Consumer:
    """Start the relay that fills ClickHouse."""
    env = ours.env(AFTERCALL_CLICKHOUSE__FOLDER=str(tmp_path / "clickhouse"))
    return cluster.Consumer(env, tmp_path / "relay", command=("-m", "aftercall.cli", "relay"))


@pytest.mark.timeout(600)
def test_every_event_has_one_outcome_through_kills(
    kafka: broker.Broker, store: s3.S3, names: str, tmp_path: pathlib.Path
) -> None:
    """Three consumers, one of which is killed about every second and started again."""
    seed = int(os.environ.get("HISTORY_SEED", str(time.time_ns() % 10**9)))
    rng = random.Random(seed)
    ours = cluster.Cluster(kafka, store, names)
    ours.create(partitions=12)
    plans = announce(ours, rng, EVENTS)
    env = ours.env(STUB_LOG=str(tmp_path / "began"), AFTERCALL_INTAKE__MAX_OPEN_CALLS=str(OPEN_CALLS))
    started, kills = time.monotonic(), 0
    consumers = [cluster.Consumer(env, tmp_path / f"log{at}", command=(STUB,)) for at in range(3)]
    relay = start_relay(ours, tmp_path)
    try:
        while ours.count("outcomes/") < EVENTS or kills < KILLS:
            time.sleep(max(0.2, rng.expovariate(1.0)))
            if kills < KILLS:
                at = rng.randrange(len(consumers))
                consumers[at].kill()
                consumers[at] = cluster.Consumer(env, tmp_path / f"log{at}", command=(STUB,))
                kills += 1
                if kills % 10 == 0:
                    relay.kill()
                    relay = start_relay(ours, tmp_path)
            for consumer in consumers:
                consumer.check()
            assert time.monotonic() - started < 540, f"seed {seed}: {ours.count('outcomes/')} of {EVENTS} outcomes"
        cluster.wait_until(lambda: ours.lag() == 0, timeout_s=60, what=f"every offset committed (seed {seed})")
        statuses = [consumer.stop() for consumer in consumers]
        cluster.wait_until(
            lambda: ours.lag(ours.transcripts, group=".clickhouse") == 0, timeout_s=60, what=f"every row (seed {seed})"
        )
        statuses.append(relay.stop())
    finally:
        for process in (*consumers, relay):
            process.kill()

    decided = ours.outcomes()
    began = [json.loads(line)["id"] for line in (tmp_path / "began").read_bytes().splitlines()]
    news = collections.Counter(events.parse(record.value).id for record in ours.records(ours.transcripts))
    sys.stdout.write(
        f"seed {seed}: {EVENTS} events, {kills} kills, {time.monotonic() - started:.0f} s; lost "
        f"{EVENTS - len(decided)}, doubled {len(cluster.doubled(one.recording_id for one in decided))}, executions "
        f"{len(began)} ({len(began) / EVENTS:.3f} each), news {sum(news.values())}; 3/N bound {3 / EVENTS:.2%}\n"
    )
    expected = {"hear": outcomes.Kind.CANONICAL, "reject": outcomes.Kind.REJECTED, "strike": outcomes.Kind.DEAD}
    assert {name: expected[str(plan["do"])] for name, plan in plans.items()} == {
        one.recording_id: one.kind for one in decided
    }, f"seed {seed}"
    assert EVENTS == len(decided)
    assert {one.transcription_id for one in decided} == set(news)
    strikes = sum(plan["do"] == "strike" for plan in plans.values())
    assert len(began) <= EVENTS + 2 * strikes + KILLS * OPEN_CALLS
    assert [0, 0, 0, 0] == statuses
    columns = "recording_id, outcome, transcript_key"
    rows = cluster.rows(tmp_path / "clickhouse", f"SELECT {columns} FROM recordings FINAL")
    current = cluster.rows(tmp_path / "clickhouse", f"SELECT {columns} FROM recordings_current")
    assert sorted(rows) == sorted([one.recording_id, str(one.kind), one.transcript_key or ""] for one in decided)
    assert sorted(current) == sorted(row for row in rows if row[1] == "canonical")
    canonical = {one.transcript_key for one in decided if one.transcript_key is not None}
    kept = {
        e["path"]
        for b in obstore.list(ours.bucket(ours.outbox), "transcripts/")
        for e in b
        if len(e["path"].split("/")) == 4
    }
    # A process killed between writing its transcript and deciding leaves one that no outcome names; never the reverse.
    assert canonical <= kept
    assert [] == ours.records(ours.dead)
