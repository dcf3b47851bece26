"""One look at a pool: what is read, what comes of it, and what is written."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest
from pool_material import SPEC, World

from aftercall.contracts import errors, metrics, reports
from aftercall.operator import departed, failures, findings, handover, kube, looking, testing, victims

AROUND = looking.Around({})


async def look(world: World, looker: looking.Looker, around: looking.Around = AROUND) -> bool:
    """Look at the pool as it is, five seconds after the last time."""
    world.clock.now_s += 5
    return await looker.look(world.cluster.seen(kube.POOLS, looker.name), around)


async def test_lag_alone_wakes_a_pool_and_says_why() -> None:
    """By two writes of `/scale`, an Event for each, and a status."""
    world = World()
    world.pool()
    world.offsets.unread("recordings", 10, 10, 0, 0)

    await look(world, looking.Looker("calls", world.means()))

    assert (1, 1) == (world.asked("speech"), world.asked("consumers"))
    assert ("g", ("recordings", "deferred")) == world.offsets.asked[0]
    status = world.cluster.seen(kube.POOLS, "calls")["status"]
    assert (6000, 1) == (status["backlogAudioSeconds"], status["wantedReplicas"])
    said = [(each.body or {})["reason"] for each in world.cluster.made("create", "events")]
    assert ["Woken", "Woken"] == said
    assert 1.0 == world.measured.value(metrics.OPERATOR_CHANGES, pool="calls", fleet="speech", direction="up")


async def test_a_pool_at_rest_is_written_once() -> None:
    """Its status; looks that find the same write nothing at all."""
    world = World()
    world.pool()
    looker = looking.Looker("calls", world.means())

    for _ in range(5):
        await look(world, looker)

    assert ["patch"] == [each.verb for each in world.cluster.calls if each.verb not in ("read", "list")]
    assert ("True", "AsWanted") == world.condition("Ready")


async def test_who_begins_anew_does_not_write_what_is_there_already() -> None:
    """A status that was kept is compared with, and what was learned is taken up."""
    world = World()
    world.pool()
    await look(world, looking.Looker("calls", world.means()))
    status = world.cluster.seen(kube.POOLS, "calls")["status"]
    status["capacity"] = {"audioSecondsPerMinute": 6000, "busySeconds": 300}
    world.cluster.calls.clear()

    await look(world, looking.Looker("calls", world.means()))

    assert [] == world.cluster.made("patch", "transcriptionpools/status")
    assert 100.0 == world.measured.value(metrics.OPERATOR_CAPACITY, pool="calls", fleet="speech")


async def test_a_status_that_another_has_changed_is_written_again() -> None:
    """As by somebody who replaced the whole object."""
    world = World()
    world.pool()
    looker = looking.Looker("calls", world.means())
    await look(world, looker)
    kept = dict(world.cluster.seen(kube.POOLS, "calls")["status"])
    world.cluster.put(kube.POOLS, "calls", spec=SPEC, status={})

    await look(world, looker)

    assert kept == world.cluster.seen(kube.POOLS, "calls")["status"]


async def test_without_the_lease_nothing_is_written() -> None:
    """Everything is read and decided all the same."""
    world = World()
    world.pool()
    world.offsets.unread("recordings", 50)
    world.is_leading = False

    await look(world, looking.Looker("calls", world.means()))

    assert {"read", "list"} >= {each.verb for each in world.cluster.calls}
    assert (world.measured.value(metrics.OPERATOR_WANTED, pool="calls", fleet="speech") or 0) > 0


def unheard() -> World:
    """Let there be work for all replicas, as it looks while none of the consumers that are there has reported."""
    world = World()
    world.pool()
    world.cluster.deployment("speech", 2)
    world.cluster.deployment("consumers", 4)
    world.offsets.unread("recordings", 100, 100, 100, 100)
    return world


async def test_consumers_are_waited_for_from_the_first_look_with_the_lease() -> None:
    """Whoever waits for it answers nobody: what they have read looks like nobody's, and like work for all replicas."""
    world = unheard()
    world.is_leading = False
    looker, asked = looking.Looker("calls", world.means()), []
    for now_s, is_leading in ((0, False), (100, False), (105, True), (190, True), (196, True)):
        world.clock.now_s, world.is_leading = 1000.0 + now_s, is_leading
        await look(world, looker)
        asked.append(world.asked("speech"))

    assert [2, 2, 2, 2, 8] == asked


