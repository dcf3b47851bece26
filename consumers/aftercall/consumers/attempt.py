"""One attempt at a piece of work: outcome first, then the claim, then the work, then the claim's end."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

from aftercall.consumers import job
from aftercall.consumers.intake import claimed, claims, delivery
from aftercall.consumers.publish import outcome as publishing
from aftercall.contracts import errors, outcomes

log = logging.getLogger(__name__)


class Floor:
    """Work shares this process, unless it must have it alone."""

    def __init__(self) -> None:
        self._changed = asyncio.Condition()
        self._n_sharing = 0
        self._n_alone = 0
        self._is_alone = False

    @contextlib.asynccontextmanager
    async def shared(self) -> AsyncIterator[None]:
        """Work beside others; whoever waits to be alone goes first."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._n_alone)
            self._n_sharing += 1
        try:
            yield
        finally:
            async with self._changed:
                self._n_sharing -= 1
                self._changed.notify_all()

    @contextlib.asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Work once everything else has ended, with nothing beside it."""
        async with self._changed:
            self._n_alone += 1
            try:
                await self._changed.wait_for(lambda: not self._n_sharing and not self._is_alone)
            except BaseException:
                self._n_alone -= 1
                self._changed.notify_all()
                raise
            self._is_alone = True
        try:
            yield
        finally:
            async with self._changed:
                self._is_alone = False
                self._n_alone -= 1
                self._changed.notify_all()


class Attempts:
    """Runs deliveries under claims; `run_job` does the work and concludes it."""

    def __init__(
        self,
        run_job: Callable[[delivery.Delivery], Awaitable[job.End]],
        held: claimed.Claims,
        publisher: publishing.Publisher,
        *,
        max_strikes: int,
        now: Callable[[], datetime.datetime],
    ) -> None:
        self._run_job = run_job
        self._claims = held
        self._publisher = publisher
        self._max_strikes = max_strikes
        self._now = now
        self._floor = Floor()

    async def run(self, taken: delivery.Delivery) -> job.End:
        """Bring a delivery to its end, or say why it is due again; raises nothing but cancellation."""
        try:
            decided = await self._publisher.read(taken.work)
            if decided is not None:
                await self._publisher.announce(decided)
                self._claims.forget(taken.work)
                return job.Ended(decided, repeated=True)
            held = await self._claims.take(taken.work, taken.event)
        except errors.TransientError as exc:
            return job.Again(exc.reason, str(exc), max(exc.retry_after_s, job.backoff_s(taken.attempts)))
        if isinstance(held, claims.Wait):
            return job.Again(outcomes.Reason.CLAIMED, f"{held.owner} works on it", held.delay_s)
        return await self._run(
            held, dataclasses.replace(taken, attempts=held.claim.attempt, strikes=held.claim.strikes)
        )

    async def _run(self, held: claimed.Held, taken: delivery.Delivery) -> job.End:
        try:
            if held.claim.strikes >= self._max_strikes:
                end = await self._give_up(taken)
            elif held.claim.suspect:
                async with self._floor.alone():
                    end = await self._run_alone(held, taken)
            else:
                async with self._floor.shared():
                    end = await self._run_job(taken)
        except BaseException:
            # A drain: let the next owner begin at once. The write outlives this task's cancellation.
            await asyncio.shield(self._claims.end(held))
            raise
        if isinstance(end, job.Again):
            await self._claims.end(held, reason=end.reason, message=end.message, strike=end.strike)
        else:
            await self._claims.end(held, reason=end.outcome.reason)
        return end

    async def _run_alone(self, held: claimed.Held, taken: delivery.Delivery) -> job.End:
        # Only now: whoever dies while this one waits for its turn must not be taken for its victim.
        try:
            await self._claims.alone(held)
        except errors.TransientError as exc:
            return job.Again(exc.reason, str(exc), exc.retry_after_s)
        return await self._run_job(taken)

    async def _give_up(self, taken: delivery.Delivery) -> job.End:
        message = f"{taken.strikes} processes died while this recording alone was open; given up"
        try:
            decided = await self._publisher.publish_failure(
                *(taken.work, taken.event, outcomes.Kind.DEAD, outcomes.Reason.PROCESS_DIED, message),
                attempts=taken.attempts,
                now=self._now(),
            )
        except errors.TransientError as exc:
            return job.Again(exc.reason, str(exc), exc.retry_after_s)
        return job.Ended(decided)
