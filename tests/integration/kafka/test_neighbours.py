"""One tenant with 10,000 calls and nine with twenty: the nine hardly notice, and nothing of anybody is lost.

One consumer holds the whole capacity, and its engine takes four recordings at once.
"""

from __future__ import annotations

import json
import pathlib
import statistics
import time

import cluster
import obstore
import pytest
from peers import broker, s3

from aftercall.contracts import events

N_BIG, N_SMALL, SLEEP_S, PLACES = 10_000, 20, 0.3, 4
SMALL = [f"small{at}" for at in range(9)]
TENANTS = "".join(f"- {{name: {name}, weight: {4 if at < 3 else 1}}}\n" for at, name in enumerate(SMALL))
"""Three of the nine have a weight of four."""


def calls(ours: cluster.Cluster, tenant: str, n_calls: int) -> list[events.RecordingReady]:
    """Build a tenant's announcements; one recording stands for all."""
    uri = f"s3://{ours.inbox}/any"
    plain = {"tenant": tenant, "recording_uri": uri, "version": "1", "duration_s": 60.0}
    return [events.RecordingReady.model_validate(plain | {"call_id": f"{tenant}-{at}"}) for at in range(n_calls)]


def engine(folder: pathlib.Path) -> list[dict[str, float | str]]:
    """Return every beginning of work in the engine."""
    return [json.loads(line) for line in (folder / "began.engine").read_bytes().splitlines()]


def run(ours: cluster.Cluster, folder: pathlib.Path, *, n_big: int) -> list[float]:
    """Serve the nine, beside the big one or alone; return how long each of their calls waited."""
    folder.mkdir()
    ours.create(partitions=4)
    obstore.put(ours.bucket(ours.inbox), "any", json.dumps({"sleep_s": SLEEP_S}).encode())
    tenants = folder / "tenants.yaml"
    tenants.write_text(TENANTS + "- {name: big}\n")
    ours.announce(calls(ours, "big", n_big))
    consumer = cluster.Consumer(
        ours.env(
            STUB_LOG=str(folder / "began"),
            STUB_ENGINE_PLACES=str(PLACES),
            STUB_METRICS=str(folder / "metrics"),
            AFTERCALL_INTAKE__MAX_OPEN_CALLS="24",
            AFTERCALL_INTAKE__TENANTS_FILE=str(tenants),
        ),
        folder / "log",
        command=cluster.STUB,
    )
    try:
        consumer.wait_ready()
        if n_big:
            cluster.wait_until(lambda: len(engine(folder)) > 40, timeout_s=60, what="work of the big one")
        announced_s = time.time()
        # As they come: call after call of the nine, not tenant after tenant.
        nine = [calls(ours, tenant, N_SMALL) for tenant in SMALL]
        ours.announce(one for row in zip(*nine, strict=True) for one in row)

        def waits() -> list[float]:
            return [float(one["at_s"]) - announced_s for one in engine(folder) if one["tenant"] in SMALL]

        cluster.wait_until(lambda: len(waits()) == len(SMALL) * N_SMALL, timeout_s=90, what="the nine's work")
        if n_big:
            n_now = len(engine(folder))
            cluster.wait_until(lambda: len(engine(folder)) > n_now + 100, timeout_s=60, what="work of the big one")
        consumer.check()
        consumer.stop()
        return waits()
    finally:
        consumer.kill()


@pytest.mark.timeout(300)
def test_ten_thousand_calls_of_one_tenant_hardly_delay_the_others(
    kafka: broker.Broker, store: s3.S3, names: str, tmp_path: pathlib.Path
) -> None:
    """The nine's p95 wait is at most twice what it is without the big one, and no topic of theirs stops being read."""
    alone = run(cluster.Cluster(kafka, store, names + "a"), tmp_path / "alone", n_big=0)
    ours = cluster.Cluster(kafka, store, names)
    beside = run(ours, tmp_path / "beside", n_big=N_BIG)

    p95_alone, p95_beside = (statistics.quantiles(waits, n=20)[-1] for waits in (alone, beside))
    metrics = tmp_path / "beside" / "metrics"
    paused = _values(metrics, f'aftercall_intake_paused_partitions{{topic="{ours.recordings}"}}')
    put_aside = _values(metrics, 'aftercall_intake_parked_total{why="over_share"}')
    put_aside = [0.0] * (len(paused) + 1 - len(put_aside)) + put_aside
    busy = [float(one["at_s"]) for one in engine(tmp_path / "beside")]
    used = len(busy) * SLEEP_S / ((max(busy) - min(busy) + SLEEP_S) * PLACES)
    n_deferred, n_paused = len(ours.records(ours.deferred)), sum(each > 0 for each in paused)
    print(
        f"\nnine tenants' p95 wait {p95_alone:.1f} s alone, {p95_beside:.1f} s beside 10,000 calls of another;"
        f" engine {used:.0%} busy; {n_deferred} records put aside; paused in {n_paused} of {len(paused)} looks"
    )
    assert p95_beside <= 2 * p95_alone
    # A partition stands only while what it holds is on its way elsewhere, never for what waits.
    assert not [at for at, n in enumerate(paused) if n and put_aside[at + 1] == put_aside[max(0, at - 1)]]
    assert n_deferred > N_BIG / 4
    assert used >= 0.8  # 0.94 to 0.97 on a quiet machine; the order itself is held to 0.95 in tests/properties


@pytest.mark.timeout(150)
def test_forty_tenants_over_their_share_do_not_stop_a_partition(
    kafka: broker.Broker, store: s3.S3, names: str, tmp_path: pathlib.Path
) -> None:
    """Nothing of theirs ends for a long time; whoever comes then begins at once all the same."""
    ours = cluster.Cluster(kafka, store, names)
    ours.create(partitions=1)
    obstore.put(ours.bucket(ours.inbox), "any", json.dumps({"sleep_s": 300.0}).encode())
    many = [calls(ours, f"tenant{at}", 100) for at in range(40)]
    ours.announce(one for row in zip(*many, strict=True) for one in row)
    env = ours.env(
        STUB_LOG=str(tmp_path / "began"), AFTERCALL_INTAKE__MAX_OPEN_CALLS="64", AFTERCALL_KAFKA__DRAIN_S="0"
    )
    consumer = cluster.Consumer(env, tmp_path / "log", command=cluster.STUB)
    try:
        cluster.wait_until(lambda: len(ours.records(ours.deferred)) > 3000, timeout_s=60, what="most put aside")
        announced_s = time.time()
        ours.announce(calls(ours, "newcomer", 1))
        cluster.wait_until(
            lambda: any(one["tenant"] == "newcomer" for one in engine(tmp_path)), timeout_s=20, what="the newcomer's"
        )
        consumer.check()
    finally:
        consumer.kill()
    (begun_s,) = [float(one["at_s"]) for one in engine(tmp_path) if one["tenant"] == "newcomer"]
    print(f"\nbeside 40 tenants with 4,000 calls waiting, a newcomer's begins after {begun_s - announced_s:.1f} s")
    assert begun_s - announced_s < 5


def _values(path: pathlib.Path, name: str) -> list[float]:
    return [float(line.rpartition(" ")[2]) for line in path.read_text().splitlines() if line.startswith(name)]
