"""Keep a copy of a recording's samples in the spool while it is being cut, for what wants all of it at once."""

from __future__ import annotations

import asyncio
import pathlib
from collections.abc import AsyncIterator

from aftercall.consumers.recording import decode, frames


class Tee:
    """A decoding whose blocks are also written to a file, 16-bit and interleaved."""

    def __init__(self, decoding: decode.Decoding, into: pathlib.Path) -> None:
        self._decoding = decoding
        self.into = into

    @property
    def facts(self) -> frames.Facts:
        """What the container says of itself."""
        return self._decoding.facts

    @property
    def trailer(self) -> frames.Trailer:
        """How decoding ended; valid once every block has been taken."""
        return self._decoding.trailer

    async def blocks(self) -> AsyncIterator[decode.Block]:
        """Yield the blocks."""
        with self.into.open("wb") as file:
            async for block in self._decoding.blocks():
                await asyncio.to_thread(file.write, block.T.astype("<i2").tobytes())
                yield block
