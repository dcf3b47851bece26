"""A broker that is killed again and again loses nothing that it had acknowledged, and neither do we."""

from __future__ import annotations

import collections
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import cluster
import obstore
import pytest
from peers import broker, proxy, s3

from aftercall.contracts import events

UPSTREAM = str(pathlib.Path(cluster.__file__).with_name("upstream.py"))
KILLS = int(os.environ.get("BROKER_KILLS", "20"))


@pytest.mark.timeout(max(420, 20 * KILLS))
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
        consumers = [cluster.Consumer(env, tmp_path / f"log{at}", command=cluster.STUB) for at in range(2)]
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


@pytest.mark.timeout(300)
def test_a_bad_network_loses_nothing(store: s3.S3, names: str, tmp_path: pathlib.Path) -> None:
    """Between consumers and broker: slow, silent for longer than a session, reset in the middle."""
    seed = int(os.environ.get("BROKER_SEED", str(time.time_ns() % 10**9)))
    rng = random.Random(seed)
    between = proxy.Proxy()
    server = broker.Broker(tmp_path, proxy_port=between.port)
    server.start()
    between.start(server.behind)
    ours = cluster.Cluster(server, store, names)
    ours.create(partitions=6)
    env = ours.env(
        STUB_LOG=str(tmp_path / "began"),
        AFTERCALL_INTAKE__MAX_OPEN_CALLS="8",
        AFTERCALL_KAFKA__BOOTSTRAP_SERVERS=f"127.0.0.1:{between.port}",
        AFTERCALL_KAFKA__SESSION_TIMEOUT_S="3",
    )
    told = [
        events.RecordingReady.model_validate(
            {"tenant": "acme", "call_id": f"n{at}", "recording_uri": f"s3://{ours.inbox}/any", "version": "1"}
        )
        for at in range(400)
    ]
    obstore.put(ours.bucket(ours.inbox), "any", b'{"sleep_s": 0.1}')
    faults: collections.Counter[str] = collections.Counter()
    consumers: list[cluster.Consumer] = []
    started = time.monotonic()
    try:
        consumers = [cluster.Consumer(env, tmp_path / f"log{at}", command=cluster.STUB) for at in range(2)]
        for first in range(0, len(told), 40):
            ours.announce(told[first : first + 40])
            between.mode = rng.choice(proxy.MODES[1:])
            faults[between.mode] += 1
            if between.mode == "reset":
                between.reset()
            time.sleep(rng.uniform(1, 5))
            between.mode = "pass"
            time.sleep(rng.uniform(0.5, 2))
        cluster.wait_until(
            lambda: len(ours.outcomes()) == len(told) and ours.lag() == 0,
            timeout_s=120,
            what=f"an outcome of everything announced (seed {seed})",
        )
        for consumer in consumers:
            consumer.check()
        news = [events.parse(record.value).id for record in ours.records(ours.transcripts)]
    finally:
        for consumer in consumers:
            consumer.kill()
        between.stop()
        server.kill()
    began = (tmp_path / "began").read_bytes().count(b"\n")
    decided = ours.outcomes()
    sys.stdout.write(
        f"seed {seed}: {dict(faults)}, {len(told)} announced, {len(decided)} outcomes, {began} executions,"
        f" {len(news)} news, {time.monotonic() - started:.0f} s\n"
    )
    assert {one.transcription_id for one in decided} == set(news)
    assert [] == cluster.doubled(one.recording_id for one in decided)
