"""Deciding once: killed between any two steps, raced by thirty-two, deleted meanwhile."""

from __future__ import annotations

import asyncio
import os
import pathlib
import signal
import subprocess
import sys
import time

import doubles
import pytest

from aftercall.consumers.publish import objects, outcome
from aftercall.contracts import documents, errors, events, identity, outcomes, transcript

WORK = doubles.taken().work


class Crash(Exception):
    """The process dies here."""


class Dying(objects.ObjectStore):
    """A store whose process dies before or after its n-th write."""

    def __init__(self, inner: objects.ObjectStore, at: int, *, after: bool) -> None:
        super().__init__(inner._store)
        self._at = at
        self._after = after
        self.writes = 0

    async def create(self, key: str, data: bytes) -> None:
        """Create, or die around it."""
        self._maybe(after=False)
        await super().create(key, data)
        self._maybe(after=True)

    async def put(self, key: str, data: bytes) -> None:
        """Put, or die around it."""
        self._maybe(after=False)
        await super().put(key, data)
        self._maybe(after=True)

    def _maybe(self, *, after: bool) -> None:
        self.writes += not after
        if self.writes == self._at and after == self._after:
            raise Crash


class DyingTopic(doubles.ListTopic):
    """A topic whose first append is lost with its process, before or after it was kept."""

    def __init__(self, *, after: bool) -> None:
        super().__init__()
        self._armed = True
        self._after = after

    async def append(self, new: events.Event) -> None:
        """Append, or die around it."""
        if self._armed:
            self._armed = False
            if self._after:
                await super().append(new)
            raise Crash
        await super().append(new)


async def publish(publisher: outcome.Publisher, made: transcript.Transcript) -> outcomes.Outcome:
    """Do what the job does at its next attempt: look first."""
    decided = await publisher.read(WORK)
    if decided is not None:
        await publisher.announce(decided)
        return decided
    return await publisher.publish_transcript(WORK, made, attempts=1, now=doubles.NOW)


async def check(store: objects.ObjectStore, news: doubles.ListTopic) -> None:
    """One outcome, its transcript there, one piece of news, and the copy for people."""
    assert len(await store.keys("outcomes/")) == 1
    data = await store.get(WORK.outcome_key)
    assert data is not None
    decided = documents.parse(outcomes.Outcome, data, what="outcome")
    assert decided.transcript_key is not None
    assert await store.get(decided.transcript_key) is not None
    assert [WORK.transcription_id] == [event.id for event in news.events]
    assert await store.get(identity.current_copy_key("acme", "c1")) == await store.get(decided.transcript_key)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", [1, 2, 3])
async def test_killed_around_any_write_the_next_attempt_completes_it(at: int, after: bool) -> None:
    """Transcript, outcome, copy: before and after each."""
    store, news = objects.ObjectStore.in_memory(), doubles.ListTopic()
    with pytest.raises(Crash):
        await publish(outcome.Publisher(Dying(store, at, after=after), news), doubles.made())

    second = doubles.made(texts=("another honest run",))
    await publish(outcome.Publisher(store, news), second)

    await check(store, news)


@pytest.mark.parametrize("after", [False, True])
async def test_killed_around_the_news_it_is_told_once(after: bool) -> None:
    """The topic drops the repeat by its id."""
    store, news = objects.ObjectStore.in_memory(), DyingTopic(after=after)
    with pytest.raises(Crash):
        await publish(outcome.Publisher(store, news), doubles.made())

    await publish(outcome.Publisher(store, news), doubles.made())

    await check(store, news)


async def test_of_thirty_two_writers_one_wins_and_all_agree(tmp_path: pathlib.Path) -> None:
    """On a real disk; the losers' transcripts are gone."""
    store, news = objects.ObjectStore.on_disk(tmp_path), doubles.ListTopic()
    publisher = outcome.Publisher(store, news)
    runs = [doubles.made(texts=(f"run {at}",)) for at in range(32)]

    found = await asyncio.gather(
        *(publisher.publish_transcript(WORK, made, attempts=1, now=doubles.NOW) for made in runs)
    )

    assert len({one.transcript_key for one in found}) == 1
    await check(store, news)
    kept = await store.keys("transcripts/acme/c1/")
    assert kept == [found[0].transcript_key]


async def test_a_failure_decided_first_is_not_overturned() -> None:
    """Whoever was first has decided."""
    store, news = objects.ObjectStore.in_memory(), doubles.ListTopic()
    publisher = outcome.Publisher(store, news)
    first = await publisher.publish_failure(
        WORK, doubles.event(), outcomes.Kind.REJECTED, outcomes.Reason.NOT_AUDIO, "m", attempts=1, now=doubles.NOW
    )

    second = await publisher.publish_transcript(WORK, doubles.made(), attempts=1, now=doubles.NOW)

    assert first == second
    assert [events.TRANSCRIPT_FAILED] == [event.type for event in news.events]
    assert [] == await store.keys("transcripts/")


async def test_the_copy_for_people_never_goes_back() -> None:
    """A late announcement of generation 1 does not hide generation 2."""
    store, news = objects.ObjectStore.in_memory(), doubles.ListTopic()
    publisher = outcome.Publisher(store, news)
    one = await publisher.publish_transcript(WORK, doubles.made(), attempts=1, now=doubles.NOW)
    newer = doubles.taken(generation=2).work
    await publisher.publish_transcript(newer, doubles.made(generation=2), attempts=1, now=doubles.NOW)
    await publisher.announce(one)

    copy = await store.get(identity.current_copy_key("acme", "c1"))

    assert copy is not None
    assert documents.parse(transcript.Transcript, copy, what="copy").generation == 2


async def test_a_deletion_beats_every_outcome() -> None:
    """Work that ends after it leaves no news and nothing to read."""
    store, news = objects.ObjectStore.in_memory(), doubles.ListTopic()
    publisher = outcome.Publisher(store, news)
    await store.create(WORK.recording.tombstone_key, b"{}")

    decided = await publisher.publish_transcript(WORK, doubles.made(), attempts=1, now=doubles.NOW)

    assert await publisher.read_transcript(decided) is None
    assert [] == news.events
    assert await store.get(identity.current_copy_key("acme", "c1")) is None


async def test_a_full_disk_is_told_as_such() -> None:
    """Not as a bug, and not as an outcome."""

    class Full(objects.ObjectStore):
        async def put(self, key: str, data: bytes) -> None:
            raise objects._translate(OSError("write: No space left on device (os error 28)"))

    with pytest.raises(errors.TransientError) as caught:
        await outcome.Publisher(Full(None), doubles.ListTopic()).publish_transcript(
            WORK, doubles.made(), attempts=1, now=doubles.NOW
        )

    assert caught.value.reason is outcomes.Reason.DISK_FULL


_WRITER = """
import asyncio, pathlib, sys
from aftercall.consumers.publish import objects
async def main():
    store = objects.ObjectStore.on_disk(pathlib.Path(sys.argv[1]))
    print("go", flush=True)
    for at in range(100000):
        await store.put(f"k/{at}", bytes([at % 256]) * 300_000)
asyncio.run(main())
"""


def test_a_writer_killed_in_the_middle_leaves_no_half_object(tmp_path: pathlib.Path) -> None:
    """Every object that is there is whole."""
    writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    writer.stdout.readline()
    time.sleep(0.4)
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait(10)
    writer.stdout.close()

    store = objects.ObjectStore.on_disk(tmp_path)
    whole = [len(asyncio.run(store.get(key)) or b"") for key in asyncio.run(store.keys("k/"))]

    assert len(whole) > 1
    assert {300_000} == set(whole)
