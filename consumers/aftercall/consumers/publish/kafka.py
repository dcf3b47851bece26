"""Append to Kafka topics: acknowledged by every replica in sync before anything counts as published."""

from __future__ import annotations

import asyncio
import concurrent.futures
import typing
from collections.abc import Mapping

from aftercall.consumers import tracing
from aftercall.contracts import errors, events, outcomes

if typing.TYPE_CHECKING:
    import kafka

_CONTENT_TYPE = ("content-type", b"application/cloudevents+json; charset=UTF-8")


class Producer:
    """One producer of this process. Its library blocks, so it lives on a thread of its own."""

    def __init__(self, client: Mapping[str, typing.Any], *, delivery_timeout_s: float = 30.0) -> None:
        self._config = {
            **client,
            "acks": "all",
            "enable_idempotence": True,
            "linger_ms": 5,
            "delivery_timeout_ms": int(delivery_timeout_s * 1000),
            "max_block_ms": int(delivery_timeout_s * 1000),
            "request_timeout_ms": int(delivery_timeout_s * 500),
        }
        self._threads = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="kafka-produce")
        self._producer: kafka.KafkaProducer | None = None

    async def send(
        self, topic: str, value: bytes, *, key: bytes | None, headers: tuple[tuple[str, bytes], ...] = ()
    ) -> None:
        """Append one record; raise `errors.TransientError` unless it is known to have been acknowledged.

        A record whose acknowledgement was lost may be there all the same: every reader must bear it twice.
        """
        loop = asyncio.get_running_loop()
        acknowledged: asyncio.Future[None] = loop.create_future()

        def settle(exc: object | None) -> None:
            if not acknowledged.done():
                if exc is None:
                    acknowledged.set_result(None)
                else:
                    acknowledged.set_exception(_translate(exc))

        def begin() -> None:
            import kafka

            if self._producer is None:
                self._producer = kafka.KafkaProducer(**self._config)
            sent = self._producer.send(topic, value=value, key=key, headers=list(headers))
            sent.add_callback(lambda _: loop.call_soon_threadsafe(settle, None))
            sent.add_errback(lambda exc: loop.call_soon_threadsafe(settle, exc))

        try:
            await loop.run_in_executor(self._threads, begin)
        except Exception as exc:  # the library raises of several families, from asserts to its own
            raise _translate(exc) from exc
        await acknowledged

    async def close(self) -> None:
        """Send what is buffered, and disconnect."""

        def end() -> None:
            if self._producer is not None:
                self._producer.close(timeout=10)

        await asyncio.get_running_loop().run_in_executor(self._threads, end)
        self._threads.shutdown()


class KafkaTopic:
    """Publishes events as structured CloudEvents, in order for each recording."""

    def __init__(self, producer: Producer, name: str) -> None:
        self._producer = producer
        self._name = name

    async def append(self, event: events.Event) -> None:
        """Append an event; the same one again is another record, which readers tell by its id."""
        key = f"{event.data.tenant}/{event.data.recording_id}".encode()
        await self._producer.send(
            self._name, events.encode(event), key=key, headers=(_CONTENT_TYPE, *tracing.current())
        )


def _translate(exc: object) -> errors.TransientError:
    return errors.TransientError(
        f"Kafka did not acknowledge ({type(exc).__name__})", reason=outcomes.Reason.BROKER_UNAVAILABLE
    )
