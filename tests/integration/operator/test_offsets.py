"""What waits in Kafka, counted on a real broker without joining any group."""

from __future__ import annotations

import asyncio
import signal

import kafka as library
from peers import broker

from aftercall.operator import offsets, unread


def produce(address: str, topic: str, partition: int, n: int, **more: object) -> None:
    """Put messages into a partition; with `transactional_id` as one transaction."""
    producer = library.KafkaProducer(bootstrap_servers=address, **more)
    if more:
        producer.init_transactions()
        producer.begin_transaction()
    for at in range(n):
        producer.send(topic, str(at).encode(), partition=partition)
    if more:
        producer.commit_transaction()
    producer.flush()
    producer.close()


def consume(address: str, topic: str, partition: int, offset: int) -> None:
    """Commit an offset, as a member that has left since."""
    at = library.TopicPartition(topic, partition)
    consumer = library.KafkaConsumer(bootstrap_servers=address, group_id="calls", enable_auto_commit=False)
    consumer.assign([at])
    consumer.commit({at: library.OffsetAndMetadata(offset, "", -1)})
    consumer.close(autocommit=False)


async def test_offsets_as_a_real_broker_tells_them(kafka: broker.Broker) -> None:
    """Uncommitted, committed, deleted by retention, with a marker of a transaction, missing, and while it hangs."""
    kafka.create_topics({"recordings": 4, "bulk": 1})
    for partition in (0, 1, 2):
        produce(kafka.address, "recordings", partition, 10)
    produce(kafka.address, "recordings", 3, 10, transactional_id="upstream")
    consume(kafka.address, "recordings", 1, 4)
    consume(kafka.address, "recordings", 2, 4)
    consume(kafka.address, "recordings", 3, 10)
    admin = library.KafkaAdminClient(bootstrap_servers=kafka.address)
    admin.delete_records({library.TopicPartition("recordings", 2): 7})
    admin.close()

    reader = offsets.Offsets({"bootstrap_servers": kafka.address}, answer_s=2)
    found = await reader.read("calls", ["recordings", "bulk", "gone"])

    assert {
        ("recordings", 0): unread.Partition(0, 10),
        ("recordings", 1): unread.Partition(0, 10, 4),
        ("recordings", 2): unread.Partition(7, 10, 4),
        ("recordings", 3): unread.Partition(0, 11, 10),  # the marker is one more
        ("bulk", 0): unread.Partition(0, 0),
        ("gone", offsets.WHOLE_TOPIC): offsets.UNKNOWN,
    } == found
    assert unread.Unread(10 + 6 + 3 + 1, is_whole=False) == unread.count(found.values())

    kafka.signal(signal.SIGSTOP)
    away = await reader.read("calls", ["recordings", "bulk"])
    kafka.signal(signal.SIGCONT)
    async with asyncio.timeout(30):
        while True:
            back = await reader.read("calls", ["recordings", "bulk"])
            if offsets.UNKNOWN not in back.values():
                break
            await asyncio.sleep(0.2)
    await reader.close()

    assert {offsets.UNKNOWN} == set(away.values())
    assert {key: found[key] for key in back} == back
    assert 5 == len(back)
