"""Records that go to another topic as they came: dead letters with their reason, and what is put aside."""

from __future__ import annotations

from aftercall.consumers.intake import places
from aftercall.consumers.publish import kafka
from aftercall.contracts import outcomes

REASON, MESSAGE, ORIGIN = "aftercall-reason", "aftercall-message", "aftercall-origin"
REPLAYED = "aftercall-replayed"
"""Marks the record that says that a dead letter of the same origin was announced again."""
_OURS = frozenset({REASON, MESSAGE, ORIGIN})


class DeadLetters:
    """Appends to the dead-letter topic, keyed by where the record lay, so that a repeat is known for one."""

    def __init__(self, producer: kafka.Producer, topic: str) -> None:
        self._producer = producer
        self._topic = topic

    async def bury(self, record: places.Record, reason: outcomes.Reason, message: str) -> None:
        """Append a record with why it could not be taken; return once that is acknowledged."""
        place = record.place
        origin = f"{place.topic}/{place.partition}/{place.offset}".encode()
        headers = (*record.headers, (REASON, reason.encode()), (MESSAGE, message.encode()), (ORIGIN, origin))
        await self._producer.send(self._topic, record.value or b"", key=origin, headers=headers)

    async def replay(self, letter: places.Record, origin: str) -> None:
        """Append a dead letter to its own topic again, as it came; then note that, so that it is dead no more."""
        topic = origin.rsplit("/", 2)[0]
        kept = tuple((name, value) for name, value in letter.headers if name not in _OURS)
        await self._producer.send(topic, letter.value or b"", key=None, headers=kept)
        mark = ((REPLAYED, b"1"), (ORIGIN, origin.encode()))
        await self._producer.send(self._topic, b"", key=origin.encode(), headers=mark)


async def put_aside(
    producer: kafka.Producer, topic: str, record: places.Record, key: bytes | None, headers: list[tuple[str, bytes]]
) -> None:
    """Append a record to another topic under new headers; return once that is acknowledged."""
    await producer.send(topic, record.value or b"", key=key, headers=tuple(headers))
