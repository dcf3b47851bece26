"""Work that was read from Kafka and waits in memory: whose turn it is, and what becomes of each record.

Implements `delivery.Queue`. A record counts as finished when everything that it announced has ended, or has been put
durably elsewhere (a dead letter). What waits here is lost with the process, and read again by the next.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from aftercall.consumers import observer
from aftercall.consumers.intake import delivery, fairness, sources, turns
from aftercall.consumers.intake import kafka as polling
from aftercall.contracts import errors, events, identity, metrics, outcomes

log = logging.getLogger(__name__)

_UNKNOWN_LENGTH_S = 120.0
"""What a recording is believed to cost until its tenant's own mean is known: two channels of a minute."""
_RESOLVING = 16


@dataclasses.dataclass(frozen=True, slots=True)
class Binding:
    """What a topic may announce: whose recordings, and how the keys of its buckets are read. No tenants: anybody's."""

    tenants: frozenset[str] | None
    templates: tuple[sources.KeyTemplate, ...]
    rank: int = 0
    """Topics of a lower rank are served first: live before bulk."""


@dataclasses.dataclass(slots=True)
class _Open:
    """A record, and how much of what it announced has not ended."""

    record: polling.Record
    left: int
    withdrawn: bool = False


@dataclasses.dataclass(slots=True)
class _Piece:
    """One announced recording."""

    ticket: int
    work: identity.Work
    event: events.RecordingReady
    origin: _Open
    turn: turns.Turn[_Piece] | None = None
    audio_s: float | None = None


