"""ClickHouse away, the relay killed, a consumer scaled away: transcription goes on, and every row arrives.

`RELAY_OUTAGE_S` and `RELAY_KILLS` say how long and how often; `make soak` takes ten minutes and fifty.
"""

from __future__ import annotations

import json
import os
import pathlib
import sys
import time

import cluster
import obstore
import pytest
from peers import broker, s3

from aftercall.contracts import events

OUTAGE_S, N_KILLS = float(os.environ.get("RELAY_OUTAGE_S", "20")), int(os.environ.get("RELAY_KILLS", "5"))
N_CALLS = 300


@pytest.mark.timeout(1200)
def test_an_outage_of_clickhouse_is_made_up_for(
    kafka: broker.Broker, store: s3.S3, names: str, tmp_path: pathlib.Path
) -> None:
    """Outcomes come while it lasts; afterwards every recording has one row, and the sweep finds what news was lost."""
    ours = cluster.Cluster(kafka, store, names)
    ours.create()
    obstore.put(ours.bucket(ours.inbox), "any", json.dumps({"sleep_s": 0.05}).encode())
    uri = f"s3://{ours.inbox}/any"
    told = [
        events.RecordingReady.model_validate(
            {"tenant": "acme", "call_id": f"c{at}", "recording_uri": uri, "version": "1"}
        )
        for at in range(N_CALLS)
    ]
    folder = tmp_path / "clickhouse"
    folder.write_text("in the way")  # nothing can be opened here
    env = ours.env(
        AFTERCALL_CLICKHOUSE__FOLDER=str(folder),
        AFTERCALL_CLICKHOUSE__SWEEP_INTERVAL_S="2",
        AFTERCALL_CLICKHOUSE__SWEEP_SETTLE_S="0",
        AFTERCALL_KAFKA__SESSION_TIMEOUT_S="1.5",
    )
    stub = env | {"STUB_LOG": str(tmp_path / "began")}
    consumers = [cluster.Consumer(stub, tmp_path / f"consumer{at}", command=cluster.STUB) for at in range(2)]
    relay = cluster.Consumer(env, tmp_path / "relay", command=("-m", "aftercall.cli", "relay"))
    began_s, kills = time.monotonic(), 0

    def kill_relay() -> None:
        nonlocal relay, kills
        relay.kill()
        relay = cluster.Consumer(env, tmp_path / "relay", command=("-m", "aftercall.cli", "relay"))
        kills += 1

    try:
        ours.announce(told[: N_CALLS // 2])
        cluster.wait_until(lambda: len(ours.outcomes()) == N_CALLS // 2, timeout_s=60, what="outcomes in the outage")
        consumers[0].stop()
        ours.announce(told[N_CALLS // 2 :])
        cluster.wait_until(lambda: len(ours.outcomes()) == N_CALLS, timeout_s=60, what="outcomes of one consumer")
        decided_s = time.monotonic() - began_s
        while time.monotonic() - began_s < OUTAGE_S:
            time.sleep(min(2.0, OUTAGE_S / 10))
            if kills < N_KILLS / 2:
                kill_relay()
        folder.unlink()
        while kills < N_KILLS:
            time.sleep(4)
            kill_relay()
        cluster.wait_until(
            lambda: ours.lag(ours.transcripts, group=".clickhouse") == 0, timeout_s=90, what="every row written"
        )
        # What the news of was lost: an outcome that nobody told of.
        lost = ours.outcomes()[0].model_copy(update={"transcription_id": "tr_lost", "generation": 7})
        key = f"outcomes/acme/{lost.recording_id}/1/7.json"
        obstore.put(ours.bucket(ours.outbox), key, lost.model_dump_json().encode())
        cluster.wait_until(
            lambda: any(b"tr_lost" in (record.value or b"") for record in ours.records(ours.transcripts)),
            timeout_s=30,
            what="the sweep's news",
        )
        cluster.wait_until(lambda: ours.lag(ours.transcripts, group=".clickhouse") == 0, timeout_s=30, what="its row")
        relay.stop()
        consumers[1].stop()
    finally:
        for one in (*consumers, relay):
            one.kill()

    rows = cluster.rows(folder, "SELECT recording_id, count() FROM recordings FINAL GROUP BY recording_id")
    current = cluster.rows(folder, "SELECT recording_id FROM recordings_current")
    sys.stdout.write(
        f"ClickHouse away for {OUTAGE_S:.0f} s, {kills} kills of the relay: {N_CALLS} outcomes within"
        f" {decided_s:.0f} s, {len(rows)} recordings in rows, 0 lost\n"
    )
    assert N_CALLS == len(rows) == len(current)
    assert {"2"} == {count for id_, count in rows if id_ == lost.recording_id}
    assert {"1"} == {count for id_, count in rows if id_ != lost.recording_id}
