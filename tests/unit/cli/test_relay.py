"""What the relay tells of itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import fastapi
import httpx2
import pytest

from aftercall.cli import relay
from aftercall.contracts import settings


class Poller:
    """One whose thread has ended, once it is said."""

    def __init__(self) -> None:
        self.why: str | None = None
        self.has_started = asyncio.Event()

    def start(self) -> None:
        """Begin."""
        self.has_started.set()

    def stop(self) -> None:
        """End."""

    def why_not_alive(self) -> str | None:
        """Say so."""
        return self.why


async def test_a_webhooks_thread_that_has_ended_wants_a_new_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in the process begins it anew, and nobody would be told of anything any more."""
    configured = settings.Settings.model_validate(
        {
            "kafka": {"bootstrap_servers": ["b:9092"]},
            "store": {"bucket": "b", "endpoint": "http://127.0.0.1:9"},
            "webhooks": {"api_url": "https://api.example.com"},
        }
    )
    poller, stopping, apps = Poller(), asyncio.Event(), []

    @contextlib.asynccontextmanager
    async def alongside(_: object, app: fastapi.FastAPI) -> AsyncIterator[None]:
        apps.append(app)
        yield

    async def check(*_: Any) -> None:
        return None

    monkeypatch.setattr(relay.server, "alongside", alongside)
    monkeypatch.setattr(relay.topics, "check", check)
    monkeypatch.setattr(relay.polling, "into_loop", lambda *_, **__: poller)
    monkeypatch.setattr(relay.signals, "on_signals", lambda: stopping)
    running = asyncio.create_task(relay.run(configured))
    await asyncio.wait_for(poller.has_started.wait(), 10)

    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(apps[0]), base_url="http://relay") as client:
        well = await client.get("/healthz")
        poller.why = "the poll thread has ended"
        ended = await client.get("/healthz")
    stopping.set()
    await running

    assert (200, "ok\n") == (well.status_code, well.text)
    assert (503, "not healthy: the poll thread has ended\n") == (ended.status_code, ended.text)
