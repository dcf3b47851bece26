"""A real control plane, shared by the tests here; each has a namespace of its own."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from peers import control_plane as plane
from peers import process


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[plane.ControlPlane]:
    """A control plane with one node of no GPU, `cpu-0`, and one of four, `gpu-0`."""
    for running in process.running(lambda: plane.ControlPlane(tmp_path_factory.mktemp("control-plane"))):
        print(f"The control plane was ready within {running.started_in_s:.1f} s")
        running.create_node("cpu-0")
        running.create_node("gpu-0", gpus=4)
        yield running


@pytest.fixture
def namespace(control_plane: plane.ControlPlane) -> Iterator[str]:
    """A namespace of the test's own."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    control_plane.create_namespace(name)
    yield name
    control_plane.client.delete("Namespace", name)
