"""The worker: bounded, draining, and patient with its own intake."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import re
from collections.abc import Callable

import doubles
import pytest

from aftercall.consumers import job, observer, worker
from aftercall.consumers.intake import delivery
from aftercall.contracts import errors, outcomes


class ListIntake:
    """An intake over a list."""

    def __init__(self, n: int) -> None:
        self.waiting = [doubles.taken(f"c{at}") for at in range(n)]
        self.finished: list[str] = []
        self.handed_back: list[str] = []
        self.failures = 0

    async def take(self) -> delivery.Delivery | None:
        """Take the first."""
        return self.waiting.pop(0) if self.waiting else None

    async def finish(self, taken: delivery.Delivery, outcome: outcomes.Outcome) -> None:
        """Record it, unless told to fail."""
        if self.failures:
            self.failures -= 1
            raise errors.TransientError("full", reason=outcomes.Reason.DISK_FULL, retry_after_s=0.0)
        self.finished.append(taken.event.call_id)

    async def hand_back(self, taken: delivery.Delivery, **_: object) -> None:
        """Record it."""
        self.handed_back.append(taken.event.call_id)


class Run:
    """A worker over a list, whose jobs wait at a gate."""

    def __init__(self, n: int, *, max_open_calls: int = 2, drain_s: float = 0.0) -> None:
        self.intake = ListIntake(n)
        self.gate = asyncio.Event()
        self.observe = observer.PrometheusObserver()
        self.now_s = 0.0
        self.repeated = False
        self.open = self.most_open = 0
        self.stopping = asyncio.Event()
        self.worker = worker.Worker(
            self.intake,  # type: ignore[arg-type]
            self._job,
            max_open_calls=max_open_calls,
            wait_for_work=self._wait,
            observe=self.observe,
            drain_s=drain_s,
            promise_s=600.0,
            clock=lambda: self.now_s,
        )

    async def _job(self, _: delivery.Delivery) -> job.End:
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await self.gate.wait()
        finally:
            self.open -= 1
        return job.Ended(doubles.REJECTED, repeated=self.repeated)

    async def _wait(self, _: float) -> None:
        await asyncio.sleep(0)


async def until(wanted: Callable[[], bool]) -> None:
    """Let the loop turn until it is so."""
    for _ in range(10_000):
        if wanted():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came to be so")


async def test_no_more_calls_are_open_than_allowed_and_all_end() -> None:
    """Five calls through two places."""
    run = Run(5)
    task = asyncio.create_task(run.worker.run(run.stopping))
    await until(lambda: run.open == 2)
    run.gate.set()
    await until(lambda: len(run.intake.finished) == 5)
    run.stopping.set()
    await task

    assert run.most_open == 2
    assert [f"c{at}" for at in range(5)] == sorted(run.intake.finished)


async def test_a_drain_hands_back_what_is_open() -> None:
    """Nothing is concluded, nothing is lost, and nothing new is taken."""
    run = Run(3)
    task = asyncio.create_task(run.worker.run(run.stopping))
    await until(lambda: run.open == 2)
    run.stopping.set()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task

    assert ["c0", "c1"] == sorted(run.intake.handed_back)
    assert len(run.intake.waiting) == 1


async def test_an_end_is_recorded_as_soon_as_the_intake_can() -> None:
    """A full disk delays the record, never the truth."""
    run = Run(1)
    run.intake.failures = 2
    run.gate.set()
    task = asyncio.create_task(run.worker.run(run.stopping))
    await until(lambda: bool(run.intake.finished))
    run.stopping.set()
    await task

    assert ["c0"] == run.intake.finished


async def test_a_drain_with_time_lets_open_calls_end_and_hands_back_the_rest() -> None:
    """What ends in time is finished; what does not is somebody else's."""
    for ends, drain_s in ((True, 30.0), (False, 0.01)):
        run = Run(3, drain_s=drain_s)
        task = asyncio.create_task(run.worker.run(run.stopping))
        await until(lambda run=run: run.open == 2)  # type: ignore[misc]
        run.stopping.set()
        await asyncio.sleep(0)
        if ends:
            run.gate.set()
        await task

        assert (["c0", "c1"] if ends else []) == sorted(run.intake.finished)
        assert ([] if ends else ["c0", "c1"]) == sorted(run.intake.handed_back)
        assert 1 == len(run.intake.waiting)


@pytest.mark.parametrize(
    ("promise_s", "is_throttled", "ended_s", "kept"),
    [
        (None, False, 600.0, "true"),
        (None, False, 601.0, "false"),
        (None, True, 601.0, "throttled"),
        (None, True, 30.0, "true"),
        (14_400.0, False, 601.0, "true"),
        (60.0, False, 61.0, "false"),
    ],
)
async def test_promises_are_counted_from_the_event(
    promise_s: float | None, is_throttled: bool, ended_s: float, kept: str
) -> None:
    """By the topic's own where it makes one; what waited for its tenant's limit was promised nothing."""
    run = Run(1)
    run.intake.waiting = [
        dataclasses.replace(one, promise_s=promise_s, is_throttled=is_throttled) for one in run.intake.waiting
    ]
    run.now_s = ended_s
    run.gate.set()
    task = asyncio.create_task(run.worker.run(run.stopping))
    await until(lambda: bool(run.intake.finished))
    run.stopping.set()
    await task

    counted = [
        f'aftercall_consumer_pool_promises_total{{kept="{kept}"}} 1.0',
        f'aftercall_consumer_promises_total{{kept="{kept}",tenant="acme"}} 1.0',
    ]
    assert counted == [
        line
        for line in run.observe.exposition().decode().splitlines()
        if re.match(r"aftercall_consumer_(pool_)?promises_total\{", line) and not line.endswith(" 0.0")
    ]


async def test_an_outcome_that_was_there_already_is_no_promise_kept() -> None:
    """Nor broken: it was counted when it was decided."""
    run = Run(1)
    run.repeated = True
    run.gate.set()
    task = asyncio.create_task(run.worker.run(run.stopping))
    await until(lambda: bool(run.intake.finished))
    run.stopping.set()
    await task

    told = run.observe.exposition().decode()
    assert "aftercall_consumer_promises_total{" not in told
    assert 3 == len(re.findall(r"^aftercall_consumer_pool_promises_total\{.* 0\.0$", told, re.MULTILINE))
