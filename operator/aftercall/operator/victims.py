"""Which pods go first when there are to be fewer: the idle ones, by what Kubernetes calls their deletion cost.

A ReplicaSet lets pods that are not ready go before all others, and of the ready ones those of the lowest cost. A pod of
which nothing is known may be the busiest, and counts as that.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable, Mapping
from typing import Any

ANNOTATION = "controller.kubernetes.io/pod-deletion-cost"
IDLE = 0
BUSY = 10
BUSIEST = BUSY + 86_400
_STUCK = datetime.timedelta(seconds=60)
"""After the end of its grace, for which a pod that is still there is waited for: its node may be gone."""
_ENDED = ("Succeeded", "Failed")


@dataclasses.dataclass(frozen=True, slots=True)
class Pod:
    """A pod, its cost as it is marked, and until when it may take to end, where it was let go."""

    name: str
    cost: int | None = None
    leaves_by: datetime.datetime | None = None
    has_ended: bool = False

    def is_leaving(self, now: datetime.datetime) -> bool:
        """Say whether it was let go and is still to be waited for."""
        return not self.has_ended and self.leaves_by is not None and now < self.leaves_by + _STUCK


def read(pod: Mapping[str, Any]) -> Pod:
    """Return what counts of a pod as Kubernetes has it."""
    metadata = pod["metadata"]
    marked = (metadata.get("annotations") or {}).get(ANNOTATION)
    leaves_by = metadata.get("deletionTimestamp")
    return Pod(
        name=str(metadata["name"]),
        cost=int(marked) if marked is not None and marked.removeprefix("-").isdecimal() else None,
        leaves_by=None if leaves_by is None else datetime.datetime.fromisoformat(leaves_by),
        has_ended=pod.get("status", {}).get("phase") in _ENDED,
    )


def changes(pods: Iterable[Pod], running_audio_s: Mapping[str, float]) -> dict[str, int]:
    """Return the costs that have to be marked anew, by pod; `running_audio_s` is what consumers say of themselves."""
    found = {}
    for pod in pods:
        if pod.leaves_by is not None or pod.has_ended:
            continue
        cost = _cost(running_audio_s.get(pod.name))
        if cost != pod.cost:
            found[pod.name] = cost
    return found


def _cost(running_audio_s: float | None) -> int:
    if running_audio_s is None:
        return BUSIEST
    return IDLE if running_audio_s <= 0 else min(BUSIEST, BUSY + int(running_audio_s))
