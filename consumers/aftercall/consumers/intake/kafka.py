"""The thread that polls Kafka, and does nothing else: no job ever runs on it.

It reads ahead into memory within bounds, keeps which offsets are finished, and commits. Whoever works calls `finish`
from any thread, in any order. The client's own I/O thread sends heartbeats and calls the rebalance listener, so both
share the state below under one lock that is held for microseconds.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import logging
import threading
import time
import typing
from collections.abc import Callable, Collection, Mapping, Sequence

from aftercall.consumers import broker
from aftercall.consumers.intake import offsets
from aftercall.contracts import sections

if typing.TYPE_CHECKING:
    import kafka

log = logging.getLogger(__name__)

_POLL_MS = 200
_RETRY_S = 1.0
_LEAVING = 0.75
"""How much of a record's place is free again while it is on its way elsewhere: four such fill one place."""
Partition = tuple[str, int]


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """Where a record lies. `epoch` tells one assignment of the partition from the next."""

    topic: str
    partition: int
    offset: int
    epoch: int


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """One record as Kafka carries it; header values are bytes, and names may come twice."""

    place: Place
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    timestamp_s: float


@dataclasses.dataclass(frozen=True, slots=True)
class Bounds:
    """How far ahead of the unfinished a partition is read, and how often its progress is committed."""

    max_open_offsets: int = 512
    max_open_bytes: int = 16 * 2**20
    commit_interval_s: float = 1.0


@dataclasses.dataclass(slots=True)
class _Assigned:
    """An assigned partition; `sizes` holds the bytes of its open records, `leaving` those that will not wait here."""

    epoch: int
    tracked: offsets.PartitionOffsets
    committed: offsets.Commit
    sizes: dict[int, int] = dataclasses.field(default_factory=dict)
    open_bytes: int = 0
    leaving: set[int] = dataclasses.field(default_factory=set)
    is_paused: bool = False
    waits_since: float | None = None


class Sink(typing.Protocol):
    """Where records go; called in the event loop."""

    def arrive(self, records: Sequence[Record]) -> None:
        """Take records that were just read."""
        ...

    def withdraw(self, partitions: Collection[Partition]) -> None:
        """Learn that partitions are another consumer's now."""
        ...


