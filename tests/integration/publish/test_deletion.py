"""A deletion: nothing is left to read, and nothing comes back."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import doubles
import pytest

from aftercall.consumers import checkpoints, job
from aftercall.consumers.intake import delivery
from aftercall.consumers.publish import deletion, objects, outcome
from aftercall.contracts import events, identity, outcomes, reports, transcript

WORK = doubles.taken().work


async def delete(store: objects.ObjectStore, news: doubles.ListTopic) -> int:
    """Delete the recording that `doubles` make."""
    return await deletion.delete(store, news, WORK.recording, now=doubles.NOW)


async def test_transcripts_copy_and_checkpoints_are_gone_and_the_news_is_told_once() -> None:
    """Whoever holds copies hears of it; a neighbour's objects stay."""
    store, news = objects.ObjectStore.in_memory(), doubles.ListTopic()
    publisher = outcome.Publisher(store, news)
    await publisher.publish_transcript(WORK, doubles.made(), attempts=1, now=doubles.NOW)
    other = doubles.taken("c2").work
    await publisher.publish_transcript(other, doubles.made("c2"), attempts=1, now=doubles.NOW)
    await store.put(WORK.checkpoints_prefix + "1.json", b"{}")

    assert [3, 0] == [await delete(store, news) for _ in range(2)]

    left = await store.keys("")
    assert not [key for key in left if "/c1" in key and not key.startswith("outcomes/")]
    assert identity.current_copy_key("acme", "c2") in left
    assert [events.RECORDING_DELETED] == [event.type for event in news.events if event.type.endswith("deleted.v1")]


@pytest.mark.parametrize("generation", [1, 2])
async def test_neither_a_redelivery_nor_a_replay_brings_it_back(generation: int) -> None:
    """Each ends at once, rejected, having heard nothing."""
    store, news = objects.ObjectStore.in_memory(), doubles.ListTopic()
    await delete(store, news)

    async def transcribe(taken: delivery.Delivery) -> transcript.Transcript:
        raise AssertionError("it was heard again")

    class Board:
        async def report(self, work: identity.Work, stage: reports.Stage, **_: object) -> None:
            """Note nothing."""

    jobs = job.Job(
        outcome.Publisher(store, news),
        checkpoints.NoCheckpoints(),
        Board(),
        transcribe,
        max_strikes=3,
        now=lambda: doubles.NOW,
    )

    end = await jobs.run(doubles.taken(generation=generation))

    assert isinstance(end, job.Ended)
    assert (outcomes.Kind.REJECTED, outcomes.Reason.DELETED) == (end.outcome.kind, end.outcome.reason)


async def test_what_ends_after_it_leaves_nothing() -> None:
    """Work that was open when the tombstone came."""
    store, news = objects.ObjectStore.in_memory(), doubles.ListTopic()
    await delete(store, news)
    await outcome.Publisher(store, news).publish_transcript(WORK, doubles.made(), attempts=1, now=doubles.NOW)

    assert [] == await store.keys("transcripts/")


_STORY = """
import asyncio, pathlib, sys
import doubles
from aftercall.consumers import observer
from aftercall.consumers.publish import clickhouse, deletion, objects, outcome, relay
async def main():
    store, news = objects.ObjectStore.in_memory(), doubles.ListTopic()
    publisher = outcome.Publisher(store, news)
    work = doubles.taken().work
    await publisher.publish_transcript(work, doubles.made(), attempts=1, now=doubles.NOW)
    await publisher.publish_transcript(doubles.taken("c2").work, doubles.made("c2"), attempts=1, now=doubles.NOW)
    sink = clickhouse.ClickHouse.embedded(pathlib.Path(sys.argv[1]))
    await sink.open()
    carrier = relay.ClickHouseRelay(news, publisher, sink, observer.Unobserved())
    while await carrier.carry():
        pass
    ready = list(news.events)
    await deletion.delete(store, news, work.recording, now=doubles.NOW)
    news.events += ready  # told again, late
    while await carrier.carry():
        pass
    print([(row["recording_id"], row["n"]) for row in await sink.query(
        "SELECT recording_id, count() AS n FROM segments FINAL GROUP BY recording_id ORDER BY recording_id")])
    print([row["recording_id"] for row in await sink.query("SELECT recording_id FROM recordings_current")])
    await sink.close()
asyncio.run(main())
"""


def test_rows_are_gone_from_clickhouse_and_late_news_brings_none_back(tmp_path: pathlib.Path) -> None:
    """Of that recording, and of no other."""
    done = subprocess.run(
        [sys.executable, "-c", _STORY, str(tmp_path / "ch")],
        capture_output=True,
        text=True,
        timeout=100,
        env={"PYTHONPATH": str(pathlib.Path(doubles.__file__).parent)},
    )

    assert ["[('c2', 1)]", "['c2']"] == done.stdout.split("\n")[:2], done.stderr[-2000:]
