"""The Lease that whoever scales and issues grants must hold: one operator at a time.

It is ours only while the last renewal that succeeded, timed from its sending on our own monotonic clock, is younger
than the lease less a margin; another takes it over only after it has seen no change for a whole lease on its own. So
clocks need not agree, and nobody acts while another may.

Whoever releases it may leave a text to the next holder, which takes it from the Lease along with it.

Each holder has a higher epoch than all before it, also where the Lease was deleted in between: a new one begins at the
minutes since 1970, and holders do not change every minute for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import dataclasses
import datetime
import logging
import math
from collections.abc import Callable

from aftercall.contracts import errors
from aftercall.operator import failures, kube

log = logging.getLogger(__name__)

_MARGIN = 1 / 3
"""Share of the lease for which its holder no longer acts, and another does not yet."""
_LEFT = "aftercall.io/left-to-the-next-holder"
"""The annotation."""
_STEPS = 5
"""Tries in a lease: three are missed before it is no longer ours."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Observed:
    """What the Lease was when it last changed, and when we saw that."""

    version: str
    at_s: float


class Lease:
    """One Lease, for one start of an operator. `identity` is another at each start; `taken` hears of each epoch.

    It hears also of what the holder before left, which is None where that did not release the Lease; where nobody held
    it before, that is `first`. What `leaves` returns once it is released is for the next.
    `newest_epoch` is the highest that anybody has told of: ours is to be higher, or that one.
    """

    def __init__(
        self,
        client: kube.Kubernetes,
        name: str,
        *,
        identity: str,
        lease_s: float,
        now: Callable[[], float],
        utc: Callable[[], datetime.datetime],
        taken: Callable[[int, str | None], None] = lambda epoch, left: None,
        leaves: Callable[[], str | None] = lambda: None,
        first: str | None = None,
        newest_epoch: Callable[[], int] = lambda: 0,
    ) -> None:
        self._client = client
        self._name = name
        self._identity = identity
        self._lease_s = lease_s
        self._now = now
        self._utc = utc
        self._taken = taken
        self._leaves = leaves
        self._first = first
        self._newest_epoch = newest_epoch
        self._observed: _Observed | None = None
        self.renewed_at_s = -math.inf
        """When the last renewal that succeeded was sent."""
        self.epoch: int | None = None
        """Of this operator, once it has held the Lease."""
        self.tried_at_s = now()
        """When the loop was last alive."""

    def is_held(self) -> bool:
        """Say whether this operator may act now."""
        return self._now() - self.renewed_at_s < (1 - _MARGIN) * self._lease_s

    async def run(self, stopping: asyncio.Event) -> None:
        """Take the Lease, renew it, and take it again where it was lost, until `stopping`; then release it."""
        while not stopping.is_set():
            await self.run_once()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), self._lease_s / _STEPS)
        await self.release()

    async def run_once(self) -> None:
        """Look at the Lease once, for a part of its time; what fails is logged, and tried again."""
        was_held = self.is_held()
        try:
            async with asyncio.timeout(self._lease_s / _STEPS):
                await self.step()
        except (errors.AftercallError, TimeoutError) as exc:
            log.warning("lease not renewed", extra={"lease": self._name, "error": str(exc) or "no answer"})
        self.tried_at_s = self._now()
        if was_held != self.is_held():
            log.warning("lease taken" if self.is_held() else "lease lost", extra={"epoch": self.epoch})

    async def step(self) -> None:
        """Look at the Lease once, and take or renew it where it may be."""
        sent_at_s = self._now()
        try:
            found = await self._client.get(kube.LEASES, self._name)
        except failures.NotFoundError:
            epoch = max(int(self._utc().timestamp() // 60), self._newest_epoch() + 1)
            await self._client.create(kube.LEASES, {"metadata": {"name": self._name}, "spec": self._spec(epoch)})
            self._hold(epoch, sent_at_s, self._first if self.epoch is None else None)
            return
        spec, version = found.get("spec", {}), str(found["metadata"]["resourceVersion"])
        epoch = int(spec.get("leaseTransitions") or 0)
        holder = spec.get("holderIdentity")
        if holder != self._identity:
            if holder and not self._has_run_out(version, float(spec.get("leaseDurationSeconds") or 0)):
                return
            epoch = max(epoch, self._newest_epoch()) + 1
        elif epoch != self.epoch or self._newest_epoch() > epoch:
            epoch = max(epoch, self._newest_epoch(), self.epoch or 0) + 1
        taken = copy.deepcopy(found)
        left = (taken["metadata"].get("annotations") or {}).pop(_LEFT, None)
        sent_at_s = self._now()
        await self._client.replace(kube.LEASES, self._name, {**taken, "spec": spec | self._spec(epoch)})
        self._hold(epoch, sent_at_s, None if holder else left)

    async def release(self) -> None:
        """Let another take the Lease at once."""
        if not self.is_held():
            return
        self.renewed_at_s = -math.inf
        try:
            async with asyncio.timeout(self._lease_s / _STEPS):
                found = await self._client.get(kube.LEASES, self._name)
                if found.get("spec", {}).get("holderIdentity") == self._identity:
                    freed = copy.deepcopy(found)
                    freed["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1}
                    if (left := self._leaves()) is not None:
                        freed["metadata"]["annotations"] = (freed["metadata"].get("annotations") or {}) | {_LEFT: left}
                    await self._client.replace(kube.LEASES, self._name, freed)
        except (errors.AftercallError, TimeoutError) as exc:
            log.warning("lease not released", extra={"lease": self._name, "error": str(exc) or "no answer"})

    def _has_run_out(self, version: str, theirs_s: float) -> bool:
        """Say whether another's Lease has not changed for long enough."""
        now_s = self._now()
        if self._observed is None or self._observed.version != version:
            self._observed = _Observed(version, now_s)
        return now_s - self._observed.at_s >= max(self._lease_s, theirs_s)

    def _hold(self, epoch: int, sent_at_s: float, left: str | None) -> None:
        self.renewed_at_s = sent_at_s
        if epoch != self.epoch:
            self.epoch = epoch
            self._taken(epoch, left)

    def _spec(self, epoch: int) -> kube.Object:
        now = self._utc().astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        taken = {} if epoch == self.epoch else {"acquireTime": now}
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": math.ceil(self._lease_s),
            "leaseTransitions": epoch,
            "renewTime": now,
            **taken,
        }
