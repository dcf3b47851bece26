"""A bucket that tells Kafka itself of what is put into it: nothing between the upload and the transcript."""

from __future__ import annotations

import json
import pathlib

import cluster
import obstore
import pytest
from peers import broker, s3

KEYS = [
    "acme/2026/11/21/plain.wav",
    "acme/2026-11-21/with space (1) & plus+.wav",
    "zürich/2026-11-21/ünï—cöde 電話.wav",
]


@pytest.mark.timeout(120)
def test_what_is_put_into_a_bucket_is_transcribed(kafka: broker.Broker, names: str, tmp_path: pathlib.Path) -> None:
    """Under the ids that its key tells; what the templates do not match, and what is deleted, is passed over."""
    (tmp_path / "s3").mkdir()
    ours = cluster.Cluster(kafka, s3.S3(tmp_path / "s3", kafka=(kafka.address, f"{names}.recordings")), names)
    ours.create_topics()
    ours.s3.start()
    consumer = None
    try:
        ours.create_buckets()
        inbox = ours.bucket(ours.inbox)
        for key in KEYS:
            obstore.put(inbox, key, json.dumps({"sleep_s": 0.1}).encode())
        obstore.put(inbox, "readme.txt", b"no call")
        obstore.put(inbox, "acme/2026-11-21/gone.wav", b"{}")
        obstore.delete(inbox, "acme/2026-11-21/gone.wav")
        binding = {
            "name": ours.recordings,
            "tenants": ["acme", "zürich"],
            "key_templates": ["{tenant}/{date}/{call_id}.{ext}"],
        }
        env = ours.env(
            STUB_LOG=str(tmp_path / "began"),
            STUB_METRICS=str(tmp_path / "metrics"),
            AFTERCALL_KAFKA__TOPICS=json.dumps([binding]),
        )
        consumer = cluster.Consumer(env, tmp_path / "log", command=cluster.STUB)
        cluster.wait_until(lambda: len(ours.outcomes()) >= len(KEYS) + 1, timeout_s=60, what="every outcome")
        cluster.wait_until(lambda: ours.lag() == 0, timeout_s=30, what="every offset")
        consumer.stop()
        found = {(one.tenant, one.call_id): (one.kind, one.reason) for one in ours.outcomes()}
    finally:
        if consumer is not None:
            consumer.kill()
        ours.s3.stop()

    assert ("rejected", "not_found") == found.pop(("acme", "gone"))
    assert {("acme", "plain"), ("acme", "with space (1) & plus+"), ("zürich", "ünï—cöde 電話")} == set(found)
    assert {("canonical", "done")} == set(found.values())
    last = (tmp_path / "metrics").read_text()
    assert 'aftercall_intake_skipped_total{why="key_template"} ' in last
    assert 'aftercall_intake_skipped_total{why="other_event"} ' in last
