"""What a run came to: late calls, waits, GPU-hours, changes and cost, as one row."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence

from aftercall.operator.simulator import cluster


@dataclasses.dataclass(frozen=True, slots=True)
class Waits:
    """How long calls took from their event until they were done. None without any."""

    calls: int
    late: int
    p50_s: float | None
    p95_s: float | None


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """A policy on one trace or on several. `changes` counts looks that changed the number of replicas."""

    policy: str
    waits: Waits
    tenants: dict[str, Waits]
    gpu_hours: float
    changes: int
    cost: float

    @property
    def late_share(self) -> float:
        """Of all calls."""
        return self.waits.late / self.waits.calls if self.waits.calls else 0.0


def result(policy: str, runs: Sequence[cluster.Run], *, price_per_hour: float) -> Result:
    """Return what a policy came to on these runs together."""
    finished = [each for run in runs for each in run.finished]
    tenants = sorted({each.tenant for each in finished})
    gpu_hours = sum(run.gpu_s for run in runs) / 3600
    return Result(
        policy=policy,
        waits=_waits(finished),
        tenants={name: _waits([each for each in finished if each.tenant == name]) for name in tenants},
        gpu_hours=gpu_hours,
        changes=sum(run.changes for run in runs),
        cost=gpu_hours * price_per_hour,
    )


def _waits(finished: Iterable[cluster.Finished]) -> Waits:
    found = list(finished)
    waited = sorted(each.waited_s for each in found)
    return Waits(len(found), sum(each.is_late for each in found), quantile(waited, 0.5), quantile(waited, 0.95))


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """Return the value that this share of values is at or under (nearest rank)."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None
