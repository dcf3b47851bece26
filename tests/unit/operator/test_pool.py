"""One look at a pool, from reports and offsets to numbers."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from aftercall.contracts import pools, reports
from aftercall.operator import demand, ledger, pool, presence, scaling, unread
from aftercall.operator.scaling import Reason

SPEC = pools.TranscriptionPool.model_validate(
    {
        "topics": [{"name": "recordings"}],
        "backend": {"kind": "Deployment", "deployment": {"name": "speech"}},
        "scaling": {"minReplicas": 0, "maxReplicas": 8, "capacityAudioSecondsPerMinute": 3000},
        "consumers": {"deployment": "consumers", "minReplicas": 0, "maxReplicas": 12},
    }
)
PARTITIONS = {("recordings", at): unread.Partition(0, 100, 40) for at in range(4)}
ASLEEP = pool.Reading(ledger.Ledger(), PARTITIONS, {}, 0, 0, 0, 0)


def report(
    waiting_audio_s: float = 0.0, *, position: int = 100, instance: str = "1", **more: Any
) -> reports.ConsumerReport:
    """Return what the one consumer tells, which has all partitions."""
    loads = (reports.TenantLoad(tenant="acme", waiting=10, waiting_audio_s=waiting_audio_s),)
    positions = tuple(reports.Position(topic="recordings", partition=at, position=position) for at in range(4))
    return reports.ConsumerReport(
        consumer="c", instance=instance, pool="calls", tenants=loads, positions=positions, **more
    )


def awake(
    one: reports.ConsumerReport, at_s: float = 0.0, known: ledger.Ledger | None = None, **more: Any
) -> pool.Reading:
    """Return a reading with one consumer and two replicas."""
    seen = ledger.hear(known or ledger.Ledger(), one, now_s=at_s)
    told = {"speech_asked": 2, "speech_ready": 2, "consumers_asked": 1, "consumers_ready": 1} | more
    return dataclasses.replace(ASLEEP, known=seen, **told)


def look(seen: pool.Reading, spec: pools.TranscriptionPool = SPEC) -> pool.Decisions:
    """Look once."""
    return pool.decide(spec, seen, pool.State(), now_s=0.0)[0]


def test_lag_alone_wakes_a_pool_that_sleeps() -> None:
    """240 messages that nobody has read: 72,000 audio-seconds by what is believed of a message, in 150 s."""
    found = look(ASLEEP)

    assert found.speech is not None
    assert (8, Reason.AT_MAXIMUM) == (found.speech.replicas, found.speech.reason)
    # 480 a second are four consumers of 150, and not more than partitions.
    assert (4, Reason.WOKEN) == (found.consumers.replicas, found.consumers.reason)


def test_nothing_that_waits_lets_it_sleep() -> None:
    """From what is known; and not from a broker that does not answer."""
    empty = {place: unread.Partition(0, 40, 40) for place in PARTITIONS}

    assert Reason.IDLE is look(dataclasses.replace(ASLEEP, partitions=empty)).consumers.reason
    away = {("recordings", -1): unread.Partition(None, None)}
    found = look(dataclasses.replace(ASLEEP, partitions=away, speech_asked=3, speech_ready=3, consumers_asked=2))
    assert found.speech is not None
    assert [(3, Reason.UNKNOWN_BACKLOG), (2, Reason.UNKNOWN_BACKLOG)] == [
        (each.replicas, each.reason) for each in (found.speech, found.consumers)
    ]


def test_a_topic_that_cannot_be_read_takes_no_consumers_away() -> None:
    """Four partitions are known, and there may be more."""
    partly = PARTITIONS | {("bulk", -1): unread.Partition(None, None)}

    found = look(dataclasses.replace(ASLEEP, partitions=partly, consumers_asked=9, consumers_ready=9))

    assert (9, Reason.UNKNOWN_BACKLOG) == (found.consumers.replicas, found.consumers.reason)


def test_what_a_consumer_has_read_counts_once() -> None:
    """Its report says how much; what lies beyond its position counts by the same mix."""
    read = look(awake(report(3000.0)))
    beyond = look(awake(report(3000.0, position=90)))

    assert 3000.0 == read.wanted.waiting_audio_s
    assert 3000.0 + 40 * 300 == beyond.wanted.waiting_audio_s


def test_a_consumer_that_falls_silent_had_read_what_it_had_read() -> None:
    """What it has read waits with it, and no second time in Kafka; nothing more has arrived."""
    seen = awake(report(30_000.0))
    _, state = pool.decide(SPEC, seen, pool.State(), now_s=0.0)

    for now_s in (25.0, 35.0, 300.0):
        found, state = pool.decide(SPEC, seen, state, now_s=now_s)
        assert (30_000.0, 0.0) == (found.wanted.waiting_audio_s, found.wanted.rate_per_s)
        assert found.wanted.is_whole is (now_s < presence.STALE_S)


@pytest.mark.parametrize(
    ("mode", "speech", "consumers"),
    [
        ({"mode": "Paused"}, (None, Reason.PAUSED), Reason.PAUSED),
        ({"mode": "External", "replicas": 5}, (5, Reason.EXTERNAL), Reason.STABILIZING),
    ],
)
def test_who_decides(mode: dict[str, Any], speech: tuple[int | None, Reason], consumers: Reason) -> None:
    """The pool's mode says so."""
    written = SPEC.model_dump(mode="json", by_alias=True, exclude_none=True)
    found = look(awake(report(0.0)), pools.TranscriptionPool.model_validate(written | mode))

    assert found.speech is not None
    assert (*speech, consumers) == (found.speech.replicas, found.speech.reason, found.consumers.reason)


