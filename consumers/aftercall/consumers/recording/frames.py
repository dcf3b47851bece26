"""What the decode child says to its parent: a header of facts, blocks of samples, and a trailer.

Each message is one kind byte, a little-endian length of four bytes, and that many bytes: JSON for `H`, `T` and `E`,
and for `B` int16 samples of shape [n, channels], interleaved.
"""

from __future__ import annotations

import dataclasses
import json
import struct
from typing import Any, BinaryIO

HEADER, BLOCK, TRAILER, ERROR = b"H", b"B", b"T", b"E"
PREFIX = struct.Struct("<cI")
MAX_MESSAGE_BYTES = 64 * 1024 * 1024


@dataclasses.dataclass(frozen=True, slots=True)
class Facts:
    """A recording as its container describes it; `declared_s` is None where it does not say."""

    container: str
    codec: str
    sample_rate_hz: int
    channels: int
    channel_layout: str | None
    declared_s: float | None
    sealed: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Trailer:
    """How decoding ended: samples of one channel at 16 kHz, and what was wrong on the way."""

    n_samples: int
    truncated: bool
    bad_samples: int
    cpu_s: float
    peak_rss_bytes: int


def write(out: BinaryIO, kind: bytes, payload: bytes) -> None:
    """Write one message."""
    out.write(PREFIX.pack(kind, len(payload)))
    out.write(payload)


def write_json(out: BinaryIO, kind: bytes, plain: dict[str, Any]) -> None:
    """Write one message of JSON."""
    write(out, kind, json.dumps(plain).encode())
