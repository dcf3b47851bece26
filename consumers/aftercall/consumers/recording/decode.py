"""Decode a recording in a child process that can reach nothing: not the network, not files, not its parent."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import pathlib
import sys
import typing
from collections.abc import AsyncIterator

import numpy as np

from aftercall.consumers.recording import frames
from aftercall.contracts import errors, outcomes

Block = np.ndarray[typing.Any, np.dtype[np.int16]]
"""Samples at 16 kHz, shape [channels, n]."""

_STRIKES = {outcomes.Reason.DECODER_DIED, outcomes.Reason.DECODER_TIMEOUT}


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """What one recording may cost; see `sections.Recording` for the defaults and why."""

    memory_bytes: int
    cpu_s: float
    stall_s: float
    max_duration_s: float
    max_channels: int


class Decoding:
    """A recording being decoded: `facts` at once, blocks as they come, `trailer` once they have all been taken."""

    def __init__(self, process: asyncio.subprocess.Process, stall_s: float) -> None:
        self._process = process
        self._stall_s = stall_s
        self._facts: frames.Facts | None = None
        self._trailer: frames.Trailer | None = None

    @property
    def facts(self) -> frames.Facts:
        """What the container says of itself."""
        if self._facts is None:
            raise RuntimeError("the header has not been read")
        return self._facts

    @property
    def trailer(self) -> frames.Trailer:
        """How decoding ended; valid once every block has been taken."""
        if self._trailer is None:
            raise RuntimeError("decoding has not ended")
        return self._trailer

    async def blocks(self) -> AsyncIterator[Block]:
        """Yield blocks of about two seconds; the child waits while nobody takes them."""
        while True:
            kind, payload = await self._read()
            if kind == frames.TRAILER:
                self._trailer = frames.Trailer(**json.loads(payload))
                return
            if kind != frames.BLOCK:
                raise errors.StrikeError("the decoder sent something unknown", reason=outcomes.Reason.DECODER_DIED)
            interleaved = np.frombuffer(payload, dtype="<i2").reshape(-1, self.facts.channels)
            yield np.ascontiguousarray(interleaved.T)

    async def read_header(self) -> None:
        """Read the facts; raises `errors.RejectedError` for what is no audio."""
        kind, payload = await self._read()
        if kind != frames.HEADER:
            raise errors.StrikeError("the decoder sent no header", reason=outcomes.Reason.DECODER_DIED)
        self._facts = frames.Facts(**json.loads(payload))

    async def _read(self) -> tuple[bytes, bytes]:
        stdout = self._process.stdout
        assert stdout is not None
        try:
            async with asyncio.timeout(self._stall_s):
                kind, length = frames.PREFIX.unpack(await stdout.readexactly(frames.PREFIX.size))
                if length > frames.MAX_MESSAGE_BYTES:
                    raise errors.StrikeError("the decoder sent nonsense", reason=outcomes.Reason.DECODER_DIED)
                payload = await stdout.readexactly(length)
        except TimeoutError as exc:
            raise errors.StrikeError(
                f"the decoder gave nothing for {self._stall_s:.0f} s", reason=outcomes.Reason.DECODER_TIMEOUT
            ) from exc
        except asyncio.IncompleteReadError as exc:
            raise await self._death() from exc
        if kind == frames.ERROR:
            told = json.loads(payload)
            reason = outcomes.Reason(told["reason"])
            family = errors.StrikeError if reason in _STRIKES else errors.RejectedError
            raise family(told["message"], reason=reason)
        return kind, payload

    async def _death(self) -> errors.StrikeError:
        code = await self._process.wait()
        if code == -24:  # SIGXCPU: over its CPU limit
            return errors.StrikeError("the decoder used up its CPU time", reason=outcomes.Reason.DECODER_TIMEOUT)
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return errors.StrikeError(f"the decoder died with {how}", reason=outcomes.Reason.DECODER_DIED)


@contextlib.asynccontextmanager
async def open_recording(path: pathlib.Path, limits: Limits) -> AsyncIterator[Decoding]:
    """Start decoding `path`; the child is gone when the context ends, however it ends.

    Raises `errors.RejectedError` for what cannot be transcribed and `errors.StrikeError` when the child died of it.
    """
    told = {
        "memory_bytes": limits.memory_bytes,
        "cpu_s": limits.cpu_s,
        "max_duration_s": limits.max_duration_s,
        "max_channels": limits.max_channels,
    }
    with path.open("rb") as recording:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-I", "-m", "aftercall.consumers.recording.decode_child", json.dumps(told)),
            stdin=recording,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            # Nothing of ours; and no threads for linear algebra, whose start was a quarter of a short call's decoding.
            env={"OPENBLAS_NUM_THREADS": "1"},
            cwd="/",
            start_new_session=True,
            limit=1 << 18,
        )
    try:
        decoding = Decoding(process, limits.stall_s)
        await decoding.read_header()
        yield decoding
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill and reap the child, even while this task is being cancelled."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, 9) if process.returncode is None else None
    # The transport waits for the pipe to close; what is still in it is of no use.
    if process._transport is not None:  # type: ignore[attr-defined]
        process._transport.close()  # type: ignore[attr-defined]
    await asyncio.shield(process.wait())
