"""Work that was read from Kafka and waits in memory: whose turn it is, and what becomes of each record.

Implements `delivery.Queue`. A record counts as finished when everything that it announced has ended, or has been put
durably elsewhere (see `entrance`). What waits here is lost with the process, and read again by the next.
"""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import time
from collections.abc import Callable, Collection, Mapping, Sequence

from aftercall.consumers import tracing
from aftercall.consumers.intake import delivery, entrance, estimates, fairness, places, shares, tally, turns
from aftercall.contracts import events, identity, outcomes, reports

_LOOK_AGAIN_S = 10.0
"""How often it is tried again to take what is parked."""
_KEEP_PARKED_S = 3600.0
"""How long a parked record is held here before it goes to the end of its topic, for others' sake and retention's."""


@dataclasses.dataclass(slots=True)
class _Open:
    """A record, and how much of what it announced has not ended."""

    record: places.Record
    left: int = 0
    rank: int = 0
    announced_s: float = 0.0
    promise_s: float | None = None
    withdrawn: bool = False
    entries: list[tally.Entry] = dataclasses.field(default_factory=list)

    @property
    def partition(self) -> places.Partition:
        """Which partition it is of."""
        return self.record.place.topic, self.record.place.partition


@dataclasses.dataclass(slots=True)
class _Piece:
    """One announced recording."""

    ticket: int
    work: identity.Work
    event: events.RecordingReady
    origin: _Open
    entry: tally.Entry
    turn: turns.Turn[_Piece] | None = None
    audio_s: float | None = None


