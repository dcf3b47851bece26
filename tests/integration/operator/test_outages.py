"""The operator while the control plane dies, hangs and refuses: replicas follow the backlog soon after it is back."""

from __future__ import annotations

import os
import random
import statistics
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import cluster
import operated
import pytest
from peers import control_plane as plane
from peers import gateway

if TYPE_CHECKING:
    from conftest import Build

KILLS = int(os.environ.get("APISERVER_KILLS", "5"))
BLACKHOLES = int(os.environ.get("BLACKHOLES", "5"))
WITHIN_S = 90.0
STALE_S = 6.0


class Pool:
    """A pool that is given more and more to do: each `add` wants ten speech servers more."""

    def __init__(self, space: operated.Namespace) -> None:
        self._space = space
        self._topic = f"{space.name}.calls"
        space.client.apply(operated.growing("calls", self._topic, space.name), namespace=space.name)
        # What is there at first is no arrival, and what comes then is one among many seconds without.
        operated.publish(space.kafka, self._topic, 1)
        self._before = 1
        self._consumers = 4

    def add(self) -> None:
        """Publish more calls."""
        operated.publish(self._space.kafka, self._topic, operated.TEN_MORE)

    def rest(self) -> None:
        """Wait until nothing more is done about what came so far."""
        cluster.wait_until(self._is_at_rest, timeout_s=60, what="the pool is at rest")

    def _is_at_rest(self) -> bool:
        self._before = self._space.asked("aftercall-calls-speech")
        time.sleep(2.5)  # two looks, and a half
        return self._before == self._space.asked("aftercall-calls-speech")

    def change(self) -> None:
        """Change the pool, which only a watch or a list tells of."""
        self._consumers = 9 - self._consumers  # 5, 4, 5: all more than there are partitions
        change = {"spec": {"consumers": {"maxReplicas": self._consumers}}}
        self._space.client.patch("TranscriptionPool", "calls", change, namespace=self._space.name)

    def is_seen(self) -> bool:
        """Say whether the newest change of the pool has been followed."""
        found = self._space.get("TranscriptionPool", "calls")
        return found["metadata"]["generation"] == found.get("status", {}).get("observedGeneration")

    def has_grown(self) -> bool:
        """Say whether more speech servers are asked for than when it was at rest."""
        return self._space.asked("aftercall-calls-speech") > self._before


def _took_s(condition: Callable[[], bool], what: str, *, since: float) -> float:
    cluster.wait_until(condition, timeout_s=WITHIN_S, what=what)
    return time.monotonic() - since


def _told(what: str, took_s: list[float]) -> None:
    print(f"{what}: n {len(took_s)}, median {statistics.median(took_s):.1f} s, max {max(took_s):.1f} s")


def _only_grew(space: operated.Namespace) -> bool:
    """Say whether nothing was ever taken away, and nobody but the operator wrote."""
    to = [replicas for _, _, replicas in space.scaled("aftercall-calls-speech")]
    return to == sorted(to) and {space.user} == space.writers()


@pytest.mark.timeout(120 + 60 * KILLS)
def test_replicas_follow_the_backlog_after_each_death_of_the_api_server(
    namespace_of: Build, control_plane: plane.ControlPlane
) -> None:
    """Calls come while there is no API server. Its watch is alive again after each, and the probe stays green."""
    rng = random.Random(seed := random.randrange(1 << 32))
    space = namespace_of("calls", do_speak=True, settings={"AFTERCALL_OPERATOR__STALE_S": "20"}, may_be_refused=True)
    pool = Pool(space)
    space.start()
    space.settle("calls")
    pool.add()
    cluster.wait_until(pool.has_grown, timeout_s=30, what="the pool is scaled at all")
    grew_s, seen_s = [], []
    for _ in range(KILLS):
        pool.rest()
        control_plane.kill_apiserver()
        try:
            pool.add()
            time.sleep(rng.uniform(1, 5))
        finally:
            control_plane.start_apiserver()
        since = time.monotonic()
        pool.change()
        grew_s.append(_took_s(pool.has_grown, "replicas follow", since=since))
        seen_s.append(_took_s(pool.is_seen, "the pool's change is followed", since=since))
        assert 200 == space.probe("healthz")[0]
    # A watch that has not told of a change for this long would have made the probe red.
    time.sleep(30)
    print(f"seed {seed}")
    _told("API server killed: replicas follow after it is back", grew_s)
    _told("API server killed: a change of the pool is followed", seen_s)
    assert (200, "ok\n") == space.probe("healthz")
    assert _only_grew(space)


