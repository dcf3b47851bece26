"""The backlog: what is put aside, what is taken and in which order, and when a record counts as finished."""

from __future__ import annotations

import asyncio
import json
import time
import typing

import doubles
import pytest

from aftercall.consumers import observer
from aftercall.consumers.intake import admission, backlog, delivery, entrance, parking, places, turns
from aftercall.contracts import errors, events, outcomes, tenants


class Rig:
    """A backlog with its edges in lists."""

    def __init__(
        self,
        *,
        max_open: int = 100,
        max_ahead: int = 12,
        terms: turns.Terms | None = None,
        policies: dict[str, tenants.TenantPolicy] | None = None,
    ) -> None:
        self.now_s: float | None = None
        self.aside: list[tuple[str, places.Record, list[tuple[str, bytes]]]] = []
        self.buried: list[outcomes.Reason] = []
        self.said: list[str] = []
        self.finished: list[int] = []
        self.known = {"big", "small", "acme"}
        self.failures = 0
        self.terms = terms or turns.Terms()
        self._offsets = iter(range(10**6))
        bindings = {
            "live": entrance.Binding(None, ()),
            "bulk": entrance.Binding(None, (), 1, promise_s=14_400.0),
            "acme-only": entrance.Binding(frozenset({"acme"}), ()),
        }
        self.door = entrance.Entrance(
            bindings,
            deferred_topic="deferred",
            parked_topic="parked",
            is_known=lambda tenant: tenant in self.known,
            has_model=lambda model: model == "ours",
            pin=self._pin,
            bury=self._bury,
            put_aside=self._put_aside,
            observe=observer.Unobserved(),
            policy_of=lambda tenant: (policies or {}).get(tenant) or tenants.TenantPolicy(name=tenant),
        )
        self.backlog = backlog.Backlog(
            self.door,
            max_open=max_open,
            max_ahead=max_ahead,
            terms_of=lambda _: self.terms,
            finished=lambda place: self.finished.append(place.offset),
            leaving=lambda place: None,
            clock=lambda: time.monotonic() if self.now_s is None else self.now_s,
            wall_clock=lambda: time.time() if self.now_s is None else self.now_s,
        )

    async def _pin(self, event: events.RecordingReady) -> tuple[str, str]:
        return "resolved", event.recording_uri

    async def _bury(self, record: places.Record, reason: outcomes.Reason, message: str) -> None:
        self.buried.append(reason)
        self.said.append(message)

    async def _put_aside(
        self, topic: str, record: places.Record, key: bytes | None, headers: list[tuple[str, bytes]]
    ) -> None:
        if self.failures:
            self.failures -= 1
            raise errors.TransientError("down", reason=outcomes.Reason.BROKER_UNAVAILABLE)
        self.aside.append((topic, record, headers))

    def record(
        self, tenant: str, *, topic: str = "live", at_s: float = 0.0, model: str | None = None, **fields: typing.Any
    ) -> places.Record:
        """Build a record that announces a recording."""
        offset = next(self._offsets)
        data = doubles.event(f"c{offset}", tenant, model=model).model_dump(mode="json", exclude_none=True)
        value = {"specversion": "1.0", "id": str(offset), "source": "t", "type": events.RECORDING_READY, "data": data}
        place = places.Place(topic, 0, offset, 1)
        return places.Record(place, b"k", json.dumps(value | fields).encode(), (), at_s)

    async def arrive(self, *records: places.Record) -> None:
        """Let records arrive, and their reading settle."""
        self.backlog.arrive(records)
        for _ in range(20):
            await asyncio.sleep(0)

    async def take(self) -> delivery.Delivery:
        """Take what is there."""
        taken = await self.backlog.take()
        assert taken is not None
        return taken


async def test_what_is_over_its_tenants_share_is_put_aside_and_others_are_not() -> None:
    """Of a window of 12 one tenant gets 4; whoever comes then finds room, and the partition is never full."""
    rig = Rig()
    await rig.arrive(*(rig.record("big") for _ in range(50)))
    await rig.arrive(*(rig.record("small") for _ in range(3)))

    assert 4 <= rig.backlog.n_waiting <= 8
    assert {"deferred"} == {topic for topic, _, _ in rig.aside}
    assert [b"big"] * 46 == [
        record.value and json.loads(record.value)["data"]["tenant"].encode() for _, record, _ in rig.aside[:46]
    ]
    assert len(rig.aside) == len(rig.finished)
    served = {(await rig.take()).event.tenant for _ in range(rig.backlog.n_waiting)}
    assert {"big", "small"} == served


