"""One limit and many consumers: kept while they come and go, and while nobody answers their reports.

Consumers, broker, object store, exchange and its endpoint are real; what is measured is the news of transcripts.
"""

from __future__ import annotations

import json
import pathlib
import re
import socket
import time
from collections.abc import Iterator

import cluster
import obstore
import pytest
from peers import broker, s3

from aftercall.contracts import events
from aftercall.operator import grants

CALL_S, SLEEP_S = 8.0, 0.05
PER_S, BURST_S, MOST = 40.0, 60.0, 4
LEASE_S, INTERVAL_S = 120.0, 0.5
"""An operator may be away for a minute, and take its time to begin; after that minute a consumer asks once in 33 s."""
LIMIT = grants.Limit(PER_S, MOST, BURST_S)
HOST = (str(pathlib.Path(cluster.__file__).with_name("reports_host.py")),)
WINDOW_S, SETTLE_S = 60.0, 6.0


class Floor:
    """Consumers of one limit, and the operator's side of their reports."""

    def __init__(self, ours: cluster.Cluster, folder: pathlib.Path) -> None:
        self._ours = ours
        self._folder = folder
        self._n_started = 0
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self._epoch = 0
        self.consumers: list[cluster.Consumer] = []
        self.host: cluster.Consumer | None = None
        self._tenants = folder / "tenants.yaml"
        policy = {
            "name": "busy",
            "audio_seconds_per_minute": 60 * PER_S,
            "burst_audio_seconds": BURST_S,
            "floor_audio_seconds_per_minute": 60 * LIMIT.floor_per_s,
        }
        self._tenants.write_text(json.dumps([policy]))

    def answer(self) -> None:
        """Let reports be answered."""
        self._epoch += 1
        env = {
            "HOST_PORT": str(self._port),
            "HOST_EPOCH": str(self._epoch),
            "HOST_LEASE_S": str(LEASE_S),
            "HOST_STALE_S": "3",
            # Nobody was before the first.
            "HOST_BEGAN_AGO_S": str(LEASE_S if self._epoch == 1 else 0),
            "HOST_LIMITS": json.dumps({"busy": [PER_S, MOST, BURST_S]}),
        }
        self.host = cluster.Consumer(env, self._folder / f"host-{self._epoch}", command=HOST)
        self.host.wait_ready()

    def go_away(self) -> None:
        """Let nobody answer."""
        assert self.host is not None
        self.host.kill()

    @property
    def names(self) -> list[str]:
        """Those of the consumers that run."""
        return [f"pod-{at + 1}" for at in range(len(self.consumers))]

    def scale(self, n_consumers: int) -> None:
        """Start consumers, or let the last ones drain."""
        while len(self.consumers) > n_consumers:
            assert 0 == self.consumers.pop().stop()
        started = []
        while len(self.consumers) < n_consumers:
            self._n_started += 1
            name = f"pod-{self._n_started}"
            token = self._folder / f"{name}.token"
            token.write_text(name)
            env = self._ours.env(
                STUB_LOG=str(self._folder / f"{name}.began"),
                STUB_METRICS=str(self._folder / f"{name}.metrics"),
                AFTERCALL_INTAKE__TENANTS_FILE=str(self._tenants),
                AFTERCALL_INTAKE__MAX_OPEN_CALLS="16",
                # Nothing is put aside: that would lie in one partition, with one consumer, since it is one tenant's.
                AFTERCALL_KAFKA__MAX_OPEN_RECORDS="10000",
                AFTERCALL_REPORTING__URL=f"http://127.0.0.1:{self._port}",
                AFTERCALL_REPORTING__POOL="calls",
                AFTERCALL_REPORTING__NAME=name,
                AFTERCALL_REPORTING__TOKEN_FILE=str(token),
                AFTERCALL_REPORTING__INTERVAL_S=str(INTERVAL_S),
            )
            started.append(cluster.Consumer(env, self._folder / f"{name}.log", command=cluster.STUB))
            self.consumers.append(started[-1])
        for each in started:
            each.wait_ready()

    def close(self) -> None:
        """End every process."""
        for each in (*self.consumers, *([self.host] if self.host is not None else [])):
            each.kill()

    def lease_left_s(self, consumer: str) -> float:
        """Return what a consumer says last of how long its grants are good."""
        text = (self._folder / f"{consumer}.metrics").read_text()
        return float(re.findall(r"^aftercall_consumer_grant_lease_seconds (\S+)$", text, re.MULTILINE)[-1])


@pytest.fixture
def floor(kafka: broker.Broker, store: s3.S3, names: str, tmp_path: pathlib.Path) -> Iterator[Floor]:
    """A topic with far more work of one tenant than its limit lets through."""
    ours = cluster.Cluster(kafka, store, names)
    ours.create(partitions=8)
    obstore.put(ours.bucket(ours.inbox), "any", json.dumps({"sleep_s": SLEEP_S, "audio_s": CALL_S}).encode())
    plain = {"tenant": "busy", "recording_uri": f"s3://{ours.inbox}/any", "version": "1", "duration_s": CALL_S}
    ours.announce(events.RecordingReady.model_validate(plain | {"call_id": f"c{at}"}) for at in range(2500))
    found = Floor(ours, tmp_path)
    yield found
    found.close()


def news(ours: cluster.Cluster) -> list[float]:
    """Return when each transcript was told of."""
    return sorted(record.timestamp / 1000 for record in ours.records(ours.transcripts))


def errors(told: list[float], since_s: float, until_s: float) -> list[float]:
    """Return the error of every window of a minute within these, at every second."""
    starts = range(int((until_s - since_s - WINDOW_S) + 1))
    counts = [sum(since_s + at <= each < since_s + at + WINDOW_S for each in told) for at in starts]
    return [count * CALL_S / (PER_S * WINDOW_S) - 1 for count in counts]


@pytest.mark.timeout(400)
def test_a_limit_holds_while_consumers_scale_and_while_the_operator_is_away(
    kafka: broker.Broker, store: s3.S3, names: str, floor: Floor
) -> None:
    """One, four, two, and a minute without an operator: within 5 % over every minute, and never above it by more."""
    floor.answer()
    floor.scale(1)
    phases = {}
    for n_consumers in (1, 4, 2):
        floor.scale(n_consumers)
        time.sleep(SETTLE_S)
        began_s = time.time()
        if n_consumers == 2:
            floor.go_away()
        time.sleep(WINDOW_S + 2)
        phases[n_consumers] = began_s, time.time()
    floor.answer()
    back_s = time.time()
    cluster.wait_until(
        lambda: all(floor.lease_left_s(each) > LEASE_S - 10 for each in floor.names),
        timeout_s=40,
        what="answers to all consumers",
    )
    time.sleep(10)
    for each in floor.consumers:
        each.check()
    told = news(cluster.Cluster(kafka, store, names))

    print()
    for n_consumers, (since_s, until_s) in phases.items():
        found = errors(told, since_s, until_s)
        note = ", no operator" if n_consumers == 2 else ""
        print(f"{n_consumers} consumers{note}: error over a minute {min(found):+.1%} to {max(found):+.1%}")
        assert max(abs(each) for each in found) <= 0.05
    always = errors(told, phases[1][0], told[-1])
    print(f"from one to four to two: {min(always):+.1%} to {max(always):+.1%} over {len(always)} windows of a minute")
    assert max(always) <= 0.05
    since_back = sum(each >= back_s for each in told) * CALL_S / (PER_S * (told[-1] - back_s))
    print(f"since another operator answers: {since_back:.1%} of the limit")
    assert since_back >= 0.9