def into_loop(
    sink: Sink,
    topics: Collection[str],
    configured: sections.Kafka,
    *,
    group: str,
    name: str,
) -> Poller:
    """Return a poller that delivers into the running event loop, from its own thread."""
    loop = asyncio.get_running_loop()

    def tell(call: Callable[[typing.Any], None], argument: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and with it whatever would have been told
            loop.call_soon_threadsafe(call, argument)

    return Poller(
        topics,
        broker.member(configured, group=group, name=name),
        # Looked up at each call, so that a sink can be stood in for.
        deliver=lambda records: tell(sink.arrive, records),
        withdraw=lambda partitions: tell(sink.withdraw, partitions),
        bounds=Bounds(configured.max_open_records, configured.max_open_bytes, configured.commit_interval_s),
    )


class Poller:
    """Reads topics as a member of a consumer group; `config` is `broker.member`'s.

    `deliver(records)` and `withdraw(partitions)` are called on the poll thread and must return at once. What is
    delivered is read once for each assignment, and again after a restart where it was not finished.
    """

    def __init__(
        self,
        topics: Collection[str],
        config: Mapping[str, typing.Any],
        *,
        deliver: Callable[[Sequence[Record]], None],
        withdraw: Callable[[Collection[Partition]], None],
        bounds: Bounds | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topics = sorted(topics)
        self._bounds = bounds or Bounds()
        self._deliver = deliver
        self._withdraw = withdraw
        self._clock = clock
        self._config = dict(config)
        self._lock = threading.Lock()
        self._assigned: dict[Partition, _Assigned] = {}
        self._epochs = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kafka-poll", daemon=True)
        self._last_commit_s = float("-inf")
        self._max_poll_interval_s = self._config["max_poll_interval_ms"] / 1000
        self._last_poll_s: float | None = None

    def start(self) -> None:
        """Begin to poll."""
        self._thread.start()

    def stop(self) -> None:
        """Commit what is finished, leave the group, and return; blocks for as long as the broker takes."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def why_not_polling(self) -> str | None:
        """Say what is wrong with the poll thread; None when it polls."""
        if not self._thread.is_alive():
            return "the poll thread is not running"
        if self._last_poll_s is None:
            return "nothing was polled yet"
        silent_s = self._clock() - self._last_poll_s
        return f"nothing was polled for {silent_s:.0f} s" if silent_s > self._max_poll_interval_s else None

    def finish(self, place: Place) -> None:
        """Note that a record needs no more work; one of an assignment that has ended changes nothing."""
        with self._lock:
            assigned = self._assigned.get((place.topic, place.partition))
            if assigned is not None and assigned.epoch == place.epoch:
                assigned.tracked.finish(place.offset)
                assigned.open_bytes -= assigned.sizes.pop(place.offset, 0)
                assigned.leaving.discard(place.offset)

    def leave(self, place: Place) -> None:
        """Note that a record is on its way elsewhere: what is read ahead may be one more, its bytes still counting."""
        with self._lock:
            assigned = self._assigned.get((place.topic, place.partition))
            if assigned is not None and assigned.epoch == place.epoch and place.offset in assigned.sizes:
                assigned.leaving.add(place.offset)

    def oldest_unfinished_age_s(self) -> float:
        """Return how long the most stuck partition has stood at its lowest unfinished offset; 0 where none waits."""
        with self._lock:
            since = [one.waits_since for one in self._assigned.values() if one.waits_since is not None]
        return self._clock() - min(since) if since else 0.0

    def n_paused(self) -> dict[str, int]:
        """Return how many partitions of each topic are not read on, since too much of them is unfinished."""
        with self._lock:
            paused = collections.Counter(topic for (topic, _), one in self._assigned.items() if one.is_paused)
        return {topic: paused[topic] for topic in self._topics}

    def _run(self) -> None:
        import kafka
        import kafka.errors
        from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor

        while not self._stopping.is_set():
            try:
                consumer = kafka.KafkaConsumer(
                    **self._config, partition_assignment_strategy=[CooperativeStickyAssignor()]
                )
            except kafka.errors.KafkaError as exc:
                log.warning("kafka is not reached", extra={"error": type(exc).__name__})
                self._stopping.wait(_RETRY_S)
                continue
            try:
                consumer.subscribe(self._topics, listener=_listener(self, consumer))
                while not self._stopping.is_set():
                    self._poll_safely(consumer)
            finally:
                consumer.close(timeout_ms=10_000)  # calls the listener, which commits
                self._drop(list(self._assigned))

    def _poll_safely(self, consumer: kafka.KafkaConsumer) -> None:
        import kafka.errors

        try:
            self._poll(consumer)
        except kafka.errors.KafkaError as exc:
            # The client goes on by itself once the broker is back; what was read stays read.
            log.warning("poll failed", extra={"error": type(exc).__name__})
            self._stopping.wait(_RETRY_S)

    def _poll(self, consumer: kafka.KafkaConsumer) -> None:
        polled = consumer.poll(timeout_ms=_POLL_MS)
        self._last_poll_s = self._clock()
        owned = {(at.topic, at.partition) for at in consumer.assignment()}
        self._drop([at for at in self._assigned if at not in owned])
        # Before the new ones count: those that will not wait here get one more poll to leave.
        self._pause_and_resume(consumer)
        for at, raw in polled.items():
            if (at.topic, at.partition) not in owned:
                continue  # lost since: whoever has it now reads them again
            assigned = self._assignment(consumer, (at.topic, at.partition))
            fresh = []
            with self._lock:
                for one in raw:
                    if assigned.tracked.take(one.offset):
                        record = read_record(one, epoch=assigned.epoch)
                        size = len(record.value or b"") + len(record.key or b"")
                        assigned.sizes[one.offset] = size
                        assigned.open_bytes += size
                        fresh.append(record)
            if fresh:
                self._deliver(fresh)
        self._commit(consumer)

    def _assignment(self, consumer: kafka.KafkaConsumer, at: Partition) -> _Assigned:
        """Return the state of a partition, read back from its last commit when it has just been assigned."""
        with self._lock:
            known = self._assigned.get(at)
        if known is not None:
            return known
        from kafka import TopicPartition

        last = consumer.committed(TopicPartition(*at), metadata=True)
        commit = offsets.Commit(last.offset, last.metadata or "") if last is not None else offsets.Commit(0, "")
        with self._lock:
            self._epochs += 1
            tracked = offsets.PartitionOffsets.restore(commit.offset, commit.metadata)
            return self._assigned.setdefault(at, _Assigned(self._epochs, tracked, commit))

    def _pause_and_resume(self, consumer: kafka.KafkaConsumer) -> None:
        from kafka import TopicPartition

        bounds = self._bounds
        with self._lock:
            for at, assigned in self._assigned.items():
                share = max(
                    (assigned.tracked.n_open - _LEAVING * len(assigned.leaving)) / bounds.max_open_offsets,
                    assigned.open_bytes / bounds.max_open_bytes,
                    len(assigned.committed.metadata) / offsets.PAUSE_AT_CHARS,
                )
                # Resumed only at half: a partition that is paused and resumed at every poll fetches in drops.
                pause = share >= (0.5 if assigned.is_paused else 1.0)
                if pause != assigned.is_paused:
                    assigned.is_paused = pause
                    (consumer.pause if pause else consumer.resume)(TopicPartition(*at))

    def _due(self, *, of: Collection[Partition] | None = None) -> dict[Partition, offsets.Commit]:
        """Return the commits that say something new."""
        found = {}
        for at, assigned in self._assigned.items():
            if of is None or at in of:
                commit = assigned.tracked.commit()
                if commit != assigned.committed:
                    found[at] = commit
                    if commit.offset != assigned.committed.offset:
                        assigned.waits_since = None
                    assigned.committed = commit
                if assigned.tracked.n_open and assigned.waits_since is None:
                    assigned.waits_since = self._clock()
                elif not assigned.tracked.n_open:
                    assigned.waits_since = None
        return found

    def _commit(self, consumer: kafka.KafkaConsumer) -> None:
        if self._clock() - self._last_commit_s < self._bounds.commit_interval_s:
            return
        self._last_commit_s = self._clock()
        with self._lock:
            due = self._due()
        if due:
            consumer.commit_async(_to_kafka(due), callback=self._committed)

    def _committed(self, told: Mapping[typing.Any, typing.Any], answer: object) -> None:
        """Say again at the next commit what the broker did not take."""
        if not isinstance(answer, Exception):
            return
        # In the middle of a rebalance nothing can be committed; the next commit says the same again.
        log.info("commit not taken", extra={"error": type(answer).__name__})
        with self._lock:
            for at in told:
                assigned = self._assigned.get((at.topic, at.partition))
                if assigned is not None:
                    assigned.committed = offsets.Commit(-1, assigned.committed.metadata)

    def _drop(self, partitions: Collection[Partition]) -> None:
        with self._lock:
            gone = [at for at in partitions if self._assigned.pop(at, None) is not None]
        if gone:
            self._withdraw(gone)


def _listener(poller: Poller, consumer: kafka.KafkaConsumer) -> typing.Any:
    """Return what kafka-python calls at a rebalance, on its I/O thread: short, since the whole group waits for it."""
    from kafka import AsyncConsumerRebalanceListener
    from kafka.errors import KafkaError

    class Listener(AsyncConsumerRebalanceListener):  # type: ignore[misc, unused-ignore]
        async def on_partitions_assigned(self, assigned: Collection[typing.Any]) -> None:
            """Do nothing: a partition's state is read when its first records come, on the poll thread."""

        async def on_partitions_revoked(self, revoked: Collection[typing.Any]) -> None:
            partitions = [(at.topic, at.partition) for at in revoked]
            with poller._lock:
                due = poller._due(of=partitions)
            if due:
                try:
                    await consumer.commit_async(_to_kafka(due))
                except KafkaError as exc:
                    log.warning("commit at a rebalance failed", extra={"error": type(exc).__name__})
            poller._drop(partitions)

        async def on_partitions_lost(self, lost: Collection[typing.Any]) -> None:
            log.warning("partitions lost", extra={"partitions": len(lost)})
            poller._drop([(at.topic, at.partition) for at in lost])

    return Listener()


def _to_kafka(commits: Mapping[Partition, offsets.Commit]) -> dict[typing.Any, typing.Any]:
    from kafka import TopicPartition
    from kafka.structs import OffsetAndMetadata

    return {TopicPartition(*at): OffsetAndMetadata(one.offset, one.metadata, -1) for at, one in commits.items()}


def read_record(raw: typing.Any, *, epoch: int) -> Record:
    """Return a record of the client as one of ours."""
    return Record(
        Place(raw.topic, raw.partition, raw.offset, epoch),
        raw.key,
        raw.value,
        tuple((name, value if value is not None else b"") for name, value in raw.headers),
        raw.timestamp / 1000,
    )
