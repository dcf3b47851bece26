"""A broker that is killed again and again loses nothing that it had acknowledged, and neither do we."""

from __future__ import annotations

import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import cluster
import pytest
from peers import broker, s3

from aftercall.contracts import events

STUB = str(pathlib.Path(cluster.__file__).with_name("stub_consumer.py"))
UPSTREAM = str(pathlib.Path(cluster.__file__).with_name("upstream.py"))
KILLS = int(os.environ.get("BROKER_KILLS", "20"))


@pytest.mark.timeout(420)
def test_nothing_acknowledged_is_lost(store: s3.S3, names: str, tmp_path: pathlib.Path) -> None:
    """Every announcement that was acknowledged ends in one outcome, through twenty kills of the broker."""
    seed = int(os.environ.get("BROKER_SEED", str(time.time_ns() % 10**9)))
    rng = random.Random(seed)
    server = broker.Broker(tmp_path)
    server.start()
    ours = cluster.Cluster(server, store, names)
    ours.create(partitions=6)
    env = ours.env(STUB_LOG=str(tmp_path / "began"), AFTERCALL_INTAKE__MAX_OPEN_CALLS="8")
    consumers: list[cluster.Consumer] = []
    upstream = subprocess.Popen(
        [sys.executable, UPSTREAM, server.address, ours.recordings, store.endpoint, ours.inbox, str(seed)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    started = time.monotonic()
    try:
        consumers = [cluster.Consumer(env, tmp_path / f"log{at}", command=(STUB,)) for at in range(2)]
        for _ in range(KILLS):
            time.sleep(rng.uniform(0.5, 3))
            server.kill()
            time.sleep(rng.uniform(0, 1))
            server.start()
        said, _ = upstream.communicate("stop\n", timeout=120)
        announced, acknowledged = (set(line.split()) for line in said.splitlines())
        cluster.wait_until(
            lambda: acknowledged <= {one.recording_id for one in ours.outcomes()},
            timeout_s=90,
            what=f"an outcome of everything acknowledged (seed {seed})",
        )
        cluster.wait_until(lambda: ours.lag() == 0, timeout_s=60, what=f"every offset committed (seed {seed})")
        for consumer in consumers:
            consumer.check()
        news = [events.parse(record.value).id for record in ours.records(ours.transcripts)]
    except AssertionError:
        for consumer in consumers:
            consumer.signal(signal.SIGUSR1)
        time.sleep(1)
        raise
    finally:
        upstream.kill()
        upstream.communicate()
        for consumer in consumers:
            consumer.kill()
        server.kill()
    decided = ours.outcomes()
    began = (tmp_path / "began").read_bytes().count(b"\n")
    sys.stdout.write(
        f"seed {seed}: {KILLS} kills of the broker, {len(announced)} announced, {len(acknowledged)} "
        f"acknowledged, {len(decided)} outcomes, {began} executions, {len(news)} news, "
        f"{time.monotonic() - started:.0f} s\n"
    )
    assert len(acknowledged) >= 20, "the broker was hardly ever up: this showed nothing"
    assert {one.recording_id for one in decided} <= announced
    assert [] == cluster.doubled(one.recording_id for one in decided)
    assert {one.transcription_id for one in decided} == set(news)
