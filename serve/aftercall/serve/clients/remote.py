"""A speech backend on servers of ours; implements `windows.SpeechBackend`."""

from __future__ import annotations

import asyncio
import logging

from aftercall.contracts import errors, outcomes, windows
from aftercall.serve import wire
from aftercall.serve.clients import servers

log = logging.getLogger(__name__)

_ASK_AGAIN_S = 1.0
_INFO_S = 30.0
"""Who answers is asked behind batches that run already."""


class RemoteBackend:
    """Asks the servers for windows, at most `max_in_flight` at a time."""

    def __init__(self, asked: servers.Servers, *, max_in_flight: int) -> None:
        self._servers = asked
        self._room = asyncio.Semaphore(max_in_flight)
        self._info: windows.BackendInfo | None = None
        self._asking: asyncio.Task[None] | None = None

    @property
    def info(self) -> windows.BackendInfo:
        """What answers; valid once `start` has returned."""
        if self._info is None:
            raise RuntimeError("the backend has not been started")
        return self._info

    async def start(self) -> None:
        """Return once a server has said what it is; wait for one for as long as it takes."""
        await self._servers.open()
        while self._info is None:
            await self._find_out()
            if self._info is None:
                await asyncio.sleep(_ASK_AGAIN_S)

    async def transcribe(self, window: windows.Window) -> windows.WindowResult:
        """Transcribe one window on whichever server has least to do."""
        async with self._room:
            told = wire.read_answer(await self._servers.ask(wire.head_of(window), window.pcm))
        if not isinstance(told, windows.WindowResult) or told.window_id != window.window_id:
            raise errors.TransientError(
                "the speech server answered another question", reason=outcomes.Reason.BACKEND_UNAVAILABLE
            )
        if told.heard_by not in {None, self.info.signature} and self._asking is None:
            # A rollout has begun: sooner or later every server has the new model.
            self._asking = asyncio.create_task(self._find_out(), name="speech model")
            self._asking.add_done_callback(self._asked)
        return told

    async def close(self) -> None:
        """Disconnect from every server, once it has answered."""
        if self._asking is not None:
            self._asking.cancel()
        await self._servers.close()

    async def _find_out(self) -> None:
        """Ask whoever has least to do which model it has."""
        try:
            told = wire.read_answer(await self._servers.ask(wire.INFO_HEAD, wire.INFO_PCM, timeout_s=_INFO_S))
        except errors.TransientError as exc:
            log.warning("no speech server says what it is", extra={"server": self._servers.host, "error": str(exc)})
            return
        if isinstance(told, windows.BackendInfo):
            self._info = told

    def _asked(self, _: object) -> None:
        self._asking = None
