"""Poison among good recordings, and one that takes ten minutes at the head of a partition: the others hardly notice."""

from __future__ import annotations

import collections
import json
import pathlib
import statistics

import cluster
import obstore
import pytest
from peers import broker, s3

from aftercall.contracts import events, outcomes

N_GOOD, N_MALFORMED, N_KILLERS, SLEEP_S, PLACES = 600, 6, 2, 0.1, 8
MALFORMED = [
    b"",
    b"not json",
    b'{"specversion": "1.0"}',
    b"[" * 100_000,
    b'{"Records": [{"eventName": "ObjectCreated:Put"}]}',
    b"\xff\xfe" * 300_000,
]


def run(ours: cluster.Cluster, folder: pathlib.Path, *, poisoned: bool) -> list[float]:
    """Announce good recordings, with poison among them or without; return when each began, after the first."""
    folder.mkdir()
    ours.create(partitions=2)
    bucket = ours.bucket(ours.inbox)
    plans = {"good": {"sleep_s": SLEEP_S}, "killer": {"sleep_s": 0.0, "do": "strike"}, "long": {"sleep_s": 600.0}}
    for name, plan in plans.items():
        obstore.put(bucket, name, json.dumps(plan).encode())

    def event(call_id: str, kind: str) -> events.RecordingReady:
        plain = {"tenant": "acme", "call_id": call_id, "recording_uri": f"s3://{ours.inbox}/{kind}", "version": "1"}
        return events.RecordingReady.model_validate(plain)

    told: list[events.RecordingReady | bytes] = [event(f"good{at}", "good") for at in range(N_GOOD)]
    if poisoned:
        for at in range(N_KILLERS):
            told.insert(N_GOOD // 3 * (at + 1), event(f"killer{at}", "killer"))
        for at, bad in enumerate(MALFORMED):
            told.insert(at * 97 + 5, bad)
        told.insert(0, event("long", "long"))
    ours.announce(told)
    env = ours.env(
        STUB_LOG=str(folder / "began"),
        STUB_ENGINE_PLACES=str(PLACES + 1),  # one for the long one, which takes no more than its own window's turn
        AFTERCALL_INTAKE__MAX_OPEN_CALLS="24",
        AFTERCALL_KAFKA__DRAIN_S="0",
    )
    consumer = cluster.Consumer(env, folder / "log", command=cluster.STUB)
    try:
        n_wanted = N_GOOD + (N_KILLERS if poisoned else 0)
        cluster.wait_until(
            lambda: len(ours.outcomes()) == n_wanted, timeout_s=90, what="every outcome but the long one's"
        )
        consumer.check()
        consumer.stop()
    finally:
        consumer.kill()
    lines = [json.loads(line) for line in (folder / "began.engine").read_bytes().splitlines()]
    began = [one["at_s"] for one in lines if one["id"].startswith("good")]
    return sorted(at_s - min(began) for at_s in began)


@pytest.mark.timeout(240)
def test_poison_and_a_long_job_delay_nobody_else(
    kafka: broker.Broker, store: s3.S3, names: str, tmp_path: pathlib.Path
) -> None:
    """The others' p99 is at most twice what it is without; each poison has its own end."""
    baseline = run(cluster.Cluster(kafka, store, names + "a"), tmp_path / "alone", poisoned=False)
    ours = cluster.Cluster(kafka, store, names)
    beside = run(ours, tmp_path / "beside", poisoned=True)

    p99_baseline, p99_beside = (statistics.quantiles(waits, n=100)[98] for waits in (baseline, beside))
    print(f"\np99 wait {p99_baseline:.1f} s without poison, {p99_beside:.1f} s with")
    assert p99_beside <= 2 * p99_baseline
    ends = collections.Counter((one.kind, one.reason) for one in ours.outcomes())
    assert {
        (outcomes.Kind.CANONICAL, outcomes.Reason.DONE): N_GOOD,
        (outcomes.Kind.DEAD, outcomes.Reason.DECODER_DIED): N_KILLERS,
    } == ends
    letters = [dict(record.headers) for record in ours.records(ours.dead)]
    assert N_MALFORMED == len(letters)
    assert {b"invalid_event"} == {headers["aftercall-reason"] for headers in letters}
    assert ours.lag() > 0  # the long one is not finished, and will be read again
