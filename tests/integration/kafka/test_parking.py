"""What cannot be taken yet waits on a topic, through restarts, and is taken once it can be."""

from __future__ import annotations

import json
import pathlib

import cluster
import obstore
import pytest
from peers import broker, s3

from aftercall.contracts import events


@pytest.mark.timeout(150)
def test_a_tenant_that_is_listed_later_is_served_then(
    kafka: broker.Broker, store: s3.S3, names: str, tmp_path: pathlib.Path
) -> None:
    """Its recordings, and nobody else's, wait; an event of a later version waits on; a restart loses neither."""
    ours = cluster.Cluster(kafka, store, names)
    ours.create()
    obstore.put(ours.bucket(ours.inbox), "any", json.dumps({"sleep_s": 0.0}).encode())
    tenants = tmp_path / "tenants.yaml"
    tenants.write_text("- {name: known}\n")

    def event(tenant: str) -> events.RecordingReady:
        plain = {"tenant": tenant, "call_id": tenant, "recording_uri": f"s3://{ours.inbox}/any", "version": "1"}
        return events.RecordingReady.model_validate(plain)

    later = {"specversion": "1.0", "id": "1", "source": "t", "type": "io.aftercall.recording.ready.v2", "data": {}}
    ours.announce([event("later"), event("known"), json.dumps(later).encode()])
    env = ours.env(
        STUB_LOG=str(tmp_path / "began"),
        AFTERCALL_INTAKE__TENANTS_FILE=str(tenants),
        AFTERCALL_KAFKA__SESSION_TIMEOUT_S="1.5",
    )
    consumer = cluster.Consumer(env, tmp_path / "log", command=cluster.STUB)
    try:
        cluster.wait_until(
            lambda: len(ours.records(ours.parked)) == 2 and ours.lag() == 0, timeout_s=60, what="two parked"
        )
        assert ["known"] == [one.tenant for one in ours.outcomes()]
        consumer.kill()
        consumer = cluster.Consumer(env, tmp_path / "log", command=cluster.STUB)
        tenants.write_text("- {name: known}\n- {name: later}\n")
        cluster.wait_until(lambda: len(ours.outcomes()) == 2, timeout_s=60, what="the one that was parked")
        consumer.stop()
        assert ours.lag(ours.parked) > 0  # the one of a later version is not finished
    finally:
        consumer.kill()

    assert {"known", "later"} == {one.tenant for one in ours.outcomes()}
    assert [] == ours.records(ours.dead)
    why = [dict(record.headers)["aftercall-parked"] for record in ours.records(ours.parked)]
    assert {b"unknown_tenant", b"newer_schema"} == set(why)
