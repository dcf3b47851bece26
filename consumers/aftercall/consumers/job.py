"""One piece of work from its event to its outcome, or back to the queue with a reason."""

from __future__ import annotations

import dataclasses
import datetime
import logging
from collections.abc import Awaitable, Callable

from aftercall.consumers import checkpoints, tracing
from aftercall.consumers.intake import delivery
from aftercall.consumers.publish import outcome as publishing
from aftercall.contracts import errors, outcomes, reports, transcript

log = logging.getLogger(__name__)

_FIRST_DELAY_S = 2.0
_LONGEST_DELAY_S = 300.0


@dataclasses.dataclass(frozen=True, slots=True)
class Ended:
    """The generation has its outcome, durable already; `repeated`, where it had it before this delivery."""

    outcome: outcomes.Outcome
    repeated: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Again:
    """Nothing is concluded; the work is due again after `delay_s`."""

    reason: outcomes.Reason
    message: str
    delay_s: float
    strike: bool = False


End = Ended | Again


class Job:
    """Runs pieces of work: outcome first, then the transcript, then its publication.

    `transcribe(work, delivery)` makes the transcript of a recording; it raises the error families of `contracts`.
    """

    def __init__(
        self,
        publisher: publishing.Publisher,
        kept: checkpoints.Checkpoints,
        board: delivery.Progress,
        transcribe: Callable[[delivery.Delivery], Awaitable[transcript.Transcript]],
        *,
        max_strikes: int,
        on_published: Callable[[delivery.Delivery, transcript.Transcript], None] = lambda taken, made: None,
        now: Callable[[], datetime.datetime],
    ) -> None:
        self._publisher = publisher
        self._kept = kept
        self._board = board
        self._transcribe = transcribe
        self._max_strikes = max_strikes
        self._on_published = on_published
        self._now = now

    async def run(self, taken: delivery.Delivery) -> End:
        """Bring one piece of work to its end, or say why it is due again; raises nothing but cancellation."""
        try:
            end = await self._conclude(taken)
            if isinstance(end, Ended):
                await self._kept.clear(taken.work)
            return end
        except errors.TransientError as exc:
            return Again(exc.reason, str(exc), max(exc.retry_after_s, backoff_s(taken.attempts)))
        except Exception as exc:
            # The one broad catch: whatever a bug does to one recording, the service goes on with the others.
            log.exception("job failed", extra={"transcription_id": taken.work.transcription_id})
            message = f"{type(exc).__name__} inside aftercall"
            return await self._give_up_on_bug(taken, message)

    async def _conclude(self, taken: delivery.Delivery) -> End:
        # A redelivery of work that has its outcome costs a look, not a GPU; the news of it may still be owed.
        decided = await self._publisher.read(taken.work)
        if decided is not None:
            await self._publisher.announce(decided)
            return Ended(decided, repeated=True)
        if await self._publisher.is_deleted(taken.work.recording):
            message = "the recording was deleted, and does not come back"
            return Ended(await self._fail(taken, outcomes.Kind.REJECTED, outcomes.Reason.DELETED, message))
        try:
            made = await self._transcribe(taken)
        except errors.PermanentError as exc:
            kind = outcomes.Kind.REJECTED if isinstance(exc, errors.RejectedError) else outcomes.Kind.DEAD
            return Ended(await self._fail(taken, kind, exc.reason, str(exc)))
        except errors.StrikeError as exc:
            return await self._strike(taken, exc.reason, str(exc))
        await self._board.report(taken.work, reports.Stage.PUBLISHING)
        with tracing.span("publish"):
            decided = await self._publisher.publish_transcript(
                taken.work, made, attempts=taken.attempts, now=self._now()
            )
        self._on_published(taken, made)
        return Ended(decided)

    async def _give_up_on_bug(self, taken: delivery.Delivery, message: str) -> End:
        try:
            return await self._strike(taken, outcomes.Reason.INTERNAL_ERROR, message)
        except Exception:
            # The bug is in publishing itself: nothing can be concluded, so the work stays, ever more rarely tried.
            log.exception("outcome not published", extra={"transcription_id": taken.work.transcription_id})
            return Again(outcomes.Reason.INTERNAL_ERROR, message, backoff_s(taken.attempts), strike=True)

    async def _strike(self, taken: delivery.Delivery, reason: outcomes.Reason, message: str) -> End:
        strikes = taken.strikes + 1
        if strikes >= self._max_strikes:
            text = f"{message} ({strikes} times); given up"
            return Ended(await self._fail(taken, outcomes.Kind.DEAD, reason, text))
        return Again(reason, message, backoff_s(strikes), strike=True)

    async def _fail(
        self, taken: delivery.Delivery, kind: outcomes.Kind, reason: outcomes.Reason, message: str
    ) -> outcomes.Outcome:
        return await self._publisher.publish_failure(
            taken.work, taken.event, kind, reason, message, attempts=taken.attempts, now=self._now()
        )


def backoff_s(attempts: int) -> float:
    """Return the delay before the next attempt: 2, 4, 8 … 300 s."""
    return float(min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2 ** min(attempts - 1, 16)))
