"""Records that announce nothing that could be taken: kept on a topic of their own, as they came, with the reason."""

from __future__ import annotations

from aftercall.consumers.intake import kafka as polling
from aftercall.consumers.publish import kafka
from aftercall.contracts import outcomes

REASON, MESSAGE, ORIGIN = "aftercall-reason", "aftercall-message", "aftercall-origin"


class DeadLetters:
    """Appends to the dead-letter topic, keyed by where the record lay, so that a repeat is known for one."""

    def __init__(self, producer: kafka.Producer, topic: str) -> None:
        self._producer = producer
        self._topic = topic

    async def bury(self, record: polling.Record, reason: outcomes.Reason, message: str) -> None:
        """Append a record with why it could not be taken; return once that is acknowledged."""
        place = record.place
        origin = f"{place.topic}/{place.partition}/{place.offset}".encode()
        headers = (*record.headers, (REASON, reason.encode()), (MESSAGE, message.encode()), (ORIGIN, origin))
        await self._producer.send(self._topic, record.value or b"", key=origin, headers=headers)
