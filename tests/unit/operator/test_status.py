"""What a pool's status says, and how seldom it is written."""

from __future__ import annotations

from typing import Any

import pytest

from aftercall.operator import capacity, status


def built(**more: Any) -> dict[str, Any]:
    """Return the status of a pool at work."""
    whole: dict[str, Any] = {
        "generation": 3,
        "found": (),
        "replicas": 2,
        "wanted": 4,
        "consumers": 1,
        "selector": {"b": "2", "a": "1"},
        "backlog_audio_s": 1234.0,
        "drain_s": 61.2,
        "speech": capacity.Estimate(50.0, 123.0),
        "prepared": None,
    }
    return status.build(**whole | more)


@pytest.mark.parametrize(
    ("value", "expected"), [(0.0, 0), (0.1, 1), (99.4, 100), (101.0, 100), (1234.0, 1200), (99_600.0, 100_000)]
)
def test_numbers_are_told_in_two_digits(value: float, expected: int) -> None:
    """And something is never nothing."""
    assert expected == status.coarse(value)


def test_small_changes_are_not_written() -> None:
    """A backlog of which another second was done says nothing new."""
    assert status.patch(built(), built(backlog_audio_s=1210.0, drain_s=62.0)) is None
    assert {"backlogAudioSeconds": 1100} == status.patch(built(), built(backlog_audio_s=1140.0, drain_s=62.0))


def test_what_is_not_known_any_more_is_removed() -> None:
    """A merge patch removes by null."""
    assert {"drainSeconds": None, "replicas": None} == status.patch(built(), built(drain_s=None, replicas=None))
    assert "drainSeconds" not in built(drain_s=float("inf"))


def test_what_was_learned_outlives_the_operator() -> None:
    """As it was told; what is no such thing is nothing learned."""
    kept = built()

    assert {"audioSecondsPerMinute": 3000, "busySeconds": 120} == kept["capacity"]
    assert capacity.Estimate(50.0, 120.0) == status.estimate(kept, "capacity")
    assert status.estimate(kept, "consumerCapacity") is None
    assert status.estimate({"capacity": {"audioSecondsPerMinute": 0, "busySeconds": 1}}, "capacity") is None
    assert "a=1,b=2" == kept["selector"]