async def test_who_finds_its_lease_again_waits_no_second_time() -> None:
    """It knows what it was told: after an API server that was away nothing was ordered for a minute and a half."""
    world = unheard()
    looker = looking.Looker("calls", world.means())
    for now_s, is_leading in ((0, True), (100, False), (105, True)):
        world.clock.now_s, world.is_leading = 1000.0 + now_s, is_leading
        await look(world, looker)

    assert 8 == world.asked("speech")


async def test_a_lease_that_is_lost_in_the_middle_stops_the_writing() -> None:
    """Between what is read and what is written lies time."""
    world = World()
    world.pool()
    world.offsets.unread("recordings", 50)
    world.cluster.before = lambda _: setattr(world, "is_leading", False)

    await look(world, looking.Looker("calls", world.means()))

    assert [] == world.cluster.made("write", "deployments/scale")


async def test_the_idle_consumers_are_marked_before_there_are_fewer() -> None:
    """And only then is the lower number written."""
    world = World()
    world.pool()
    world.cluster.deployment("consumers", 3)
    for pod in ("a", "b", "c"):
        world.cluster.pod(pod, of="consumers")
    busy = reports.TenantLoad(tenant="acme", running_audio_s=300.0)
    world.report("a", tenants=(busy,))
    world.report("b")

    await look(world, looking.Looker("calls", world.means()))

    marked = {name: victims.read(world.cluster.seen(kube.PODS, name)).cost for name in ("a", "b", "c")}
    assert {"a": 310, "b": 0, "c": victims.BUSIEST} == marked
    wrote = [(each.what, each.name) for each in world.cluster.calls if each.verb in ("patch", "write")]
    lowered = wrote.index(("deployments/scale", "consumers"))
    assert [("pods", pod) for pod in ("a", "b", "c")] == sorted(each for each in wrote[:lowered] if each[0] == "pods")
    assert world.asked("consumers") < 3


async def test_who_was_let_go_is_waited_for() -> None:
    """While a pod of the fleet is ending there are not fewer still; once it has, there are."""
    world = World()
    world.pool()
    world.cluster.deployment("speech", 3)
    until = world.clock.utc().replace(year=2027).strftime("%Y-%m-%dT%H:%M:%SZ")
    world.cluster.pod("s", of="speech", metadata={"labels": {"app": "speech"}, "deletionTimestamp": until})
    looker = looking.Looker("calls", world.means())

    await look(world, looker)
    assert 3 == world.asked("speech")
    assert ("True", "WaitsForDraining") == world.condition("ReplicasAvailable")

    world.cluster.drop(kube.PODS, "s")
    await look(world, looker)
    assert 0 == world.asked("speech")


async def test_a_target_that_somebody_else_scales_is_left_alone() -> None:
    """The other one goes on."""
    world = World()
    world.pool()
    world.offsets.unread("recordings", 50)
    around = looking.Around({}, rivals="an autoscaler", held_targets=frozenset({"speech"}))

    await look(world, looking.Looker("calls", world.means()), around)

    assert ("deployments/scale", "consumers") in {(each.what, each.name) for each in world.cluster.calls}
    assert ("deployments/scale", "speech") not in {(each.what, each.name) for each in world.cluster.calls}
    assert ("True", "ScalingConflict") == world.condition("ScalingConflict")
    counted = world.measured.value(metrics.OPERATOR_DECISIONS, pool="calls", fleet="speech", reason="ScalingConflict")
    assert 1.0 == counted


