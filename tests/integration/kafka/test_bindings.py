"""Tenants as the operator compiles them, mounted as a folder: each is held to its topics, lanes and buckets."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import cluster
import httpx2
import obstore
import pytest
from peers import broker, process, s3

from aftercall.contracts import events, outcomes
from aftercall.operator import tenancy

Kind, Reason = outcomes.Kind, outcomes.Reason
API = ("-m", "aftercall.cli", "api")


def mount(folder: pathlib.Path, specs: dict[str, dict[str, object]]) -> None:
    """Write what the operator would, as ConfigMaps are mounted beside each other."""
    files, findings = tenancy.compile_tenants(specs, max_consumers=4, shards=2)
    assert {} == findings
    for at, text in enumerate(files):
        (folder / f"shard-{at}").mkdir(parents=True, exist_ok=True)
        (folder / f"shard-{at}" / "tenants.yaml").write_text(text)


@pytest.mark.timeout(240)
def test_tenants_are_held_to_what_they_may_name(
    kafka: broker.Broker, store: s3.S3, names: str, tmp_path: pathlib.Path
) -> None:
    """A wrong topic is a dead letter, a wrong bucket a rejection, an upload refused; replays go where they may."""
    ours = cluster.Cluster(kafka, store, names)
    ours.create()
    bulk, other = f"{names}.bulk", f"{names}-other"
    kafka.create_topics({bulk: 2})
    store.create_bucket(other)
    for bucket in (ours.inbox, other):
        obstore.put(ours.bucket(bucket), "any", json.dumps({"sleep_s": 0.0}).encode())
    folder = tmp_path / "tenants"
    folder.mkdir()

    def event(tenant: str, call_id: str, bucket: str) -> events.RecordingReady:
        plain = {"tenant": tenant, "call_id": call_id, "recording_uri": f"s3://{bucket}/any", "version": "1"}
        return events.RecordingReady.model_validate(plain)

    ours.announce(
        [
            event("acme", "mine", ours.inbox),
            event("acme", "elsewhere", other),
            event("globex", "live", ours.inbox),
        ]
    )
    port, counted = process.free_port(), tmp_path / "metrics"
    settings = ours.env(
        AFTERCALL_KAFKA__TOPICS=f"[{{name: {ours.recordings}, promise_s: 3600}}, {{name: {bulk}, lane: bulk}}]",
        AFTERCALL_STORE__RECORDING_BUCKETS=f"[{{name: {ours.inbox}}}, {{name: {other}}}]",
        AFTERCALL_INTAKE__TENANTS_FILE=str(folder),
        AFTERCALL_INTAKE__PROMISE_S="0.000001",
        AFTERCALL_API__PORT=str(port),
        AFTERCALL_API__KEYS="{acme: a-key}",
        AFTERCALL_API__UPLOADS_BUCKET=other,
    )
    stub = {"STUB_LOG": str(tmp_path / "began"), "STUB_METRICS": str(counted)}

    def command(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "aftercall.cli", *arguments],
            env=os.environ | settings,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert 0 == done.returncode, done.stderr
        return done.stdout

    consumer = cluster.Consumer(settings | stub, tmp_path / "log", command=cluster.STUB)
    api = cluster.Consumer(settings, tmp_path / "api", command=API)
    try:
        cluster.wait_until(lambda: len(ours.records(ours.parked)) == 3, timeout_s=60, what="everybody waits")
        assert [] == ours.outcomes()
        mount(
            folder,
            {
                "acme": {"topics": [ours.recordings], "buckets": [ours.inbox], "audioSecondsPerMinute": 60_000},
                "globex": {"lanes": ["Bulk"]},
            },
        )
        command("publish", f"s3://{other}/any", "--tenant", "globex", "--call-id", "bulk", "--topic", bulk)
        cluster.wait_until(lambda: len(ours.outcomes()) == 3, timeout_s=60, what="outcomes of what may be")
        cluster.wait_until(lambda: len(ours.records(ours.dead)) == 1, timeout_s=60, what="the dead letter")
        announced = json.loads(command("replay", "--since", "2020-01-01", "--json"))["announced"]
        cluster.wait_until(lambda: len(ours.outcomes()) == 5, timeout_s=60, what="outcomes of replays")
        # The first topic promises an hour, and the settings next to nothing.
        for kept, tenant, n in (("true", "acme", 3), ("false", "globex", 2)):
            line = f'aftercall_consumer_promises_total{{kept="{kept}",tenant="{tenant}"}} {n}.0'
            cluster.wait_until(lambda line=line: line in counted.read_text(), timeout_s=20, what=line)  # type: ignore[misc]
        refused = httpx2.post(
            f"http://127.0.0.1:{port}/v1/audio/transcriptions",
            headers={"Authorization": "Bearer a-key"},
            files={"file": ("c.wav", b"RIFF")},
            data={"model": "whisper-1"},
            timeout=30,
        )
        assert 0 == consumer.stop()
        api.check()
    finally:
        consumer.kill()
        api.kill()

    decided = {(one.tenant, one.recording_id, one.generation): (one.kind, one.reason) for one in ours.outcomes()}
    done = (Kind.CANONICAL, Reason.DONE)
    assert {
        ("acme", "mine", 1): done,
        ("acme", "mine", 2): done,
        ("acme", "elsewhere", 1): (Kind.REJECTED, Reason.FORBIDDEN_SOURCE),
        ("globex", "bulk", 1): done,
        ("globex", "bulk", 2): done,
    } == decided
    assert ["acme/mine", "globex/bulk"] == sorted(announced)
    (dead,) = ours.records(ours.dead)
    headers = dict(dead.headers)
    assert b"forbidden_source" == headers["aftercall-reason"]
    assert b"tenant 'globex' may not be named on topic" in headers["aftercall-message"]
    assert 403 == refused.status_code
    assert "may not lie where uploads are kept" in refused.text
