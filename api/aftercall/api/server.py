"""Run the API on a socket inside a loop that does other things too."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import pathlib
import socket
from collections.abc import AsyncIterator, Iterator

import fastapi

from aftercall.api import certificates
from aftercall.contracts import errors, sections

_DRAIN_S = 5
_IDLE_S = 30
_MAX_HEAD_BYTES = 32 * 1024  # of a head that has not ended yet; the gate has a limit for whole ones

_PORTS_FAULT = frozenset({errno.EADDRINUSE, errno.EACCES})


def listen(host: str, port: int, *, section: str = "api") -> socket.socket:
    """Bind and return the listening socket; raise `errors.ConfigurationError` where that cannot be.

    Port 0 takes a free one; `getsockname` of the socket tells which. `section` is where host and port are set.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family, kind, protocol)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind(address)
            found.listen(1024)  # from here on nobody is refused, even before the first accept
        except OSError:
            found.close()
            raise
    except OSError as exc:
        setting = f"{section}.port" if exc.errno in _PORTS_FAULT else f"{section}.host"
        raise errors.ConfigurationError(
            f"{setting}: cannot listen on {host} port {port}: {exc.strerror or exc}"
        ) from exc
    return found


@contextlib.asynccontextmanager
async def alongside(
    configured: sections.Telemetry, app: fastapi.FastAPI, *, section: str = "telemetry"
) -> AsyncIterator[None]:
    """Serve an application while something else runs; nothing where no port is set."""
    if configured.port is None:
        yield
        return
    listening = listen(configured.host, configured.port, section=section)
    stopping = asyncio.Event()
    serving = asyncio.create_task(serve(app, listening, stopping), name="probes")
    try:
        yield
    finally:
        stopping.set()
        await serving


async def serve(
    app: fastapi.FastAPI,
    listening: socket.socket,
    stopping: asyncio.Event,
    *,
    certificate: pathlib.Path | None = None,
    key: pathlib.Path | None = None,
    look_s: float = certificates.LOOK_S,
) -> None:
    """Serve until `stopping`, then let open requests end, for a few seconds at most; over TLS with a certificate.

    Its files are looked at every `look_s`, and what replaces them is taken up.
    """
    import uvicorn

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield  # signals are for whoever runs the loop, who sets `stopping`

    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        h11_max_incomplete_event_size=_MAX_HEAD_BYTES,
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=_IDLE_S,
        timeout_graceful_shutdown=_DRAIN_S,
        lifespan="off",
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )
    config.load()
    server = Server(config)
    serving = asyncio.create_task(server.serve([listening]), name="uvicorn")
    stopped = asyncio.create_task(stopping.wait(), name="stopping")
    beside: list[asyncio.Task[object]] = [stopped]
    if config.ssl is not None and certificate is not None and key is not None:
        following = certificates.follow(config.ssl, certificate, key, look_s=look_s)
        beside.append(asyncio.create_task(following, name="certificate"))
    try:
        await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in beside:
            each.cancel()
        server.should_exit = True
        await serving
