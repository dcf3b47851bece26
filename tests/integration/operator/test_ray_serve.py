"""A real Ray Serve follows the number that the operator's target asks for."""

from __future__ import annotations

import asyncio
import os
import pathlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import cluster
import httpx2
import operated
import pytest
from peers import broker, process

from aftercall.contracts import pools
from aftercall.operator import failures, targets

if TYPE_CHECKING:
    from conftest import Build

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


IN_CLUSTER = """
import socket
from aftercall.cli import main

resolve = socket.getaddrinfo

def here(host, *more, **options):
    return resolve("127.0.0.1" if host in ("ray.{0}.svc", b"ray.{0}.svc") else host, *more, **options)

socket.getaddrinfo = here
main.main()
"""
"""The operator, with a Service's name as a cluster resolves it."""


def replicas(dashboard: str) -> tuple[int, int]:
    """Return how many replicas Ray Serve is to have, and how many run."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    told = httpx2.get(f"{dashboard}/api/serve/applications/", headers=headers, timeout=20, trust_env=False).json()
    found = told["applications"]["aftercall"]["deployments"]["speech"]
    return int(found["target_num_replicas"]), sum(each["state"] == "RUNNING" for each in found["replicas"])


@pytest.mark.timeout(180)
def test_the_operators_process_carries_the_backlog_to_ray(
    dashboard: str, namespace_of: Build, shared_kafka: broker.Broker, tmp_path: pathlib.Path
) -> None:
    """Up from Kafka's lag, down to the minimum, none, when it is done, and up from none again."""
    (tmp_path / "ray-token").write_text(TOKEN)
    space = namespace_of("calls", settings={"AFTERCALL_OPERATOR__RAY_TOKEN_FILE": str(tmp_path / "ray-token")})
    space.command = ("-c", IN_CLUSTER.format(space.name), "operator")
    topic = f"{space.name}.calls"
    port = int(dashboard.rpartition(":")[2])
    backend = {
        "kind": "RayServe",
        "rayServe": {"service": "ray", "port": port, "application": "aftercall", "deployment": "speech"},
    }
    made = operated.pool("calls", topic=topic, group=space.name, backend=backend)
    made["spec"]["scaling"]["maxReplicas"] = 3
    operated.publish(shared_kafka.address, topic, 320)
    space.client.apply(made, namespace=space.name)
    space.start()

    cluster.wait_until(lambda: (3, 3) == replicas(dashboard), timeout_s=60, what="three replicas run")
    operated.commit(shared_kafka.address, space.name, topic, 80)
    cluster.wait_until(lambda: (0, 0) == replicas(dashboard), timeout_s=60, what="none runs")
    operated.publish(shared_kafka.address, topic, 4)
    cluster.wait_until(lambda: min(replicas(dashboard)) > 0, timeout_s=60, what="one runs again")