async def test_what_was_put_aside_comes_back_as_old_as_it_is() -> None:
    """It keeps its lane and its age, and is not put aside again, whatever else waits."""
    rig = Rig()
    await rig.arrive(*(rig.record("big", at_s=50.0) for _ in range(4)))
    old = rig.record("big", topic="live", at_s=7.0)
    headers = parking.wrap(old.headers, parking.Origin("live", 7.0), "over_share")
    await rig.arrive(places.Record(places.Place("deferred", 0, 1, 1), b"big", old.value, tuple(headers), 99.0))

    assert (7.0, 0) == ((taken := await rig.take()).queued_at, taken.rank)
    assert [] == rig.aside


async def test_a_record_is_finished_only_once_it_lies_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that does not take it is asked again."""
    rig = Rig(max_ahead=1)
    rig.failures = 2
    slept: list[float] = []
    sleep = asyncio.sleep

    async def instead(delay_s: float) -> None:
        slept.append(delay_s)
        assert not delay_s or [] == rig.finished
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", instead)
    await rig.arrive(rig.record("big"), rig.record("big"))

    assert ([1], [1.0, 2.0]) == (rig.finished, [each for each in slept if each])


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"type": "io.aftercall.recording.ready.v2"}, entrance.NEWER_SCHEMA),
        ({"tenant": "new"}, entrance.UNKNOWN_TENANT),
        ({"model": "theirs"}, entrance.OTHER_MODEL),
    ],
)
async def test_what_cannot_be_taken_yet_is_parked(fields: dict[str, str], why: str) -> None:
    """With its reason; it is neither lost nor dead."""
    rig = Rig()
    await rig.arrive(rig.record(fields.pop("tenant", "acme"), model=fields.pop("model", "ours"), **fields))

    ((topic, _, headers),) = rig.aside
    assert ("parked", why.encode()) == (topic, dict(headers)[parking.WHY])
    assert ([], [0]) == (rig.buried, rig.finished)


async def test_what_is_parked_is_taken_once_it_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is looked at again from time to time; until then its offset is not finished."""
    monkeypatch.setattr(backlog, "_LOOK_AGAIN_S", 0.01)
    rig = Rig()
    record = rig.record("new")
    headers = parking.wrap((), parking.Origin("live", 5.0), entrance.UNKNOWN_TENANT)
    await rig.arrive(places.Record(places.Place("parked", 0, 3, 1), b"", record.value, tuple(headers), 9.0))
    await asyncio.sleep(0.03)
    assert ([], 0) == (rig.finished, rig.backlog.n_waiting)
    rig.known.add("new")
    await asyncio.sleep(0.03)

    assert "new" == (await rig.take()).event.tenant


async def test_what_is_parked_too_long_goes_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that what stands behind it is seen, and retention does not delete it."""
    monkeypatch.setattr(backlog, "_LOOK_AGAIN_S", 0.01)
    monkeypatch.setattr(backlog, "_KEEP_PARKED_S", 0.02)
    rig = Rig()
    headers = parking.wrap((), parking.Origin("live", 5.0), entrance.UNKNOWN_TENANT)
    value = rig.record("new").value
    await rig.arrive(places.Record(places.Place("parked", 0, 3, 1), b"", value, tuple(headers), 9.0))
    await asyncio.sleep(0.1)

    ((topic, _, kept),) = rig.aside
    assert ("parked", parking.Origin("live", 5.0), [3]) == (topic, parking.origin_of(kept), rig.finished)


async def test_a_topic_is_held_to_its_tenants() -> None:
    """A claim beyond that is a dead letter."""
    rig = Rig()
    await rig.arrive(rig.record("big", topic="acme-only"), rig.record("acme", topic="acme-only"))

    assert ([outcomes.Reason.FORBIDDEN_SOURCE], 1) == (rig.buried, rig.backlog.n_waiting)


async def test_bulk_leaves_room_for_what_comes_live() -> None:
    """A quarter of the places; and live goes first wherever both wait."""
    rig = Rig(max_open=8, max_ahead=100)
    await rig.arrive(*(rig.record(f"{'big' if at % 2 else 'small'}", topic="bulk") for at in range(20)))
    taken = []
    while (one := await rig.backlog.take()) is not None:
        taken.append(one)
    assert 4 <= len(taken) <= 6
    await rig.arrive(rig.record("acme"))

    assert "acme" == (await rig.take()).event.tenant


async def test_what_waits_of_a_lost_partition_is_not_given_out() -> None:
    """Another consumer has it now, and its offsets are that one's to finish."""
    rig = Rig()
    await rig.arrive(rig.record("acme"), rig.record("acme"))
    open_one = await rig.take()
    rig.backlog.withdraw([("live", 0)])

    assert await rig.backlog.take() is None
    await rig.backlog.finish(open_one, _outcome())
    assert [] == rig.finished