def test_capacity_is_learned_from_full_seconds_only() -> None:
    """Two replicas that do 60 a second together while all is full are of 30 each, not of 50."""

    def after(full_s: float) -> pool.State:
        state = pool.State()
        known = ledger.Ledger()
        for at in range(100):
            heard = reports.Work(done_audio_s=600.0 * at, busy_s=10.0 * at, full_s=full_s * at)
            seen = awake(report(1e5, heard=heard), 10.0 * at, known)
            known = seen.known
            _, state = pool.decide(SPEC, seen, state, now_s=10.0 * at)
        return state

    learned = after(10.0).heard
    assert learned is not None
    assert learned.per_s == pytest.approx(30, rel=0.1)
    assert after(5.0).heard is None


def test_no_replica_is_added_while_consumers_are_the_bottleneck() -> None:
    """Their own work fills them, and the replicas are not full."""
    state, known, decision = pool.State(), ledger.Ledger(), scaling.Decision(None, Reason.IDLE)
    for at in range(3):
        prepared = reports.Work(done_audio_s=100.0 * at, busy_s=10.0 * at, full_s=10.0 * at)
        heard = reports.Work(done_audio_s=100.0 * at, busy_s=5.0 * at)
        seen = awake(report(1e5, prepared=prepared, heard=heard), 10.0 * at, known)
        known = seen.known
        found, state = pool.decide(SPEC, seen, state, now_s=10.0 * at)
        assert found.speech is not None
        decision = found.speech

    assert (2, Reason.CONSUMERS_FIRST) == (decision.replicas, decision.reason)


def with_bulk(promise_seconds: int | None) -> pools.TranscriptionPool:
    """Return a pool with room and a bulk topic beside the other."""
    written = SPEC.model_dump(mode="json", by_alias=True, exclude_none=True)
    bulk = {"name": "backfill", "lane": "Bulk"} | (
        {} if promise_seconds is None else {"promiseSeconds": promise_seconds}
    )
    written["topics"].append(bulk)
    written["scaling"]["maxReplicas"] = 10_000
    return pools.TranscriptionPool.model_validate(written)


