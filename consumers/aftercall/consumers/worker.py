"""Take work, run each piece to its outcome, and never let one recording's trouble touch another."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable

from aftercall.consumers import job, observer, tracing
from aftercall.consumers.intake import delivery
from aftercall.contracts import errors, metrics

log = logging.getLogger(__name__)

_IDLE_S = 1.0


class Worker:
    """Run up to `max_open_calls` pieces of work at once.

    `wait_for_work(timeout_s)` returns early when something was queued, so that an idle worker neither spins nor
    lets a caller wait. `promise_s` is how soon after its event an outcome is due, where its delivery says nothing else.
    """

    def __init__(
        self,
        intake: delivery.Queue,
        run_job: Callable[[delivery.Delivery], Awaitable[job.End]],
        *,
        max_open_calls: int,
        wait_for_work: Callable[[float], Awaitable[object]],
        observe: observer.Observer,
        drain_s: float = 0.0,
        promise_s: float = math.inf,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._intake = intake
        self._run_job = run_job
        self._max_open_calls = max_open_calls
        self._wait_for_work = wait_for_work
        self._observe = observe
        self._drain_s = drain_s
        self._promise_s = promise_s
        self._clock = clock
        self._open: set[asyncio.Task[None]] = set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until `stopping`; then take nothing new, let what is open end for `drain_s`, and hand back the rest."""
        try:
            while not stopping.is_set():
                if len(self._open) >= self._max_open_calls:
                    await asyncio.wait(self._open, return_when=asyncio.FIRST_COMPLETED, timeout=_IDLE_S)
                    continue
                taken = await self._intake.take()
                if taken is None:
                    await self._wait_for_work(_IDLE_S)
                    continue
                task = asyncio.create_task(self._work_on(taken), name=f"job {taken.work.transcription_id}")
                self._open.add(task)
                task.add_done_callback(self._open.discard)
                self._observe.set(metrics.JOBS_RUNNING, len(self._open))
            if self._open and self._drain_s:
                log.info("draining", extra={"open": len(self._open), "drain_s": self._drain_s})
                await asyncio.wait(self._open, timeout=self._drain_s)
        finally:
            for task in self._open:
                task.cancel()
            await asyncio.gather(*self._open, return_exceptions=True)

    async def _work_on(self, taken: delivery.Delivery) -> None:
        fields: dict[str, str | int] = {"transcription_id": taken.work.transcription_id}
        with tracing.following(taken.trace, "process recording", fields | {"tenant": taken.work.recording.tenant}):
            await self._run_to_its_end(taken, fields)

    async def _run_to_its_end(self, taken: delivery.Delivery, fields: dict[str, str | int]) -> None:
        log.info("work taken", extra=fields)
        try:
            end = await self._run_job(taken)
        except asyncio.CancelledError:
            # A drain concludes nothing: what was heard so far is checkpointed, and the next process goes on.
            await self._intake.hand_back(taken, delay_s=0.0)
            raise
        match end:
            case job.Ended(outcome, repeated):
                await self._record(lambda: self._intake.finish(taken, outcome))
                waited_s = max(0.0, self._clock() - taken.queued_at)
                if repeated:
                    self._observe.add(metrics.REPEATS)
                else:
                    self._observe.add(metrics.JOBS, outcome=outcome.kind, reason=outcome.reason)
                    self._observe.observe(metrics.EVENT_TO_TRANSCRIPT_SECONDS, waited_s)
                    kept = self._kept(taken, waited_s)
                    self._observe.add(metrics.POOL_PROMISES, kept=kept)
                    self._observe.add(metrics.PROMISES, tenant=taken.work.recording.tenant, kept=kept)
                log.info("work ended", extra={**fields, "outcome": outcome.kind, "reason": outcome.reason})
            case job.Again(reason, message, delay_s, strike):
                await self._record(
                    lambda: self._intake.hand_back(
                        taken, delay_s=delay_s, reason=reason, message=message, strike=strike
                    )
                )
                self._observe.add(metrics.RETRIES, reason=reason)
                log.warning("work handed back", extra={**fields, "reason": reason, "delay_s": delay_s})
        self._observe.set(metrics.JOBS_RUNNING, len(self._open) - 1)

    def _kept(self, taken: delivery.Delivery, waited_s: float) -> str:
        """Say whether an outcome came in time; what waited for its tenant's own limit was promised nothing."""
        promise_s = self._promise_s if taken.promise_s is None else taken.promise_s
        if waited_s <= promise_s:
            return "true"
        return "throttled" if taken.is_throttled else "false"

    async def _record(self, write: Callable[[], Awaitable[None]]) -> None:
        """Write to the intake until it takes it: a full disk must not leave ended work looking open."""
        while True:
            try:
                return await write()
            except errors.TransientError as exc:
                log.warning("intake did not take the result", extra={"reason": exc.reason})
                await asyncio.sleep(exc.retry_after_s)
