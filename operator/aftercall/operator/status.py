"""A pool's status: coarse numbers, so that nothing is written while nothing worth telling has changed.

What changes all the time is for metrics. A backlog is told in two digits, and its way to nothing as well.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from aftercall.operator import capacity, conditions

Status = Mapping[str, Any]


def coarse(value: float) -> int:
    """Return a number in its two leading digits: 1234 is 1200."""
    if value < 100:
        return max(0, math.ceil(value))
    unit: int = 10 ** (int(math.log10(value)) - 1)
    return round(value / unit) * unit


def build(
    *,
    generation: int,
    found: Sequence[conditions.Condition],
    replicas: int | None,
    wanted: int | None,
    consumers: int | None,
    selector: Mapping[str, str],
    backlog_audio_s: float | None,
    drain_s: float | None,
    speech: capacity.Estimate | None,
    prepared: capacity.Estimate | None,
) -> dict[str, Any]:
    """Return the status; None is not known, and is not in it."""
    status = {
        "observedGeneration": generation,
        "replicas": replicas,
        "wantedReplicas": wanted,
        "consumers": consumers,
        "selector": ",".join(f"{key}={value}" for key, value in sorted(selector.items())) or None,
        "backlogAudioSeconds": None if backlog_audio_s is None else coarse(backlog_audio_s),
        "drainSeconds": None if drain_s is None or not math.isfinite(drain_s) else coarse(drain_s),
        "capacity": _capacity(speech),
        "consumerCapacity": _capacity(prepared),
        "conditions": conditions.as_status(found),
    }
    return {key: value for key, value in status.items() if value is not None}


def patch(before: Status, after: Status) -> dict[str, Any] | None:
    """Return the merge patch from one status to another; None: there is nothing to write."""
    changed = {key: value for key, value in after.items() if before.get(key) != value}
    gone = dict.fromkeys(before.keys() - after.keys())
    return changed | gone or None


def estimate(status: Status, field: str) -> capacity.Estimate | None:
    """Return what was learned of a replica, as a status has kept it: `capacity` or `consumerCapacity`."""
    kept = status.get(field) or {}
    per_minute, busy_s = kept.get("audioSecondsPerMinute"), kept.get("busySeconds")
    if not isinstance(per_minute, int) or not isinstance(busy_s, int) or per_minute <= 0 or busy_s <= 0:
        return None
    return capacity.Estimate(per_minute / 60, float(busy_s))


def _capacity(learned: capacity.Estimate | None) -> dict[str, int] | None:
    if learned is None:
        return None
    return {"audioSecondsPerMinute": coarse(learned.per_s * 60), "busySeconds": coarse(learned.weight_s)}
