"""A fleet is brought to a number: up at once; down only when those that were let go before have ended, the idle first.

Nothing is written by an operator that does not hold the Lease, and nothing over what somebody else has written since.
"""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import logging
from collections.abc import Callable, Mapping
from datetime import datetime

from aftercall.contracts import errors
from aftercall.operator import failures, kube, targets, victims

log = logging.getLogger(__name__)

_PATCHES_AT_ONCE = 16


class Outcome(enum.StrEnum):
    """What became of a number that was wanted."""

    AS_WANTED = "AsWanted"
    WRITTEN = "Written"
    WAITS_FOR_DRAINING = "WaitsForDraining"
    CHANGED_MEANWHILE = "ChangedMeanwhile"
    NOT_WRITTEN = "NotWritten"
    NOT_LEADING = "NotLeading"


@dataclasses.dataclass(frozen=True, slots=True)
class Applied:
    """What became of it, and what to say of that."""

    outcome: Outcome
    message: str = ""


class Fleets:
    """Brings targets to numbers."""

    def __init__(self, client: kube.Kubernetes, *, may_write: Callable[[], bool], utc: Callable[[], datetime]) -> None:
        self._client = client
        self._may_write = may_write
        self._utc = utc

    async def bring(
        self,
        target: targets.Target,
        seen: targets.Seen,
        to: int | None,
        *,
        running_audio_s: Mapping[str, float] | None = None,
    ) -> Applied:
        """Bring a target to a number; None leaves it alone. `running_audio_s` by pod tells who is busy, where known."""
        if to is None or to == seen.asked:
            return Applied(Outcome.AS_WANTED)
        try:
            if to < seen.asked:
                n_leaving = seen.leaving
                if seen.labels:
                    pods = [victims.read(each) for each in await self._client.list(kube.PODS, labels=seen.labels)]
                    n_leaving += sum(pod.is_leaving(self._utc()) for pod in pods)
                    if not n_leaving and running_audio_s is not None:
                        await self._mark(victims.changes(pods, running_audio_s))
                if n_leaving:
                    said = f"{n_leaving} of {target.name} were let go and have not ended; fewer are asked for then"
                    return Applied(Outcome.WAITS_FOR_DRAINING, said)
            if not self._may_write():
                return Applied(Outcome.NOT_LEADING)
            await target.scale(to, seen)
        except failures.ConflictError as exc:
            return Applied(Outcome.CHANGED_MEANWHILE, str(exc))
        except errors.AftercallError as exc:
            log.warning("not scaled", extra={"target": target.name, "to": to, "error": str(exc)})
            return Applied(Outcome.NOT_WRITTEN, str(exc))
        return Applied(Outcome.WRITTEN)

    async def _mark(self, costs: Mapping[str, int]) -> None:
        """Mark pods by what it would cost to let them go. A pod that cannot be marked is left as it is."""
        places = asyncio.Semaphore(_PATCHES_AT_ONCE)

        async def mark(pod: str, cost: int) -> None:
            async with places:
                if not self._may_write():
                    return
                try:
                    annotations = {victims.ANNOTATION: str(cost)}
                    await self._client.patch(kube.PODS, pod, {"metadata": {"annotations": annotations}})
                except errors.AftercallError as exc:
                    log.warning("pod not marked", extra={"pod": pod, "error": str(exc)})

        await asyncio.gather(*(mark(pod, cost) for pod, cost in costs.items()))


async def has_ended(client: kube.Kubernetes, pod: str) -> bool:
    """Say whether a pod is certain to do nothing any more: it has ended, or is not there. Raises failures."""
    try:
        return victims.read(await client.get(kube.PODS, pod)).has_ended
    except failures.NotFoundError:
        return True
