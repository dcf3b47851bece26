"""Others' policies, by rows worked out by hand from their sources."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from aftercall.operator.simulator import cluster, policies

VIEW = cluster.View(
    now_s=0.0,
    asked=4,
    ready=4,
    waiting_calls=40,
    waiting_audio_s={"a": 0.0},
    oldest_waiting_s={},
    arrived_audio_s={"a": 0.0},
    limits_per_s={"a": None},
    promises_s={"a": None},
    done_audio_s=0.0,
    busy_s=0.0,
    is_saturated=False,
)


def keda(**changes: object) -> policies.Keda:
    """Return a scaler of ten calls a replica."""
    usual: dict[str, object] = {"lag_threshold": 10.0, "min_replicas": 1, "max_replicas": 100, "partitions": 50}
    return policies.Keda(**(usual | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "lag", "replicas"),
    [
        (4, 40, 4),
        (4, 44, 4),  # 10 % over is within the tolerance
        (4, 45, 5),
        (4, 36, 4),
        (4, 200, 8),  # twice as many, or four more
        (10, 200, 20),
        (1, 200, 5),
        (0, 1, 1),  # KEDA itself wakes it
        (50, 10_000, 50),  # no more than partitions
    ],
)
def test_keda_over_the_hpa(asked: int, lag: int, replicas: int) -> None:
    """One sync."""
    assert replicas == keda()(dataclasses.replace(VIEW, asked=asked, waiting_calls=lag))


def test_the_hpa_goes_down_to_the_largest_wish_of_five_minutes_and_up_by_a_step_each_period() -> None:
    """Of every sync since."""
    scaler, asked, seen = keda(), 4, []
    for now_s, lag in [(0, 200), (15, 200), (30, 200), (45, 20), (300, 20), (331, 20)]:
        asked = scaler(dataclasses.replace(VIEW, now_s=float(now_s), asked=asked, waiting_calls=lag))
        seen.append(asked)

    assert [8, 16, 20, 20, 20, 2] == seen


def syncs(scaler: policies.Keda, asked: int, lags: list[int], *, every_s: float = 15.0) -> list[int]:
    """Return what comes of these lags, looked at one after the other."""
    seen = []
    for at, lag in enumerate(lags):
        asked = scaler(dataclasses.replace(VIEW, now_s=at * every_s, asked=asked, waiting_calls=lag))
        seen.append(asked)
    return seen


def test_what_the_hpa_finds_counts_as_wished_for() -> None:
    """It takes nothing away for a window, and then goes to the largest wish since."""
    assert [8] * 20 + [3, 2] == syncs(keda(), 8, [30, 30, *[20] * 20])


def test_what_was_taken_away_within_a_period_comes_back_at_once() -> None:
    """Twice as many as the period began with, whatever was taken away and added since."""
    scaler = keda(hpa=policies.Hpa(up_period_s=40.0, down_stabilization_s=0.0))

    assert [10, 2, 20, 20, 20, 40] == syncs(scaler, 10, [100, 20, *[400] * 4])


def test_keda_goes_to_zero_after_its_cooldown() -> None:
    """Only with a minimum of zero."""
    for least, last in ((0, 0), (1, 1)):
        scaler, asked = keda(min_replicas=least), 1
        for now_s in range(0, 330, 15):
            lag = 5 if now_s == 0 else 0
            asked = scaler(dataclasses.replace(VIEW, now_s=float(now_s), asked=asked, waiting_calls=lag))
            if 0 < now_s < 300:
                assert 1 == asked
        assert last == asked


@pytest.mark.parametrize(
    ("live", "later", "replicas"),
    [
        (60, 0, 6),
        (20, 600, 6),  # a hundred calls a replica
        (60, 500, 6),
        (42, 800, 8),  # at most four more
        (38, 380, 4),  # each within its tolerance
        (0, 1, 1),
    ],
)
def test_keda_with_a_trigger_for_each_topic_takes_the_larger_wish(live: int, later: int, replicas: int) -> None:
    """What is due later is no live call."""
    view = dataclasses.replace(VIEW, waiting_calls=live + later, later_calls=later)
    scaler = keda(later_threshold=100.0, hpa=policies.Hpa(down_stabilization_s=0.0))

    assert replicas == scaler(view)


def test_ray_serve_waits_before_it_goes_up_and_longer_before_it_goes_down() -> None:
    """And sees no more than consumers have in flight."""
    scaler = policies.RayServe(target_ongoing=10, max_in_flight=60, min_replicas=1, max_replicas=20)
    seen, asked = [], 4
    for now_s in range(0, 700, 10):
        waiting = 1e6 if now_s < 40 else 0.0
        view = dataclasses.replace(VIEW, now_s=float(now_s), asked=asked, waiting_audio_s={"a": waiting})
        asked = scaler(view)
        seen.append((now_s, asked))

    assert [(0, 4), (20, 4), (30, 6), (40, 6), (630, 6), (640, 1)] == [
        each for each in seen if each[0] in {0, 20, 30, 40, 630, 640}
    ]


def looked_at_by_ray(
    scaler: policies.RayServe, asked: int, windows: list[int], *, ready: int | None = None
) -> list[int]:
    """Return what Ray asks for, looked at every ten seconds with so many windows of 25 s in flight."""
    seen = []
    for at, waiting in enumerate(windows):
        audio_s = {"a": 25.0 * waiting}
        there = asked if ready is None else ready
        view = dataclasses.replace(VIEW, now_s=10.0 * at, asked=asked, ready=there, waiting_audio_s=audio_s)
        asked = scaler(view)
        seen.append(asked)
    return seen


def test_ray_serve_waits_its_delay_again_after_each_change() -> None:
    """As Ray 2.60 does: what it had counted is forgotten once it has gone up or down."""
    scaler = policies.RayServe(target_ongoing=10, max_in_flight=200, min_replicas=1, max_replicas=20)

    assert [4, 4, 4, 6, 6, 6, 6, 7] == looked_at_by_ray(scaler, 4, [60, 60, 60, 60, 70, 70, 70, 70])


def test_ray_serve_asks_for_no_second_replica_until_the_first_one_runs() -> None:
    """And for the first one at once."""
    scaler = policies.RayServe(target_ongoing=10, max_in_flight=200, min_replicas=0, max_replicas=20)

    assert [0, 1, *[1] * 8] == looked_at_by_ray(scaler, 0, [0, *[200] * 9], ready=0)


def test_ray_serve_decides_on_delays_as_ray_itself_does() -> None:
    """Ray's own code on the same series of loads, for an hour of them."""
    ray_policy = pytest.importorskip("ray.serve.autoscaling_policy")
    config = pytest.importorskip("ray.serve.config").AutoscalingConfig(
        min_replicas=1, max_replicas=20, target_ongoing_requests=10, upscale_delay_s=30, downscale_delay_s=60
    )
    rng = np.random.default_rng(5)
    windows = [int(each) for each in np.repeat(rng.integers(0, 200, 120), rng.integers(1, 6, 120))]
    theirs, target, state = [], 4, {}
    for at, ongoing in enumerate(windows):
        wish = max(1, min(20, math.ceil(ongoing / 10)))
        target, state = ray_policy._apply_delay_logic(wish, target, config, state, _now=10.0 * at)
        theirs.append(target)
    scaler = policies.RayServe(
        target_ongoing=10, max_in_flight=200, min_replicas=1, max_replicas=20, downscale_delay_s=60.0
    )

    assert theirs == looked_at_by_ray(scaler, 4, windows)
    assert len(set(theirs)) > 10