@pytest.mark.timeout(120 + 120 * BLACKHOLES)
def test_a_dead_watch_turns_the_probe_red_and_delays_without_stopping(
    namespace_of: Build, before_api: gateway.Gateway
) -> None:
    """Connections go silent, of watches alone or of everything; a kubelet's restart, or ten seconds more, heal it."""
    space = namespace_of(
        "calls", do_speak=True, through=before_api, settings={"AFTERCALL_OPERATOR__STALE_S": str(STALE_S)}
    )
    pool = Pool(space)
    space.start()
    space.settle("calls")
    pool.add()
    cluster.wait_until(pool.has_grown, timeout_s=30, what="the pool is scaled at all")
    cluster.wait_until(pool.is_seen, timeout_s=30, what="the pool is followed at all")
    grew_s, seen_s, red_s, healed_s = [], [], [], []

    def is_red() -> bool:
        code, said = space.probe("healthz")
        return code == 503 and "watch" in said

    for at in range(BLACKHOLES):
        pool.rest()
        assert before_api.blackhole(only_watches=at % 2 == 0) >= 2
        since = time.monotonic()
        pool.change()
        pool.add()
        grew_s.append(_took_s(pool.has_grown, "replicas follow", since=since))
        seen_s.append(_took_s(pool.is_seen, "the pool's change is followed", since=since))
        red_s.append(_took_s(is_red, "the probe is red", since=since))
        if at % 10 < 9:
            assert space.operator is not None
            space.operator.stop(20)
            space.start()
            space.settle("calls")
        # Otherwise it is left alone, and kopf begins its watch anew.
        healed_s.append(_took_s(lambda: 200 == space.probe("healthz")[0], "the probe is green", since=since))
    _told("watch blackholed: replicas follow", grew_s)
    _told("watch blackholed: a change of the pool is followed", seen_s)
    _told(f"watch blackholed: the probe is red (after {STALE_S:g} s of it)", red_s)
    _told("watch blackholed: the probe is green again", healed_s)
    assert _only_grew(space)


def test_replicas_follow_the_backlog_after_the_store_died(
    namespace_of: Build, control_plane: plane.ControlPlane
) -> None:
    """The API server lives on, and answers nothing while its etcd is away."""
    space = namespace_of("calls")
    pool = Pool(space)
    space.start()
    space.settle("calls")
    pool.add()
    cluster.wait_until(pool.has_grown, timeout_s=30, what="the pool is scaled at all")
    pool.rest()
    control_plane.etcd.kill()
    try:
        pool.add()
        time.sleep(3)
    finally:
        control_plane.etcd.start()
    since = time.monotonic()
    grew_s = _took_s(pool.has_grown, "replicas follow", since=since)
    cluster.wait_until(lambda: _answers(control_plane), timeout_s=WITHIN_S, what="the API server is ready")
    pool.change()
    _took_s(pool.is_seen, "the pool's change is followed", since=since)
    _told("etcd killed: replicas follow after it is back", [grew_s])
    assert _only_grew(space)


def test_replicas_follow_the_backlog_after_the_api_server_refused_everything(
    namespace_of: Build, before_api: gateway.Gateway
) -> None:
    """Too many requests, errors, no longer known, forbidden: nothing ends, and nothing is taken for the truth."""
    rng = random.Random(seed := random.randrange(1 << 32))
    space = namespace_of("calls", do_speak=True, through=before_api)
    pool = Pool(space)
    space.start()
    space.settle("calls")
    pool.add()
    cluster.wait_until(pool.has_grown, timeout_s=30, what="the pool is scaled at all")
    cluster.wait_until(pool.is_seen, timeout_s=30, what="the pool is followed at all")
    refused: list[int] = []

    def refuse(request: gateway.Request) -> gateway.Fate:
        refused.append(rng.choice((401, 403, 404, 409, 410, 429, 500, 503)))
        return refused[-1]

    pool.rest()
    before_api.rule = refuse
    before_api.reset()
    pool.change()
    pool.add()
    time.sleep(15)
    assert 200 == space.probe("healthz")[0]
    before_api.rule = lambda request: None
    since = time.monotonic()
    grew_s = _took_s(pool.has_grown, "replicas follow", since=since)
    seen_s = _took_s(pool.is_seen, "the pool's change is followed", since=since)
    print(f"seed {seed}, {len(refused)} requests refused")
    _told("everything refused for 15 s: replicas follow", [grew_s])
    _told("everything refused for 15 s: a change of the pool is followed", [seen_s])
    assert refused
    assert _only_grew(space)


def _answers(control_plane: plane.ControlPlane) -> bool:
    """Say whether the API server can read its store."""
    return bool(control_plane.client.get("Namespace", "default"))
