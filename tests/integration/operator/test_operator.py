"""The operator's process on a real API server and a real broker, with the rights that its documentation lists."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import cluster
import operated
from peers import broker

if TYPE_CHECKING:
    from conftest import Build


def test_a_message_wakes_a_pool_that_sleeps(namespace_of: Build, shared_kafka: broker.Broker) -> None:
    """From Kafka's lag alone; the first replicas are asked for within ten seconds of the event."""
    space = namespace_of("calls")
    topic = f"{space.name}.calls"
    space.client.apply(operated.pool("calls", topic=topic, group=space.name), namespace=space.name)
    space.start()
    cluster.wait_until(lambda: "True" == space.condition("calls")[0], timeout_s=20, what="the pool is ready")

    operated.publish(shared_kafka.address, topic, 1)
    published = time.monotonic()
    cluster.wait_until(lambda: space.asked("calls-speech") > 0, timeout_s=10, what="a speech server is asked for")
    took_s = time.monotonic() - published
    cluster.wait_until(lambda: space.asked("calls-consumers") > 0, timeout_s=2, what="a consumer is asked for")

    print(f"event published to first replica asked for: {took_s:.1f} s")
    assert {f"system:serviceaccount:{space.name}:operator"} == space.writers()