def _outcome() -> outcomes.Outcome:
    return outcomes.Outcome(
        kind=outcomes.Kind.REJECTED,
        reason=outcomes.Reason.NOT_AUDIO,
        tenant="acme",
        call_id="c",
        recording_id="c",
        version="v1",
        generation=1,
        transcription_id="t",
        decided_at=doubles.NOW,
    )


@pytest.mark.parametrize(
    ("policy", "topic", "is_taken"),
    [
        ({"topics": ["live"]}, "live", True),
        ({"topics": ["live"]}, "bulk", False),
        ({"lanes": ["bulk"]}, "live", False),
        ({"lanes": ["bulk"]}, "bulk", True),
        ({"lanes": ["live", "bulk"], "topics": ["acme-only"]}, "acme-only", True),
        ({"lanes": ["bulk"], "topics": ["acme-only"]}, "acme-only", False),
        ({}, "bulk", True),
    ],
)
async def test_a_tenant_is_held_to_its_topics_and_lanes(
    policy: dict[str, list[str]], topic: str, is_taken: bool
) -> None:
    """A claim beyond its policy is a dead letter of the same reason, which says which topic; others are taken."""
    rig = Rig(policies={"acme": tenants.TenantPolicy.model_validate({"name": "acme", **policy})})
    await rig.arrive(rig.record("acme", topic=topic), rig.record("small"))

    assert (1 + is_taken, [] if is_taken else [outcomes.Reason.FORBIDDEN_SOURCE]) == (rig.backlog.n_waiting, rig.buried)
    assert is_taken or f"topic {topic}: the tenant's policy" in rig.said[0]


async def test_a_record_that_was_put_aside_is_held_to_the_topic_that_it_came_on() -> None:
    """The deferred topic is nobody's lane: a policy that lists topics need not list it."""
    rig = Rig(policies={"acme": tenants.TenantPolicy(name="acme", topics=("live",))})
    value = rig.record("acme").value
    for at, topic in enumerate(("live", "bulk")):
        headers = parking.wrap((), parking.Origin(topic, 7.0), "over_share")
        await rig.arrive(places.Record(places.Place("deferred", 0, at, 1), b"acme", value, tuple(headers), 9.0))

    assert (1, [outcomes.Reason.FORBIDDEN_SOURCE]) == (rig.backlog.n_waiting, rig.buried)


async def test_work_carries_the_promise_of_its_topic() -> None:
    """Or none, where the topic makes none of its own."""
    rig = Rig()
    await rig.arrive(rig.record("big", topic="live"), rig.record("big", topic="bulk"))

    assert [None, 14_400.0] == [(await rig.take()).promise_s, (await rig.take()).promise_s]


async def held(rig: Rig) -> None:
    """Let a tenant of a minute's audio a minute, with two minutes' burst and nothing left, be held at 1000 s."""
    rig.now_s = 1000.0
    await rig.arrive(rig.record("big", at_s=990.0))
    assert await rig.backlog.take() is None  # buckets begin empty


LIMITED = turns.Terms(limit=admission.Limit(1.0, 600.0))


async def test_work_that_waited_for_its_tenants_limit_says_so() -> None:
    """What stood there, and what came while the limit still held; not what came after it."""
    rig = Rig(terms=LIMITED)
    await held(rig)  # until 1120
    rig.now_s = 1110.0
    await rig.arrive(rig.record("big", at_s=1109.0))
    rig.now_s = 1300.0
    await rig.arrive(rig.record("big", at_s=1121.0))
    rig.now_s = 1400.0

    assert [True, True, False] == [(await rig.take()).is_throttled for _ in range(3)]


