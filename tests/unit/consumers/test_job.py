"""How a piece of work ends, whatever happens on its way."""

from __future__ import annotations

import datetime

import doubles
import pytest

from aftercall.consumers import checkpoints, job
from aftercall.consumers.intake import delivery
from aftercall.consumers.publish import objects, outcome
from aftercall.contracts import errors, identity, outcomes, reports, transcript

Reason = outcomes.Reason


class Reports:
    """A board that only listens."""

    async def report(
        self,
        work: identity.Work,
        stage: reports.Stage,
        *,
        progress: float | None = None,
        audio_s: float | None = None,
    ) -> None:
        """Take it."""


class Kept(checkpoints.NoCheckpoints):
    """Counts what is cleared."""

    cleared = 0

    async def clear(self, work: identity.Work) -> None:
        """Count it."""
        self.cleared += 1


class Bench:
    """A job over an empty store, and a transcription that does what it is told."""

    def __init__(self, made: transcript.Transcript | Exception, *, store: objects.ObjectStore | None = None) -> None:
        self.store = store or objects.ObjectStore.in_memory()
        self.news = doubles.ListTopic()
        self.publisher = outcome.Publisher(self.store, self.news)
        self.kept = Kept()
        self.asked = 0
        self._made = made
        self.job = job.Job(
            self.publisher,
            self.kept,
            Reports(),  # type: ignore[arg-type]
            self._transcribe,
            max_strikes=3,
            now=lambda: doubles.NOW,
        )

    async def _transcribe(self, _: delivery.Delivery) -> transcript.Transcript:
        self.asked += 1
        if isinstance(self._made, Exception):
            raise self._made
        return self._made


async def test_a_transcript_ends_canonical_and_is_announced() -> None:
    """The outcome names the transcript, and the checkpoints are forgotten."""
    bench = Bench(doubles.made())

    end = await bench.job.run(doubles.taken())

    assert isinstance(end, job.Ended)
    assert end.outcome.kind is outcomes.Kind.CANONICAL
    assert await bench.publisher.read_transcript(end.outcome) == doubles.made()
    assert [event.id for event in bench.news.events] == [doubles.taken().work.transcription_id]
    assert bench.kept.cleared == 1


async def test_work_that_was_decided_before_is_not_done_again() -> None:
    """A redelivery costs a look; the news is told again, once."""
    bench = Bench(doubles.made())
    first = await bench.job.run(doubles.taken())

    again = await bench.job.run(doubles.taken(attempts=2))

    assert isinstance(first, job.Ended)
    assert job.Ended(first.outcome, repeated=True) == again
    assert bench.asked == 1
    assert len(bench.news.events) == 1


@pytest.mark.parametrize(
    ("exc", "kind", "reason"),
    [
        (errors.RejectedError("m", reason=Reason.NOT_AUDIO), outcomes.Kind.REJECTED, Reason.NOT_AUDIO),
        (errors.PermanentError("m", reason=Reason.TENANT_POLICY), outcomes.Kind.DEAD, Reason.TENANT_POLICY),
    ],
)
async def test_what_will_never_work_ends_with_its_reason(
    exc: Exception, kind: outcomes.Kind, reason: outcomes.Reason
) -> None:
    """Rejected where the recording is to blame, dead where we are."""
    end = await Bench(exc).job.run(doubles.taken())

    assert isinstance(end, job.Ended)
    assert (kind, reason, "m") == (end.outcome.kind, end.outcome.reason, end.outcome.message)


async def test_what_may_pass_comes_back_later_and_is_never_counted_against_the_recording() -> None:
    """However often: a backend's outage is not the recording's fault."""
    exc = errors.TransientError("down", reason=Reason.BACKEND_UNAVAILABLE, retry_after_s=7)

    for attempts in (1, 50):
        end = await Bench(exc).job.run(doubles.taken(attempts=attempts))
        assert isinstance(end, job.Again)
        assert not end.strike
        assert 7 <= end.delay_s <= 300


async def test_a_recording_that_kills_its_decoder_three_times_is_dead() -> None:
    """Twice may be bad luck."""
    exc = errors.StrikeError("died", reason=Reason.DECODER_DIED)

    second = await Bench(exc).job.run(doubles.taken(strikes=1))
    third = await Bench(exc).job.run(doubles.taken(strikes=2))

    assert isinstance(second, job.Again)
    assert second.strike
    assert isinstance(third, job.Ended)
    assert (outcomes.Kind.DEAD, Reason.DECODER_DIED) == (third.outcome.kind, third.outcome.reason)


async def test_a_bug_is_a_strike_and_tells_no_secrets() -> None:
    """The message holds the kind of error, not what it said."""
    end = await Bench(KeyError("customer's name")).job.run(doubles.taken(strikes=2))

    assert isinstance(end, job.Ended)
    assert end.outcome.reason is Reason.INTERNAL_ERROR
    assert "customer" not in end.outcome.message


class Broken(objects.ObjectStore):
    """A store with a bug: nothing can be written."""

    def __init__(self) -> None:
        super().__init__(None)

    async def get(self, key: str) -> bytes | None:
        """Find nothing."""
        return None

    async def create(self, key: str, data: bytes) -> None:
        """Fail unexpectedly."""
        raise ValueError(key)

    put = create


async def test_a_bug_in_publishing_concludes_nothing() -> None:
    """The work stays, and the worker goes on."""
    end = await Bench(doubles.made(), store=Broken()).job.run(doubles.taken(strikes=5, attempts=9))

    assert isinstance(end, job.Again)
    assert end.delay_s == 300


def test_delays_grow_to_five_minutes() -> None:
    """2, 4, 8 … 300 s."""
    assert [2, 4, 8, 256, 300, 300] == [job.backoff_s(attempts) for attempts in (1, 2, 3, 8, 9, 1000)]
    assert doubles.NOW.tzinfo is datetime.UTC
