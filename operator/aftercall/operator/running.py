"""The operator: what it looks after, who hears of what, and how it can be told that it is well.

`run` begins everything and ends it; what breaks off by a mistake of ours ends the process, which begins anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import logging
import secrets
import socket
from collections.abc import Callable, Mapping
from typing import Any

from aftercall.contracts import errors, metrics, pools, reports, sections
from aftercall.operator import (
    compiling,
    exchange,
    fleets,
    grants,
    handover,
    inventory,
    kube,
    lease,
    looking,
    measures,
    notices,
    offsets,
    presence,
    processes,
    targets,
    tending,
    watching,
)

log = logging.getLogger(__name__)

_LIST_S = 20.0
_LOOK_S = 30.0


class Operator:
    """Looks after a namespace's pools and tenants. `ray_of` is how a Ray dashboard is reached."""

    def __init__(
        self,
        configured: sections.Operator,
        client: kube.Kubernetes,
        reads: offsets.Reader,
        ray_of: Callable[[pools.RayServeTarget], targets.Target],
        observe: measures.Observer,
        *,
        deferred_topic: str,
        now: Callable[[], float],
        utc: Callable[[], datetime.datetime],
    ) -> None:
        self._configured = configured
        self._client = client
        self._ray_of = ray_of
        self._observe = observe
        self._now = now
        self._utc = utc
        self._pools, self._tenants = inventory.Kind(), inventory.Kind()
        self._kinds = {kube.POOLS: self._pools, kube.TENANTS: self._tenants}
        self._generations: dict[tuple[kube.Resource, str], object] = {}
        self._listed_at_s = now()
        for resource in self._kinds:
            self._tell_listed(resource)  # one that may list nothing from the start on is late, too
        self.exchange = exchange.Exchange(lease_s=configured.grant_lease_s, stale_s=presence.STALE_S)
        self.lease = lease.Lease(
            client,
            configured.lease,
            identity=f"{socket.gethostname()}-{secrets.token_hex(4)}",
            lease_s=configured.lease_s,
            now=now,
            utc=utc,
            taken=self._begin,
            leaves=self._left,
            first=handover.NOBODY,
            newest_epoch=lambda: self.exchange.newest_epoch,
        )
        self.compiling = compiling.Compiling(
            client,
            self._tenants,
            self._pools,
            configured.tenants_config_maps,
            may_write=self.lease.is_held,
            utc=utc,
            observe=observe,
        )
        means = looking.Means(
            client=client,
            reads=reads,
            reported=self.exchange,
            speech_of=self._speech_of,
            fleets=fleets.Fleets(client, may_write=self.lease.is_held, utc=utc),
            notices=notices.Notices(client, utc=utc),
            observe=observe,
            may_write=self.lease.is_held,
            now=now,
            utc=utc,
            deferred_topic=deferred_topic,
        )
        self._tending = tending.Tending(
            self._pools, means, limits=self._limits, interval_s=configured.interval_s, look_s=_LOOK_S
        )
        self.watch: watching.Watch | None = watching.Watch(client.namespace, self.tell)

    async def run(self, stopping: asyncio.Event) -> None:
        """Look after everything until `stopping`."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.lease.run(stopping), name="lease")
            group.create_task(self._list_again(stopping), name="lists")
            if self.watch is not None:
                group.create_task(self.watch.run(stopping), name="watch")
            group.create_task(self._tending.run(stopping), name="pools")
            group.create_task(self.compiling.run(stopping), name="tenants")

    async def hear(self, report: reports.ConsumerReport) -> reports.Grants:
        """Answer a report; raise `exchange.NotLeadingError`, or `processes.RefusedError`, for an unknown pool, too."""
        if not self.lease.is_held():
            raise exchange.NotLeadingError("this operator does not hold the Lease")
        if not self._pools.is_listed or not self._tenants.is_listed:
            raise exchange.NotLeadingError("this operator has not read pools and tenants yet")
        if not self.compiling.has_compiled:
            # What it took from a consumer for want of limits it could not give back for one lease.
            raise exchange.NotLeadingError("this operator has not compiled tenants yet")
        if report.pool not in self._pools.objects():
            raise processes.RefusedError(f"there is no TranscriptionPool {report.pool} in {self._client.namespace}")
        return self.exchange.hear(report, self._limits(), now_s=self._now(), held_at_s=self.lease.renewed_at_s)

    def tell(self, resource: kube.Resource, change: str | None, found: Mapping[str, Any]) -> None:
        """Take in what the watch tells."""
        if self._kinds[resource].tell(change, found, now_s=self._now()):
            self._react(resource, [str(found["metadata"]["name"])])

    def why_not_ready(self) -> str | None:
        """Say why nothing is looked after yet."""
        if not self._pools.is_listed or not self._tenants.is_listed:
            return "pools and tenants are not read yet"
        if not self.compiling.has_compiled:
            return "tenants are not compiled yet"
        return None if self.lease.is_held() else "waits for the Lease"

    def why_not_healthy(self) -> str | None:
        """Say what has stood still for so long that a new start is better."""
        stale_s, now_s = self._configured.stale_s, self._now()
        if now_s - self.lease.tried_at_s > stale_s:
            return "the Lease is not looked at any more"
        if now_s - self._listed_at_s > stale_s:
            return "pools and tenants are not listed any more"
        oldest = self._tending.oldest_look()
        if oldest is not None and now_s - oldest[1] > stale_s:
            return f"pool {oldest[0]} is not looked at any more"
        for resource, kind in self._kinds.items():
            owed_since_s = kind.owed_since_s()
            if owed_since_s is not None and now_s - owed_since_s > stale_s:
                return f"the watch of {resource.plural} does not tell of changes any more"
        return None

    def refresh(self) -> None:
        """Set the gauges of what changes by itself."""
        self._observe.set(metrics.OPERATOR_LEASE, 1.0 if self.lease.is_held() else 0.0)
        granted = self.exchange.granted_per_s(now_s=self._now())
        for tenant, limit in self._limits().items():
            floors_per_s = limit.floor_per_s * limit.max_consumers
            self._observe.set(metrics.OPERATOR_GRANTED, granted.get(tenant, 0.0) + floors_per_s, tenant=tenant)

    async def list_once(self) -> None:
        """Read all pools and tenants, whatever the watch has told."""
        for resource, kind in self._kinds.items():
            asked_at_s = self._now()
            try:
                found = await self._client.list(resource)
            except errors.AftercallError as exc:
                log.warning("not listed", extra={"resource": resource.plural, "error": str(exc)})
                continue
            self._tell_listed(resource)
            was_listed = kind.is_listed
            changed = kind.list(list(found), asked_at_s=asked_at_s, now_s=self._now())
            if changed or not was_listed:
                self._react(resource, changed)
        self._listed_at_s = self._now()

    def _tell_listed(self, resource: kube.Resource) -> None:
        self._observe.set(metrics.OPERATOR_LAST_LIST, self._utc().timestamp(), kind=resource.plural)

    async def _list_again(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            await self.list_once()
            is_listed = self._pools.is_listed and self._tenants.is_listed
            every_s = min(_LIST_S, self._configured.stale_s / 3) if is_listed else 1.0
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), every_s)

    def _react(self, resource: kube.Resource, names: list[str]) -> None:
        """Compile, and look at pools, where a specification has changed; a status of ours that comes back is none."""
        if resource == kube.POOLS:
            self._tending.follow()
        there = self._kinds[resource].objects()
        for name in names:
            metadata = there[name]["metadata"] if name in there else {}
            generation = metadata.get("uid"), metadata.get("generation")
            if self._generations.get((resource, name)) == generation:
                continue
            self._generations[resource, name] = generation
            self.compiling.mark()
            if resource == kube.POOLS:
                self._tending.wake(name)
            if name not in there:
                del self._generations[resource, name]

    def _left(self) -> str | None:
        return handover.encode(self.exchange.hand_over(now_s=self._now()))

    def _begin(self, epoch: int, left: str | None) -> None:
        self.exchange.begin(epoch, now_s=self.lease.renewed_at_s, holders=handover.parse(left))
        self.compiling.mark()

    def _limits(self) -> Mapping[str, grants.Limit]:
        return self.compiling.limits

    def _speech_of(self, backend: pools.Backend) -> targets.Target | None:
        if backend.deployment is not None:
            return targets.Deployment(self._client, backend.deployment.name)
        return None if backend.ray_serve is None else self._ray_of(backend.ray_serve)
