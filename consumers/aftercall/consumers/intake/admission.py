"""How much of a tenant's work may begin now: a token bucket in audio-seconds."""

from __future__ import annotations

import dataclasses
import math


@dataclasses.dataclass(frozen=True, slots=True)
class Limit:
    """Audio-seconds that may begin each second, and how many at once after a rest; until when, and what is left then.

    Times are monotonic seconds.
    """

    rate: float
    burst_s: float
    until_s: float = math.inf
    afterwards: Limit | None = None

    def __post_init__(self) -> None:
        if not self.rate > 0 or not self.burst_s > 0:
            raise ValueError(
                f"a limit of {self.rate} audio-seconds a second with a burst of {self.burst_s} lets none in"
            )

    def at(self, now_s: float) -> Limit:
        """Return what holds at a moment."""
        return self.afterwards if self.afterwards is not None and now_s >= self.until_s else self


@dataclasses.dataclass(frozen=True, slots=True)
class Bucket:
    """What is left of a limit: `level_s` audio-seconds at `at_s` (monotonic seconds). Below zero is debt."""

    level_s: float
    at_s: float


@dataclasses.dataclass(frozen=True, slots=True)
class Admitted:
    """It may begin; the bucket is what is left."""

    bucket: Bucket


@dataclasses.dataclass(frozen=True, slots=True)
class Wait:
    """It may not begin before `until_s`."""

    until_s: float


def empty(*, now_s: float) -> Bucket:
    """Return the bucket of a process that has just begun: a restart must not be a way to a second burst."""
    return Bucket(0.0, now_s)


def decide(bucket: Bucket, cost_s: float, limit: Limit, *, now_s: float) -> Admitted | Wait:
    """Let work of `cost_s` audio-seconds begin when the bucket holds as much.

    Work that is dearer than the burst begins with a full bucket and leaves a debt: it would otherwise never begin, and
    over time the rate still holds.
    """
    level_s = settle(bucket, limit, now_s=now_s).level_s
    limit = limit.at(now_s)
    wanted_s = min(cost_s, limit.burst_s)
    # A nanosecond's worth short is rounding: to wait for it could mean to wait for no time at all, for ever.
    if level_s >= wanted_s - limit.rate * 1e-9:
        return Admitted(Bucket(level_s - cost_s, now_s))
    return Wait(min(limit.until_s, now_s + (wanted_s - level_s) / limit.rate))


def settle(bucket: Bucket, limit: Limit, *, now_s: float) -> Bucket:
    """Fill a bucket up to now by the limit that has held since it was filled last, before another holds.

    So a rate that is raised gives nothing for the time before, and a lease that has run out nothing for the time after.
    """
    if limit.afterwards is not None and now_s > limit.until_s:
        if bucket.at_s < limit.until_s:
            bucket = _filled(bucket, limit, limit.until_s)
        limit = limit.afterwards
    return _filled(bucket, limit, now_s)


def correct(bucket: Bucket, extra_s: float) -> Bucket:
    """Charge what work cost beyond its estimate, or give back what it cost less; a later refill stops at the burst."""
    return Bucket(bucket.level_s - extra_s, bucket.at_s)


def _filled(bucket: Bucket, limit: Limit, now_s: float) -> Bucket:
    level_s = bucket.level_s + max(0.0, now_s - bucket.at_s) * limit.rate
    return Bucket(min(limit.burst_s, level_s), max(now_s, bucket.at_s))