async def test_without_knowing_of_autoscalers_nothing_is_scaled() -> None:
    """One of them may be there."""
    world = World()
    world.pool()
    world.offsets.unread("recordings", 50)

    await look(world, looking.Looker("calls", world.means()), looking.Around({}, are_rivals_known=False))

    assert [] == world.cluster.made("write", "deployments/scale")
    assert ("Unknown", "AutoscalersUnknown") == world.condition("Ready")


@pytest.mark.parametrize(
    ("more", "around", "reason"),
    [
        ({"scaling": None}, AROUND, findings.Reason.INVALID_SPEC),
        ({}, looking.Around({}, refused=findings.invalid("taken")), findings.Reason.INVALID_SPEC),
    ],
)
async def test_a_pool_that_cannot_be_followed_is_told_so(
    more: dict[str, Any], around: looking.Around, reason: str
) -> None:
    """And nothing of it is read or scaled."""
    world = World()
    world.pool(**more)

    await look(world, looking.Looker("calls", world.means()), around)

    assert ("False", reason) == world.condition("Valid")
    assert [] == world.cluster.made("read", "deployments")


async def test_a_target_that_is_missing_is_named_and_the_other_is_scaled() -> None:
    """What can be done is done."""
    world = World()
    world.pool()
    world.cluster.drop(kube.DEPLOYMENTS, "speech")
    world.offsets.unread("recordings", 50)

    await look(world, looking.Looker("calls", world.means()))

    assert ("False", "TargetMissing") == world.condition("ReplicasAvailable")
    assert world.asked("consumers") > 0


@pytest.mark.parametrize(
    ("problem", "told"),
    [
        (failures.ForbiddenError("cannot read: 403"), ("False", "TargetRefused")),
        (failures.UnavailableError("does not answer"), ("Unknown", "TargetUnknown")),
    ],
)
async def test_a_target_that_cannot_be_read_is_told_so(problem: errors.AftercallError, told: tuple[str, str]) -> None:
    """Whether that lasts until somebody changes something, or may pass."""
    world = World()
    world.pool()
    world.cluster.broken["read", "deployments"] = problem

    await look(world, looking.Looker("calls", world.means()))

    assert told == world.condition("ReplicasAvailable")


@pytest.mark.parametrize(
    ("problem", "ready"),
    [
        (failures.NotFoundError("there is none"), 0.0),  # gone or renamed: none of it answers
        (failures.UnavailableError("does not answer"), None),  # who knows
    ],
)
async def test_replicas_that_are_not_read_are_not_told_as_they_were(
    problem: errors.AftercallError, ready: float | None
) -> None:
    """Neither what answered before nor what was wanted then; what was counted stays counted, and it all comes back."""
    world = World()
    world.pool()
    world.cluster.deployment("consumers", 3)
    looker = looking.Looker("calls", world.means())

    def told(metric: metrics.Metric) -> list[float | None]:
        return [world.measured.value(metric, pool="calls", fleet=fleet) for fleet in ("speech", "consumers")]

    await look(world, looker)
    assert [0.0, 3.0] == told(metrics.OPERATOR_READY)
    counted = {key: each for key, each in world.measured.values.items() if key[0] == metrics.OPERATOR_DECISIONS.name}
    world.cluster.broken["read", "deployments"] = problem
    await look(world, looker)
    assert [ready, ready] == told(metrics.OPERATOR_READY)
    assert [None, None] == told(metrics.OPERATOR_WANTED)
    assert counted.items() <= world.measured.values.items()

    del world.cluster.broken["read", "deployments"]
    await look(world, looker)
    assert [0.0, 3.0] == told(metrics.OPERATOR_READY)
    assert None not in told(metrics.OPERATOR_WANTED)


async def test_a_write_that_is_refused_is_told() -> None:
    """As where the chart has not given the right."""
    world = World()
    world.pool()
    world.offsets.unread("recordings", 50)
    world.cluster.broken["write", "deployments/scale"] = failures.ForbiddenError("cannot write: 403")

    await look(world, looking.Looker("calls", world.means()))

    assert ("False", "NotWritten") == world.condition("ReplicasAvailable")


