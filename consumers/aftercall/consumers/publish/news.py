"""Read the topic of news as a consumer group: each sink of the relay is a group of its own."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from aftercall.consumers import tracing
from aftercall.consumers.publish import topic
from aftercall.contracts import errors, events, outcomes

if typing.TYPE_CHECKING:
    import kafka

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")
_POLL_MS = 200


class KafkaNews:
    """Implements the reading half of `topic.Topic` for one group, configured as `broker.member` says.

    What was read comes again until it is committed. A sink that is down for an hour keeps reading the same records from
    memory, and its consumer keeps polling with its partitions paused, so that it stays in its group.
    """

    def __init__(self, config: Mapping[str, typing.Any], name: str) -> None:
        self._config = dict(config)
        self._name = name
        self._thread = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix=f"news-{config['group_id']}")
        self._consumer: kafka.KafkaConsumer | None = None
        self._buffer: list[tuple[typing.Any, topic.Record]] = []
        self._last = 0

    async def read(self, group: str, *, limit: int) -> Sequence[topic.Record]:
        """Return the next events that were not committed, oldest first."""
        return await self._run(lambda consumer: self._read(consumer, limit))

    async def commit(self, group: str, position: int) -> None:
        """Commit everything up to and including `position`."""
        await self._run(lambda consumer: self._commit(consumer, position))

    async def close(self) -> None:
        """Leave the group."""

        def end() -> None:
            if self._consumer is not None:
                self._consumer.close(timeout_ms=10_000)

        await asyncio.get_running_loop().run_in_executor(self._thread, end)
        self._thread.shutdown()

    async def _run(self, use: Callable[[kafka.KafkaConsumer], Answer]) -> Answer:
        def call() -> Answer:
            import kafka
            import kafka.errors

            try:
                from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor

                if self._consumer is None:
                    self._consumer = kafka.KafkaConsumer(
                        self._name, partition_assignment_strategy=[CooperativeStickyAssignor()], **self._config
                    )
                return use(self._consumer)
            except kafka.errors.KafkaError as exc:
                raise errors.TransientError(
                    f"Kafka failed ({type(exc).__name__})", reason=outcomes.Reason.BROKER_UNAVAILABLE
                ) from exc

        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def _read(self, consumer: kafka.KafkaConsumer, limit: int) -> list[topic.Record]:
        owned = consumer.assignment()
        full = len(self._buffer) >= limit
        (consumer.pause if full else consumer.resume)(*owned)
        polled = consumer.poll(timeout_ms=0 if self._buffer else _POLL_MS)
        owned = consumer.assignment()
        self._buffer = [(at, record) for at, record in self._buffer if at[0] in owned]
        known = {at for at, _ in self._buffer}
        for partition, raws in polled.items():
            for raw in raws:
                at = (partition, raw.offset)
                if at in known:  # lost to another member and back again
                    continue
                self._last += 1
                try:
                    event, trace = events.parse(raw.value or b""), tracing.carried(raw.headers)
                    self._buffer.append((at, topic.Record(self._last, event, trace)))
                except errors.ContractError as exc:
                    log.warning("news not understood", extra={"offset": raw.offset, "error": str(exc)[:200]})
        return [record for _, record in self._buffer[:limit]]

    def _commit(self, consumer: kafka.KafkaConsumer, position: int) -> None:
        from kafka.structs import OffsetAndMetadata

        done = [at for at, record in self._buffer if record.position <= position]
        self._buffer = self._buffer[len(done) :]
        reached = {partition: OffsetAndMetadata(offset + 1, "", -1) for partition, offset in done}
        if reached:
            consumer.commit(reached)
