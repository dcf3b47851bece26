"""A backend that fails: nothing is amplified, nothing is lost, and an outage is noticed to be over."""

from __future__ import annotations

import asyncio
import collections
import time

import pytest

from aftercall.contracts import errors, outcomes, windows
from aftercall.serve import breaker, testing
from aftercall.serve.clients import patient

DOWN = errors.TransientError("down", reason=outcomes.Reason.BACKEND_UNAVAILABLE, retry_after_s=0.0)


def window(at: int = 0) -> windows.Window:
    """Build a window."""
    return windows.Window(f"w{at}", "acme", bytes([at % 250 + 1, 0]) * 1600, windows.Options())


def test_after_five_failures_one_at_a_time_asks_ever_more_rarely() -> None:
    """1, 2, 4, 8 and then every 15 s; one answer closes it."""
    now_s, state, delays = 0.0, breaker.Breaker(), []
    for _ in range(4):
        state = state.asked().failed(now_s, luck=1.0)
        assert 0.0 == state.wait_s(now_s)
    for _ in range(6):
        state = state.asked().failed(now_s, luck=1.0)
        delays.append(state.wait_s(now_s))
        now_s += delays[-1] or 0.0
        assert 0.0 == state.wait_s(now_s)
        assert state.asked().wait_s(now_s) is None

    assert [1.0, 2.0, 4.0, 8.0, 15.0, 15.0] == delays
    assert breaker.Breaker() == state.asked().succeeded()


def test_what_was_on_its_way_when_it_opened_does_not_put_off_the_next_try() -> None:
    """Thirty windows that fail together are one outage."""
    state = breaker.Breaker()
    for _ in range(30):
        state = state.failed(0.0, luck=1.0)

    assert 1.0 == state.wait_s(0.0)


def test_retries_are_a_tenth_of_the_calls() -> None:
    """Whatever is asked, beyond a handful at the start."""
    budget, n_retries = breaker.Budget(), 0
    for _ in range(1000):
        budget = budget.earned()
        left = budget.spent()
        if left is not None:
            budget, n_retries = left, n_retries + 1

    assert 100 <= n_retries <= 110


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute's outage in a second."""
    monkeypatch.setattr(breaker, "FIRST_DELAY_S", 1 / 60)
    monkeypatch.setattr(breaker, "LONGEST_DELAY_S", 15 / 60)
    monkeypatch.setattr(patient, "_BACKOFF_S", 0.01)


@pytest.mark.usefixtures("quick")
async def test_an_outage_costs_few_calls_and_no_window() -> None:
    """Asked: at most 1.1 calls a window, and back at work within half a minute (here half a second)."""
    up_at_s = time.monotonic() + 1.0
    answered_s: list[float] = []
    calls: collections.Counter[str] = collections.Counter()

    def script(asked: windows.Window) -> windows.WindowResult:
        if time.monotonic() < up_at_s:
            raise DOWN
        answered_s.append(time.monotonic())
        return testing.said(asked, "yes")

    backend = patient.PatientBackend(testing.FakeBackend(script), on_call=lambda said: calls.update([said]))
    room = asyncio.Semaphore(32)

    async def ask(at: int) -> None:
        async with room:
            await backend.transcribe(window(at))

    await asyncio.gather(*(ask(at) for at in range(1000)))

    print(f"\n1,000 windows, {sum(calls.values())} calls; back after {min(answered_s) - up_at_s:.2f} s of 0.5")
    assert (1000, True) == (calls["answered"], sum(calls.values()) <= 1100)
    assert min(answered_s) - up_at_s <= 0.5


@pytest.mark.usefixtures("quick")
async def test_a_backend_that_fails_now_and_then_is_asked_again_within_the_budget() -> None:
    """And one that fails always is not hammered: the window is given back."""
    flaky = iter([DOWN, None] * 50)

    def script(asked: windows.Window) -> windows.WindowResult:
        if next(flaky) is not None:
            raise DOWN
        return testing.said(asked, "yes")

    fake = testing.FakeBackend(script)
    backend = patient.PatientBackend(fake)
    n_failed = 0
    for at in range(30):
        try:
            await backend.transcribe(window(at))
        except errors.TransientError:
            n_failed += 1

    assert 0 < n_failed
    assert len(fake.asked) - 30 <= 10 + 30 * 0.1


@pytest.mark.usefixtures("quick")
async def test_whoever_stops_waiting_leaves_the_way_free() -> None:
    """A window that was withdrawn while it tried whether the backend is back blocks nobody."""
    hangs = asyncio.Event()

    class Hanging(testing.FakeBackend):
        async def transcribe(self, asked: windows.Window) -> windows.WindowResult:
            if len(self.asked) < breaker.FAILURES_TO_OPEN:
                self.asked.append(asked)
                raise DOWN
            if not hangs.is_set():
                hangs.set()
                await asyncio.Event().wait()
            return testing.said(asked, "yes")

    backend = patient.PatientBackend(Hanging())
    first = asyncio.create_task(backend.transcribe(window(0)))
    second = asyncio.create_task(backend.transcribe(window(1)))
    async with asyncio.timeout(5):
        await hangs.wait()
        await asyncio.sleep(0.02)
        stuck, waiting = (first, second) if not second.done() else (second, first)
        stuck.cancel()
        waiting.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
        assert "yes" == (await backend.transcribe(window(2))).text


async def test_a_backend_that_is_full_is_waited_for_however_often_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """No try is counted, the breaker stays closed, and the budget is for failures."""
    monkeypatch.setattr(patient, "_BACKOFF_S", 0.0001)
    busy = errors.TransientError("full", reason=outcomes.Reason.BACKEND_BUSY, retry_after_s=0.0)
    calls: collections.Counter[str] = collections.Counter()
    n_refused: collections.Counter[str] = collections.Counter()

    def script(asked: windows.Window) -> windows.WindowResult:
        n_refused[asked.window_id] += 1
        if n_refused[asked.window_id] <= 8:
            raise busy
        return testing.said(asked, "yes")

    backend = patient.PatientBackend(
        testing.FakeBackend(script), on_call=lambda told: calls.update([told]), on_open=lambda _: pytest.fail("opened")
    )

    told = await asyncio.gather(*(backend.transcribe(window(at)) for at in range(30)))

    assert ["yes"] * 30 == [one.text for one in told]
    assert {"busy": 240, "answered": 30} == calls