async def test_a_change_meanwhile_asks_for_another_look_soon() -> None:
    """And writes nothing over it."""
    world = World()
    world.pool()
    world.offsets.unread("recordings", 50)
    world.cluster.broken["write", "deployments/scale"] = failures.ConflictError("409")

    assert await look(world, looking.Looker("calls", world.means()))
    assert ("True", "AsWanted") == world.condition("Ready")


async def test_a_topic_that_is_not_read_is_named() -> None:
    """Nothing is lowered on it."""
    world = World()
    world.pool()
    world.cluster.deployment("consumers", 2)
    world.offsets.partitions.clear()

    await look(world, looking.Looker("calls", world.means()))

    assert ("False", "UnknownBacklog") == world.condition("BacklogKnown")
    conditions = world.cluster.seen(kube.POOLS, "calls")["status"]["conditions"]
    assert "deferred, recordings" in next(each["message"] for each in conditions if each["type"] == "BacklogKnown")
    assert 2 == world.asked("consumers")


async def test_a_silent_consumer_is_gone_once_its_pod_is() -> None:
    """Not before: while its pod runs it may hold grants, and what it had may be done or not."""
    world = World()
    world.pool()
    world.offsets.unread("recordings", 10, 0, 0, 0)
    world.cluster.pod("c", of="consumers")
    world.report("c")
    looker = looking.Looker("calls", world.means())
    world.clock.now_s += 40
    await look(world, looker)
    assert ("False", "UnknownBacklog") == world.condition("BacklogKnown")
    assert {"c"} == set(world.exchange.known("calls").heard)

    world.cluster.pod("c", of="consumers", status={"phase": "Succeeded"})
    await look(world, looker)
    assert ("True", "AsRead") == world.condition("BacklogKnown")
    assert {} == dict(world.exchange.known("calls").heard)


async def test_consumers_that_never_report_are_no_backlog_that_is_known() -> None:
    """They may have read everything: so nothing lowers, and the condition says where to look."""
    world = World()
    world.pool()
    world.cluster.deployment("consumers", 4)
    world.cluster.deployment("speech", 4)
    world.offsets.unread("recordings", 0, 0, 0, 1)
    looker = looking.Looker("calls", world.means())
    for _ in range(100):
        await look(world, looker)
        world.clock.now_s += 10

    assert ("False", "UnknownBacklog") == world.condition("BacklogKnown")
    (told,) = [
        each["message"]
        for each in world.cluster.seen(kube.POOLS, "calls")["status"]["conditions"]
        if each["type"] == "BacklogKnown"
    ]
    assert "4 consumers are ready and do not report" in told
    assert (4, 4) == (world.asked("speech"), world.asked("consumers"))


async def test_each_consumer_that_has_fallen_silent_is_asked_for_in_its_turn() -> None:
    """However many there are that leave, and take their time."""
    world = World()
    world.pool()
    for at in range(45):
        world.cluster.pod(f"c{at:02}", of="consumers")
        world.report(f"c{at:02}", is_draining=True)
    world.report("dead")
    left = {f"calls/{name}": handover.Heard("i", 1) for name in ("dead too", "a")}
    world.exchange.begin(world.exchange.newest_epoch + 1, now_s=world.clock(), holders=left)
    world.clock.now_s += 40
    looker = looking.Looker("calls", world.means())

    for _ in range(3):
        await look(world, looker)

    assert "dead" not in world.exchange.known("calls").heard
    assert [] == world.exchange.unheard("calls")


