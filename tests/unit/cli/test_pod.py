"""When a consumer's pod is healthy."""

from __future__ import annotations

import pathlib

import pytest

from aftercall.cli import pod
from aftercall.contracts import settings
from aftercall.serve import testing


async def test_a_consumer_whose_poll_thread_has_ended_wants_a_new_start(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it reports: reports go on without it."""
    configured = settings.Settings.model_validate(
        {"kafka": {"bootstrap_servers": ["b:9092"]}, "store": {"bucket": "b", "endpoint": "http://127.0.0.1:9"}}
    )
    consumer = pod.Pod(configured, spool=tmp_path, backend=testing.FakeBackend())
    assert consumer.why_not_healthy() is None

    monkeypatch.setattr(consumer.poller, "why_not_alive", lambda: "the poll thread has ended")

    assert "the poll thread has ended" == consumer.why_not_healthy()
    await consumer.close()
