"""The API on a real socket, over real stores; work is done only where a test asks for that."""

from __future__ import annotations

import asyncio
import dataclasses
import pathlib
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import doubles
import httpx2
import pytest

from aftercall.api import app, server
from aftercall.cli import local
from aftercall.contracts import reports, settings, transcript, windows
from aftercall.serve import testing

Answer = TypeVar("Answer")


@dataclasses.dataclass(frozen=True, slots=True)
class Running:
    """A served API: where it listens, what it speaks for, and the loop that it lives on."""

    host: str
    port: int
    service: local.LocalService
    loop: asyncio.AbstractEventLoop
    stopping: asyncio.Event

    @property
    def url(self) -> str:
        """Return its address."""
        return f"http://{self.host}:{self.port}"

    def run(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        """Run something on the loop of the service."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def complete(self, made: Callable[[str], transcript.Transcript]) -> str:
        """Do the work that is queued next, as a worker would; return its transcription's id."""

        async def work() -> str:
            taken = await self.service.intake.take()
            assert taken is not None
            await self.service.intake.report(taken.work, reports.Stage.TRANSCRIBING, progress=0.5, audio_s=20.0)
            id_ = taken.work.transcription_id
            decided = await self.service.publisher.publish_transcript(
                taken.work, made(id_), attempts=taken.attempts, now=doubles.NOW
            )
            await self.service.intake.finish(taken, decided)
            return id_

        return self.run(work())

    def work(self) -> None:
        """Begin to do the work that is queued, until the end of the test."""
        asyncio.run_coroutine_threadsafe(self.service.run(self.stopping), self.loop)

    def client(self, key: str | None = None) -> httpx2.Client:
        """Return a client of it."""
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        return httpx2.Client(base_url=self.url, headers=headers, timeout=20)


@pytest.fixture
def serve(tmp_path: pathlib.Path) -> Iterator[Callable[..., Running]]:
    """Return what starts an API with the given settings; it is stopped at the end."""
    stops: list[Callable[[], None]] = []

    def start(*, backend: windows.SpeechBackend | None = None, **api: object) -> Running:
        configured = settings.load(
            {}, overrides={"data": {"dir": tmp_path / f"data-{len(stops)}"}, "api": {"port": 0, **api}}
        )
        started: list[Running] = []
        listening = threading.Event()

        async def main() -> None:
            loop, stopping = asyncio.get_running_loop(), asyncio.Event()
            stops.append(lambda: (loop.call_soon_threadsafe(stopping.set), thread.join(20))[1])
            async with local.open_service(configured, backend=backend or testing.FakeBackend()) as service:
                await service.start()
                bound = server.listen(configured.api.host, configured.api.port)
                host, port = bound.getsockname()[:2]
                started.append(Running(host, port, service, loop, stopping))
                listening.set()
                await server.serve(app.build_app(service), bound, stopping)

        thread = threading.Thread(target=lambda: asyncio.run(main()), name="api")
        thread.start()
        assert listening.wait(20), "the API did not start"
        return started[0]

    yield start
    for stop in stops:
        stop()