@pytest.mark.parametrize(
    ("promise_seconds", "replicas"),
    [
        # 30 million audio-seconds over a quarter of four hours are 8,333 a second.
        (14_400, 167),
        # Over a quarter of ten minutes they are 200,000.
        (600, 4000),
        (None, 4000),
        # What is due sooner than the pool promises is spread over the pool's drain target, which is to fit it.
        (60, 4000),
    ],
)
def test_calls_due_in_four_hours_do_not_buy_the_gpus_of_ten_minutes(promise_seconds: int | None, replicas: int) -> None:
    """100,000 of them that nobody has read, of replicas of 50 a second; a cold start adds nothing to that."""
    waiting = {("backfill", at): unread.Partition(0, 10_000, 0) for at in range(10)}
    reading = dataclasses.replace(ASLEEP, partitions=waiting, speech_asked=replicas, speech_ready=replicas)

    found = look(reading, with_bulk(promise_seconds))

    assert 3e7 == found.wanted.waiting_audio_s
    assert found.speech is not None
    assert (replicas, Reason.DRAINING) == (found.speech.replicas, found.speech.reason)


def test_a_lane_is_as_urgent_as_the_most_urgent_of_its_topics() -> None:
    """Reports tell of lanes, not of topics."""
    spec = with_bulk(14_400)
    spec = spec.model_copy(update={"topics": (*spec.topics, pools.Topic(name="more", lane=pools.Lane.BULK))})
    waiting = {("backfill", 0): unread.Partition(0, 1000, 0)}

    urgent = look(dataclasses.replace(ASLEEP, partitions=waiting), spec)
    patient = look(dataclasses.replace(ASLEEP, partitions=waiting), with_bulk(14_400))

    assert [150 * 300_000 / 150, 150 * 300_000 / 3600] == [each.wanted.within(150) for each in (urgent, patient)]


def test_what_a_throttled_tenant_has_put_aside_buys_nothing() -> None:
    """A million recordings are over its share; its limit lets 60 audio-seconds a second through."""
    aside = PARTITIONS | {("recordings.deferred", at): unread.Partition(0, 100_000, 0) for at in range(10)}

    throttled = look(awake(report(3000.0), partitions=aside, limits_per_s={"acme": 60.0}))
    free = look(awake(report(3000.0), partitions=aside))

    assert throttled.speech is not None
    assert free.speech is not None
    assert (2, 8) == (throttled.speech.replicas, free.speech.replicas)


def test_who_begins_buys_nothing_for_what_consumers_have_not_told_yet() -> None:
    """24,000 recordings of that tenant were put aside; unheard, they are nobody's, 300 s each, and due at once."""
    aside = PARTITIONS | {("recordings.deferred", 0): unread.Partition(0, 24_000, 0)}
    there = {"partitions": aside, "speech_asked": 1, "speech_ready": 1, "consumers_ready": 4, "consumers_asked": 4}
    unheard = dataclasses.replace(ASLEEP, **there)
    state, found = pool.State(), []
    for now_s in (0.0, 5.0, 89.0, 90.0):
        decided, state = pool.decide(SPEC, unheard, state, now_s=now_s)
        assert decided.speech is not None
        found.append((decided.speech.replicas, decided.consumers.replicas, decided.speech.reason))

    assert [(1, 4, Reason.UNKNOWN_BACKLOG)] * 3 == found[:3]
    # Who does not report by then does not report: then what may be there has to be enough.
    assert (8, 5, Reason.AT_MAXIMUM) == found[3]
    asleep = dataclasses.replace(unheard, speech_asked=0, speech_ready=0, consumers_ready=0)
    decided, _ = pool.decide(SPEC, asleep, pool.State(), now_s=0.0)
    assert decided.speech is not None
    assert 8 == decided.speech.replicas


