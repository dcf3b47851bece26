"""What waits in Kafka, counted on a real broker without joining any group."""

from __future__ import annotations

import asyncio
import pathlib
import signal

import kafka as library
import operated
from peers import broker, process

from aftercall.operator import offsets, unread


async def test_offsets_as_a_real_broker_tells_them(kafka: broker.Broker) -> None:
    """Uncommitted, committed, deleted by retention, with a marker of a transaction, missing, and while it hangs."""
    kafka.create_topics({"recordings": 4, "bulk": 1})
    for partition in (0, 1, 2):
        operated.publish(kafka.address, "recordings", 10, partitions=[partition])
    operated.publish(kafka.address, "recordings", 10, partitions=[3], transactional_id="upstream")
    operated.commit(kafka.address, "calls", "recordings", 4, partitions=[1])
    operated.commit(kafka.address, "calls", "recordings", 4, partitions=[2])
    operated.commit(kafka.address, "calls", "recordings", 10, partitions=[3])
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
    assert unread.Unread(10 + 6 + 3 + 1, is_whole=False) == unread.count(map(unread.of_partition, found.values()))

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


async def test_a_partition_without_a_leader_hides_no_other(kafka: broker.Broker, tmp_path: pathlib.Path) -> None:
    """One broker of two has died with the only replica of it: that one is unknown, and the rest is read."""
    kafka.create_topics({"other": 1})
    operated.commit(kafka.address, "calls", "other", 0, partitions=[0])  # so that the first keeps all committed offsets
    (tmp_path / "second").mkdir()
    for second in process.running(lambda: broker.Broker(tmp_path / "second", joins=kafka)):
        admin = library.KafkaAdminClient(bootstrap_servers=kafka.address)
        admin.create_topics({"recordings": {"assignments": {0: [1], 1: [2]}}}, wait_for_metadata=True)
        admin.close()
        for partition in (0, 1):
            operated.publish(kafka.address, "recordings", 10, partitions=[partition])
        reader = offsets.Offsets({"bootstrap_servers": kafka.address}, answer_s=2)
        whole = {("recordings", at): unread.Partition(0, 10) for at in (0, 1)}
        assert whole == await reader.read("calls", ["recordings"])

        second.kill()
        async with asyncio.timeout(60):
            while True:
                found = await reader.read("calls", ["recordings"])
                if found != whole and len(found) == len(whole):
                    break
                await asyncio.sleep(0.2)
        await reader.close()

        assert {**whole, ("recordings", 1): offsets.UNKNOWN} == found
