"""What is asked of an API, and how that is answered: by route, never by the address, which names calls."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

from starlette import routing, types

from aftercall.consumers import observer
from aftercall.contracts import metrics

OTHER = "other"
_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
_WENT_AWAY = 499
_PROBES = frozenset({"/healthz", "/readyz"})
"""What a cluster asks is nobody's request: 36 good answers a minute of two pods, beside which every callback of a night
could fail at one a minute, and 97 % would look well."""


class Counting:
    """ASGI middleware: counts requests, their seconds, and those in flight; probes are none.

    It stands before everything else, so that it sees what the gate refuses too. `paths` are those of routes, with the
    names of parameters in braces, in the order in which they are tried.
    """

    def __init__(
        self,
        app: types.ASGIApp,
        *,
        paths: Iterable[str],
        observe: observer.Observer,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._app = app
        self._paths = [(path, routing.compile_path(path)[0]) for path in paths]
        self._observe = observe
        self._clock = clock

    async def __call__(self, scope: types.Scope, receive: types.Receive, send: types.Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"] in _PROBES:
            await self._app(scope, receive, send)
            return
        status = 500  # of a fault, until something is answered

        async def noted(message: types.Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        began_s = self._clock()
        self._observe.add(metrics.API_IN_FLIGHT, 1)
        try:
            await self._app(scope, receive, noted)
        except asyncio.CancelledError:
            status = _WENT_AWAY
            raise
        finally:
            route = self._route(scope["path"])
            method = scope["method"] if scope["method"] in _METHODS else OTHER
            self._observe.add(metrics.API_IN_FLIGHT, -1)
            self._observe.add(metrics.API_REQUESTS, route=route, method=method, status=str(status))
            self._observe.observe(metrics.API_REQUEST_SECONDS, self._clock() - began_s, route=route)

    def _route(self, address: str) -> str:
        """Return the path of the route; there are only so many."""
        return next((path for path, pattern in self._paths if pattern.match(address)), OTHER)
