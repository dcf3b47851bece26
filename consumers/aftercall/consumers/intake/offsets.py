"""Which offsets of a partition are finished, when they finish in any order.

Kafka keeps one number a partition: everything below it is done. That number is here the lowest unfinished offset; what
finished beyond it travels in the commit's metadata as a bitmap, so that a restart does little again. Metadata that is
foreign, cut or corrupt means that everything from the committed offset is done again: safe, since work that has its
outcome costs a look (pattern: confluentinc/parallel-consumer; code ours).
"""

from __future__ import annotations

import base64
import dataclasses
import heapq
import struct
import zlib
from collections.abc import Iterable

import numpy as np

MAX_METADATA_CHARS = 4096
"""What a broker accepts (`offset.metadata.max.bytes`, by default)."""
PAUSE_AT_CHARS = MAX_METADATA_CHARS * 3 // 4
_PREFIX = "aftercall/1 "
"""Names the format's version. A new one is read for a release before it is written: pods are replaced one by one."""
_HEADER = struct.Struct(">qII")
"""Base offset, number of offsets from there, CRC-32 of both and of the bitmap as it was before compression."""
_MAX_SPAN = 2**24


@dataclasses.dataclass(frozen=True, slots=True)
class Commit:
    """What to commit: the lowest unfinished offset, and what is finished beyond it."""

    offset: int
    metadata: str


class PartitionOffsets:
    """The offsets of one assigned partition. Offsets that are never seen (compacted, markers) hold nothing up."""

    def __init__(self, position: int, finished: Iterable[int] = ()) -> None:
        self._position = position
        self._finished = set(finished)
        self._open: set[int] = set()
        self._lowest: list[int] = []

    @classmethod
    def restore(cls, committed: int, metadata: str) -> PartitionOffsets:
        """Go on from a commit; see `decode` for metadata that cannot be read."""
        return cls(committed, decode(committed, metadata) or ())

    @property
    def position(self) -> int:
        """The next offset that will be taken: what lies below was."""
        return self._position

    @property
    def n_open(self) -> int:
        """Offsets that were taken and are not finished."""
        return len(self._open)

    @property
    def lowest_unfinished(self) -> int:
        """The offset to commit: nothing below it is left to do."""
        while self._lowest and self._lowest[0] not in self._open:
            heapq.heappop(self._lowest)
        return self._lowest[0] if self._lowest else self._position

    def take(self, offset: int) -> bool:
        """Note an offset that was read; False when it was finished before a restart, or is being worked on already."""
        self._position = max(self._position, offset + 1)
        if offset in self._finished or offset in self._open:
            return False
        self._open.add(offset)
        heapq.heappush(self._lowest, offset)
        return True

    def reach(self, position: int) -> None:
        """Note that everything below a position was read; one that was passed already changes nothing."""
        self._position = max(self._position, position)

    def finish(self, offset: int) -> None:
        """Note that an offset that was taken needs no more work; a second time changes nothing."""
        if offset in self._open:
            self._open.remove(offset)
            self._finished.add(offset)

    def commit(self) -> Commit:
        """Return what to commit now; what lies below it is forgotten."""
        base = self.lowest_unfinished
        self._finished = {offset for offset in self._finished if offset >= base}
        return Commit(base, encode(base, self._finished))


def encode(base: int, finished: Iterable[int]) -> str:
    """Encode finished offsets at or above `base`, at most `MAX_METADATA_CHARS`.

    When all do not fit, the lowest that do are encoded: the others are only done again after a restart.
    """
    offsets = np.fromiter((offset - base for offset in finished), dtype=np.int64)
    offsets = np.sort(offsets[(offsets >= 0) & (offsets < _MAX_SPAN)])
    while len(offsets):
        bits = np.zeros(int(offsets[-1]) + 1, dtype=bool)
        bits[offsets] = True
        raw = np.packbits(bits).tobytes()
        packed = _HEADER.pack(base, len(bits), _checksum(base, len(bits), raw)) + zlib.compress(raw, 9)
        text = _PREFIX + base64.b64encode(packed).decode()
        if len(text) <= MAX_METADATA_CHARS:
            return text
        offsets = offsets[: len(offsets) * 3 // 4]
    return ""


def decode(committed: int, metadata: str) -> frozenset[int] | None:
    """Return the finished offsets that were committed along with `committed`; None when that cannot be read.

    None is the safe answer: whatever was finished beyond the commit is done again.
    """
    if not metadata.startswith(_PREFIX):
        return None
    try:
        packed = base64.b64decode(metadata[len(_PREFIX) :], validate=True)
        base, n_offsets, crc = _HEADER.unpack_from(packed)
        inflate = zlib.decompressobj()
        raw = inflate.decompress(packed[_HEADER.size :], _MAX_SPAN // 8 + 1)
    except (ValueError, struct.error, zlib.error):
        return None
    # A commit that an administrator moved keeps its metadata with some tools: then it speaks of other offsets.
    if base != committed or crc != _checksum(base, n_offsets, raw) or not inflate.eof:
        return None
    bits = np.unpackbits(np.frombuffer(raw, dtype=np.uint8), count=n_offsets)
    return frozenset((np.flatnonzero(bits) + base).tolist())


def _checksum(base: int, n_offsets: int, raw: bytes) -> int:
    return zlib.crc32(raw, zlib.crc32(b"%d %d" % (base, n_offsets)))
