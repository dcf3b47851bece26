"""What a run came to: late calls, waits, GPU-hours, changes and cost, as one row."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

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
    by_tenant: dict[str, list[cluster.Finished]] = {}
    for each in finished:
        by_tenant.setdefault(each.tenant, []).append(each)
    gpu_hours = sum(run.gpu_s for run in runs) / 3600
    return Result(
        policy=policy,
        waits=_waits(finished),
        tenants={name: _waits(by_tenant[name]) for name in sorted(by_tenant)},
        gpu_hours=gpu_hours,
        changes=sum(run.changes for run in runs),
        cost=gpu_hours * price_per_hour,
    )


def _waits(finished: Sequence[cluster.Finished]) -> Waits:
    p50_s = p95_s = None
    if finished:
        waited = [each.waited_s for each in finished]
        p50_s, p95_s = (float(each) for each in np.quantile(waited, (0.5, 0.95), method="inverted_cdf"))
    return Waits(len(finished), sum(each.is_late for each in finished), p50_s, p95_s)
