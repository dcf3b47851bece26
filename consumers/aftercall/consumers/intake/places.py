"""Where records lie in Kafka, and what they carry."""

from __future__ import annotations

import dataclasses
import typing

Partition = tuple[str, int]


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """Where a record lies. `epoch` tells one assignment of the partition from the next."""

    topic: str
    partition: int
    offset: int
    epoch: int


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """One record as Kafka carries it; header values are bytes, and names may come twice."""

    place: Place
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    timestamp_s: float


def read(raw: typing.Any, *, epoch: int) -> Record:
    """Return a record of the client as one of ours."""
    return Record(
        Place(raw.topic, raw.partition, raw.offset, epoch),
        raw.key,
        raw.value,
        tuple((name, value if value is not None else b"") for name, value in raw.headers),
        raw.timestamp / 1000,
    )
