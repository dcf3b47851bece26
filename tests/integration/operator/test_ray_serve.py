"""A real Ray Serve follows the number that the operator's target asks for."""

from __future__ import annotations

import asyncio
import os
import pathlib
import sys
from collections.abc import Iterator

import httpx2
import pytest
from peers import process

from aftercall.contracts import pools
from aftercall.operator import failures, targets

TOKEN = "a" * 64
HOST = pathlib.Path(process.__file__).with_name("ray_scaled_host.py")


@pytest.fixture
def dashboard(tmp_path: pathlib.Path) -> Iterator[str]:
    """The address of a Ray dashboard."""
    port = process.free_port()

    def build() -> process.Server:
        server = process.Server(
            "ray",
            [sys.executable, str(HOST), str(port)],
            folder=tmp_path,
            is_ready=lambda: "READY" in server.log.read_text(errors="replace"),
            ready_s=120.0,
            env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN},
        )
        return server

    for _ in process.running(build):
        yield f"http://127.0.0.1:{port}"


async def test_ray_serve_follows_the_number(dashboard: str, tmp_path: pathlib.Path) -> None:
    """Up and down again; an application that does not leave it to others says how it would, and so does a token."""
    token = tmp_path / "token"
    token.write_text(TOKEN)
    asked = pools.RayServeTarget(service="unused", application="aftercall", deployment="speech")
    async with httpx2.AsyncClient(timeout=20, trust_env=False) as client:
        target = targets.RayServe(client, dashboard, asked, token_file=token)

        async def until(expected: tuple[int, int]) -> targets.Seen:
            async with asyncio.timeout(60):
                while True:
                    seen = await target.read()
                    if expected == (seen.asked, seen.ready):
                        return seen
                    await asyncio.sleep(0.2)

        first = await until((1, 1))
        await target.scale(3, first)
        more = await until((3, 3))
        await target.scale(1, more)
        await until((1, 1))

        own = targets.RayServe(client, dashboard, asked.model_copy(update={"application": "own"}), token_file=token)
        with pytest.raises(failures.RefusedError, match="external_scaler_enabled: true"):
            await own.read()
        with pytest.raises(failures.RefusedError, match="external_scaler_enabled: true"):
            await own.scale(2, first)
        nowhere = targets.RayServe(
            client, dashboard, asked.model_copy(update={"deployment": "other"}), token_file=token
        )
        with pytest.raises(failures.NotFoundError, match="aftercall/other"):
            await nowhere.read()
        with pytest.raises(failures.ForbiddenError, match=r"operator\.ray_token_file"):
            await targets.RayServe(client, dashboard, asked).read()
