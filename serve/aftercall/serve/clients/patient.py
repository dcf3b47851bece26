"""The one layer of retries towards a speech backend, whichever it is; implements `SpeechBackend` over another.

A window that fails is asked again within a budget. While the backend is down, or says that it is full, windows wait
here, in the places that they have, so that memory stays flat and a call that was half heard is not begun anew.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

from aftercall.contracts import errors, outcomes, windows
from aftercall.serve import breaker

_MOST_TRIES = 3
_BACKOFF_S = 0.2
_LONGEST_BUSY_S = 5.0


class PatientBackend:
    """Asks `backend`. `on_call(result)` hears of every call: `answered`, `busy`, `failed` or `refused`."""

    def __init__(
        self,
        backend: windows.SpeechBackend,
        *,
        on_call: Callable[[str], None] = lambda _: None,
        on_open: Callable[[bool], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        luck: Callable[[], float] = random.random,
    ) -> None:
        self._backend = backend
        self._on_call = on_call
        self._on_open = on_open
        self._clock = clock
        self._luck = luck
        self._breaker = breaker.Breaker()
        self._budget = breaker.Budget()
        self._changed = asyncio.Event()

    @property
    def info(self) -> windows.BackendInfo:
        """What answers."""
        return self._backend.info

    async def start(self) -> None:
        """Load and warm up."""
        await self._backend.start()

    async def close(self) -> None:
        """Finish what was accepted and free everything."""
        await self._backend.close()

    async def transcribe(self, window: windows.Window) -> windows.WindowResult:
        """Transcribe one window, waiting while the backend is down; see `SpeechBackend`."""
        self._budget = self._budget.earned()
        n_tried = n_busy = 0
        while True:
            await self._wait_until_closed()
            # Whoever asks during an outage tries for all of them, whether it is over.
            n_tried += self._breaker.until_s is None
            try:
                return await self._ask(window)
            except errors.TransientError as exc:
                if exc.reason is outcomes.Reason.BACKEND_BUSY:
                    # It lives, and a refusal costs it next to nothing: no try, and nothing of the budget.
                    delay_s = min(_LONGEST_BUSY_S, max(exc.retry_after_s, _BACKOFF_S * 2 ** min(n_busy, 10)))
                    n_tried, n_busy = n_tried - 1, n_busy + 1
                    await asyncio.sleep(delay_s * (0.5 + self._luck()))
                    continue
                if n_tried >= _MOST_TRIES or not self._may_retry():
                    raise
                await asyncio.sleep(_BACKOFF_S * 2**n_tried * (0.5 + self._luck()))

    async def _ask(self, window: windows.Window) -> windows.WindowResult:
        self._set(self._breaker.asked())
        try:
            result = await self._backend.transcribe(window)
        except errors.TransientError as exc:
            if exc.reason is outcomes.Reason.BACKEND_BUSY:
                self._on_call("busy")
                self._set(self._breaker.succeeded())  # it answers
                raise
            self._on_call("failed")
            self._set(self._breaker.failed(self._clock(), luck=self._luck(), retry_after_s=exc.retry_after_s))
            raise
        except errors.PermanentError:
            self._on_call("refused")
            self._set(self._breaker.succeeded())  # it answers
            raise
        except BaseException:
            self._set(self._breaker.withdrawn())
            raise
        self._on_call("answered")
        self._set(self._breaker.succeeded())
        return result

    def _may_retry(self) -> bool:
        if self._breaker.until_s is not None:
            return True  # after an outage, once it is known to be over
        left = self._budget.spent()
        self._budget = left or self._budget
        return left is not None

    async def _wait_until_closed(self) -> None:
        while (wait_s := self._breaker.wait_s(self._clock())) != 0:
            self._changed.clear()
            try:
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            except TimeoutError:
                pass

    def _set(self, now: breaker.Breaker) -> None:
        if now != self._breaker:
            was_open, self._breaker = self._breaker.until_s is not None, now
            self._changed.set()
            if was_open != (now.until_s is not None):
                self._on_open(now.until_s is not None)
