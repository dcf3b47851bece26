"""A real broker and a real S3 server, one of each for all tests here."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import pytest
from peers import broker, process, s3


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[broker.Broker]:
    """A broker; tests use topics of their own."""
    yield from process.running(lambda: broker.Broker(tmp_path_factory.mktemp("broker")))


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[s3.S3]:
    """An S3 server; tests use buckets of their own."""
    yield from process.running(lambda: s3.S3(tmp_path_factory.mktemp("s3")))


@pytest.fixture
def names(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> str:
    """A name for topics, groups and buckets that no other test has."""
    return f"t{abs(hash((request.node.nodeid, str(tmp_path)))) % 10**12}"