class Backlog:
    """Takes records from a poller, and gives out work in turn.

    Of each partition at most `max_ahead` records wait here; `finished(place)` tells the poller of one that has ended,
    and `leaving(place)` of one that is being put aside and fills no place meanwhile.
    """

    def __init__(
        self,
        door: entrance.Entrance,
        *,
        max_open: int,
        max_ahead: int,
        terms_of: Callable[[str], turns.Terms],
        finished: Callable[[places.Place], None],
        leaving: Callable[[places.Place], None],
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._door = door
        self._max_open = max_open
        self._terms_of = terms_of
        self._accounts = turns.Accounts()
        self._turns = {rank: turns.Turns[_Piece](terms_of, self._accounts) for rank in door.ranks}
        self._tally = tally.Tally()
        self._was_crowded = False
        self._finished = finished
        self._leaving = leaving
        self._clock = clock
        self._wall_clock = wall_clock
        self._arrived = asyncio.Event()
        self._tickets = 0
        self._taken: dict[int, _Piece] = {}
        self._by_place: dict[places.Place, _Open] = {}
        self._shares = shares.Shares(max_ahead)
        self._estimates = estimates.Estimates()
        self._tasks: set[asyncio.Task[None]] = set()

    def arrive(self, records: Sequence[places.Record]) -> None:
        """Take records that were just read."""
        for record in records:
            self._door.count(record)
            task = asyncio.create_task(self._enter(record))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def withdraw(self, partitions: Collection[places.Partition]) -> None:
        """Forget what waits of partitions that another consumer has now; what is being worked on goes on."""
        for place, origin in list(self._by_place.items()):
            if (place.topic, place.partition) in partitions:
                origin.withdrawn = True
                for entry in origin.entries:
                    self._tally.withdraw(entry)
                self._forget(origin)

    async def take(self) -> delivery.Delivery | None:
        """Take the work whose turn it is; see `delivery.Queue`."""
        n_free = self._max_open - len(self._taken)
        self._was_crowded = False
        for rank in self._door.ranks:
            if rank > self._door.ranks[0]:
                n_free -= self._max_open // 4  # what comes on a livelier lane finds room
            self._was_crowded = self._was_crowded or (n_free <= 0 and len(self._turns[rank]) > 0)
            while n_free > 0 and (turn := self._turns[rank].take(now_s=self._clock(), n_free=n_free)) is not None:
                piece = turn.item
                self._shares.go((piece.origin.partition, piece.event.tenant))
                if piece.origin.withdrawn:
                    self._turns[rank].end(turn, actual_s=0.0)
                    continue
                piece.turn = turn
                self._tally.begin(piece.entry)
                self._taken[piece.ticket] = piece
                return delivery.Delivery(
                    piece.work,
                    piece.event,
                    attempts=1,
                    strikes=0,
                    queued_at=piece.origin.announced_s,
                    ticket=piece.ticket,
                    rank=rank,
                    trace=tracing.carried(piece.origin.record.headers),
                    promise_s=piece.origin.promise_s,
                    is_throttled=self._was_held(turn, piece.origin.announced_s),
                )
            self._was_crowded = self._was_crowded or self._turns[rank].is_crowded
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
        self._tally.end(piece.entry, actual_s=piece.audio_s)
        if piece.audio_s is not None:
            self._estimates.learn(piece.event.tenant, piece.audio_s)
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
        self._tally.hand_back(piece.entry)
        if not piece.origin.withdrawn:
            self._tally.wait(piece.entry)
            self._shares.wait({(piece.origin.partition, piece.event.tenant): 1})
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

    def standings(self) -> list[tuple[reports.Lane, str, turns.Standing]]:
        """Return how tenants stand, each once for every lane."""
        now_s = self._clock()
        return [
            (reports.LANES[rank], tenant, standing)
            for rank, each in self._turns.items()
            for tenant, standing in each.standings(now_s=now_s).items()
        ]

    @property
    def is_crowded(self) -> bool:
        """Whether work waits for a place among what is open: it would begin at once if there were more of them."""
        return self._was_crowded or (len(self._taken) >= self._max_open and self.n_waiting > 0)

    def loads(self, *, now_s: float) -> dict[tally.Line, tally.Sums]:
        """Return how much of each tenant's work on each lane is here, and was."""
        return self._tally.read(now_s=now_s)

    def is_throttled(self, tenant: str) -> bool:
        """Say whether work of a tenant waits for its limit."""
        return any(one.is_throttled(tenant, now_s=self._clock()) for one in self._turns.values())

    def renew_terms(self) -> None:
        """Note that limits are others than before, from now on."""
        self._accounts.renew(self._terms_of, now_s=self._clock())
        for one in self._turns.values():
            one.reconsider_all()
        self._arrived.set()

    def charge_elsewhere(self, given_s: Mapping[str, Sequence[float]]) -> None:
        """Count what other consumers have given each tenant since the last time, by lane."""
        for rank, one in self._turns.items():
            one.charge_elsewhere({tenant: lanes[rank] for tenant, lanes in given_s.items() if rank < len(lanes)})

    async def _enter(self, record: places.Record) -> None:
        origin = _Open(record)
        self._by_place[record.place] = origin
        self._shares.enter(origin.partition)
        read = await self._door.read(record)
        if isinstance(read, entrance.Park) and self._door.is_parked(record):
            read = await self._hold(origin, read)
        if isinstance(read, entrance.Park):
            await self._door.park(record, read.why)
        if not isinstance(read, entrance.Work):
            self._leave(origin)
            return
        mine = collections.Counter((origin.partition, event.tenant) for event in read.ready)
        over = [tenant for (at, tenant), n in mine.items() if self._shares.is_over((at, tenant), n)]
        if over and not self._door.is_deferred(record):
            self._shares.leave(origin.partition)
            self._leaving(record.place)
            await self._door.defer(record, over[0])
            self._shares.enter(origin.partition)
            self._leave(origin)
            return
        origin.left, origin.rank, origin.announced_s = len(read.ready), read.rank, read.announced_s
        origin.promise_s = read.promise_s
        self._shares.wait(mine)
        origin.entries = [
            tally.Entry(each.tenant, read.rank, self._estimates.of(each), read.announced_s) for each in read.ready
        ]
        for entry in origin.entries:
            self._tally.wait(entry)
        if origin.withdrawn:  # while it was being read
            for entry in origin.entries:
                self._tally.withdraw(entry)
        for event, entry in zip(read.ready, origin.entries, strict=True):
            known = await self._door.resolve(event, is_wanted=lambda: not origin.withdrawn)
            assert known.version is not None
            self._tickets += 1
            work = identity.Work(known.recording, known.version, known.generation)
            self._line_up(_Piece(self._tickets, work, known, origin, entry))

    async def _hold(
        self, origin: _Open, read: entrance.Work | entrance.Park | entrance.Nothing
    ) -> entrance.Work | entrance.Park | entrance.Nothing:
        """Look again until a parked record can be taken, or it has been held long enough."""
        until_s = self._clock() + _KEEP_PARKED_S
        while isinstance(read, entrance.Park) and self._clock() < until_s and not origin.withdrawn:
            await asyncio.sleep(_LOOK_AGAIN_S)
            read = await self._door.read(origin.record)
        # Whoever has the partition now holds it too.
        return entrance.Nothing() if origin.withdrawn else read

    def _was_held(self, turn: turns.Turn[_Piece], announced_s: float) -> bool:
        """Say whether its tenant's own limit held it at any time since work was announced, here or put aside."""
        if turn.held_until_s is None:
            return False
        return self._clock() - turn.held_until_s <= self._wall_clock() - announced_s

    def _line_up(self, piece: _Piece) -> None:
        event = piece.event
        deadline = event.deadline.timestamp() if event.deadline is not None else fairness.LAST
        self._turns[piece.origin.rank].add(
            event.tenant,
            piece,
            estimate_s=self._estimates.of(event),
            opened=piece.origin.announced_s,
            deadline=deadline,
        )
        self._arrived.set()

    def _end_turn(self, piece: _Piece, actual_s: float | None) -> None:
        assert piece.turn is not None
        self._turns[piece.origin.rank].end(piece.turn, actual_s=actual_s)
        piece.turn = None
        for rank, one in self._turns.items():
            one.make_room()
            if rank != piece.origin.rank:
                one.reconsider(piece.event.tenant)
        self._arrived.set()

    def _one_less(self, origin: _Open) -> None:
        origin.left -= 1
        if origin.left == 0:
            self._leave(origin)

    def _leave(self, origin: _Open) -> None:
        """Count a record as finished."""
        if not origin.withdrawn:
            self._forget(origin)
            self._finished(origin.record.place)

    def _forget(self, origin: _Open) -> None:
        del self._by_place[origin.record.place]
        self._shares.leave(origin.partition)
