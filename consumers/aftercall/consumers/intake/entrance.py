"""What becomes of a record that was read: work, a dead letter, something put aside, or nothing."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Awaitable, Callable, Mapping

from aftercall.consumers import observer
from aftercall.consumers.intake import parking, places, sources
from aftercall.contracts import errors, events, metrics, outcomes, tenants

log = logging.getLogger(__name__)

_RESOLVING = 16
_LONGEST_DELAY_S = 60.0
OVER_SHARE, NEWER_SCHEMA, OTHER_MODEL = "over_share", "newer_schema", "other_model"
UNKNOWN_TENANT, UNKNOWN_TOPIC = "unknown_tenant", "unknown_topic"
LANES: tuple[tenants.Lane, ...] = ("live", "bulk")
"""In the order in which they are served: a lane's place is its rank."""


@dataclasses.dataclass(frozen=True, slots=True)
class Binding:
    """What a topic may announce: whose recordings, and how the keys of its buckets are read. No tenants: anybody's."""

    tenants: frozenset[str] | None
    templates: tuple[sources.KeyTemplate, ...]
    rank: int = 0
    """Topics of a lower rank are served first: live before bulk."""
    promise_s: float | None = None
    """Seconds in which a transcript is due, where that differs from the others'."""


@dataclasses.dataclass(frozen=True, slots=True)
class Work:
    """What the record announces may be worked on."""

    ready: tuple[events.RecordingReady, ...]
    rank: int
    announced_s: float
    promise_s: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Park:
    """It cannot be taken yet; the reason is a word of a bounded set."""

    why: str


class Nothing:
    """It announces nothing, or is among the dead letters now."""


