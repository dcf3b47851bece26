"""Find outcomes that have no row in ClickHouse, and tell of them again: repairs what a lost topic took with it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from aftercall.consumers import observer
from aftercall.consumers.publish import clickhouse, objects, outcome
from aftercall.contracts import documents, errors, metrics, outcomes

log = logging.getLogger(__name__)

_CHUNK = 500
_FIRST_AFTER_S = 60.0


class Sweep:
    """Compares what lies in the object store with what rows there are. News that is told twice changes nothing.

    An outcome is looked for once it is `settle_s` old: its news may still be on its way.
    """

    def __init__(
        self,
        store: objects.ObjectStore,
        publisher: outcome.Publisher,
        sink: clickhouse.ClickHouse,
        observe: observer.Observer,
        *,
        settle_s: float = 3600.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._sink = sink
        self._observe = observe
        self._settle_s = settle_s
        self._now = now

    async def run(self, stopping: asyncio.Event, *, interval_s: float) -> None:
        """Sweep soon, and then every `interval_s`, until `stopping`."""
        wait_s = min(_FIRST_AFTER_S, interval_s)
        while not stopping.is_set():
            try:
                async with asyncio.timeout(wait_s):
                    await stopping.wait()
            except TimeoutError:
                wait_s = interval_s
                try:
                    await self.sweep()
                except errors.TransientError as exc:
                    log.warning("sweep not ended", extra={"reason": exc.reason})

    async def sweep(self) -> int:
        """Tell again of every outcome that has no row; return how many those were."""
        before_s = self._now() - self._settle_s
        settled = [key for key, at_s in await self._store.listing("outcomes/") if at_s <= before_s]
        keys = [key for key in settled if not key.endswith("/deleted.json")]
        n_repaired = 0
        for at in range(0, len(keys), _CHUNK):
            n_repaired += await self._repair(keys[at : at + _CHUNK])
        log.info("swept", extra={"outcomes": len(keys), "repaired": n_repaired})
        self._observe.add(metrics.SWEPT, n_repaired)
        return n_repaired

    async def _repair(self, keys: Sequence[str]) -> int:
        found: dict[str, outcomes.Outcome] = {}
        for key in keys:
            data = await self._store.get(key)
            if data is not None:
                one = documents.parse(outcomes.Outcome, data, what=key)
                found[one.transcription_id] = one
        missing = found.keys() - await self._sink.known(list(found))
        for id_ in sorted(missing):
            await self._publisher.announce(found[id_])
        return len(missing)
