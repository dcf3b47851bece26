"""Stands before the API server, ends TLS for it and reads each request: to pass it on, refuse it, or hold it up."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import ssl
import threading
from collections.abc import Callable

from peers import apiserver

HANG = "hang"
"""Fate of a request that is never answered."""
HOLD = "hold"
"""Fate of a request that is late: it is passed on at `release`, whoever still waits for its answer."""
_LATE_S = 5.0


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """One request, as its first line says; `path` has its query."""

    method: str
    path: str

    @property
    def is_watch(self) -> bool:
        """Whether its answer goes on and on."""
        return "watch=true" in self.path

    def is_for(self, method: str, suffix: str) -> bool:
        """Say whether it asks this of a path that ends so."""
        return self.method == method and self.path.partition("?")[0].endswith(suffix)


Fate = str | int | None
"""None: it is passed on; a number: that status is its answer; or `HANG`, `HOLD`."""


class _Link:
    """One connection of a client, and the one that it is passed on by."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.onward: asyncio.StreamWriter | None = None
        self.pump: asyncio.Task[None] | None = None
        self.newest: Request | None = None
        self.answered = asyncio.Event()
        self.is_dead = False


class Gateway:
    """Listens on a free port of loopback. `rule` and `answered` may be changed at any time.

    `rule` decides over each request. `answered` hears of each that the server has answered, before the client does, so
    that a client can be killed just then. Both run in the gateway's thread.
    """

    def __init__(self, api: apiserver.ApiServer) -> None:
        self._api = api
        self._trust = api.trust()
        self._trust.set_alpn_protocols(["http/1.1"])
        self._served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._served.load_cert_chain(*api.authority.issue("gateway", hosts=["127.0.0.1"]))
        self._served.set_alpn_protocols(["http/1.1"])
        self.rule: Callable[[Request], Fate] = lambda request: None
        self.answered: Callable[[Request], None] = lambda request: None
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="gateway", daemon=True)
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_up = threading.Event()
        self._stopping = asyncio.Event()
        self._released = asyncio.Event()

    def start(self) -> None:
        """Listen."""
        self._thread.start()
        assert self._is_up.wait(10), "the gateway does not listen"

    def stop(self) -> None:
        """Close everything."""
        self._call(self._stopping.set)
        self._thread.join(10)
        self._loop.close()

    def release(self) -> None:
        """Pass on what is held, and hold nothing more."""
        self._call(self._released.set)

    def hold(self) -> None:
        """Hold from now on what the rule says is to be held."""
        self._call(self._released.clear)

    def blackhole(self, *, only_watches: bool = False) -> int:
        """Let nothing more through on what is connected, and tell nobody, as a router that forgot does.

        New connections pass. Return how many were struck.
        """
        struck: list[_Link] = []
        done = threading.Event()

        def strike() -> None:
            for link in self._links:
                is_watch = link.newest is not None and link.newest.is_watch
                if not link.is_dead and link.newest is not None and (is_watch or not only_watches):
                    link.is_dead = True
                    struck.append(link)
            done.set()

        self._call(strike)
        assert done.wait(10)
        return len(struck)

    def reset(self) -> None:
        """Break off every connection."""

        def abort() -> None:
            for link in self._links:
                link.writer.transport.abort()

        self._call(abort)

    def _call(self, what: Callable[[], object]) -> None:
        self._loop.call_soon_threadsafe(what)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())

    async def _listen(self) -> None:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._served)
        self.port = server.sockets[0].getsockname()[1]
        self._is_up.set()
        await self._stopping.wait()
        server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._loop.shutdown_default_executor()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = _Link(writer)
        self._links.add(link)
        try:
            # Who is gone, on either side, is no fault of the gateway's.
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                while True:
                    head = await reader.readuntil(b"\r\n\r\n")
                    await self._decide(link, head + await reader.readexactly(_length(head)))
        finally:
            self._links.discard(link)
            if link.pump is not None:
                link.pump.cancel()
            for end in (link.writer, link.onward):
                if end is not None:
                    end.transport.abort()

    async def _decide(self, link: _Link, whole: bytes) -> None:
        method, path, _ = whole.partition(b"\r\n")[0].decode().split(" ", 2)
        request = Request(method, path)
        fate: Fate = HANG if link.is_dead else self.rule(request)
        if isinstance(fate, int):
            link.writer.write(_refusal(fate))
            await link.writer.drain()
            return
        link.newest = request
        if fate == HANG:
            await asyncio.Event().wait()
        if fate == HOLD:
            await self._released.wait()
        if link.onward is None:
            back, link.onward = await asyncio.open_connection("127.0.0.1", self._api.port, ssl=self._trust)
            link.pump = asyncio.create_task(self._pump(link, back))
        link.answered.clear()
        link.onward.write(whole)
        await link.onward.drain()
        if fate == HOLD:  # the client may be gone: what it sent arrives all the same
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(link.answered.wait(), _LATE_S)

    async def _pump(self, link: _Link, back: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while data := await back.read(1 << 16):
                if not link.answered.is_set():
                    link.answered.set()
                    assert link.newest is not None
                    self.answered(link.newest)
                if not link.is_dead:
                    link.writer.write(data)
                    await link.writer.drain()
        if not link.is_dead:
            link.writer.close()


def _length(head: bytes) -> int:
    """Return how many bytes follow a head; what is sent in chunks is not understood."""
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        assert name.lower() != b"transfer-encoding", "the gateway takes no chunks"
        if name.lower() == b"content-length":
            return int(value)
    return 0


def _refusal(code: int) -> bytes:
    told = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": "refused by the test"}
    body = json.dumps(told).encode()
    head = f"HTTP/1.1 {code} Refused\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    if code == 429:
        head += "Retry-After: 1\r\n"
    return head.encode() + b"\r\n" + body
