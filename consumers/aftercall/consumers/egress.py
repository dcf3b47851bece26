"""The only way out to addresses that strangers name: recordings and webhooks.

A name is resolved once for each connection, every address that it has is checked, and the connection goes to one of
those, so that a name that answers differently the second time changes nothing. A redirect is another connection.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import typing
from collections.abc import Iterable, Sequence

from aftercall.consumers import addresses

if typing.TYPE_CHECKING:
    import httpx2

_MAX_REDIRECTS = 5


async def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a name; an address is its own."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def client(
    *, timeout_s: float, allowed: Sequence[addresses.Network] = (), follow_redirects: bool = False
) -> httpx2.AsyncClient:
    """Return an HTTP client that connects to public addresses only, and to networks that were allowed on purpose.

    A refused address raises `addresses.RefusedAddressError`. Proxies of the environment are not used: they
    would resolve names by themselves.
    """
    import httpcore2
    import httpx2

    class Guarded(httpcore2.AsyncNetworkBackend):
        def __init__(self) -> None:
            self._plain = httpcore2.AnyIOBackend()

        async def connect_tcp(
            self,
            host: str,
            port: int,
            timeout: float | None = None,  # noqa: ASYNC109 -- the library's own signature
            local_address: str | None = None,
            socket_options: Iterable[typing.Any] | None = None,
        ) -> httpcore2.AsyncNetworkStream:
            try:
                found = await resolve(host, port)
            except OSError as exc:
                raise httpcore2.ConnectError(f"{host} has no address") from exc
            for address in found:
                addresses.check(ipaddress.ip_address(address.partition("%")[0]), allowed=allowed)
            return await self._plain.connect_tcp(found[0], port, timeout, local_address, socket_options)

        async def sleep(self, seconds: float) -> None:
            await asyncio.sleep(seconds)

    transport = httpx2.AsyncHTTPTransport(trust_env=False)
    transport._pool = httpcore2.AsyncConnectionPool(
        ssl_context=ssl.create_default_context(), network_backend=Guarded(), max_connections=64
    )

    async def check_url(request: httpx2.Request) -> None:
        addresses.parse_url(str(request.url))

    return httpx2.AsyncClient(
        transport=transport,
        timeout=timeout_s,
        follow_redirects=follow_redirects,
        max_redirects=_MAX_REDIRECTS,
        trust_env=False,
        event_hooks={"request": [check_url]},
    )
