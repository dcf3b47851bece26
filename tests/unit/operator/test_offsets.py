"""Offsets of one group never wait for those of another."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Collection

from aftercall.operator import offsets, unread


class Slow(offsets.Offsets):
    """Reads of some groups come back only when they are let to."""

    def __init__(self, *slow: str) -> None:
        super().__init__({}, answer_s=0.5)
        self.slow = frozenset(slow)
        self.let_go = threading.Event()
        self.n_read = 0

    def _read(self, group: str, topics: Collection[str]) -> offsets.Partitions:
        self.n_read += 1
        if group in self.slow:
            self.let_go.wait(10)
        return {(topic, 0): unread.Partition(0, 1) for topic in topics}


async def test_a_group_that_is_late_is_unknown_and_the_others_are_read() -> None:
    """And no second reading of it begins while the first is out."""
    reader = Slow("slow")
    unknown = {("t", offsets.WHOLE_TOPIC): offsets.UNKNOWN}
    try:
        assert unknown == await reader.read("slow", ["t"])
        assert {("t", 0): unread.Partition(0, 1)} == await reader.read("quick", ["t"])
        assert unknown == await reader.read("slow", ["t"])
        assert 2 == reader.n_read
    finally:
        reader.let_go.set()

    (late,) = reader._reading.values()
    await asyncio.wrap_future(late)
    reader.slow = frozenset()
    assert {("t", 0): unread.Partition(0, 1)} == await reader.read("slow", ["t"])
    await reader.close()


async def test_a_mistake_is_no_number() -> None:
    """Whatever the client makes of an answer."""

    class Wrong(offsets.Offsets):
        def _read(self, group: str, topics: Collection[str]) -> offsets.Partitions:
            raise KeyError("leader_id")

    reader = Wrong({})

    assert {("t", offsets.WHOLE_TOPIC): offsets.UNKNOWN} == await reader.read("g", ["t"])
    await reader.close()
