"""The watch is begun anew when it ends, and told to end with the operator."""

from __future__ import annotations

import asyncio
import threading

import pytest

from aftercall.operator import kube, watching


class Ending(watching.Watch):
    """Tells of one object each time it begins, and ends at once, or when it is told to."""

    def __init__(self, *, is_lasting: bool) -> None:
        super().__init__("calls", self._hear)
        self.told: asyncio.Queue[str] = asyncio.Queue()
        self.is_lasting = is_lasting
        self.begun: list[threading.Event] = []

    def _hear(self, resource: kube.Resource, change: str | None, found: object) -> None:
        self.told.put_nowait(f"{resource.kind} {change}")

    def _watch(self, loop: asyncio.AbstractEventLoop, stop: threading.Event, ended: asyncio.Event) -> None:
        self.begun.append(stop)
        loop.call_soon_threadsafe(self._tell, kube.POOLS, "ADDED", {})
        if self.is_lasting:
            stop.wait(10)
        loop.call_soon_threadsafe(ended.set)


async def test_a_watch_that_ends_is_begun_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while, in which lists go on."""
    monkeypatch.setattr(watching, "_AGAIN_S", 0.01)
    watch = Ending(is_lasting=False)
    stopping = asyncio.Event()
    running = asyncio.create_task(watch.run(stopping))

    async with asyncio.timeout(5):
        told = [await watch.told.get() for _ in range(3)]
    stopping.set()
    await running

    assert ["TranscriptionPool ADDED"] * 3 == told


async def test_a_watch_ends_with_the_operator() -> None:
    """It is told to, and waited for."""
    watch = Ending(is_lasting=True)
    stopping = asyncio.Event()
    running = asyncio.create_task(watch.run(stopping))
    async with asyncio.timeout(5):
        await watch.told.get()
        stopping.set()
        await running

    assert [True] == [each.is_set() for each in watch.begun]


def test_nothing_that_kopf_would_write_bears_another_name() -> None:
    """It writes nothing; its settings would leave no trace of another project."""
    settings = watching.Watch("calls", lambda *_: None)._settings()

    assert "aftercall.io/operator" == settings.persistence.finalizer
    assert (False, True) == (settings.posting.enabled, settings.scanning.disabled)
