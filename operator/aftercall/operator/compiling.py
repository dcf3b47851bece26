"""Tenants are compiled into the ConfigMaps that consumers, relay and API mount, and told what became of each."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aftercall.contracts import errors, metrics, pools
from aftercall.contracts import tenancy as contract
from aftercall.operator import conditions, grants, inventory, kube, measures, tenancy

log = logging.getLogger(__name__)

FILE = "tenants.yaml"
_PATCHES_AT_ONCE = 32
_SETTLE_S = 0.5
"""Seconds for which more changes are waited for: a thousand tenants are applied one by one."""
_AGAIN_S = 5.0


class Compiling:
    """Compiles tenants whenever they or the number of consumers change, and looks every `interval_s` all the same."""

    def __init__(
        self,
        client: kube.Kubernetes,
        tenants: inventory.Kind,
        known_pools: inventory.Kind,
        config_maps: Sequence[str],
        *,
        may_write: Callable[[], bool],
        utc: Callable[[], datetime.datetime],
        observe: measures.Observer,
        interval_s: float = 60.0,
    ) -> None:
        self._client = client
        self._tenants = tenants
        self._pools = known_pools
        self._config_maps = tuple(config_maps)
        self._may_write = may_write
        self._utc = utc
        self._observe = observe
        self._interval_s = interval_s
        self._dirty = asyncio.Event()
        self._told: dict[str, tuple[conditions.Finding, str]] = {}
        self.limits: Mapping[str, grants.Limit] = {}
        """Limits by the id of their tenant."""
        self.has_compiled = False
        """Whether `limits` are the tenants', not merely nothing yet."""

    def mark(self) -> None:
        """Compile soon: something has changed."""
        self._dirty.set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Compile until `stopping`."""
        wait_s = 0.0
        while not stopping.is_set():
            waiting = [asyncio.create_task(each.wait()) for each in (stopping, self._dirty)]
            await asyncio.wait(waiting, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
            for each in waiting:
                each.cancel()
            if self._dirty.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), _SETTLE_S)
            self._dirty.clear()
            is_done = await self.compile() if self._tenants.is_listed and self._pools.is_listed else False
            wait_s = self._interval_s if is_done else _AGAIN_S

    async def compile(self) -> bool:
        """Compile once; return whether all was written that had to be."""
        found = dict(sorted(self._tenants.objects().items(), key=lambda each: (_created(each[1]), each[0])))
        specs = {name: each.get("spec") or {} for name, each in found.items()}
        most = self._max_consumers()
        files, findings, limits = await asyncio.to_thread(_compile, specs, most, len(self._config_maps))
        for tenant in self.limits.keys() - limits.keys():
            self._observe.forget(tenant=tenant)
        self.limits, self.has_compiled = limits, True
        self._observe.set(metrics.OPERATOR_TENANTS, len(found) - len(findings), ready="true")
        self._observe.set(metrics.OPERATOR_TENANTS, len(findings), ready="false")
        for tenant, limit in limits.items():
            self._observe.set(metrics.OPERATOR_LIMIT, limit.per_s, tenant=tenant)
        if not self._may_write():
            return False
        is_written = all([await self._write(name, text) for name, text in zip(self._config_maps, files, strict=True)])
        # A tenant that no consumer can be given yet is not told that it is.
        told = {name: findings.get(name, tenancy.COMPILED) for name in found if is_written or name in findings}
        return await self._tell(found, told) and is_written

    def _max_consumers(self) -> int:
        most = 0
        for each in self._pools.objects().values():
            with contextlib.suppress(ValueError):
                most += pools.TranscriptionPool.model_validate(each.get("spec")).consumers.max_replicas
        return max(1, most)

    async def _write(self, name: str, text: str) -> bool:
        try:
            found = await self._client.get(kube.CONFIG_MAPS, name)
            if (found.get("data") or {}).get(FILE) != text:
                version = found["metadata"]["resourceVersion"]
                body = {"metadata": {"resourceVersion": version}, "data": {FILE: text}}
                await self._client.patch(kube.CONFIG_MAPS, name, body)
                log.info("tenants written", extra={"config_map": name, "bytes": len(text.encode())})
        except errors.AftercallError as exc:
            log.warning("tenants not written", extra={"config_map": name, "error": str(exc)})
            return False
        return True

    async def _tell(self, found: Mapping[str, inventory.Object], told: Mapping[str, conditions.Finding]) -> bool:
        places = asyncio.Semaphore(_PATCHES_AT_ONCE)

        async def tell(name: str, finding: conditions.Finding) -> bool:
            before, version = self._told.get(name, (None, ""))
            if before == finding and not inventory.is_newer(found[name], version):
                return True  # what was told has not come back yet
            change = _change(found[name], finding, self._utc())
            if change is None:
                return True
            async with places:
                if not self._may_write():
                    return False
                try:
                    now = await self._client.patch(kube.TENANTS, name, {"status": change}, part="status")
                except errors.AftercallError as exc:
                    log.warning("tenant not told", extra={"object": name, "error": str(exc)})
                    return False
            self._told[name] = finding, str(now["metadata"]["resourceVersion"])
            return True

        done = await asyncio.gather(*(tell(name, finding) for name, finding in told.items()))
        self._told = {name: each for name, each in self._told.items() if name in found}
        return all(done)


def _compile(
    specs: Mapping[str, Mapping[str, Any]], max_consumers: int, shards: int
) -> tuple[tuple[str, ...], dict[str, conditions.Finding], dict[str, grants.Limit]]:
    files, findings = tenancy.compile_tenants(specs, max_consumers=max_consumers, shards=shards)
    limits = {}
    for name, spec in specs.items():
        if name not in findings:
            read = contract.parse(name, spec)
            per_minute = read.audio_seconds_per_minute
            if per_minute is not None:
                burst_audio_s = float(read.burst_audio_seconds or per_minute)
                limits[str(read.id)] = grants.Limit(per_minute / 60, max_consumers, burst_audio_s)
    return files, findings, limits


def _change(found: inventory.Object, finding: conditions.Finding, now: datetime.datetime) -> dict[str, Any] | None:
    """Return the patch of a tenant's status; None: it says so already."""
    before = found.get("status") or {}
    generation = int(found["metadata"].get("generation", 0))
    since = {each.type: each for each in conditions.read(before.get("conditions") or ())}
    made = []
    for kind in (conditions.Type.READY, conditions.Type.VALID):
        last = since.get(kind)
        at = last.since if last is not None and last.finding.status is finding.status else now
        made.append(conditions.Condition(kind, finding, generation, at))
    after = {"observedGeneration": generation, "conditions": conditions.as_status(made)}
    return after if any(before.get(key) != value for key, value in after.items()) else None


def _created(found: inventory.Object) -> str:
    return str(found["metadata"].get("creationTimestamp", ""))
