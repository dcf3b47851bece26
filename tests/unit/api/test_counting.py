"""Requests are counted by route, whatever stands in the way of an answer."""

from __future__ import annotations

import asyncio
import itertools

import fastapi
import httpx2
import pydantic
import pytest

from aftercall.api import counting, frame
from aftercall.consumers import observer


def counted(observe: observer.PrometheusObserver) -> dict[str, float]:
    """Return what was counted, but buckets and times of creation."""
    lines = [line for line in observe.exposition().decode().splitlines() if line.startswith("aftercall_api_")]
    told = dict(line.rsplit(" ", 1) for line in lines if "_bucket" not in line and "_created" not in line)
    return {name.removeprefix("aftercall_api_"): float(value) for name, value in told.items()}


def built(observe: observer.PrometheusObserver, begun: asyncio.Event | None = None) -> fastapi.FastAPI:
    """Return an application with a key, a route that answers, one that fails and one that begins and never ends."""
    app = frame.build("", api_keys={"acme": pydantic.SecretStr("a-key")})
    router = fastapi.APIRouter(prefix="/v1")

    @router.get("/calls/{call_id}")
    async def call(call_id: str) -> str:
        return call_id

    @router.get("/broken")
    async def broken() -> None:
        raise RuntimeError

    @router.get("/slow")
    async def slow() -> None:
        if begun is not None:
            begun.set()
        await asyncio.Event().wait()

    app.include_router(router)
    seconds = itertools.count()
    paths = tuple(app.openapi()["paths"])
    app.add_middleware(counting.Counting, paths=paths, observe=observe, clock=lambda: float(next(seconds)))
    return app


def client(app: fastapi.FastAPI) -> httpx2.AsyncClient:
    """Return one with the key."""
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url="http://api", headers={"X-API-Key": "a-key"})


async def test_requests_are_counted_by_route_and_status() -> None:
    """Not by address: one would be a series for each call. What the gate refuses counts too, and no probe does."""
    observe = observer.PrometheusObserver()
    async with client(built(observe)) as ask:
        for path in ("/v1/calls/c1", "/v1/calls/c2", "/v1/nothing/here", "/v1/broken", "/healthz"):
            await ask.get(path)
        await ask.get("/v1/calls/c3", headers={"X-API-Key": "guessed"})
        await ask.request("BREW", "/pot")

    requests = {name: value for name, value in counted(observe).items() if name.startswith("requests_total")}
    assert {
        'requests_total{method="GET",route="/v1/calls/{call_id}",status="200"}': 2.0,
        'requests_total{method="GET",route="/v1/calls/{call_id}",status="401"}': 1.0,
        'requests_total{method="GET",route="other",status="404"}': 1.0,
        'requests_total{method="GET",route="/v1/broken",status="500"}': 1.0,
        'requests_total{method="other",route="other",status="404"}': 1.0,
    } == requests
    assert 3.0 == counted(observe)['request_seconds_count{route="/v1/calls/{call_id}"}']
    assert 3.0 == counted(observe)['request_seconds_sum{route="/v1/calls/{call_id}"}']
    assert 0.0 == counted(observe)["requests_in_flight"]


async def test_what_is_being_answered_is_in_flight_until_the_caller_goes_away() -> None:
    """And is counted as such, since nobody had an answer."""
    observe, begun = observer.PrometheusObserver(), asyncio.Event()
    async with client(built(observe, begun)) as ask:
        asking = asyncio.create_task(ask.get("/v1/slow"))
        async with asyncio.timeout(5):
            await begun.wait()
        assert 1.0 == counted(observe)["requests_in_flight"]
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    assert 0.0 == counted(observe)["requests_in_flight"]
    assert 1.0 == counted(observe)['requests_total{method="GET",route="/v1/slow",status="499"}']
