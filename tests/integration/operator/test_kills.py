"""The operator is killed in the middle of what it does: its next start finds its way from what it sees."""

from __future__ import annotations

import os
import random
import statistics
import threading
import time
from typing import TYPE_CHECKING

import cluster
import operated
import pytest
from peers import gateway

if TYPE_CHECKING:
    from conftest import Build

KILLS = int(os.environ.get("OPERATOR_KILLS", "6"))
WITHIN_S = 90.0
MOMENTS = (
    ("PUT", "/scale", True),
    ("PUT", "/scale", False),
    ("PATCH", "/status", False),
    ("PATCH", "/status", True),
    ("POST", "/events", False),
    None,
)
"""A request's method and how its path ends, and whether it has been answered by then; None: whenever."""


class Killer:
    """Kills the operator at a moment, once for each time that it is armed."""

    def __init__(self, space: operated.Namespace, between: gateway.Gateway) -> None:
        self._space = space
        self._moment: tuple[str, str, bool] | None = None
        self.has_killed = threading.Event()
        between.rule = self._asked
        between.answered = self._answered

    def arm(self, moment: tuple[str, str, bool]) -> None:
        """Kill at the next such moment."""
        self.has_killed.clear()
        self._moment = moment

    def _asked(self, request: gateway.Request) -> gateway.Fate:
        if self._is_due(request, is_answered=False):
            self._kill()
            return gateway.HANG
        return None

    def _answered(self, request: gateway.Request) -> None:
        if self._is_due(request, is_answered=True):
            self._kill()

    def _is_due(self, request: gateway.Request, *, is_answered: bool) -> bool:
        if self._moment is None:
            return False
        method, suffix, after = self._moment
        return after is is_answered and request.is_for(method, suffix)

    def _kill(self) -> None:
        self._moment = None
        assert self._space.operator is not None
        self._space.operator.kill()
        self.has_killed.set()


@pytest.mark.timeout(120 + 60 * KILLS)
def test_an_operator_killed_in_the_middle_reconciles_when_it_is_back(
    namespace_of: Build, before_api: gateway.Gateway
) -> None:
    """Before and after a scale is written, before and after a status is, before an Event, and at any other moment."""
    rng = random.Random(seed := random.randrange(1 << 32))
    space = namespace_of("calls", do_speak=True, through=before_api)
    topic = f"{space.name}.calls"
    space.client.apply(operated.growing("calls", topic, space.name), namespace=space.name)
    operated.publish(space.kafka, topic, 1)
    killer = Killer(space, before_api)
    space.start()
    space.settle("calls")
    took_s = []
    for at in range(KILLS):
        cluster.wait_until(lambda: _agrees(space), timeout_s=WITHIN_S, what="status and replicas agree")
        before = space.asked("aftercall-calls-speech")
        if (moment := MOMENTS[at % len(MOMENTS)]) is not None:
            killer.arm(moment)
            operated.publish(space.kafka, topic, operated.TEN_MORE)
            assert killer.has_killed.wait(60), f"never came to {moment}"
        else:
            operated.publish(space.kafka, topic, operated.TEN_MORE)
            time.sleep(rng.uniform(0, 1.5))
            assert space.operator is not None
            space.operator.kill()
        space.start()
        since = time.monotonic()
        cluster.wait_until(
            lambda before=before: space.asked("aftercall-calls-speech") > before and _agrees(space),
            timeout_s=WITHIN_S,
            what=f"the pool is scaled and says so, after {moment}",
        )
        took_s.append(time.monotonic() - since)
    print(f"seed {seed}")
    print(
        f"operator killed: n {len(took_s)}, scaled and told when ready: median {statistics.median(took_s):.1f} s,"
        f" max {max(took_s):.1f} s"
    )
    to = [replicas for _, _, replicas in space.scaled("aftercall-calls-speech")]
    assert to == sorted(set(to)), "something was taken away, or written twice"
    assert {space.user} == space.writers()


def _agrees(space: operated.Namespace) -> bool:
    """Say whether the pool's status tells of what is there."""
    status = space.get("TranscriptionPool", "calls").get("status", {})
    return "True" == space.condition("calls")[0] and status.get("wantedReplicas") == space.asked(
        "aftercall-calls-speech"
    ) == status.get("replicas")