def test_partitions_of_a_silent_consumer_count_with_the_one_that_has_them() -> None:
    """And once they are committed nothing keeps replicas, though its pod is still there."""
    known = ledger.hear(ledger.Ledger(), report(30_000.0), now_s=0.0)
    taker = report(29_000.0).model_copy(update={"consumer": "d"})
    state, found = pool.State(), []
    for now_s in (0.0, 40.0, 60.0):
        if now_s:
            known = ledger.hear(known, taker, now_s=now_s)
        seen = dataclasses.replace(awake(report()), known=known)
        decided, state = pool.decide(SPEC, seen, state, now_s=now_s)
        found.append((decided.wanted.waiting_audio_s, decided.wanted.rate_per_s, decided.wanted.is_whole))
    assert [(30_000.0, 0.0, True), (29_000.0, 0.0, True), (29_000.0, 0.0, True)] == found

    done = {place: unread.Partition(0, 100, 100) for place in PARTITIONS}
    only = dataclasses.replace(awake(report(30_000.0)), partitions=done)
    decided, _ = pool.decide(SPEC, only, pool.State(), now_s=100.0)
    assert (0.0, True) == (decided.wanted.waiting_audio_s, decided.wanted.is_whole)


@pytest.mark.parametrize("then", [{}, {"positions": (), "tenants": (), "is_draining": True}, {"positions": ()}])
def test_a_lost_consumers_work_that_is_done_arrives_no_more(then: dict[str, Any]) -> None:
    """Whatever becomes of who has done it: it goes, ends, or passes its partitions on, while the lost pod stays."""
    known = ledger.hear(ledger.Ledger(), report(30_000.0), now_s=0.0)
    done = {place: unread.Partition(0, 100, 100) for place in PARTITIONS}
    taker = report().model_copy(update={"consumer": "d"})
    with_taker = ledger.hear(known, taker, now_s=600.0)
    after = ledger.hear(with_taker, taker.model_copy(update=then), now_s=605.0) if then else known
    state, found = pool.State(), []
    for now_s, one, partitions in ((0.0, known, PARTITIONS), (600.0, with_taker, done), (605.0, after, done)):
        seen = dataclasses.replace(awake(report()), known=one, partitions=partitions)
        decided, state = pool.decide(SPEC, seen, state, now_s=now_s)
        found.append((decided.wanted.waiting_audio_s, decided.wanted.rate_per_s))

    assert [(30_000.0, 0.0), (0.0, 0.0), (0.0, 0.0)] == found


def test_what_a_silent_consumer_does_has_arrived_once() -> None:
    """It works on and commits, 100 audio-seconds a second, and tells of them when it is heard again."""
    known, state, rates = ledger.Ledger(), pool.State(), []
    for at in range(240):
        now_s = 5.0 * at
        if not 600 <= now_s < 900:
            load = reports.TenantLoad(tenant="acme", waiting=20, waiting_audio_s=2000.0, served_audio_s=500.0 * at)
            told = report(position=5 * at + 20).model_copy(update={"tenants": (load,)})
            known = ledger.hear(known, told, now_s=now_s)
        parts = {place: unread.Partition(0, 5 * at + 20, 5 * at) for place in PARTITIONS}
        seen = dataclasses.replace(awake(report()), known=known, partitions=parts)
        decided, state = pool.decide(SPEC, seen, state, now_s=now_s)
        rates.append(decided.wanted.rate_per_s)

    assert 105 > max(rates[60:120])
    assert 160 > max(rates[120:])
    assert rates[-1] == pytest.approx(100, rel=0.1)


def test_a_silent_consumers_tenants_keep_their_limits() -> None:
    """What comes while the only one is silent is of the mix that it told: not of nobody, and without a limit."""
    known = ledger.hear(ledger.Ledger(), report(3000.0, position=40), now_s=0.0)
    more = {place: unread.Partition(0, 640, 40) for place in PARTITIONS}
    seen = dataclasses.replace(awake(report()), known=known, partitions=more, limits_per_s={"acme": 60.0})

    decided, _ = pool.decide(SPEC, seen, pool.State(present=presence.State(-1000.0)), now_s=100.0)

    assert decided.speech is not None
    assert (2, True) == (decided.speech.replicas, decided.wanted.is_whole)
    assert [60.0] == [each.limit_per_s for each in decided.wanted.shares]


