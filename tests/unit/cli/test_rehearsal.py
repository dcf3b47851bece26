"""A rehearsal sends one recording, says how it ended, and leaves no recording and no words behind."""

from __future__ import annotations

import io
import wave

import doubles
import numpy as np
import pytest

from aftercall.cli import babble, rehearsal
from aftercall.consumers.publish import deletion, objects, outcome
from aftercall.consumers.recording import speech, vad
from aftercall.contracts import errors, events, identity, outcomes


class FakePlatform:
    """A deployment in memory; `ends` says how it deals with what is announced, and when (seconds of the fake clock)."""

    def __init__(self, ends: str | None = None, *, after_s: float = 0.0, windows: int = 1) -> None:
        self.inbox = objects.ObjectStore.in_memory()
        self.store = objects.ObjectStore.in_memory()
        self.news = doubles.ListTopic()
        self.announced: list[events.RecordingReady] = []
        self.heard: bytes | None = None
        self.now_s = 100.0
        self._ends, self._after_s, self._windows = ends, after_s, windows

    def clock(self) -> float:
        """Return the fake time."""
        return self.now_s

    async def wait(self, seconds: float) -> bool:
        """Let time pass; the consumer works meanwhile."""
        self.now_s += seconds
        await self._work()
        return False

    async def announce(self, event: events.RecordingReady) -> None:
        """Take the announcement."""
        self.announced.append(event)
        self.heard = await self.inbox.get(event.recording_uri.partition("//")[2].partition("/")[2])

    async def where(self, tenant: str, recording_id: str) -> str | None:
        """Say where it is."""
        return "queued, 7 before it" if self._ends == "stuck" else None

    async def delete(self, recording: identity.Recording) -> None:
        """Delete, as a deployment does."""
        await deletion.delete(self.store, self.news, recording, now=doubles.NOW)

    async def _work(self) -> None:
        if self.now_s - 100.0 < self._after_s or not self.announced or self._ends in {None, "stuck"}:
            return
        event = self.announced[0]
        work = identity.Work(event.recording, "v1", 1)
        publisher = outcome.Publisher(self.store, self.news)
        if self._ends == "canonical":
            made = doubles.made(event.recording_id)
            changed = made.model_copy(update={"cost": made.cost.model_copy(update={"windows": self._windows})})
            await publisher.publish_transcript(work, changed, attempts=1, now=doubles.NOW)
        else:
            await publisher.publish_failure(
                work,
                event,
                outcomes.Kind.DEAD,
                outcomes.Reason.BACKEND_REFUSED,
                "no such model",
                attempts=3,
                now=doubles.NOW,
            )


async def run(platform: FakePlatform, timeout_s: float = 30.0) -> rehearsal.Verdict:
    """Rehearse on a fake platform."""
    trial = rehearsal.Rehearsal(platform, "acme", "recordings", clock=platform.clock, wait=platform.wait)
    return await trial.run(timeout_s=timeout_s)


async def left(platform: FakePlatform) -> set[str]:
    """Return the kinds of objects that are left, by their first folder."""
    every = await platform.store.keys("") + await platform.inbox.keys("")
    return {key.partition("/")[0] for key in every}


async def test_a_transcript_is_good_and_nothing_with_words_stays() -> None:
    """The recording was there when it was announced; afterwards outcome and tombstone are left."""
    platform = FakePlatform("canonical", after_s=5)

    verdict = await run(platform)

    assert verdict.ok, verdict.said
    assert verdict.took_s >= 5
    assert platform.heard is not None
    assert {"outcomes"} >= await left(platform) - {"ids", "calls"}
    assert {"acme"} == {event.tenant for event in platform.announced}


async def test_a_dead_letter_is_told_with_its_reason() -> None:
    """What, why, and no transcript."""
    verdict = await run(FakePlatform("dead"))

    assert (False, "ended dead (backend_refused): no such model") == (verdict.ok, verdict.said)


@pytest.mark.parametrize(
    ("ends", "says"),
    [("stuck", "no outcome within 30 s: queued, 7 before it"), (None, "nothing has taken it")],
)
async def test_what_does_not_come_is_said_with_where_it_is(ends: str | None, says: str) -> None:
    """And cleaned up: a tombstone keeps it from being worked on later."""
    platform = FakePlatform(ends)

    verdict = await run(platform)

    assert not verdict.ok
    assert says in verdict.said
    recording = platform.announced[0].recording
    assert [recording.tombstone_key] == await platform.store.keys("outcomes/")
    assert [] == await platform.inbox.keys("")


async def test_a_transcript_of_nothing_heard_is_no_success() -> None:
    """It would pass with a dead speech backend."""
    verdict = await run(FakePlatform("canonical", windows=0))

    assert not verdict.ok
    assert "no window was heard" in verdict.said


async def test_whatever_fails_the_recording_goes() -> None:
    """A topic that does not take it leaves no recording in the bucket."""
    platform = FakePlatform()

    async def refuse(event: events.RecordingReady) -> None:
        raise errors.TransientError("no broker", reason=outcomes.Reason.BROKER_UNAVAILABLE)

    platform.announce = refuse  # type: ignore[method-assign]
    with pytest.raises(errors.TransientError):
        await run(platform)
    assert [] == await platform.inbox.keys("")


def test_the_first_that_a_tenant_may_use_is_taken() -> None:
    """One that is bound to others is passed over."""
    names = {"closed": ("globex",), "mine": ("acme",), "open": ()}

    assert "mine" == rehearsal.first_allowed(names, "acme", what="topics")
    assert "open" == rehearsal.first_allowed(names, "initech", what="topics")
    with pytest.raises(errors.ConfigurationError, match="acme may use none of the topics: closed"):
        rehearsal.first_allowed({"closed": ("globex",)}, "acme", what="topics")


def test_babble_is_taken_for_speech() -> None:
    """Every phrase, by what finds speech in consumers, whatever the noise; and no two seeds are the same bytes."""
    made = [babble.wav(rehearsal.DURATION_S, seed=seed) for seed in range(20)]
    for data in made:
        with wave.open(io.BytesIO(data)) as file:
            samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
        finder = speech.SpeechFinder()
        found = [*finder.feed(*vad.SpeechProbability().feed(samples, last=True)), *finder.finish(len(samples))]

        assert rehearsal.DURATION_S * babble.RATE_HZ == len(samples)
        assert 3 == len(found)
        assert sum(each.speech.n_samples for each in found) > 4.5 * babble.RATE_HZ
    assert 20 == len(set(made))
