"""Which windows go to the engine together, and when.

Windows of any calls and tenants share a batch when their bucket is the same: what the engine can only do one way
for a whole batch. The engine takes the next batch whenever it is free; nothing waits for a fuller one longer than
`max_wait_s`, and a bucket whose oldest window has waited longest goes first, so that a rare option never starves.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Hashable, Sequence


class Reason(enum.StrEnum):
    """Why a batch goes now."""

    FULL = "full"
    WAITED = "waited"
    CLOSING = "closing"


@dataclasses.dataclass(frozen=True, slots=True)
class Waiting:
    """A window in line: its bucket, and when it came (monotonic seconds). `ticket` tells equal windows apart."""

    ticket: int
    bucket: Hashable
    since_s: float


@dataclasses.dataclass(frozen=True, slots=True)
class Batch:
    """Take these tickets out of the line and run them, in this order."""

    tickets: tuple[int, ...]
    reason: Reason


@dataclasses.dataclass(frozen=True, slots=True)
class Wait:
    """Nothing is due before `until_s`; None when nothing waits at all."""

    until_s: float | None


def decide(
    line: Sequence[Waiting], *, now_s: float, max_windows: int, max_wait_s: float, closing: bool = False
) -> Batch | Wait:
    """Choose the next batch from a line that is in order of arrival.

    A bucket is due when it is full, when its oldest window has waited `max_wait_s`, or when everything is closing.
    Of the buckets due, the one with the oldest window goes; with it go the next of its bucket, up to `max_windows`.
    """
    if max_windows < 1:
        raise ValueError(f"max_windows is {max_windows}; a batch holds at least one window")
    buckets: dict[Hashable, list[Waiting]] = {}
    for waiting in line:
        bucket = buckets.setdefault(waiting.bucket, [])
        if len(bucket) < max_windows:
            bucket.append(waiting)
    for bucket in buckets.values():  # in order of their oldest window, since dictionaries keep insertion order
        if len(bucket) == max_windows:
            return _batch(bucket, Reason.FULL)
        if now_s - bucket[0].since_s >= max_wait_s:
            return _batch(bucket, Reason.WAITED)
        if closing:
            return _batch(bucket, Reason.CLOSING)
    oldest = min((bucket[0].since_s for bucket in buckets.values()), default=None)
    return Wait(None if oldest is None else oldest + max_wait_s)


def _batch(bucket: list[Waiting], reason: Reason) -> Batch:
    return Batch(tuple(waiting.ticket for waiting in bucket), reason)
