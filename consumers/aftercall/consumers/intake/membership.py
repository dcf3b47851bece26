"""What a member of a consumer group knows of its partitions, by the client's own words; called on the poll thread."""

from __future__ import annotations

import typing
from collections.abc import Mapping

from aftercall.consumers.intake import offsets, places

if typing.TYPE_CHECKING:
    import kafka


def owned(consumer: kafka.KafkaConsumer) -> set[places.Partition]:
    """Return the partitions that are assigned."""
    return {(at.topic, at.partition) for at in consumer.assignment()}


def committed(consumer: kafka.KafkaConsumer, at: places.Partition) -> offsets.Commit:
    """Return the last commit of a partition; asks the broker."""
    last = consumer.committed(partition(at), metadata=True)
    return offsets.Commit(last.offset, last.metadata or "") if last else offsets.Commit(0, "")


def position(consumer: kafka.KafkaConsumer, at: places.Partition) -> int | None:
    """Return the offset that a partition is read from next, past what is no record; None while it is not known."""
    import kafka.errors

    try:
        found: int | None = consumer.position(partition(at), timeout_ms=0)
    except (kafka.errors.IllegalStateError, kafka.errors.KafkaTimeoutError):  # lost since, or not asked for yet
        return None
    return found


def rejoin(consumer: kafka.KafkaConsumer) -> bool:
    """Let a member finish a join that its client has forgotten; return whether it had.

    kafka-python (3.0.12) waits for a join only while there is a reason for one. Where topics have got partitions, the
    reason is gone once the group's leader has shared them out, which is before the broker has confirmed it: a poll that
    ends in between (one in ten of 200 ms, where that takes 20) leaves a leader without partitions and without
    heartbeats, and polling for ever.
    """
    coordinator = consumer._coordinator
    is_forgotten: bool = coordinator.rejoining and not coordinator.need_rejoin()
    if is_forgotten:
        coordinator.request_rejoin()
    return is_forgotten


def to_kafka(commits: Mapping[places.Partition, offsets.Commit]) -> dict[typing.Any, typing.Any]:
    """Return commits as the client takes them."""
    from kafka.structs import OffsetAndMetadata

    return {partition(at): OffsetAndMetadata(one.offset, one.metadata, -1) for at, one in commits.items()}


def partition(at: places.Partition) -> typing.Any:
    """Return a partition as the client names it."""
    from kafka import TopicPartition

    return TopicPartition(*at)
