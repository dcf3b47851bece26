"""Offsets of a group's topics as Kafka has them, read by the admin API: nobody joins a group to count what waits in it.

What could not be read is there as unknown, topic by topic: a broker that does not answer is no empty topic. Each group
is read in a thread of its own, and one that takes too long is unknown until it has come back: no other waits for it.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import typing
from collections.abc import Collection, Mapping
from concurrent import futures

from aftercall.operator import unread

if typing.TYPE_CHECKING:
    import kafka

log = logging.getLogger(__name__)

UNKNOWN = unread.Partition(None, None)
WHOLE_TOPIC = -1
"""Stands for the partitions of a topic of which not even the number is known."""

Partitions = dict[tuple[str, int], unread.Partition]

_MOST_AT_ONCE = 64


class Reader(typing.Protocol):
    """Something that knows offsets."""

    async def read(self, group: str, topics: Collection[str]) -> Partitions:
        """Return every partition of these topics, and what is unknown as that; never raises."""
        ...


class Offsets:
    """Reads from one cluster; `connection` is what its clients are configured with. Failures are told, never raised."""

    def __init__(self, connection: Mapping[str, typing.Any], *, answer_s: float = 5.0) -> None:
        answer_ms = round(answer_s * 1000)
        self._connection = {**connection, "request_timeout_ms": answer_ms, "bootstrap_timeout_ms": answer_ms}
        self._answer_s = answer_s
        self._admin: kafka.KafkaAdminClient | None = None
        self._connecting = threading.Lock()
        self._threads = futures.ThreadPoolExecutor(_MOST_AT_ONCE, thread_name_prefix="offsets")
        self._reading: dict[tuple[str, frozenset[str]], futures.Future[Partitions]] = {}

    async def read(self, group: str, topics: Collection[str]) -> Partitions:
        """Return every partition of these topics: its first offset, the one after its last, and what is committed."""
        key = group, frozenset(topics)
        before = self._reading.get(key)
        if before is None or before.done():
            self._reading[key] = reading = self._threads.submit(self._read, group, topics)
            done, _ = await asyncio.wait({asyncio.wrap_future(reading)}, timeout=self._answer_s)
            if done:
                del self._reading[key]
                try:
                    return done.pop().result()
                except Exception:  # a mistake of ours or the client's is no number
                    log.exception("offsets not read", extra={"group": group})
                    return {(topic, WHOLE_TOPIC): UNKNOWN for topic in topics}
        log.warning("offsets are late", extra={"group": group})
        return {(topic, WHOLE_TOPIC): UNKNOWN for topic in topics}

    async def close(self) -> None:
        """Disconnect."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(self._disconnect)

    def _connected(self) -> kafka.KafkaAdminClient:
        import kafka

        with self._connecting:
            if self._admin is None:
                self._admin = kafka.KafkaAdminClient(**self._connection)
            return self._admin

    def _read(self, group: str, topics: Collection[str]) -> Partitions:
        import kafka

        try:
            admin = self._connected()
            described = {each["name"]: each for each in admin.describe_topics(list(topics))}
        except (kafka.errors.KafkaError, OSError, ValueError, RuntimeError) as exc:
            log.warning("topics not read", extra={"group": group, "error": type(exc).__name__})
            if not isinstance(exc, kafka.errors.KafkaError):  # its own thread has ended, which it never begins anew
                self._disconnect()
            return {(topic, WHOLE_TOPIC): UNKNOWN for topic in topics}
        found: Partitions = {}
        for topic in topics:
            try:
                found |= self._of_topic(admin, group, topic, described.get(topic))
            except (kafka.errors.KafkaError, RuntimeError) as exc:
                log.warning("topic not read", extra={"topic": topic, "error": type(exc).__name__})
                found[topic, WHOLE_TOPIC] = UNKNOWN
        return found

    def _of_topic(
        self, admin: kafka.KafkaAdminClient, group: str, topic: str, told: Mapping[str, typing.Any] | None
    ) -> Partitions:
        import kafka
        from kafka import admin as specs

        if told is None or told["error_code"]:
            return {(topic, WHOLE_TOPIC): UNKNOWN}
        # One without a leader cannot be asked for, and would bring down the answer for all others.
        led = {each["partition_index"]: each["leader_id"] >= 0 for each in told["partitions"]}
        asked = [kafka.TopicPartition(topic, number) for number, has_leader in led.items() if has_leader]
        committed = admin.list_group_offsets({group: asked})[group]
        begin = admin.list_partition_offsets(dict.fromkeys(asked, specs.OffsetSpec.EARLIEST))
        # The end last: what comes meanwhile counts, and nothing counts that is committed already.
        end = admin.list_partition_offsets(dict.fromkeys(asked, specs.OffsetSpec.LATEST))
        return {(topic, number): UNKNOWN for number in led} | {
            (topic, at.partition): unread.Partition(
                begin=begin[at].offset, end=end[at].offset, committed=_offset(committed.get(at))
            )
            for at in asked
        }

    def _disconnect(self) -> None:
        with self._connecting:
            admin, self._admin = self._admin, None
        if admin is not None:
            admin.close()


def _offset(committed: typing.Any) -> int | None:
    """Return a committed offset; Kafka says -1 where there is none."""
    return None if committed is None or committed.offset < 0 else int(committed.offset)