class Backlog:
    """Takes records from a poller, and gives out work in turn.

    `version_of(event)` names the version of an object whose event names none; `bury(record, reason, message)` puts a
    record durably among the dead letters; `finished(place)` tells the poller.
    """

    def __init__(
        self,
        bindings: Mapping[str, Binding],
        *,
        max_open: int,
        terms_of: Callable[[str], turns.Terms],
        version_of: Callable[[events.RecordingReady], Awaitable[str]],
        bury: Callable[[polling.Record, outcomes.Reason, str], Awaitable[None]],
        finished: Callable[[polling.Place], None],
        observe: observer.Observer,
        clock: Callable[[], float],
    ) -> None:
        self._bindings = bindings
        self._max_open = max_open
        self._ranks = sorted({binding.rank for binding in bindings.values()})
        self._turns = {rank: turns.Turns[_Piece](terms_of) for rank in self._ranks}
        self._version_of = version_of
        self._bury = bury
        self._finished = finished
        self._observe = observe
        self._clock = clock
        self._arrived = asyncio.Event()
        self._tickets = 0
        self._taken: dict[int, _Piece] = {}
        self._by_place: dict[polling.Place, _Open] = {}
        self._means_s: dict[str, float] = {}
        self._resolving = asyncio.Semaphore(_RESOLVING)
        self._tasks: set[asyncio.Task[None]] = set()

    def arrive(self, records: Sequence[polling.Record]) -> None:
        """Take records that were just read."""
        for record in records:
            task = asyncio.create_task(self._enter(record))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def withdraw(self, partitions: Collection[polling.Partition]) -> None:
        """Forget what waits of partitions that another consumer has now; what is being worked on goes on."""
        for place, origin in list(self._by_place.items()):
            if (place.topic, place.partition) in partitions:
                origin.withdrawn = True
                del self._by_place[place]

    async def take(self) -> delivery.Delivery | None:
        """Take the work whose turn it is; see `delivery.Queue`."""
        n_free = self._max_open - len(self._taken)
        for rank in self._ranks:
            if rank > self._ranks[0]:
                n_free -= self._max_open // 4  # what comes on a livelier lane finds room
            while n_free > 0 and (turn := self._turns[rank].take(now_s=self._clock(), n_free=n_free)) is not None:
                piece = turn.item
                if piece.origin.withdrawn:
                    self._turns[rank].end(turn, actual_s=0.0)
                    continue
                piece.turn = turn
                self._taken[piece.ticket] = piece
                queued_at = piece.origin.record.timestamp_s
                return delivery.Delivery(
                    piece.work, piece.event, 1, 0, queued_at=queued_at, ticket=piece.ticket, rank=rank
                )
        return None

    async def wait_for_work(self, timeout_s: float) -> None:
        """Return when work has come or may have become due, or after `timeout_s`."""
        changes = [at for one in self._turns.values() if (at := one.next_change_s()) is not None]
        if changes:
            timeout_s = min(timeout_s, max(0.0, min(changes) - self._clock()))
        try:
            async with asyncio.timeout(timeout_s):
                await self._arrived.wait()
        except TimeoutError:
            pass
        self._arrived.clear()

    async def finish(self, taken: delivery.Delivery, outcome: outcomes.Outcome) -> None:
        """Count a piece of its record as ended; see `delivery.Queue`."""
        piece = self._taken.pop(taken.ticket)
        actual_s = piece.audio_s if outcome.kind is outcomes.Kind.CANONICAL else 0.0
        self._end_turn(piece, actual_s)
        if piece.audio_s is not None:
            tenant = piece.event.tenant
            before = self._means_s.get(tenant, piece.audio_s)
            self._means_s[tenant] = before + 0.05 * (piece.audio_s - before)
        self._one_less(piece.origin)

    async def hand_back(
        self,
        taken: delivery.Delivery,
        *,
        delay_s: float,
        reason: outcomes.Reason | None = None,
        message: str = "",
        strike: bool = False,
    ) -> None:
        """Put work back in line after `delay_s`; see `delivery.Queue`. Strikes are the claim's to remember."""
        piece = self._taken.pop(taken.ticket)
        self._end_turn(piece, 0.0)
        if not piece.origin.withdrawn:
            asyncio.get_running_loop().call_later(delay_s, self._line_up, piece)

    def note_audio(self, ticket: int, audio_s: float) -> None:
        """Note what taken work turned out to cost."""
        piece = self._taken.get(ticket)
        if piece is not None:
            piece.audio_s = audio_s

    @property
    def n_waiting(self) -> int:
        """How much work waits here."""
        return sum(len(one) for one in self._turns.values())

    @property
    def n_throttled(self) -> int:
        """How many tenants wait for their own limit."""
        return len({name for one in self._turns.values() for name in one.throttled()})

    async def _enter(self, record: polling.Record) -> None:
        binding = self._bindings[record.place.topic]
        try:
            reading = sources.read(record.value, record.headers, templates=binding.templates)
            self._check_tenants(reading.ready, binding)
        except errors.ContractError as exc:
            await self._bury_until_taken(record, outcomes.Reason.INVALID_EVENT, str(exc))
            return
        except errors.RejectedError as exc:
            await self._bury_until_taken(record, exc.reason, str(exc))
            return
        for why in reading.skipped:
            self._observe.add(metrics.SOURCE_SKIPPED, why=why)
        if not reading.ready:
            self._finished(record.place)
            return
        origin = self._by_place[record.place] = _Open(record, len(reading.ready))
        for event in reading.ready:
            async with self._resolving:
                version = event.version or await self._resolve(event, origin)
            self._tickets += 1
            work = identity.Work(event.recording, version, event.generation)
            self._line_up(_Piece(self._tickets, work, event.model_copy(update={"version": version}), origin))

    def _check_tenants(self, ready: Sequence[events.RecordingReady], binding: Binding) -> None:
        if binding.tenants is None:
            return
        for event in ready:
            if event.tenant not in binding.tenants:
                raise errors.RejectedError(
                    f"tenant {event.tenant!r} may not be named on this topic", reason=outcomes.Reason.FORBIDDEN_SOURCE
                )

    async def _resolve(self, event: events.RecordingReady, origin: _Open) -> str:
        while not origin.withdrawn:
            try:
                return await self._version_of(event)
            except errors.RejectedError:
                return "none"  # fetching will say the same, and that is the outcome
            except errors.TransientError as exc:
                await asyncio.sleep(exc.retry_after_s)
        return "none"

    async def _bury_until_taken(self, record: polling.Record, reason: outcomes.Reason, message: str) -> None:
        """Write a dead letter, however long that takes: only then is the record finished."""
        delay_s = 1.0
        while True:
            try:
                await self._bury(record, reason, message)
                break
            except errors.TransientError as exc:
                log.warning("dead letter not taken", extra={"reason": exc.reason})
                await asyncio.sleep(delay_s)
                delay_s = min(60.0, delay_s * 2)
        self._observe.add(metrics.DEAD_LETTERS, reason=reason)
        self._finished(record.place)

    def _line_up(self, piece: _Piece) -> None:
        event = piece.event
        deadline = event.deadline.timestamp() if event.deadline is not None else fairness.LAST
        rank = self._bindings[piece.origin.record.place.topic].rank
        self._turns[rank].add(
            event.tenant,
            piece,
            estimate_s=self._estimate_s(event),
            opened=piece.origin.record.timestamp_s,
            deadline=deadline,
        )
        self._arrived.set()

    def _estimate_s(self, event: events.RecordingReady) -> float:
        if event.duration_s is not None:
            return event.duration_s * max(1, len(event.channels))
        return self._means_s.get(event.tenant, _UNKNOWN_LENGTH_S)

    def _end_turn(self, piece: _Piece, actual_s: float | None) -> None:
        assert piece.turn is not None
        rank = self._bindings[piece.origin.record.place.topic].rank
        self._turns[rank].end(piece.turn, actual_s=actual_s)
        piece.turn = None
        for one in self._turns.values():
            one.make_room()
        self._arrived.set()

    def _one_less(self, origin: _Open) -> None:
        origin.left -= 1
        if origin.left == 0:
            self._by_place.pop(origin.record.place, None)
            self._finished(origin.record.place)
