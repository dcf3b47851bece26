"""Run the API on a socket inside a loop that does other things too."""

from __future__ import annotations

import asyncio
import socket

import fastapi

from aftercall.contracts import errors

_DRAIN_S = 5


def listen(host: str, port: int) -> socket.socket:
    """Bind and return the listening socket; raise `errors.ConfigurationError` where that cannot be."""
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
        raise errors.ConfigurationError(f"cannot listen on {host} port {port}: {exc.strerror or exc}") from exc
    return found


async def serve(app: fastapi.FastAPI, listening: socket.socket, stopping: asyncio.Event) -> None:
    """Serve until `stopping`, then let open requests end."""
    import uvicorn

    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_DRAIN_S,
        lifespan="off",
    )
    served = uvicorn.Server(config)
    task = asyncio.create_task(served._serve([listening]), name="uvicorn")  # without its own signal handlers
    wanted = asyncio.create_task(stopping.wait())
    await asyncio.wait({task, wanted}, return_when=asyncio.FIRST_COMPLETED)
    served.should_exit = True
    wanted.cancel()
    await task
