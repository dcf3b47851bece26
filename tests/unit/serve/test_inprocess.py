"""The in-process client, over an engine that does what it is told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Hashable, Sequence

import pytest

from aftercall.contracts import errors, outcomes, windows
from aftercall.serve import testing
from aftercall.serve.clients import inprocess


class ScriptedEngine:
    """Answers every window with its fingerprint; `poison` windows raise, and `gate` holds back each batch."""

    info = testing.INFO

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.poison: dict[str, Exception] = {}
        self.gate = threading.Event()
        self.gate.set()
        self.swap = False

    def warm_up(self) -> None:
        """Need nothing."""

    def bucket(self, window: windows.Window) -> Hashable:
        """Put windows of one temperature together."""
        if window.options.language == "xx":
            raise errors.RejectedError("no such language", reason=outcomes.Reason.UNKNOWN_LANGUAGE)
        return window.options.temperature

    def transcribe(self, batch: Sequence[windows.Window]) -> list[windows.WindowResult]:
        """Answer, or raise for a poisoned window."""
        self.gate.wait(10)
        self.batches.append([window.window_id for window in batch])
        for window in batch:
            if window.window_id in self.poison:
                raise self.poison[window.window_id]
        results = [testing.said(window, testing.fingerprint(window)) for window in batch]
        return results[::-1] if self.swap else results


def window(name: str, **options: object) -> windows.Window:
    """Build a window whose audio is its own."""
    return windows.Window(name, "acme", name.encode().ljust(8, b"\0") * 100, windows.Options(**options))  # type: ignore[arg-type]


async def started(engine: ScriptedEngine, **changes: object) -> inprocess.InProcessBackend:
    """Start a backend over an engine."""
    limits: dict[str, object] = {"max_batch_windows": 4, "max_wait_s": 0.01, "max_in_flight": 64}
    backend = inprocess.InProcessBackend(lambda: engine, **{**limits, **changes})  # type: ignore[arg-type]
    await backend.start()
    return backend


async def test_each_caller_gets_the_answer_to_its_own_window() -> None:
    """A hundred windows at once, in batches of four: none swapped."""
    engine = ScriptedEngine()
    backend = await started(engine)
    asked = [window(f"w{at}") for at in range(100)]

    results = await asyncio.gather(*(backend.transcribe(each) for each in asked))
    await backend.close()

    assert [testing.fingerprint(each) for each in asked] == [result.text for result in results]
    assert max(map(len, engine.batches)) == 4


async def test_a_window_that_cannot_be_decoded_hurts_only_itself() -> None:
    """The batch is run again one by one, and the innocent get their answers."""
    engine = ScriptedEngine()
    engine.poison["w1"] = RuntimeError("secret text of a call")
    engine.gate.clear()
    backend = await started(engine)

    tasks = [asyncio.create_task(backend.transcribe(window(f"w{at}"))) for at in range(3)]
    await asyncio.sleep(0)
    engine.gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    await backend.close()

    assert isinstance(results[1], errors.TransientError)
    assert "secret" not in str(results[1])
    assert [type(result) for result in (results[0], results[2])] == [windows.WindowResult] * 2


async def test_swapped_answers_are_never_passed_on() -> None:
    """An engine that answers in another order is caught."""
    engine = ScriptedEngine()
    engine.swap = True
    engine.gate.clear()
    backend = await started(engine)
    tasks = [asyncio.create_task(backend.transcribe(window(f"w{at}"))) for at in range(2)]
    await asyncio.sleep(0)
    engine.gate.set()

    results = await asyncio.gather(*tasks)
    await backend.close()

    # The batch was refused; each window alone cannot be swapped.
    assert [testing.fingerprint(window(f"w{at}")) for at in range(2)] == [result.text for result in results]
    assert [["w0", "w1"], ["w0"], ["w1"]] == engine.batches


async def test_windows_of_different_buckets_never_share_a_batch() -> None:
    """A hotter retry goes with its like."""
    engine = ScriptedEngine()
    backend = await started(engine)

    await asyncio.gather(*(backend.transcribe(window(f"w{at}", temperature=at % 2 / 5)) for at in range(8)))
    await backend.close()

    assert all(len({name[-1] in "02468" for name in batch}) == 1 for batch in engine.batches)


async def test_a_refused_window_never_reaches_the_line() -> None:
    """What no engine can serve is told at once."""
    engine = ScriptedEngine()
    backend = await started(engine)

    with pytest.raises(errors.RejectedError, match="no such language"):
        await backend.transcribe(window("w", language="xx"))
    await backend.close()

    assert [] == engine.batches


async def test_cancelling_withdraws_a_waiting_window() -> None:
    """The engine spends nothing on what nobody waits for."""
    engine = ScriptedEngine()
    backend = await started(engine, max_batch_windows=1)
    engine.gate.clear()
    first = asyncio.create_task(backend.transcribe(window("first")))
    second = asyncio.create_task(backend.transcribe(window("second")))
    await asyncio.sleep(0.05)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    engine.gate.set()

    await first
    await backend.close()

    assert [["first"]] == engine.batches


async def test_closing_finishes_what_was_accepted_and_refuses_more() -> None:
    """Nothing accepted is lost in a drain."""
    engine = ScriptedEngine()
    backend = await started(engine, max_wait_s=30)
    task = asyncio.create_task(backend.transcribe(window("w")))
    await asyncio.sleep(0)

    await backend.close()

    assert (await task).window_id == "w"


async def test_no_more_windows_are_held_than_allowed() -> None:
    """A caller beyond the bound waits, and is served later."""
    engine = ScriptedEngine()
    engine.gate.clear()
    backend = await started(engine, max_in_flight=2, max_wait_s=0)
    tasks = [asyncio.create_task(backend.transcribe(window(f"w{at}"))) for at in range(6)]
    await asyncio.sleep(0.05)

    assert len(backend._line) <= 2

    engine.gate.set()
    await asyncio.gather(*tasks)
    await backend.close()
