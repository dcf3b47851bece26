"""Diarizers in this process and on servers; both implement `diarization.Diarizer`."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
from collections.abc import Callable
from typing import Protocol

from aftercall.contracts import diarization, errors, outcomes
from aftercall.serve import turns, wire
from aftercall.serve.clients import servers

log = logging.getLogger(__name__)

_ASK_AGAIN_S = 1.0
_INFO_S = 60.0


class Pipeline(Protocol):
    """What tells speakers apart, blocking."""

    @property
    def info(self) -> diarization.DiarizerInfo:
        """What answers."""
        ...

    def diarize(self, conversation: diarization.Conversation) -> tuple[diarization.Turn, ...]:
        """Return turns that do not overlap, in order."""
        ...


class InProcessDiarizer:
    """Runs a pipeline in a thread of its own, one recording at a time: it batches within the recording."""

    def __init__(self, load: Callable[[], Pipeline]) -> None:
        self._load = load
        self._thread = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="diarizer")
        self._pipeline: Pipeline | None = None

    @property
    def info(self) -> diarization.DiarizerInfo:
        """What answers; valid once `start` has returned."""
        return self._loaded.info

    @property
    def _loaded(self) -> Pipeline:
        if self._pipeline is None:
            raise RuntimeError("the diarizer has not been started")
        return self._pipeline

    async def start(self) -> None:
        """Load the pipeline."""
        self._pipeline = await asyncio.get_running_loop().run_in_executor(self._thread, self._load)

    async def diarize(self, conversation: diarization.Conversation) -> tuple[diarization.Turn, ...]:
        """Return who speaks when."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._loaded.diarize, conversation)
        except errors.AftercallError:
            raise
        except Exception as exc:
            raise wire.engine_failure(exc) from exc

    async def close(self) -> None:
        """Free the pipeline."""
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)
        self._pipeline = None


class RemoteDiarizer:
    """Asks servers, at most `max_in_flight` recordings at a time."""

    def __init__(self, asked: servers.Servers, *, max_in_flight: int) -> None:
        self._servers = asked
        self._room = asyncio.Semaphore(max_in_flight)
        self._info: diarization.DiarizerInfo | None = None

    @property
    def info(self) -> diarization.DiarizerInfo:
        """What answers; valid once `start` has returned."""
        if self._info is None:
            raise RuntimeError("the diarizer has not been started")
        return self._info

    async def start(self) -> None:
        """Return once a server has said what it is; wait for one for as long as it takes."""
        await self._servers.open()
        while self._info is None:
            try:
                told = turns.read_answer(await self._servers.ask(turns.INFO_HEAD, wire.INFO_PCM, timeout_s=_INFO_S))
                if isinstance(told, diarization.DiarizerInfo):
                    self._info = told
            except errors.TransientError as exc:
                log.warning("no diarizer answers yet", extra={"server": self._servers.host, "error": str(exc)})
                await asyncio.sleep(_ASK_AGAIN_S)

    async def diarize(self, conversation: diarization.Conversation) -> tuple[diarization.Turn, ...]:
        """Return who speaks when, from whichever server has least to do; one that is full is asked again."""
        async with self._room:
            while True:
                try:
                    told = turns.read_answer(await self._servers.ask(turns.head_of(conversation), conversation.pcm))
                    break
                except errors.TransientError as exc:
                    if exc.reason is not outcomes.Reason.BACKEND_BUSY:
                        raise
                    await asyncio.sleep(max(_ASK_AGAIN_S, exc.retry_after_s))
        if isinstance(told, diarization.DiarizerInfo):
            raise wire.no_answer()
        return told

    async def close(self) -> None:
        """Disconnect from every server."""
        await self._servers.close()
