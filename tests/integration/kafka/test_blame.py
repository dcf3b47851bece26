"""Who is blamed when a process dies: a recording that kills it every time, and never one that was merely there."""

from __future__ import annotations

import json
import pathlib
import time

import cluster
import obstore
import pytest
from peers import broker, s3

from aftercall.contracts import events, outcomes


@pytest.mark.timeout(150)
def test_a_recording_that_kills_every_process_is_dead_and_its_neighbours_are_not(
    kafka: broker.Broker, store: s3.S3, names: str, tmp_path: pathlib.Path
) -> None:
    """After one death among others and three alone; whatever was open beside it is transcribed."""
    ours = cluster.Cluster(kafka, store, names)
    ours.create(partitions=2)
    told = []
    for at in range(12):
        name = "killer" if at == 5 else f"r{at}"
        plan = {"sleep_s": 0.5 if at == 5 else 0.8, "do": "die" if at == 5 else "hear"}
        obstore.put(ours.bucket(ours.inbox), name, json.dumps(plan).encode())
        uri = f"s3://{ours.inbox}/{name}"
        plain = {"tenant": "acme", "call_id": name, "recording_uri": uri, "version": "1"}
        told.append(events.RecordingReady.model_validate(plain))
    ours.announce(told)
    env = ours.env(
        STUB_LOG=str(tmp_path / "began"),
        AFTERCALL_INTAKE__MAX_OPEN_CALLS="12",
        AFTERCALL_KAFKA__SESSION_TIMEOUT_S="1.5",
        AFTERCALL_STORE__CLAIM_LEASE_S="1",
    )
    started, deaths = time.monotonic(), 0
    consumer = cluster.Consumer(env, tmp_path / "log", command=cluster.STUB)
    try:
        while len(ours.outcomes()) < len(told) or ours.lag() > 0:
            if consumer.process.poll() is not None:  # as Kubernetes would
                deaths += 1
                consumer.kill()
                consumer = cluster.Consumer(env, tmp_path / "log", command=cluster.STUB)
            assert time.monotonic() - started < 120, f"{deaths} deaths, {len(ours.outcomes())} outcomes"
            time.sleep(0.2)
        consumer.stop()
    finally:
        consumer.kill()

    decided = {one.recording_id: (one.kind, one.reason) for one in ours.outcomes()}
    assert (outcomes.Kind.DEAD, outcomes.Reason.PROCESS_DIED) == decided.pop("killer")
    assert {(outcomes.Kind.CANONICAL, outcomes.Reason.DONE)} == set(decided.values())
    assert 4 == deaths
    began = [json.loads(line)["id"] for line in (tmp_path / "began").read_bytes().splitlines()]
    assert 4 == began.count("killer")
