"""What a look at a pool needs is read: its targets, and what lies in Kafka. What fails is said, not raised."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping

from aftercall.contracts import errors, pools
from aftercall.operator import ledger, offsets, pool, targets, unread


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """One target as it was read; `seen` is None when it was not, and `problem` says why."""

    target: targets.Target
    seen: targets.Seen | None
    problem: errors.AftercallError | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Gathered:
    """What was read. `speech` is None for a backend that is somebody else's."""

    speech: Part | None
    consumers: Part
    partitions: Mapping[tuple[str, int], unread.Partition]

    def reading(self, known: ledger.Ledger, limits_per_s: Mapping[str, float]) -> pool.Reading:
        """Return it as a decision takes it."""
        speech = None if self.speech is None else self.speech.seen
        consumers = self.consumers.seen
        return pool.Reading(
            known=known,
            partitions=self.partitions,
            limits_per_s=limits_per_s,
            speech_asked=None if speech is None else speech.asked,
            speech_ready=None if speech is None else speech.ready,
            consumers_asked=None if consumers is None else consumers.asked,
            consumers_ready=None if consumers is None else consumers.ready,
        )

    def unread_topics(self) -> list[str]:
        """Return the topics of which something could not be read."""
        return sorted({topic for (topic, _), each in self.partitions.items() if unread.of_partition(each) is None})


async def gather(
    spec: pools.TranscriptionPool,
    reads: offsets.Reader,
    *,
    speech: targets.Target | None,
    consumers: targets.Target,
    deferred_topic: str,
) -> Gathered:
    """Read all at once: what is slow delays this look, and no longer than its own time."""
    topics = dict.fromkeys([*(each.name for each in spec.topics), spec.deferred_topic or deferred_topic])
    partitions, heard, own = await asyncio.gather(
        reads.read(spec.consumer_group, list(topics)), _read(speech), _read(consumers)
    )
    assert own is not None
    return Gathered(heard, own, partitions)


async def _read(target: targets.Target | None) -> Part | None:
    if target is None:
        return None
    try:
        return Part(target, await target.read())
    except errors.AftercallError as exc:
        return Part(target, None, exc)