class Entrance:
    """Reads records. `bury(record, reason, message)` puts one durably among the dead letters.

    `put_aside(topic, record, key, headers)` appends one to another topic, durably too. Both raise
    `errors.TransientError`, and are called until they do not.
    """

    def __init__(
        self,
        bindings: Mapping[str, Binding],
        *,
        deferred_topic: str,
        parked_topic: str,
        is_known: Callable[[str], bool],
        has_model: Callable[[str], bool],
        pin: Callable[[events.RecordingReady], Awaitable[tuple[str, str]]],
        bury: Callable[[places.Record, outcomes.Reason, str], Awaitable[None]],
        put_aside: Callable[[str, places.Record, bytes | None, list[tuple[str, bytes]]], Awaitable[None]],
        observe: observer.Observer,
        policy_of: Callable[[str], tenants.TenantPolicy] = lambda name: tenants.TenantPolicy(name=name),
    ) -> None:
        self.ranks = sorted({binding.rank for binding in bindings.values()})
        self._bindings = bindings
        self._deferred_topic = deferred_topic
        self._parked_topic = parked_topic
        self._is_known = is_known
        self._policy_of = policy_of
        self._has_model = has_model
        self._pin = pin
        self._bury = bury
        self._put_aside = put_aside
        self._observe = observe
        self._resolving = asyncio.Semaphore(_RESOLVING)

    def count(self, record: places.Record) -> None:
        """Count a record that was just read."""
        self._observe.add(metrics.RECORDS, topic=record.place.topic)

    async def read(self, record: places.Record) -> Work | Park | Nothing:
        """Read a record as of now: tenants and topics that it names may be unknown today and known tomorrow."""
        try:
            origin = self._origin(record)
            binding = self._bindings.get(origin.topic)
            if binding is None:
                return Park(UNKNOWN_TOPIC)
            reading = sources.read(record.value, record.headers, templates=binding.templates)
            self._check_tenants(reading.ready, origin.topic, binding)
        except sources.NewerSchemaError:
            return Park(NEWER_SCHEMA)
        except errors.ContractError as exc:
            return await self._buried(record, outcomes.Reason.INVALID_EVENT, str(exc))
        except errors.RejectedError as exc:
            return await self._buried(record, exc.reason, str(exc))
        if not all(self._is_known(event.tenant) for event in reading.ready):
            return Park(UNKNOWN_TENANT)
        if not all(event.model is None or self._has_model(event.model) for event in reading.ready):
            return Park(OTHER_MODEL)
        for why in reading.skipped:
            self._observe.add(metrics.SOURCE_SKIPPED, why=why)
        if not reading.ready:
            return Nothing()
        return Work(reading.ready, binding.rank, origin.announced_s, binding.promise_s)

    def is_deferred(self, record: places.Record) -> bool:
        """Say whether a record has been put aside already: then it is not put aside for its tenant's share again."""
        return record.place.topic in {self._deferred_topic, self._parked_topic}

    def is_parked(self, record: places.Record) -> bool:
        """Say whether a record is one that could not be taken when it was read last."""
        return record.place.topic == self._parked_topic

    async def defer(self, record: places.Record, tenant: str) -> None:
        """Put a record aside until its tenant's share allows it."""
        await self._aside(self._deferred_topic, record, tenant.encode(), OVER_SHARE)

    async def park(self, record: places.Record, why: str) -> None:
        """Put a record aside until it can be taken; one that lies there already goes to the end."""
        await self._aside(self._parked_topic, record, record.key, why)

    async def resolve(self, event: events.RecordingReady, *, is_wanted: Callable[[], bool]) -> events.RecordingReady:
        """Return an event that names its recording's version: what lies there now, where it names none."""
        if event.version is not None:
            return event
        version, uri = "none", event.recording_uri
        async with self._resolving:
            while is_wanted():
                try:
                    version, uri = await self._pin(event)
                    break
                except errors.RejectedError:
                    break  # fetching will say the same, and that is the outcome
                except errors.TransientError as exc:
                    await asyncio.sleep(exc.retry_after_s)
        return event.model_copy(update={"version": version, "recording_uri": uri})

    def _origin(self, record: places.Record) -> parking.Origin:
        if self.is_deferred(record):
            return parking.origin_of(record.headers)
        return parking.Origin(record.place.topic, record.timestamp_s)

    def _check_tenants(self, ready: tuple[events.RecordingReady, ...], topic: str, binding: Binding) -> None:
        """Refuse a tenant that the topic is not bound to, or whose policy lists others."""
        lane = LANES[binding.rank]
        for tenant in dict.fromkeys(event.tenant for event in ready):
            if binding.tenants is not None and tenant not in binding.tenants:
                why = "its binding lists others"
            elif not self._policy_of(tenant).may_be_named_on(topic, lane=lane):
                why = f"the tenant's policy lists other topics or lanes than {lane}"
            else:
                continue
            raise errors.RejectedError(
                f"tenant {tenant!r} may not be named on topic {topic}: {why}", reason=outcomes.Reason.FORBIDDEN_SOURCE
            )

    async def _aside(self, topic: str, record: places.Record, key: bytes | None, why: str) -> None:
        headers = parking.wrap(record.headers, self._origin(record), why)
        await _until_taken(lambda: self._put_aside(topic, record, key, headers), "record not put aside")
        self._observe.add(metrics.PARKED, why=why)

    async def _buried(self, record: places.Record, reason: outcomes.Reason, message: str) -> Nothing:
        await _until_taken(lambda: self._bury(record, reason, message), "dead letter not taken")
        self._observe.add(metrics.DEAD_LETTERS, reason=reason)
        return Nothing()


async def _until_taken(write: Callable[[], Awaitable[None]], what: str) -> None:
    """Write durably, however long that takes: only then is the record finished."""
    delay_s = 1.0
    while True:
        try:
            return await write()
        except errors.TransientError as exc:
            log.warning(what, extra={"reason": exc.reason})
            await asyncio.sleep(delay_s)
            delay_s = min(_LONGEST_DELAY_S, delay_s * 2)