async def test_pods_that_are_not_read_in_time_delay_no_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits is scaled for."""
    monkeypatch.setattr(departed, "_ANSWER_S", 0.01)
    world = World()
    world.pool()
    world.offsets.unread("recordings", 50)
    world.report("c", position=0)
    world.clock.now_s += 40
    away = asyncio.Event()

    class Slow(testing.FakeKubernetes):
        async def get(self, resource: kube.Resource, name: str, *, part: str | None = None) -> kube.Object:
            if resource == kube.PODS:
                await away.wait()
            return await super().get(resource, name, part=part)

    world.cluster.__class__ = Slow
    await look(world, looking.Looker("calls", world.means()))

    assert world.asked("consumers") > 0


async def test_a_pool_that_is_followed_no_more_is_measured_no_more() -> None:
    """A backlog that nobody reads any more would stand there, and page, for ever."""
    world = World()
    world.pool()
    world.offsets.unread("recordings", 50)
    looker = looking.Looker("calls", world.means())
    await look(world, looker)
    assert world.measured.value(metrics.OPERATOR_BACKLOG, pool="calls")

    world.pool(scaling=None)
    await look(world, looker)
    assert world.measured.value(metrics.OPERATOR_BACKLOG, pool="calls") is None
    assert 1.0 == world.measured.value(metrics.OPERATOR_CONDITION, pool="calls", type="Valid", status="False")

    world.pool()
    await look(world, looker)
    assert world.measured.value(metrics.OPERATOR_BACKLOG, pool="calls")


async def test_a_time_to_drain_that_is_not_known_is_no_number() -> None:
    """Neither none nor for ever: no alert compares it, and the status has none."""
    world = World()
    world.pool()
    world.offsets.unread("recordings", 50)
    looker = looking.Looker("calls", world.means())
    await look(world, looker)
    assert math.inf == world.measured.value(metrics.OPERATOR_DRAIN, pool="calls")

    world.offsets.partitions.clear()
    await look(world, looker)

    assert math.isnan(world.measured.value(metrics.OPERATOR_DRAIN, pool="calls") or 0.0)
    assert "drainSeconds" not in world.cluster.seen(kube.POOLS, "calls")["status"]


async def test_a_pool_that_is_paused_wants_what_is_there() -> None:
    """And not for ever what was wanted last."""
    world = World()
    world.pool()
    world.offsets.unread("recordings", 50)
    looker = looking.Looker("calls", world.means())
    await look(world, looker)
    world.pool(mode="Paused")
    world.cluster.deployment("speech", 1)

    await look(world, looker)

    assert 1.0 == world.measured.value(metrics.OPERATOR_WANTED, pool="calls", fleet="speech")


async def test_a_forerunners_consumer_is_not_waited_for_once_its_pod_is_gone() -> None:
    """It has gone while no operator was there."""
    world = World()
    world.pool()
    world.cluster.pod("a", of="consumers")
    left = {"calls/a": handover.Heard("i", 1), "calls/b": handover.Heard("i", 1)}
    world.exchange.begin(world.exchange.newest_epoch + 1, now_s=world.clock(), holders=left)
    await look(world, looking.Looker("calls", world.means()))

    assert ["a"] == world.exchange.unheard("calls")


async def test_mode_external_carries_the_number_of_the_pool() -> None:
    """As an autoscaler writes it through the pool's scale; paused, nothing is carried."""
    world = World()
    world.pool(mode="External", replicas=3)
    world.offsets.unread("recordings", 50)
    looker = looking.Looker("calls", world.means())
    await look(world, looker)
    assert 3 == world.asked("speech")
    n_consumers = world.asked("consumers")

    world.pool(mode="Paused")
    world.offsets.unread("recordings", 0)
    await look(world, looker)
    assert (3, n_consumers) == (world.asked("speech"), world.asked("consumers"))


async def test_a_conflict_that_ends_is_told_too() -> None:
    """By the condition, and an Event each way."""
    world = World()
    world.pool()
    looker = looking.Looker("calls", world.means())
    await look(world, looker, looking.Around({}, rivals="h is there", held_targets=frozenset({"speech"})))
    await look(world, looker)

    assert ("False", "OneWriter") == world.condition("ScalingConflict")
    said = [((each.body or {})["type"], (each.body or {})["reason"]) for each in world.cluster.made("create", "events")]
    assert [("Warning", "ScalingConflict"), ("Normal", "OneWriter")] == said
