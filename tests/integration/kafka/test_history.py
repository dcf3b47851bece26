"""What remains of a history of crashes: every event exactly one outcome, nothing lost, nothing decided twice."""

from __future__ import annotations

import collections
import dataclasses
import json
import os
import pathlib
import random
import signal
import sys
import time

import cluster
import obstore
import pytest
from peers import broker, s3

from aftercall.contracts import events, outcomes

EVENTS = int(os.environ.get("HISTORY_EVENTS", "2000"))
KILLS = int(os.environ.get("HISTORY_KILLS", "40"))
OPEN_CALLS = 8


def announce(ours: cluster.Cluster, rng: random.Random, n: int, slower: float) -> dict[str, dict[str, object]]:
    """Upload and announce recordings that take so many times as long; return what each does, by id."""
    inbox = ours.bucket(ours.inbox)
    plans, told = {}, []
    for at in range(n):
        name = f"r{at:05d}"
        plan = {
            "sleep_s": slower * min(2.0, max(0.02, rng.lognormvariate(-2.5, 1.0))),  # 20 ms to 2 s, median 80 ms
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


@dataclasses.dataclass(frozen=True, slots=True)
class History:
    """What came of a run."""

    plans: dict[str, dict[str, object]]
    kills: int
    took_s: float
    began: list[str]
    decided: list[outcomes.Outcome]
    news: collections.Counter[str]
    kept: set[str]
    dead: int
    rows: list[list[str]]
    current: list[list[str]]

    def problems(self) -> list[str]:
        """Return every promise that was broken."""
        kinds = {"hear": outcomes.Kind.CANONICAL, "reject": outcomes.Kind.REJECTED, "strike": outcomes.Kind.DEAD}
        wanted = {name: kinds[str(plan["do"])] for name, plan in self.plans.items()}
        found = {one.recording_id: one.kind for one in self.decided}
        canonical = {one.transcript_key for one in self.decided if one.transcript_key is not None}
        strikes = sum(plan["do"] == "strike" for plan in self.plans.values())
        expected_rows = sorted([one.recording_id, str(one.kind), one.transcript_key or ""] for one in self.decided)
        checks = {
            f"lost: {len(wanted.keys() - found.keys())}": wanted.keys() <= found.keys(),
            "invented": found.keys() <= wanted.keys(),
            "wrong outcome": all(wanted[name] is kind for name, kind in found.items() if name in wanted),
            "decided twice": len(self.decided) == len(found),
            "news do not match": {one.transcription_id for one in self.decided} == set(self.news),
            "too many executions": len(self.began) <= len(wanted) + 2 * strikes + self.kills * OPEN_CALLS,
            # A process killed before it decides leaves a transcript that no outcome names; never the reverse.
            "a transcript is missing": canonical <= self.kept,
            "dead letters": self.dead == 0,
            "rows do not match": sorted(self.rows) == expected_rows,
            "current rows do not match": sorted(self.current)
            == sorted(r for r in expected_rows if r[1] == "canonical"),
        }
        return [problem for problem, holds in checks.items() if not holds]

    def __str__(self) -> str:
        n = len(self.plans)
        return (
            f"{n} events, {self.kills} kills, {self.took_s:.0f} s; lost {n - len(self.decided)}, executions "
            f"{len(self.began)} ({len(self.began) / n:.3f} each), news {sum(self.news.values())}; 3/N bound {3 / n:.2%}"
        )


def run_history(
    ours: cluster.Cluster,
    tmp_path: pathlib.Path,
    rng: random.Random,
    *,
    n: int,
    kills: int,
    slower: float = 1.0,
    **env: str,
) -> History:
    """Let three consumers work on `n` recordings; kill one of them about every second."""
    ours.create(partitions=12)
    plans = announce(ours, rng, n, slower)
    settings = ours.env(STUB_LOG=str(tmp_path / "began"), AFTERCALL_INTAKE__MAX_OPEN_CALLS=str(OPEN_CALLS), **env)
    started, killed = time.monotonic(), 0
    consumers = [cluster.Consumer(settings, tmp_path / f"log{at}", command=cluster.STUB) for at in range(3)]
    relay = start_relay(ours, tmp_path)
    try:
        while killed < kills or ours.lag() > 0:
            time.sleep(max(0.2, rng.expovariate(1.0)))
            if killed < kills:
                at = rng.randrange(len(consumers))
                consumers[at].kill()
                consumers[at] = cluster.Consumer(settings, tmp_path / f"log{at}", command=cluster.STUB)
                killed += 1
                if killed % 10 == 0:
                    relay.kill()
                    relay = start_relay(ours, tmp_path)
            for process in (*consumers, relay):
                process.check()
            assert time.monotonic() - started < max(480, n / 4), f"{ours.lag()} of {n} records are unfinished"
        statuses = [consumer.stop() for consumer in consumers]
        cluster.wait_until(lambda: ours.lag(ours.transcripts, group=".clickhouse") == 0, timeout_s=60, what="every row")
        # A consumer that was started a moment ago may not have begun to listen to signals.
        assert {0, -signal.SIGTERM} >= {*statuses, relay.stop()}
    finally:
        for process in (*consumers, relay):
            process.kill()
    columns = "recording_id, outcome, transcript_key"
    objects = [entry["path"] for batch in obstore.list(ours.bucket(ours.outbox), "transcripts/") for entry in batch]
    return History(
        plans=plans,
        kills=killed,
        took_s=time.monotonic() - started,
        began=[json.loads(line)["id"] for line in (tmp_path / "began").read_bytes().splitlines()],
        decided=ours.outcomes(),
        news=collections.Counter(events.parse(record.value).id for record in ours.records(ours.transcripts)),
        kept={path for path in objects if path.count("/") == 3},
        dead=len(ours.records(ours.dead)),
        rows=cluster.rows(tmp_path / "clickhouse", f"SELECT {columns} FROM recordings FINAL"),
        current=cluster.rows(tmp_path / "clickhouse", f"SELECT {columns} FROM recordings_current"),
    )


@pytest.mark.timeout(max(600, EVENTS / 3))
def test_every_event_has_one_outcome_through_kills(
    kafka: broker.Broker, store: s3.S3, names: str, tmp_path: pathlib.Path
) -> None:
    """Exactly one of canonical, rejected or dead, in the store, on the topic and in ClickHouse."""
    seed = int(os.environ.get("HISTORY_SEED", str(time.time_ns() % 10**9)))
    found = run_history(cluster.Cluster(kafka, store, names), tmp_path, random.Random(seed), n=EVENTS, kills=KILLS)
    sys.stdout.write(f"seed {seed}: {found}\n")
    assert [] == found.problems(), f"seed {seed}"


@pytest.mark.timeout(200)
def test_the_history_catches_a_consumer_that_commits_before_work(
    kafka: broker.Broker, store: s3.S3, names: str, tmp_path: pathlib.Path
) -> None:
    """Offsets that are finished when they are read are lost at the next kill, and the checker says so."""
    found = run_history(
        cluster.Cluster(kafka, store, names),
        tmp_path,
        random.Random(1),
        n=120,
        kills=8,
        slower=10,  # so that every kill finds work open
        STUB_MUTANT="commit_before_work",
    )
    assert any("lost" in one for one in found.problems()), found.problems()
