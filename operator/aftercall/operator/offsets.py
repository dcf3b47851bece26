"""Offsets of a group's topics as Kafka has them, read by the admin API: nobody joins a group to count what waits in it.

What could not be read is there as unknown, topic by topic: a broker that does not answer is no empty topic.
"""

from __future__ import annotations

import asyncio
import logging
import typing
from collections.abc import Collection, Mapping

from aftercall.operator import unread

if typing.TYPE_CHECKING:
    import kafka

log = logging.getLogger(__name__)

UNKNOWN = unread.Partition(None, None)
WHOLE_TOPIC = -1
"""Stands for the partitions of a topic of which not even the number is known."""

Partitions = dict[tuple[str, int], unread.Partition]


class Offsets:
    """Reads from one cluster; `connection` is what its clients are configured with. Failures are told, never raised."""

    def __init__(self, connection: Mapping[str, typing.Any], *, answer_s: float = 10.0) -> None:
        self._connection = {**connection, "request_timeout_ms": round(answer_s * 1000)}
        self._admin: kafka.KafkaAdminClient | None = None

    async def read(self, group: str, topics: Collection[str]) -> Partitions:
        """Return every partition of these topics: its first offset, the one after its last, and what is committed."""
        return await asyncio.to_thread(self._read, group, topics)

    async def close(self) -> None:
        """Disconnect."""
        await asyncio.to_thread(self._disconnect)

    def _read(self, group: str, topics: Collection[str]) -> Partitions:
        import kafka

        try:
            if self._admin is None:
                self._admin = kafka.KafkaAdminClient(**self._connection)
            described = {each["name"]: each for each in self._admin.describe_topics(list(topics))}
        except (kafka.errors.KafkaError, OSError, ValueError) as exc:
            log.warning("topics not read", extra={"error": type(exc).__name__})
            return {(topic, WHOLE_TOPIC): UNKNOWN for topic in topics}
        found: Partitions = {}
        for topic in topics:
            try:
                found |= self._of_topic(self._admin, group, topic, described.get(topic))
            except kafka.errors.KafkaError as exc:
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
        numbers = [each["partition_index"] for each in told["partitions"]]
        asked = [kafka.TopicPartition(topic, number) for number in numbers]
        committed = admin.list_group_offsets({group: asked})[group]
        begin = admin.list_partition_offsets(dict.fromkeys(asked, specs.OffsetSpec.EARLIEST))
        # The end last: what comes meanwhile counts, and nothing counts that is committed already.
        end = admin.list_partition_offsets(dict.fromkeys(asked, specs.OffsetSpec.LATEST))
        return {
            (topic, at.partition): unread.Partition(
                begin=begin[at].offset, end=end[at].offset, committed=_offset(committed.get(at))
            )
            for at in asked
        }

    def _disconnect(self) -> None:
        if self._admin is not None:
            self._admin.close()
            self._admin = None


def _offset(committed: typing.Any) -> int | None:
    """Return a committed offset; Kafka says -1 where there is none."""
    return None if committed is None or committed.offset < 0 else int(committed.offset)
