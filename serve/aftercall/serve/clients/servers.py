"""Servers of ours behind one name: each request goes to whoever has least to do, whichever transport leads there."""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import time
from collections.abc import Callable
from typing import Protocol

from aftercall.contracts import errors, outcomes
from aftercall.serve.clients import replicas

log = logging.getLogger(__name__)

_RESOLVE_S = 2.0


class Channel(Protocol):
    """A connection to one server."""

    async def ask(self, head: bytes, pcm: bytes, *, timeout_s: float) -> bytes:
        """Return its answer (see `wire`); raise `errors.TransientError` when none comes in time or the server is full.

        Cancelling withdraws the request where the transport can.
        """
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...


class Servers:
    """The servers behind `host`. `connect` makes a channel to one address, and does not wait for it.

    Retries are the caller's. A request that is withdrawn or late is forgotten here, so that its answer goes nowhere.
    """

    def __init__(
        self,
        host: str,
        port: int,
        connect: Callable[[replicas.Address], Channel],
        *,
        request_timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
        luck: Callable[[], float] = random.random,
    ) -> None:
        self.host = host
        self._port = port
        self._connect = connect
        self._timeout_s = request_timeout_s
        self._clock = clock
        self._luck = luck
        self._replicas: dict[replicas.Address, replicas.Replica[Channel]] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._watching: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Find out who is there, and go on doing so."""
        await self._look()
        self._watching = asyncio.create_task(self._watch(), name=f"servers behind {self.host}")

    async def close(self) -> None:
        """Disconnect from every server, once it has answered."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        for replica in self._replicas.values():
            self._let_go(replica)
        self._replicas.clear()
        await asyncio.gather(*self._leaving)

    async def ask(self, head: bytes, pcm: bytes, *, timeout_s: float | None = None) -> bytes:
        """Ask whoever has least to do; raises `errors.TransientError` when nobody answers in time."""
        timeout_s = self._timeout_s if timeout_s is None else min(timeout_s, self._timeout_s)
        replica = replicas.choose(self._replicas.values(), now_s=self._clock(), luck=self._luck())
        if replica is None:
            raise errors.TransientError(f"no server behind {self.host}", reason=outcomes.Reason.BACKEND_UNAVAILABLE)
        replica.n_asked += 1
        try:
            async with asyncio.timeout(timeout_s):
                data = await replica.channel.ask(head, pcm, timeout_s=timeout_s)
        except TimeoutError as exc:
            replica.failed(self._clock())
            raise errors.TransientError(
                f"no answer within {timeout_s:.0f} s", reason=outcomes.Reason.BACKEND_UNAVAILABLE
            ) from exc
        except errors.TransientError as exc:
            if exc.reason is not outcomes.Reason.BACKEND_BUSY:
                replica.failed(self._clock())
            raise
        finally:
            replica.n_asked -= 1
            if replica.is_gone:
                self._let_go(replica)
        replica.answered()
        return data

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_RESOLVE_S)
            await self._look()

    async def _look(self) -> None:
        """Find out which servers there are now."""
        try:
            told = await asyncio.get_running_loop().getaddrinfo(self.host, self._port, type=socket.SOCK_STREAM)
        except OSError as exc:
            # What is known stays: a name server that is away takes nobody's pods away.
            log.warning("name not resolved", extra={"server": self.host, "error": type(exc).__name__})
        else:
            self._take([(str(one[4][0]), int(one[4][1])) for one in told])

    def _take(self, found: list[replicas.Address]) -> None:
        new, gone = replicas.difference(self._replicas, found)
        for address in new:
            self._replicas[address] = replicas.Replica(address, self._connect(address))
        for address in gone:
            self._let_go(self._replicas.pop(address))

    def _let_go(self, replica: replicas.Replica[Channel]) -> None:
        """Ask it nothing more; disconnect once it has answered what it was asked."""
        replica.is_gone = True
        if not replica.n_asked:
            task = asyncio.create_task(replica.channel.close())
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)
