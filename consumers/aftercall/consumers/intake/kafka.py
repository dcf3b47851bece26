"""The thread that polls Kafka, and does nothing else: no job ever runs on it.

It reads ahead into memory within bounds, keeps which offsets are finished, and commits. Whoever works calls `finish`
from any thread, in any order. The client's own I/O thread sends heartbeats and calls the rebalance listener; what
both know of partitions is in `assignments`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
import typing
from collections.abc import Callable, Collection, Mapping, Sequence

from aftercall.consumers import broker
from aftercall.consumers.intake import assignments, membership, places
from aftercall.contracts import services

if typing.TYPE_CHECKING:
    import kafka

log = logging.getLogger(__name__)

_POLL_MS = 200
_RETRY_S = 1.0
_MOST_FAILED = 100
"""Clients in a row that do not come to be, each of which leaves a thread and four descriptors behind (kafka-python
3.0.12): in three quarters of an hour without brokers as many, and then a new start is asked for."""


class Sink(typing.Protocol):
    """Where records go; called in the event loop."""

    def arrive(self, records: Sequence[places.Record]) -> None:
        """Take records that were just read."""
        ...

    def withdraw(self, partitions: Collection[places.Partition]) -> None:
        """Learn that partitions are another consumer's now."""
        ...


def into_loop(
    sink: Sink,
    topics: Collection[str],
    configured: services.Kafka,
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
        bounds=assignments.Bounds(configured.max_open_records, configured.max_open_bytes, configured.commit_interval_s),
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
        deliver: Callable[[Sequence[places.Record]], None],
        withdraw: Callable[[Collection[places.Partition]], None],
        bounds: assignments.Bounds | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topics = sorted(topics)
        self._bounds = bounds or assignments.Bounds()
        self._deliver = deliver
        self._withdraw = withdraw
        self._clock = clock
        self._config = dict(config)
        self._consumer: kafka.KafkaConsumer | None = None
        self._assigned = assignments.Assignments(self._bounds, clock)
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

    def why_not_alive(self) -> str | None:
        """Say that the poll thread has ended without being told to; nothing in this process begins it anew."""
        has_begun = self._thread.ident is not None
        has_ended = has_begun and not self._thread.is_alive() and not self._stopping.is_set()
        return "the poll thread has ended" if has_ended else None

    def finish(self, place: places.Place) -> None:
        """Note that a record needs no more work; one of an assignment that has ended changes nothing."""
        self._assigned.finish(place)

    def leave(self, place: places.Place) -> None:
        """Note that a record is on its way elsewhere: what is read ahead may be one more, its bytes still counting."""
        self._assigned.leave(place)

    def positions(self) -> dict[places.Partition, int]:
        """Return the next offset of each partition of ours that will be read; of those only that were read."""
        return self._assigned.positions()

    def oldest_unfinished_age_s(self) -> float:
        """Return how long the most stuck partition has stood at its lowest unfinished offset; 0 where none waits."""
        return self._assigned.oldest_unfinished_age_s()

    def n_paused(self) -> dict[str, int]:
        """Return how many partitions of each topic are not read on, since too much of them is unfinished."""
        paused = self._assigned.n_paused()
        return {topic: paused[topic] for topic in self._topics}

    def _run(self) -> None:
        import kafka
        import kafka.errors
        from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor

        failed = 0
        while not self._stopping.is_set() and failed < _MOST_FAILED:
            try:
                consumer = kafka.KafkaConsumer(
                    **self._config, partition_assignment_strategy=[CooperativeStickyAssignor()]
                )
            except kafka.errors.KafkaError as exc:
                log.warning("kafka is not reached", extra={"error": type(exc).__name__})
                failed += 1
            else:
                failed = 0
                self._live(consumer)
            self._stopping.wait(_RETRY_S)

    def _live(self, consumer: kafka.KafkaConsumer) -> None:
        """Poll with one consumer until told to stop, or until it breaks."""
        self._consumer = consumer
        try:
            consumer.subscribe(self._topics, listener=_listener(self, consumer))
            while not self._stopping.is_set():
                self._poll_safely(consumer)
        except Exception:
            # The client's own thread has ended, which it never begins anew, or somebody has made a mistake: what it has
            # given out last may have got lost on the way. The next one reads everything again that is not committed.
            log.exception("consumer broke off")
        finally:
            self._end(consumer)

    def _end(self, consumer: kafka.KafkaConsumer) -> None:
        try:
            consumer.close(timeout_ms=10_000)  # calls the listener, which commits
        except Exception:  # the broker takes it for dead before long
            log.exception("consumer not closed")
        finally:
            self._consumer = None
            # Else the next one's partitions would begin where this one's are, and commit what was never read again.
            self._drop(self._assigned.known())

    def _poll_safely(self, consumer: kafka.KafkaConsumer) -> None:
        import kafka.errors

        try:
            self._poll(consumer)
        except kafka.errors.KafkaError as exc:
            # The client goes on by itself once the broker is back; what was read stays read.
            log.warning("poll failed", extra={"error": type(exc).__name__})
            self._stopping.wait(_RETRY_S)

    def _poll(self, consumer: kafka.KafkaConsumer) -> None:
        import kafka.errors

        polled = consumer.poll(timeout_ms=_POLL_MS)
        try:
            owned = self._take(consumer, polled)
        except kafka.errors.KafkaError as exc:
            # Polling on would commit beyond these records: the client gives nothing out again. The next one does.
            raise RuntimeError("records were read that could not be taken") from exc
        self._last_poll_s = self._clock()
        self._commit(consumer, owned)

    def _take(
        self, consumer: kafka.KafkaConsumer, polled: Mapping[typing.Any, Sequence[typing.Any]]
    ) -> set[places.Partition]:
        """Deliver what was polled of partitions that are ours still; return all that are."""
        if membership.rejoin(consumer):
            log.info("join taken up again")
        owned = membership.owned(consumer)
        self._drop([at for at in self._assigned.known() if at not in owned])
        # Before the new ones count: those that will not wait here get one more poll to leave.
        self._assigned.steer(
            pause=lambda at: consumer.pause(membership.partition(at)),
            resume=lambda at: consumer.resume(membership.partition(at)),
        )
        for topic_partition, raw in polled.items():
            at = topic_partition.topic, topic_partition.partition
            if at in owned:  # one that was lost since is read again by whoever has it now
                self._restore(consumer, at)
                fresh = self._assigned.take(at, raw)
                if fresh:
                    self._deliver(fresh)
        return owned

    def _restore(self, consumer: kafka.KafkaConsumer, at: places.Partition) -> None:
        """Read the state of a partition back from its last commit when it has just been assigned."""
        if at not in self._assigned:
            self._assigned.restore(at, membership.committed(consumer, at))

    def _commit(self, consumer: kafka.KafkaConsumer, owned: Collection[places.Partition]) -> None:
        if self._clock() - self._last_commit_s < self._bounds.commit_interval_s:
            return
        self._last_commit_s = self._clock()
        # The marker that ends a transaction is no record: as the last of a partition it would count as work for ever.
        for at in owned:
            # First restored, then asked for: what is taken away in between is ours no more, and reaches nothing.
            self._restore(consumer, at)
            position = membership.position(consumer, at)
            if position is not None:
                self._assigned.reach(at, position)
        due = self._assigned.due()
        if due:
            consumer.commit_async(membership.to_kafka(due), callback=self._committed)

    def _committed(self, told: Mapping[typing.Any, typing.Any], answer: object) -> None:
        """Say again at the next commit what the broker did not take."""
        if not isinstance(answer, Exception):
            return
        # In the middle of a rebalance nothing can be committed; the next commit says the same again.
        log.info("commit not taken", extra={"error": type(answer).__name__})
        self._assigned.refused([(at.topic, at.partition) for at in told])

    def _has_given_up(self, consumer: kafka.KafkaConsumer) -> bool:
        """Say that a consumer has no say any more: one that could not be closed may speak of what the next one has."""
        return self._consumer is not consumer

    def _drop(self, partitions: Collection[places.Partition]) -> None:
        gone = self._assigned.drop(partitions)
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
            if poller._has_given_up(consumer):
                return
            partitions = [(at.topic, at.partition) for at in revoked]
            due = poller._assigned.due(of=partitions)
            if due:
                try:
                    await consumer.commit_async(membership.to_kafka(due))
                except KafkaError as exc:
                    log.warning("commit at a rebalance failed", extra={"error": type(exc).__name__})
            poller._drop(partitions)

        async def on_partitions_lost(self, lost: Collection[typing.Any]) -> None:
            if poller._has_given_up(consumer):
                return
            log.warning("partitions lost", extra={"partitions": len(lost)})
            poller._drop([(at.topic, at.partition) for at in lost])

    return Listener()
