"""The embedded queue: durable, once, in turn."""

from __future__ import annotations

import asyncio
import pathlib
import sqlite3
from collections.abc import AsyncIterator

import doubles
import pytest

from aftercall.consumers.intake import database, delivery, embedded, kept
from aftercall.consumers.publish import topic
from aftercall.contracts import errors, events, outcomes, reports


class Clock:
    """Time in hand."""

    now = 1000.0

    def __call__(self) -> float:
        """Tell it."""
        return self.now


class Bench:
    """An intake over a file that can be closed and opened again."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self.clock = Clock()

    async def open(self) -> embedded.EmbeddedIntake:
        """Open it, as a process does at its start."""
        self.db = database.Database(self.path)
        await self.db.open()
        self.intake = embedded.EmbeddedIntake(self.db, now=self.clock)
        return self.intake


@pytest.fixture
async def bench(tmp_path: pathlib.Path) -> AsyncIterator[Bench]:
    """An open intake."""
    found = Bench(tmp_path / "state.sqlite")
    await found.open()
    yield found
    await found.db.close()


def outcome(kind: outcomes.Kind = outcomes.Kind.REJECTED, call_id: str = "c1") -> outcomes.Outcome:
    """Build an outcome."""
    return outcomes.Outcome(
        kind=kind,
        reason=outcomes.Reason.EMPTY_FILE,
        transcript_key="k" if kind is outcomes.Kind.CANONICAL else None,
        tenant="acme",
        call_id=call_id,
        recording_id=call_id,
        version="v1",
        generation=1,
        transcription_id="t",
        decided_at=doubles.NOW,
    )


async def test_the_same_recording_is_queued_once(bench: Bench) -> None:
    """However often its event comes."""
    first = await bench.intake.publish(doubles.event())
    again = await bench.intake.publish(doubles.event())

    assert first.transcription_id == again.transcription_id
    assert await bench.intake.take() is not None
    assert await bench.intake.take() is None


async def test_an_attempt_is_counted_before_work_begins(bench: Bench) -> None:
    """Whatever happens next, it is on disk."""
    await bench.intake.publish(doubles.event())
    taken = await bench.intake.take()

    assert taken is not None
    assert 1 == taken.attempts
    raw = sqlite3.connect(bench.path)
    assert [(1, "processing")] == raw.execute("SELECT attempts, status FROM work").fetchall()
    raw.close()


async def test_work_open_when_a_process_died_is_due_again(bench: Bench) -> None:
    """And counted as another attempt, not as a strike."""
    await bench.intake.publish(doubles.event())
    await bench.intake.take()
    await bench.db.close()
    intake = await bench.open()

    assert await intake.take() is None
    assert 1 == await intake.recover()
    again = await intake.take()

    assert again is not None
    assert (2, 0) == (again.attempts, again.strikes)


async def test_tenants_are_served_in_turn(bench: Bench) -> None:
    """One tenant's hundred calls do not stand before another's one."""
    for at in range(4):
        await bench.intake.publish(doubles.event(f"a{at}", "acme"))
    await bench.intake.publish(doubles.event("g0", "globex"))
    order = []
    for _ in range(5):
        bench.clock.now += 1
        taken = await bench.intake.take()
        assert taken is not None
        order.append(taken.event.call_id)

    assert ["a0", "g0", "a1", "a2", "a3"] == order


async def test_what_is_handed_back_waits_for_its_time(bench: Bench) -> None:
    """With its reason on the board, and strikes counted."""
    await bench.intake.publish(doubles.event())
    taken = await bench.intake.take()
    assert taken is not None
    await bench.intake.hand_back(
        taken, delay_s=30, reason=outcomes.Reason.DISK_FULL, message="the disk is full", strike=True
    )

    assert await bench.intake.take() is None
    report = await bench.intake.find(taken.work.transcription_id)
    assert report is not None
    assert (reports.Status.QUEUED, outcomes.Reason.DISK_FULL) == (report.status, report.waiting_reason)
    bench.clock.now += 31
    again = await bench.intake.take()
    assert again is not None
    assert (2, 1) == (again.attempts, again.strikes)


async def test_the_board_tells_stage_place_and_end(bench: Bench) -> None:
    """From queued to completed."""
    await bench.intake.publish(doubles.event("c0"))
    second = await bench.intake.publish(doubles.event("c1"))
    assert 1 == second.queue_position
    taken = await bench.intake.take()
    assert taken is not None
    await bench.intake.report(taken.work, reports.Stage.TRANSCRIBING, progress=0.5, audio_s=12.0)
    running = await bench.intake.find(taken.work.transcription_id)
    await bench.intake.report(taken.work, reports.Stage.ASSEMBLING)
    await bench.intake.finish(taken, outcome(outcomes.Kind.CANONICAL, "c0"))
    ended = await bench.intake.find(taken.work.transcription_id)

    assert running is not None
    assert ended is not None
    assert (reports.Status.PROCESSING, 0.5, 12.0) == (running.status, running.progress, running.audio_s)
    assert (reports.Status.COMPLETED, None, 12.0) == (ended.status, ended.progress, ended.audio_s)
    assert ["c1", "c0"] == [report.call_id for report in await bench.intake.list_reports()]
    assert ["c0"] == [report.call_id for report in await bench.intake.find_call("c0", tenant="acme")]
    assert [] == await bench.intake.find_call("c0", tenant="globex")


async def test_asking_again_opens_the_next_generation(bench: Bench) -> None:
    """Only once the one before has ended, and only once a request key."""
    recording = doubles.event().recording
    assert await bench.intake.publish_again(recording, language=None) is None
    first = await bench.intake.publish(doubles.event())
    still = await bench.intake.publish_again(recording, language=None)
    taken = await bench.intake.take()
    assert taken is not None
    await bench.intake.finish(taken, outcome())

    second = await bench.intake.publish_again(recording, language="es", request_key="k")
    same = await bench.intake.publish_again(recording, language="es", request_key="k")

    assert still is not None
    assert second is not None
    assert same is not None
    assert first.transcription_id == still.transcription_id != second.transcription_id
    assert second.transcription_id == same.transcription_id
    assert 2 == second.generation
    again = await bench.intake.take()
    assert again is not None
    assert "es" == again.event.language


async def test_asking_at_once_with_one_key_gives_one_transcription(bench: Bench) -> None:
    """Three retries of one request that never saw an answer; and two requests that ask for different things."""
    await bench.intake.publish(doubles.event())
    taken = await bench.intake.take()
    assert taken is not None
    await bench.intake.finish(taken, outcome())
    recording = doubles.event().recording

    same = await asyncio.gather(
        *(bench.intake.publish_again(recording, language="es", request_key="k") for _ in range(3))
    )
    other = await asyncio.gather(*(bench.intake.publish_again(recording, language=code) for code in ("de", "fr")))

    assert 1 == len({report.transcription_id for report in same if report is not None})
    assert 2 == len({report.transcription_id for report in other if report is not None})


async def test_a_key_means_one_request(bench: Bench) -> None:
    """The same key with another recording or another language is a mistake of the client's."""
    for call_id in ("a", "b"):
        await bench.intake.publish(doubles.event(call_id))
    await bench.intake.publish_again(doubles.event("a").recording, language="en", request_key="k")

    for call_id, language in (("b", "en"), ("a", "es"), ("a", None)):
        with pytest.raises(delivery.RequestKeyReusedError):
            await bench.intake.publish_again(doubles.event(call_id).recording, language=language, request_key="k")


