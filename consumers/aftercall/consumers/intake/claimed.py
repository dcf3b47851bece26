"""Claims in the object store: taken before work, kept alive during it, ended after it."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import time
import typing
from collections.abc import Callable

from aftercall.consumers import tracing
from aftercall.consumers.intake import claims
from aftercall.contracts import documents, errors, events, identity, outcomes, reports

log = logging.getLogger(__name__)


class Store(typing.Protocol):
    """What claims need of an object store."""

    async def create(self, key: str, data: bytes) -> None:
        """Write a new object; raise `errors.AlreadyExistsError` when there is one."""
        ...

    async def put(self, key: str, data: bytes) -> None:
        """Write an object over whatever is there."""
        ...

    async def get(self, key: str) -> bytes | None:
        """Read an object; None when there is none."""
        ...

    async def keys(self, prefix: str) -> list[str]:
        """Return every key below `prefix`."""
        ...


@dataclasses.dataclass(slots=True)
class Held:
    """A claim of this process, and the task that keeps it alive."""

    work: identity.Work
    claim: claims.Claim
    beating: asyncio.Task[None] | None = None
    writing: asyncio.Lock = dataclasses.field(default_factory=asyncio.Lock)


class Claims:
    """Takes and keeps claims for one process. `owner` names it, differently after every start."""

    def __init__(
        self, store: Store, *, owner: str, lease_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._owner = owner
        self._lease_s = lease_s
        self._clock = clock
        self._seen: dict[str, tuple[bytes, float]] = {}
        self._held: dict[identity.Work, Held] = {}
        self._claiming: set[identity.Work] = set()

    async def take(self, work: identity.Work, event: events.RecordingReady) -> Held | claims.Wait:
        """Claim work durably, or say how long somebody else's claim has still to run."""
        if work in self._held or work in self._claiming:
            return claims.Wait(self._lease_s, self._owner)
        # Two deliveries at once would write the same bytes, and each would take the other's claim for its own.
        self._claiming.add(work)
        try:
            return await self._take(work, event)
        finally:
            self._claiming.discard(work)

    async def _take(self, work: identity.Work, event: events.RecordingReady) -> Held | claims.Wait:
        latest, unchanged_s = await self._observe(work)
        decision = claims.decide(latest, unchanged_s=unchanged_s, owner=self._owner, lease_s=self._lease_s)
        if isinstance(decision, claims.Wait):
            return decision
        claim = decision.claim.model_copy(update={"event": event, "trace_id": tracing.trace_id()})
        if claim.attempt == 1:
            named = dataclasses.asdict(work)
            await self._store.put(identity.lookup_key(work.transcription_id), json.dumps(named).encode())
        if claim.attempt == 1 and event.call_id != event.recording_id:
            index = identity.call_prefix(event.tenant, event.call_id) + identity.key_part(event.recording_id)
            await self._store.put(index, event.recording_id.encode())
        key = work.claim_key(claim.attempt)
        try:
            await self._store.create(key, documents.encode(claim))
        except errors.AlreadyExistsError:
            # Ours after all, if the store took it and its answer was lost.
            if await self._store.get(key) != documents.encode(claim):
                return claims.Wait(self._lease_s, "another process")
        self._seen.pop(work.claims_prefix, None)
        held = Held(work, claim)
        self._held[work] = held
        held.beating = asyncio.create_task(self._beat(held), name=f"claim {work.transcription_id}")
        return held

    async def alone(self, held: Held) -> None:
        """Write that nothing else is open in this process: from now on its death counts against the recording."""
        held.claim = held.claim.model_copy(update={"alone": True})
        await self._write(held)

    async def report(
        self, work: identity.Work, stage: reports.Stage, *, progress: float | None = None, audio_s: float | None = None
    ) -> None:
        """Note the stage of claimed work; it is written with the next heartbeat, so that progress costs no requests."""
        held = self._held.get(work)
        if held is not None:
            known = held.claim.audio_s if audio_s is None else audio_s
            held.claim = held.claim.model_copy(update={"stage": stage, "progress": progress, "audio_s": known})

    async def end(
        self, held: Held, *, reason: outcomes.Reason | None = None, message: str = "", strike: bool = False
    ) -> None:
        """Let go of a claim, so that the next attempt need not wait; a store that is down only makes it wait."""
        self._held.pop(held.work, None)
        async with held.writing:  # a heartbeat that is cancelled on its way could arrive after the end
            if held.beating is not None:
                held.beating.cancel()
        strikes = held.claim.strikes + int(strike)
        ended = {"ended": True, "reason": reason, "message": message, "strikes": strikes, "progress": None}
        held.claim = held.claim.model_copy(update=ended)
        try:
            await self._write(held)
        except errors.TransientError as exc:
            log.warning("claim not ended", extra={"reason": exc.reason})

    def forget(self, work: identity.Work) -> None:
        """Drop what was seen of another's claim, its work having ended."""
        self._seen.pop(work.claims_prefix, None)

    async def _observe(self, work: identity.Work) -> tuple[claims.Claim | None, float]:
        """Return the latest claim, and for how long this process has seen it unchanged."""
        prefix = work.claims_prefix
        attempts = [int(key.rpartition("/")[2].removesuffix(".json")) for key in await self._store.keys(prefix)]
        if not attempts:
            return None, 0.0
        key = work.claim_key(max(attempts))
        data = await self._store.get(key)
        if data is None:
            return None, 0.0
        before, since_s = self._seen.get(prefix, (b"", 0.0))
        now_s = self._clock()
        if before != data:
            since_s = now_s
            self._seen[prefix] = data, since_s
        return documents.parse(claims.Claim, data, what=key), now_s - since_s

    async def _beat(self, held: Held) -> None:
        while True:
            await asyncio.sleep(self._lease_s / 3)
            held.claim = held.claim.model_copy(update={"beat": held.claim.beat + 1})
            try:
                await self._write(held)
            except errors.TransientError as exc:
                log.warning("heartbeat not written", extra={"reason": exc.reason})

    async def _write(self, held: Held) -> None:
        # One write at a time: a late heartbeat must not come after the end.
        async with held.writing:
            await self._store.put(held.work.claim_key(held.claim.attempt), documents.encode(held.claim))
