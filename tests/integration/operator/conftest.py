"""A real broker and a real control plane for the tests here."""

from __future__ import annotations

import pathlib
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import operated
import pytest
from peers import broker, gateway, process
from peers import control_plane as plane


@pytest.fixture
def kafka(tmp_path: pathlib.Path) -> Iterator[broker.Broker]:
    """A broker of the test's own."""
    yield from process.running(lambda: broker.Broker(tmp_path))


@pytest.fixture(scope="session")
def shared_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[broker.Broker]:
    """A broker of which each test uses topics of its own."""
    yield from process.running(lambda: broker.Broker(tmp_path_factory.mktemp("broker")))


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[plane.ControlPlane]:
    """A control plane that knows our resources, with one node."""
    for running in process.running(lambda: plane.ControlPlane(tmp_path_factory.mktemp("control-plane"))):
        running.create_node("node-0")
        operated.install(running)
        yield running


Build = Callable[..., operated.Namespace]


@pytest.fixture
def namespace_of(
    control_plane: plane.ControlPlane, shared_kafka: broker.Broker, tmp_path: pathlib.Path
) -> Iterator[Build]:
    """Makes a namespace with Deployments of these pools, and topics of theirs."""
    made: list[operated.Namespace] = []

    def build(*pools: str, topics: bool = True, **more: Any) -> operated.Namespace:
        name = f"test-{uuid.uuid4().hex[:8]}"
        control_plane.create_namespace(name)
        if topics:
            shared_kafka.create_topics({f"{name}.{pool}{part}": 4 for pool in pools for part in ("", ".deferred")})
        made.append(operated.Namespace(control_plane, name, shared_kafka.address, tmp_path, pools, **more))
        return made[-1]

    yield build
    for each in made:
        each.stop()
        control_plane.client.delete("Namespace", each.name)
    forbidden = [refused for each in made if not each.may_be_refused for refused in each.refused()]
    assert [] == forbidden, "the operator was forbidden something"


@pytest.fixture
def before_api(control_plane: plane.ControlPlane) -> Iterator[gateway.Gateway]:
    """What stands between an operator and the API server, and passes everything on until it is told otherwise."""
    between = gateway.Gateway(control_plane.api)
    between.start()
    yield between
    between.stop()
