"""What users of KEDA's scalers ran into, and what is decided here on the same readings: a row for each."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any

import pytest

from aftercall.contracts import pools, reports
from aftercall.operator import ledger, pool, unread, victims
from aftercall.operator.scaling import Reason
from aftercall.operator.unread import Partition

SPEC = pools.TranscriptionPool.model_validate(
    {
        "topics": [{"name": "recordings"}],
        "backend": {"kind": "Deployment", "deployment": {"name": "speech"}},
        "scaling": {"minReplicas": 0, "maxReplicas": 8, "capacityAudioSecondsPerMinute": 3000},
        "consumers": {"deployment": "consumers", "minReplicas": 0, "maxReplicas": 12},
    }
)
LOOK_S = 10.0
AWAY = Partition(None, None)

Decided = tuple[int | None, Reason]


@dataclasses.dataclass(frozen=True)
class Seen:
    """What is read at every look: partitions, what one consumer reports (None: there is none), and replicas at first.

    `position` is that of the first partition.
    """

    partitions: tuple[Partition, ...]
    tells: Mapping[str, Any] | None = None
    position: int | None = None
    speech: int = 0
    consumers: int = 0


def reading(seen: Seen, speech: int, consumers: int, now_s: float) -> pool.Reading:
    """Return what is read at a time, while these replicas are there."""
    known = ledger.Ledger()
    if seen.tells is not None:
        told = reports.ConsumerReport(
            consumer="c",
            instance="1",
            pool="calls",
            tenants=(reports.TenantLoad(tenant="acme", **seen.tells),),
            positions=()
            if seen.position is None
            else (reports.Position(topic="recordings", partition=0, position=seen.position),),
        )
        known = ledger.hear(known, told, now_s=now_s)
    partitions = {("recordings", at): each for at, each in enumerate(seen.partitions)}
    return pool.Reading(known, partitions, {}, speech, speech, consumers, consumers)


def settle(seen: Seen, hours: float) -> tuple[Decided, Decided]:
    """Look again and again, do what is decided, and return what it comes to: of speech replicas, of consumers."""
    state, speech, consumers = pool.State(), seen.speech, seen.consumers
    for at in range(max(1, round(hours * 3600 / LOOK_S))):
        found, state = pool.decide(SPEC, reading(seen, speech, consumers, at * LOOK_S), state, now_s=at * LOOK_S)
        assert found.speech is not None
        assert found.speech.replicas is not None
        assert found.consumers.replicas is not None
        speech, consumers = found.speech.replicas, found.consumers.replicas
    return (speech, found.speech.reason), (consumers, found.consumers.reason)


@pytest.mark.parametrize(
    ("seen", "hours", "speech", "consumers"),
    [
        pytest.param(
            # Retention has deleted all that was never committed: KEDA counts every offset there ever was.
            Seen((Partition(70_000, 70_000),) * 12),
            1,
            (0, Reason.IDLE),
            (0, Reason.IDLE),
            id="kedacore/keda 7936",
        ),
        pytest.param(
            # A transaction's marker is an offset that nobody can commit: one replica stays for ever.
            Seen((Partition(0, 101, 100),), {"waiting": 0}, position=101, speech=1, consumers=1),
            1,
            (0, Reason.IDLE),
            (0, Reason.IDLE),
            id="kedacore/keda 5675",
        ),
        pytest.param(
            # All of it is in one partition, which one consumer reads: eleven more would stand about.
            Seen((Partition(0, 10_000, 0), *(Partition(0, 500, 500),) * 11), speech=1, consumers=1),
            1,
            (8, Reason.AT_MAXIMUM),
            (1, Reason.AT_MAXIMUM),
            id="kedacore/keda 3997",
        ),
        pytest.param(
            # No more than partitions, however much waits in them.
            Seen((Partition(0, 10_000, 0),) * 3, speech=1, consumers=1),
            1,
            (8, Reason.AT_MAXIMUM),
            (3, Reason.AT_MAXIMUM),
            id="idle consumers beyond partitions",
        ),
        pytest.param(
            # A broker is replaced, and for an hour a partition has no leader: scaled to zero.
            Seen((AWAY, *(Partition(0, 90, 90),) * 11), {"waiting": 0}, speech=3, consumers=5),
            1,
            (3, Reason.UNKNOWN_BACKLOG),
            (5, Reason.UNKNOWN_BACKLOG),
            id="kedacore/keda 4098",
        ),
        pytest.param(
            # One trigger fails, and its fallback of three replicas wins over what the other, healthy one wants.
            Seen(
                (AWAY, *(Partition(0, 90, 90),) * 11),
                {"waiting": 90, "waiting_audio_s": 60_000.0},
                speech=3,
                consumers=2,
            ),
            1,
            (8, Reason.DRAINING),
            (2, Reason.UNKNOWN_BACKLOG),
            id="kedacore/keda 6659",
        ),
        pytest.param(
            # Nothing was ever committed and nothing is there: reported as -2, which scaled to the maximum.
            Seen((Partition(0, 0), Partition(0, 0))),
            1,
            (0, Reason.IDLE),
            (0, Reason.IDLE),
            id="kedacore/keda 2612",
        ),
        pytest.param(
            # The first number after a change is 0: scaled to zero at once.
            Seen((Partition(0, 90, 90),) * 4, speech=5, consumers=4),
            0,
            (5, Reason.STABILIZING),
            (4, Reason.STABILIZING),
            id="kedacore/keda 4552",
        ),
        pytest.param(
            # Nothing waits, and for an hour a recording of two is worked on: scaled down under it.
            Seen(
                (Partition(0, 90, 89),),
                {"waiting": 0, "running_audio_s": 7200.0},
                position=90,
                speech=1,
                consumers=1,
            ),
            1,
            (1, Reason.DRAINING),
            (1, Reason.DRAINING),
            id="kedacore/keda 6719 and 157",
        ),
        pytest.param(
            # The same where speech has gone all the same: nothing that waits would ever wake it.
            Seen((Partition(0, 90, 89),), {"waiting": 0, "running_audio_s": 7200.0}, position=90, consumers=1),
            1,
            (1, Reason.DRAINING),
            (1, Reason.DRAINING),
            id="nothing waits for what is worked on",
        ),
        pytest.param(
            # What a consumer has read ahead is behind its commit: counted as lag and again as its work.
            Seen(
                (Partition(0, 140, 40),),
                {"waiting": 100, "waiting_audio_s": 15_000.0},
                position=140,
                speech=2,
                consumers=1,
            ),
            0,
            (2, Reason.DRAINING),
            (1, Reason.DRAINING),
            id="the same offsets twice",
        ),
    ],
)
def test_what_is_decided_where_others_went_wrong(seen: Seen, hours: float, speech: Decided, consumers: Decided) -> None:
    """After so many hours of the same; 0 is one look."""
    assert (speech, consumers) == settle(seen, hours)


@pytest.mark.parametrize("blind", [AWAY, None], ids=["Kafka", "the target"])
def test_the_first_number_after_an_hour_without_any_takes_nothing_away(blind: Partition | None) -> None:
    """It is 0, as it is for who just begins (kedacore/keda 4552)."""
    state, busy, idle = pool.State(), Seen((Partition(0, 90, 0),)), Seen((Partition(0, 90, 90),))
    for at in range(361):
        seen = reading(busy if at == 0 or blind is None else Seen((blind,)), 5, 4, at * LOOK_S)
        if at > 0 and blind is None:
            seen = dataclasses.replace(seen, speech_asked=None, speech_ready=None, consumers_asked=None)
        _, state = pool.decide(SPEC, seen, state, now_s=at * LOOK_S)

    found, _ = pool.decide(SPEC, reading(idle, 5, 4, 3610.0), state, now_s=3610.0)

    assert found.speech is not None
    assert (5, Reason.STABILIZING) == (found.speech.replicas, found.speech.reason)
    assert Reason.STABILIZING is found.consumers.reason


@pytest.mark.parametrize(
    ("running_audio_s", "goes"),
    [
        # The newest goes, whatever it does.
        pytest.param({"older": 0.0, "newest": 3600.0}, "older", id="kubernetes/kubernetes 45509"),
        # The one that has nearly done two hours goes, and its work begins anew.
        pytest.param({"nearly done": 7200.0, "idle": 0.0, "short": 30.0}, "idle", id="kedacore/keda 3680"),
        # One that nobody knows of may be the busiest.
        pytest.param({"silent": None, "short": 30.0}, "short", id="kedacore/keda 6124"),
    ],
)
def test_which_pod_goes(running_audio_s: Mapping[str, float | None], goes: str) -> None:
    """By what each works on: Kubernetes takes those of the lowest cost first."""
    pods = [victims.Pod(name) for name in running_audio_s]

    costs = victims.changes(pods, {name: each for name, each in running_audio_s.items() if each is not None})

    assert goes == min(costs, key=lambda name: costs[name])


@pytest.mark.parametrize("wrong", [Partition(0, None, 40), Partition(None, 90, 40), Partition(0, 10, 4000), AWAY])
def test_a_number_that_cannot_be_is_none(wrong: Partition) -> None:
    """Missing, or from before a topic was made anew: an hour of it takes nothing away (kedacore/keda 4098, 2612)."""
    (speech, why), (consumers, why_not) = settle(Seen((wrong,) * 5, {"waiting": 0}, speech=3, consumers=5), 1)

    assert (3, 5, {Reason.UNKNOWN_BACKLOG}) == (speech, consumers, {why, why_not})


def test_a_backlog_that_jumps_while_it_falls_moves_no_partitions_to_and_fro() -> None:
    """Each change hands partitions around, which halts the others too (kedacore/keda 5096): down only."""
    state, consumers, seen = pool.State(), 8, []
    for at in range(400):
        messages = max(0, 400 - 2 * at) + (40 if at % 12 < 6 and at < 180 else 0)
        parts = tuple(Partition(0, 10_000, 10_000 - messages // 8) for _ in range(8))
        found, state = pool.decide(SPEC, reading(Seen(parts), 8, consumers, at * LOOK_S), state, now_s=at * LOOK_S)
        assert found.consumers.replicas is not None
        consumers = found.consumers.replicas
        seen.append(consumers)

    changes = [now for before, now in itertools.pairwise(seen) if now != before]
    assert sorted(changes, reverse=True) == changes
    assert 0 == consumers
    assert len(changes) <= 8


def test_a_throttled_tenants_lag_buys_no_gpus() -> None:
    """Lag in messages knows no limits; KEDA over the HPA has 20 replicas for one tenant that may use 1.2 of them."""
    calm = Seen((Partition(0, 100_000, 0),), {"waiting": 500, "waiting_audio_s": 150_000.0}, position=500)
    seen = dataclasses.replace(reading(calm, 2, 1, 0.0), limits_per_s={"acme": 60.0})

    found, _ = pool.decide(SPEC, seen, pool.State(), now_s=0.0)

    assert found.speech is not None
    assert (2, Reason.DRAINING) == (found.speech.replicas, found.speech.reason)
    assert 99_500 == unread.of_partition(Partition(0, 100_000, 0), 500)