async def test_reports_can_be_read_page_by_page(bench: Bench) -> None:
    """Newest first, each once."""
    ids = [(await bench.intake.publish(doubles.event(call_id))).transcription_id for call_id in "abc"]

    first = await bench.intake.list_reports(limit=2)
    rest = await bench.intake.list_reports(before=first[-1].transcription_id, limit=2)

    assert ids[::-1] == [report.transcription_id for report in [*first, *rest]]
    assert [] == await bench.intake.list_reports(tenant="nobody", before=ids[-1])


async def test_waiting_ends_when_work_arrives(bench: Bench) -> None:
    """And not before its time otherwise."""
    await bench.intake.publish(doubles.event())
    await bench.intake.wait_for_work(30)
    await bench.intake.wait_for_work(0.01)


async def test_checkpoints_are_kept_until_cleared(bench: Bench) -> None:
    """Each piece of work has its own."""
    points = kept.EmbeddedCheckpoints(bench.db)
    work, other = doubles.taken("a").work, doubles.taken("b").work
    await points.put(work, "d", b"1")

    assert (b"1", None) == (await points.get(work, "d"), await points.get(other, "d"))
    await points.clear(work)
    assert await points.get(work, "d") is None


async def test_a_topic_keeps_order_and_places_for_each_group(bench: Bench) -> None:
    """An event is in it once; a group goes on where it was, and never back."""
    news = topic.EmbeddedTopic(bench.db)
    for at in (1, 2, 1, 3):
        await news.append(events.recording_ready(doubles.event(f"c{at}"), source="s", now=doubles.NOW))
    records = await news.read("g", limit=2)
    await news.commit("g", records[-1].position)
    await news.commit("g", records[0].position)

    assert ["c1", "c2"] == [record.event.subject for record in records]
    assert ["c3"] == [record.event.subject for record in await news.read("g", limit=10)]
    assert 3 == len(await news.read("other", limit=10))


async def test_a_file_of_a_newer_version_is_refused(tmp_path: pathlib.Path) -> None:
    """A downgrade says so, and touches nothing."""
    path = tmp_path / "state.sqlite"
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA user_version = 99")
    raw.close()
    db = database.Database(path)

    with pytest.raises(errors.ConfigurationError, match="newer aftercall"):
        await db.open()
    await db.close()
