"""A real broker for the tests here."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import pytest
from peers import broker, process


@pytest.fixture
def kafka(tmp_path: pathlib.Path) -> Iterator[broker.Broker]:
    """A broker of the test's own."""
    yield from process.running(lambda: broker.Broker(tmp_path))
