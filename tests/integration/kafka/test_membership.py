"""A member of a group whose client says little: what was read is no record, and a join ends late."""

from __future__ import annotations

import contextlib
import pathlib
import threading
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import cluster
import kafka as kafka_python
import operated
import pytest
from peers import broker, proxy

from aftercall.consumers import broker as brokers
from aftercall.consumers.intake import kafka as intake
from aftercall.consumers.intake import membership, places
from aftercall.contracts import services


class Member:
    """A poller whose records are finished as they come."""

    def __init__(self, address: str, topic: str, **config: Any) -> None:
        self.topic = topic
        self.read: list[places.Place] = []
        self._lock = threading.Lock()
        told = brokers.member(services.Kafka(bootstrap_servers=[address]), group=topic, name="one")
        self.poller = intake.Poller([topic], told | config, deliver=self._take, withdraw=self._lose)

    def _take(self, records: Sequence[places.Record]) -> None:
        with self._lock:
            self.read += [record.place for record in records]
        for record in records:
            self.poller.finish(record.place)

    def _lose(self, partitions: Collection[places.Partition]) -> None:
        """Nothing is kept of them."""

    def partitions(self) -> set[int]:
        """Return the partitions that something was read of."""
        with self._lock:
            return {place.partition for place in self.read}


@contextlib.contextmanager
def member(address: str, topic: str, **config: Any) -> Iterator[Member]:
    """Let a member work."""
    found = Member(address, topic, **config)
    found.poller.start()
    try:
        yield found
    finally:
        found.poller.stop()


def lag(address: str, topic: str, partition: int) -> int | None:
    """Return how many offsets lie between a partition's commit and its end."""
    consumer = kafka_python.KafkaConsumer(bootstrap_servers=address, group_id=topic, enable_auto_commit=False)
    at = kafka_python.TopicPartition(topic, partition)
    try:
        committed = consumer.committed(at)
        return None if committed is None else int(consumer.end_offsets([at])[at]) - int(committed)
    finally:
        consumer.close(autocommit=False)


def test_a_marker_behind_the_last_record_is_no_work(kafka: broker.Broker, names: str) -> None:
    """An offset that holds the end of a transaction is committed like a record, by whoever has read records or none.

    Otherwise a pool that may go down to no consumers is woken by it again and again.
    """
    kafka.create_topics({names: 2})
    operated.publish(kafka.address, names, 4, partitions=[0, 0, 0, 1], transactional_id=names)
    with member(kafka.address, names) as first:
        cluster.wait_until(lambda: lag(kafka.address, names, 0) == 0, timeout_s=20, what="the end of partition 0")
        cluster.wait_until(lambda: lag(kafka.address, names, 1) == 0, timeout_s=20, what="the end of partition 1")
        assert 4 == len(first.read)
        assert {(names, 0): 4, (names, 1): 2} == first.poller.positions()
    operated.commit(kafka.address, names, names, 3, partitions=[0])
    assert 1 == lag(kafka.address, names, 0)

    with member(kafka.address, names) as second:
        cluster.wait_until(lambda: lag(kafka.address, names, 0) == 0, timeout_s=20, what="the end again")
        assert [] == second.read


@pytest.mark.timeout(120)
def test_a_member_whose_client_has_ended_goes_on_with_another(kafka: broker.Broker, names: str) -> None:
    """Its connections and their thread are gone; the broker lets another in once it misses its heartbeats."""
    kafka.create_topics({names: 1})
    operated.publish(kafka.address, names, 2, partitions=[0, 0])
    with member(kafka.address, names, session_timeout_ms=6000, heartbeat_interval_ms=500) as one:
        cluster.wait_until(lambda: lag(kafka.address, names, 0) == 0, timeout_s=20, what="the end")
        assert one.poller._consumer is not None
        one.poller._consumer._client.close()
        operated.publish(kafka.address, names, 2, partitions=[0, 0])
        cluster.wait_until(lambda: lag(kafka.address, names, 0) == 0, timeout_s=60, what="the end again")

        assert [0, 1, 2, 3] == [place.offset for place in one.read]
        assert one.poller.why_not_alive() is None


@pytest.fixture
def slow(tmp_path: pathlib.Path) -> Iterator[tuple[broker.Broker, proxy.Proxy]]:
    """A broker behind a proxy."""
    between = proxy.Proxy()
    server = broker.Broker(tmp_path, proxy_port=between.port)
    server.start()
    between.start(server.behind)
    yield server, between
    server.kill()
    between.stop()


def grow(slow: tuple[broker.Broker, proxy.Proxy], topic: str, timeout_s: float) -> None:
    """Give a topic two more partitions while the broker's answers outlast a poll, and wait for their records."""
    server, between = slow
    server.create_topics({topic: 2})
    with member(f"127.0.0.1:{between.port}", topic, metadata_max_age_ms=1000) as one:
        operated.publish(server.address, topic, 2, partitions=[0, 1])
        cluster.wait_until(lambda: one.partitions() == {0, 1}, timeout_s=20, what="both partitions")
        between.mode = "slow"
        admin = kafka_python.KafkaAdminClient(bootstrap_servers=server.address)
        admin.create_partitions({topic: 4})
        admin.close()
        operated.publish(server.address, topic, 2, partitions=[2, 3])
        try:
            cluster.wait_until(lambda: one.partitions() == {0, 1, 2, 3}, timeout_s=timeout_s, what="all partitions")
        finally:
            between.mode = "pass"


@pytest.mark.timeout(120)
def test_a_join_that_outlives_a_poll_is_taken_up_again(slow: tuple[broker.Broker, proxy.Proxy], names: str) -> None:
    """A topic gets partitions, and the broker confirms who has which after the poll that asked has ended."""
    grow(slow, names, 45)


@pytest.mark.timeout(120)
def test_the_client_alone_would_forget_it(
    slow: tuple[broker.Broker, proxy.Proxy], names: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once this fails, the client takes its joins up again by itself, and `membership.rejoin` can go."""
    monkeypatch.setattr(membership, "rejoin", lambda consumer: False)
    with pytest.raises(AssertionError, match="all partitions"):
        grow(slow, names, 20)
