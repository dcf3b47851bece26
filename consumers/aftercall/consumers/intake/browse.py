"""Read topics without being a member of any group: for whoever asks where a call is, or what went wrong since when."""

from __future__ import annotations

import contextlib
import typing
from collections.abc import Iterator, Mapping

from aftercall.consumers.intake import offsets, places
from aftercall.contracts import errors, outcomes

if typing.TYPE_CHECKING:
    import kafka

_POLL_MS = 1000
_MOST_SILENT_POLLS = 20


class Browser:
    """Reads topics as they are now; blocks, so that it belongs on a thread. Nothing is committed."""

    def __init__(self, client: Mapping[str, typing.Any]) -> None:
        self._client = dict(client)

    def records(self, topic: str, *, since_s: float | None = None) -> Iterator[places.Record]:
        """Yield every record of a topic, from a time on where one is given."""
        with self._reading() as consumer:
            at = self._partitions(consumer, topic)
            begin = consumer.beginning_offsets(at)
            if since_s is not None:
                found = consumer.offsets_for_times(dict.fromkeys(at, int(since_s * 1000)))
                ends = consumer.end_offsets(at)
                begin = {one: found[one].offset if found.get(one) is not None else ends[one] for one in at}
            yield from self._read(consumer, begin)

    def unfinished(self, topic: str, *, group: str) -> Iterator[places.Record]:
        """Yield what a group has not finished of a topic, partition by partition, oldest first in each."""
        import kafka

        with self._reading(group_id=group) as consumer:
            at = self._partitions(consumer, topic)
            begin, done = {}, {}
            for one in at:
                last = consumer.committed(kafka.TopicPartition(*one), metadata=True)
                begin[one] = last.offset if last is not None else consumer.beginning_offsets([one])[one]
                done[one] = offsets.decode(begin[one], (last.metadata or "") if last is not None else "") or frozenset()
            for record in self._read(consumer, begin):
                place = record.place
                if place.offset not in done[kafka.TopicPartition(place.topic, place.partition)]:
                    yield record

    @contextlib.contextmanager
    def _reading(self, **more: typing.Any) -> Iterator[kafka.KafkaConsumer]:
        import kafka
        import kafka.errors

        try:
            consumer = kafka.KafkaConsumer(**self._client, enable_auto_commit=False, **more)
        except kafka.errors.KafkaError as exc:
            raise _unreachable(exc) from exc
        try:
            yield consumer
        except kafka.errors.KafkaError as exc:
            raise _unreachable(exc) from exc
        finally:
            consumer.close()

    def _partitions(self, consumer: kafka.KafkaConsumer, topic: str) -> list[typing.Any]:
        import kafka

        return [kafka.TopicPartition(topic, at) for at in sorted(consumer.partitions_for_topic(topic) or ())]

    def _read(self, consumer: kafka.KafkaConsumer, begin: Mapping[typing.Any, int]) -> Iterator[places.Record]:
        """Read one partition after the other up to where it ends now."""
        ends = consumer.end_offsets(list(begin))
        for at, first in begin.items():
            if first >= ends[at]:
                continue
            consumer.assign([at])
            consumer.seek(at, first)
            silent = 0
            while consumer.position(at) < ends[at]:
                polled = consumer.poll(timeout_ms=_POLL_MS)
                silent = 0 if polled else silent + 1
                if silent >= _MOST_SILENT_POLLS:
                    raise errors.TransientError(
                        f"topic {at.topic} is not read on", reason=outcomes.Reason.BROKER_UNAVAILABLE
                    )
                for raw in polled.get(at, ()):
                    if raw.offset < ends[at]:
                        yield places.read(raw, epoch=0)


def _unreachable(exc: Exception) -> errors.TransientError:
    return errors.TransientError(
        f"Kafka is not reached ({type(exc).__name__})", reason=outcomes.Reason.BROKER_UNAVAILABLE
    )
