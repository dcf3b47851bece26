"""Every pool is looked at every few seconds, whatever happens to others and to the watch.

Each has a task and a time limit of its own. What a look could not do, the next does: nothing is remembered of failures.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping

from aftercall.contracts import errors, metrics, pools
from aftercall.operator import conditions, grants, inventory, kube, looking, rivals

log = logging.getLogger(__name__)

_SOON_S = 0.5

_Settled = tuple[dict[str, rivals.Claim], dict[str, conditions.Finding]]


class Tending:
    """Keeps a task for each pool."""

    def __init__(
        self,
        known: inventory.Kind,
        means: looking.Means,
        *,
        limits: Callable[[], Mapping[str, grants.Limit]],
        interval_s: float,
        look_s: float,
    ) -> None:
        self._known = known
        self._means = means
        self._limits = limits
        self._interval_s = interval_s
        self._look_s = look_s
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._wakes: dict[str, asyncio.Event] = {}
        self._ended_at_s: dict[str, float] = {}
        self._scaled: Mapping[tuple[str, str], str] | None = None
        self._settled: tuple[object, _Settled] | None = None

    async def run(self, stopping: asyncio.Event) -> None:
        """Look at what there is until `stopping`; looks that have begun are broken off then."""
        try:
            while not stopping.is_set():
                await self._list_autoscalers()
                self.follow()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), self._interval_s)
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def follow(self) -> None:
        """Begin with pools that are new, once all are known, and leave those that are gone."""
        if not self._known.is_listed:
            return
        there = self._known.objects()
        for name in there.keys() - self._tasks.keys():
            self._wakes[name] = asyncio.Event()
            self._ended_at_s[name] = self._means.now()
            # A process that has ended no look yet would have no age, and be the one that nobody hears of.
            self._means.observe.set(metrics.OPERATOR_LAST_RECONCILE, self._means.utc().timestamp(), pool=name)
            self._tasks[name] = asyncio.create_task(self._tend(name), name=f"pool {name}")
        for name in self._tasks.keys() - there.keys():
            self._tasks.pop(name).cancel()
            del self._wakes[name], self._ended_at_s[name]
            self._means.observe.forget(pool=name)

    def wake(self, name: str) -> None:
        """Look at a pool now, and begin with it if it is new."""
        self.follow()
        if name in self._wakes:
            self._wakes[name].set()

    def oldest_look(self) -> tuple[str, float] | None:
        """Return the pool whose last look ended longest ago, and when; None without pools."""
        return min(self._ended_at_s.items(), key=lambda each: each[1], default=None)

    async def _tend(self, name: str) -> None:
        looker = looking.Looker(name, self._means)
        while True:
            self._wakes[name].clear()
            is_soon = await self._look(looker)
            wait_s = _SOON_S if is_soon else self._interval_s
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wakes[name].wait(), wait_s)

    async def _look(self, looker: looking.Looker) -> bool:
        """Look once; whatever comes of it concerns no other pool."""
        found = self._known.objects().get(looker.name)
        if found is None:
            return False
        began_s, observe = self._means.now(), self._means.observe
        try:
            async with asyncio.timeout(self._look_s):
                is_soon = await looker.look(found, self._around(looker.name))
        except TimeoutError:
            log.warning("look not ended", extra={"pool": looker.name, "within_s": self._look_s})
        except errors.AftercallError as exc:
            log.warning("look failed", extra={"pool": looker.name, "error": str(exc)})
        except Exception:  # a mistake of ours that one pool brings out must not stop the others
            log.exception("look broke off", extra={"pool": looker.name})
        else:
            observe.set(metrics.OPERATOR_LAST_RECONCILE, self._means.utc().timestamp(), pool=looker.name)
            return is_soon
        finally:
            if self._tasks.get(looker.name) is asyncio.current_task():  # else the pool is gone, and a look of it ends
                self._ended_at_s[looker.name] = self._means.now()
            observe.observe(metrics.OPERATOR_RECONCILE_SECONDS, self._means.now() - began_s)
        return False

    def _around(self, name: str) -> looking.Around:
        claims, refused = self._settle()
        scaled = self._scaled or {}
        return looking.Around(
            limits_per_s={tenant: limit.per_s for tenant, limit in self._limits().items()},
            refused=refused.get(name),
            rivals=rivals.conflict(name, claims[name].spec, scaled) if name in claims else None,
            are_rivals_known=self._scaled is not None,
            held_targets=frozenset(of for kind, of in scaled if kind == "Deployment"),
        )

    def _settle(self) -> _Settled:
        """Return what pools claim, and who is refused; made anew only where a specification has changed."""
        there = self._known.objects()
        made_of = {
            name: (found["metadata"].get("uid"), found["metadata"].get("generation"), found.get("spec"))
            for name, found in there.items()
        }
        if self._settled is None or self._settled[0] != made_of:
            claims = {}
            for each, found in there.items():
                with contextlib.suppress(ValueError):  # what cannot be followed claims nothing
                    spec = pools.TranscriptionPool.model_validate(found.get("spec"))
                    claims[each] = rivals.Claim(each, str(found["metadata"].get("creationTimestamp", "")), spec)
            self._settled = made_of, (claims, rivals.settle(claims.values()))
        return self._settled[1]

    async def _list_autoscalers(self) -> None:
        try:
            self._scaled = rivals.autoscalers(await self._means.client.list(kube.AUTOSCALERS))
        except errors.AftercallError as exc:
            log.warning("autoscalers not listed", extra={"error": str(exc)})
            self._scaled = None