def test_no_capacity_is_learned_while_the_target_is_not_read() -> None:
    """What 20 full consumers did is not what 20 replicas did: four of 120 would count as four of 24."""
    state, known = pool.State(), ledger.Ledger()
    for at in range(60):
        heard = reports.Work(done_audio_s=480.0 * at, busy_s=20.0 * at, full_s=10.0 * at)
        seen = awake(report(1e5, heard=heard), 10.0 * at, known, speech_asked=None, speech_ready=None)
        known = seen.known
        _, state = pool.decide(SPEC, seen, state, now_s=10.0 * at)

    assert None is state.heard
    assert state.sampled.is_speech_full


def test_replicas_that_would_come_back_too_late_for_the_promise_stay() -> None:
    """The pool's promise and cold start say how long."""
    written = SPEC.model_dump(mode="json", by_alias=True, exclude_none=True)
    written["scaling"] |= {"coldStartSeconds": 600}
    spec = pools.TranscriptionPool.model_validate(written)
    empty = dataclasses.replace(ASLEEP, partitions={}, speech_asked=3, speech_ready=3)

    state, seen = pool.State(), []
    for now_s in (0.0, 400.0, 1199.0, 1200.0):
        found, state = pool.decide(spec, empty, state, now_s=now_s)
        assert found.speech is not None
        seen.append(found.speech.replicas)

    assert [3, 3, 3, 0] == seen


def test_the_time_to_drain_is_the_slower_fleets() -> None:
    """Two replicas of 50 a second are enough for 30,000; the one consumer that answers prepares 25 a second."""
    slow = SPEC.model_copy(
        update={"consumers": SPEC.consumers.model_copy(update={"capacity_audio_seconds_per_minute": 1500})}
    )
    seen = awake(report(30_000))

    assert 300.0 == look(seen).drain_s
    assert 1200.0 == look(seen, slow).drain_s
    assert math.inf == look(dataclasses.replace(seen, consumers_ready=0)).drain_s
    assert look(dataclasses.replace(seen, speech_ready=None)).drain_s is None


@pytest.mark.parametrize("mode", [pools.Mode.EXTERNAL, pools.Mode.PAUSED])
def test_the_time_to_drain_is_a_fact_whoever_scales(mode: pools.Mode) -> None:
    """Of what answers, not of what was decided."""
    assert 300.0 == look(awake(report(30_000)), SPEC.model_copy(update={"mode": mode, "replicas": 2})).drain_s


def test_what_is_due_later_drains_in_its_own_time() -> None:
    """A lane that may take a day is no reason to wake somebody about a promise of ten minutes."""
    spec = SPEC.model_copy(update={"topics": (pools.Topic(name="recordings", lane="Bulk", promise_seconds=86_400),)})
    bulk = reports.TenantLoad(tenant="acme", lane="bulk", waiting=10, waiting_audio_s=3.6e6)
    seen = awake(report().model_copy(update={"tenants": (bulk,)}))

    found = look(seen, spec)

    assert (3.6e6, 0.0) == (found.wanted.waiting_audio_s, found.drain_s)


def test_what_headroom_leaves_to_what_waits_is_not_late() -> None:
    """Two replicas of 50 a second, and 110 that arrive: with -20 % they are built for 91.7 of them."""
    assert SPEC.scaling is not None
    scarce = SPEC.scaling.model_copy(update={"headroom_percent": -20})
    rates = {"acme": demand.Rate(3000.0, 0.0, 0.0, average_per_s=110.0, known_s=1e6)}

    found = [
        pool.decide(spec, awake(report(3000)), pool.State(rates), now_s=0.0)[0].drain_s
        for spec in (SPEC, SPEC.model_copy(update={"scaling": scarce}))
    ]

    assert [math.inf, pytest.approx(3000 / (100 - 110 / 1.2))] == found