async def test_a_hold_ends_when_work_turns_out_to_cost_less() -> None:
    """What comes then did not wait for the limit."""
    rig = Rig(terms=LIMITED)
    await held(rig)
    rig.now_s = 1120.0
    first = await rig.take()
    await rig.arrive(rig.record("big", at_s=1119.0), rig.record("big", at_s=1131.0))
    assert await rig.backlog.take() is None  # until 1240
    rig.now_s = 1130.0
    await rig.backlog.finish(first, doubles.REJECTED)  # which costs nothing
    assert (await rig.take()).is_throttled
    rig.now_s = 1500.0

    assert not (await rig.take()).is_throttled


async def test_what_waited_on_the_deferred_topic_for_the_limit_says_so_too() -> None:
    """Although it is taken as soon as it is read: its tenant was held while it lay there."""
    rig = Rig(terms=LIMITED)
    await held(rig)
    rig.now_s = 1600.0
    await rig.take()
    rig.now_s = 9000.0
    headers = parking.wrap((), parking.Origin("live", 1001.0), "over_share")
    value = rig.record("big").value
    await rig.arrive(places.Record(places.Place("deferred", 0, 1, 1), b"big", value, tuple(headers), 8000.0))

    assert (True, 1001.0) == ((taken := await rig.take()).is_throttled, taken.queued_at)


def sums(rig: Rig, tenant: str) -> tuple[int, float, float, float]:
    """Return how much of a tenant waits and runs, and was served."""
    one = rig.backlog.loads(now_s=0.0)[tenant, 0]
    return len(one.waiting), one.waiting_s, one.running_s, one.served_s


async def test_what_was_read_is_told_of_from_then_on_and_not_once_another_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While its object is looked up, while it waits and runs, and while it waits for a retry."""
    rig = Rig()
    looked_up, resolve = asyncio.Event(), rig.door.resolve

    async def slowly(event: events.RecordingReady, **more: typing.Any) -> events.RecordingReady:
        await looked_up.wait()
        return await resolve(event, **more)

    monkeypatch.setattr(rig.door, "resolve", slowly)
    await rig.arrive(rig.record("acme"), rig.record("acme"), rig.record("big"))
    assert ((2, 240.0, 0.0, 0.0), 0) == (sums(rig, "acme"), rig.backlog.n_waiting)
    looked_up.set()
    await rig.arrive()
    taken = await rig.take()
    assert (1, 120.0, 120.0, 0.0) == sums(rig, "acme")
    await rig.backlog.hand_back(taken, delay_s=3600.0)
    assert (2, 240.0, 0.0, 0.0) == sums(rig, "acme")
    while (taken := await rig.take()).event.tenant != "acme":
        pass
    rig.backlog.note_audio(taken.ticket, 90.0)
    rig.backlog.withdraw({("live", 0)})
    assert (0, 0.0, 120.0, 0.0) == sums(rig, "acme")
    await rig.backlog.finish(taken, _outcome())

    assert (0, 0.0, 0.0, 90.0) == sums(rig, "acme")


async def test_a_limit_is_one_for_all_lanes_and_a_raised_one_is_used_at_once() -> None:
    """From when it is raised, and not for the time before."""
    rig = Rig(terms=turns.Terms(limit=admission.Limit(0.001, 120.0)))
    await rig.arrive(rig.record("acme"), rig.record("acme", topic="bulk"))
    assert await rig.backlog.take() is None
    assert rig.backlog.is_throttled("acme")
    assert not rig.backlog.is_throttled("big")
    rig.terms = turns.Terms(limit=admission.Limit(1e9, 120.0))
    rig.backlog.renew_terms()
    await rig.backlog.wait_for_work(5.0)
    await asyncio.sleep(0.001)

    assert (await rig.backlog.take()) is not None


async def test_work_that_finds_no_place_is_told_of_as_crowding() -> None:
    """Not what waits for its limit."""
    rig = Rig(max_open=2)
    await rig.arrive(rig.record("acme"), rig.record("acme"))
    assert not rig.backlog.is_crowded
    taken = await rig.take()
    assert await rig.backlog.take() is None
    assert rig.backlog.is_crowded
    await rig.backlog.finish(taken, _outcome())
    assert (await rig.take()).event.tenant == "acme"

    assert not rig.backlog.is_crowded
