"""A speech backend in this process: windows of every open call meet in one line, and engine threads take batches.

The engine runs outside the event loop.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
import itertools
import time
from collections.abc import Callable

from aftercall.contracts import errors, outcomes, windows
from aftercall.serve import batching, hosting


@dataclasses.dataclass(frozen=True, slots=True)
class BatchReport:
    """One engine call, for whoever counts: windows, their seconds before padding, and wall time."""

    n_windows: int
    window_s: float
    engine_s: float
    reason: batching.Reason


@dataclasses.dataclass(slots=True)
class _Entry:
    window: windows.Window
    waiting: batching.Waiting
    answer: asyncio.Future[windows.WindowResult]


class InProcessBackend:
    """Implements `windows.SpeechBackend` over an engine that is loaded by `start`.

    At most `max_in_flight` windows are accepted at a time; a caller beyond that waits, which is what holds back the
    decoding of calls whose windows could not be kept in memory.
    """

    def __init__(
        self,
        load: Callable[[], hosting.Engine],
        *,
        max_batch_windows: int,
        max_wait_s: float,
        max_in_flight: int,
        workers: int = 1,
        on_batch: Callable[[BatchReport], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load = load
        self._max_batch_windows = max_batch_windows
        self._max_wait_s = max_wait_s
        self._room = asyncio.Semaphore(max_in_flight)
        self._on_batch = on_batch
        self._clock = clock
        self._engine: hosting.Engine | None = None
        self._line: dict[int, _Entry] = {}
        self._tickets = itertools.count()
        self._arrived = asyncio.Event()
        self._closing = False
        self._workers = workers
        self._threads = concurrent.futures.ThreadPoolExecutor(workers, thread_name_prefix="engine")
        self._running: set[asyncio.Task[None]] = set()
        self._loop_task: asyncio.Task[None] | None = None

    @property
    def info(self) -> windows.BackendInfo:
        """What answers; valid once `start` has returned."""
        return self._loaded.info

    @property
    def _loaded(self) -> hosting.Engine:
        if self._engine is None:
            raise RuntimeError("the backend has not been started")
        return self._engine

    async def start(self) -> None:
        """Load and warm the model; return when ready to serve."""
        loop = asyncio.get_running_loop()
        engine = await loop.run_in_executor(self._threads, self._load)
        await loop.run_in_executor(self._threads, engine.warm_up)
        self._engine = engine
        self._loop_task = asyncio.create_task(self._serve(), name="batcher")

    async def transcribe(self, window: windows.Window) -> windows.WindowResult:
        """Transcribe one window in whatever batch it lands; cancelling withdraws it while it still waits."""
        bucket = self._loaded.bucket(window)
        async with self._room:
            if self._closing:
                raise errors.TransientError("the speech backend is closing", reason=outcomes.Reason.BACKEND_UNAVAILABLE)
            ticket = next(self._tickets)
            answer: asyncio.Future[windows.WindowResult] = asyncio.get_running_loop().create_future()
            waiting = batching.Waiting(ticket, bucket, self._clock())
            self._line[ticket] = _Entry(window, waiting, answer)
            self._arrived.set()
            try:
                return await answer
            finally:
                self._line.pop(ticket, None)

    async def close(self) -> None:
        """Finish what was accepted and free the engine."""
        self._closing = True
        self._arrived.set()
        if self._loop_task is not None:
            await self._loop_task
        await asyncio.to_thread(self._threads.shutdown)
        self._engine = None

    async def _serve(self) -> None:
        while self._line or not self._closing:
            self._arrived.clear()
            if len(self._running) == self._workers:
                await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
                continue
            decision = batching.decide(
                [entry.waiting for entry in self._line.values()],
                now_s=self._clock(),
                # Workers share what waits, those that are busy now too: all to one leaves the others idle at the end.
                max_windows=max(1, min(self._max_batch_windows, -(-len(self._line) // self._workers))),
                max_wait_s=self._max_wait_s,
                closing=self._closing,
            )
            if isinstance(decision, batching.Wait):
                if not self._closing:
                    await self._wait(decision.until_s)
                continue
            batch = [self._line.pop(ticket) for ticket in decision.tickets]
            task = asyncio.create_task(self._run(batch, decision.reason))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        await asyncio.gather(*self._running)

    async def _wait(self, until_s: float | None) -> None:
        timeout = None if until_s is None else max(0.0, until_s - self._clock())
        try:
            async with asyncio.timeout(timeout):
                await self._arrived.wait()
        except TimeoutError:
            pass

    async def _run(self, batch: list[_Entry], reason: batching.Reason) -> None:
        started = self._clock()
        loop = asyncio.get_running_loop()
        asked = [entry.window for entry in batch]
        told = await loop.run_in_executor(self._threads, hosting.run, self._loaded, asked)
        for entry, one in zip(batch, told, strict=True):
            if entry.answer.done():
                continue
            if isinstance(one, Exception):
                entry.answer.set_exception(one)
            else:
                entry.answer.set_result(one)
        window_s = sum(window.duration_s for window in asked)
        self._on_batch(BatchReport(len(batch), window_s, self._clock() - started, reason))
