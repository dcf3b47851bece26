"""The decode child: a recording comes in as an open file, samples go out, and nothing else is within reach.

Run as `python -I -m aftercall.consumers.recording.decode_child LIMITS`, the recording on standard input. FFmpeg's
parsers have had holes and will have more; what this process can reach when one is used against it is its own memory.
"""

from __future__ import annotations

import dataclasses
import io
import json
import math
import os
import resource
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

from aftercall.consumers.recording import containers, frames, sandbox

RATE_HZ = 16_000
_BLOCK_S = 2.0


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """What a recording may cost; see `sections.Recording`."""

    memory_bytes: int
    cpu_s: float
    max_duration_s: float
    max_channels: int


class _RefusedError(Exception):
    """The recording ends here with a reason, named as in `outcomes.Reason`."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def main() -> None:
    """Decode standard input to standard output."""
    limits = Limits(**json.loads(sys.argv[1]))
    sandbox.set_limits(memory_bytes=limits.memory_bytes, cpu_s=limits.cpu_s)
    import av
    import av.error

    recording = io.FileIO(0, closefd=False)
    out = io.BufferedWriter(io.FileIO(1, "w", closefd=False), 1 << 16)
    _wake(av)
    sealed = sandbox.seal()
    try:
        _decode(av, recording, out, limits, sealed=sealed)
    except _RefusedError as exc:
        frames.write_json(out, frames.ERROR, {"reason": exc.reason, "message": str(exc)})
    except MemoryError:
        frames.write_json(
            out, frames.ERROR, {"reason": "decoder_died", "message": "decoding needed more memory than allowed"}
        )
    out.flush()
    # Tearing FFmpeg down after a broken file has crashed before; there is nothing left to save.
    os._exit(0)


def _wake(av: Any) -> None:
    """Decode a little silence, so that everything FFmpeg and Python load lazily is loaded while files can be opened."""
    import struct

    av.logging.set_level(av.logging.PANIC)
    data = bytes(320)
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16)
    riff = struct.pack("<4sI4s", b"RIFF", 4 + len(form) + 8 + len(data), b"WAVE") + form
    silence = io.BytesIO(riff + struct.pack("<4sI", b"data", len(data)) + data)
    with av.open(silence, mode="r", format="wav", metadata_errors="ignore") as container:
        resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE_HZ)
        for frame in container.decode(audio=0):
            for part in resampler.resample(frame):
                part.to_ndarray()


def _decode(av: Any, recording: io.FileIO, out: BinaryIO, limits: Limits, *, sealed: bool) -> None:
    head = recording.read(containers.HEAD_BYTES) or b""
    recording.seek(0)
    if not head:
        raise _RefusedError("empty_file", "the recording is an empty file")
    demuxer = containers.sniff(head)
    if demuxer is None:
        raise _RefusedError("not_audio", "the recording is not audio in a known form")
    try:
        container = av.open(io.BufferedReader(recording, 1 << 18), mode="r", format=demuxer, metadata_errors="ignore")
    except (av.error.FFmpegError, ValueError) as exc:
        raise _RefusedError("corrupt", f"the {demuxer} header cannot be read ({type(exc).__name__})") from exc
    streams = container.streams.audio
    if not streams:
        raise _RefusedError("no_audio", f"the {demuxer} file holds no audio")
    stream = streams[0]
    codec = stream.codec_context
    if codec is None or not {codec.name, codec.codec.name} & containers.CODECS:
        raise _RefusedError("unsupported", f"audio in the codec {getattr(codec, 'name', 'unknown')} is not supported")
    n_channels, rate_hz = codec.channels or 0, codec.sample_rate or 0
    if n_channels < 1 or rate_hz < 1:
        raise _RefusedError("no_audio", f"the recording says it has {n_channels} channels at {rate_hz} Hz")
    if n_channels > limits.max_channels:
        raise _RefusedError(
            "too_many_channels", f"the recording has {n_channels} channels; at most {limits.max_channels} are taken"
        )
    codec.thread_count = 1
    declared_s = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else None
    facts = frames.Facts(
        container=demuxer,
        codec=codec.name,
        sample_rate_hz=rate_hz,
        channels=n_channels,
        channel_layout=codec.layout.name if codec.layout else None,
        declared_s=declared_s,
        sealed=sealed,
    )
    frames.write_json(out, frames.HEADER, dataclasses.asdict(facts))
    out.flush()
    _pump(av, container, stream, out, facts, limits)


def _pump(av: Any, container: Any, stream: Any, out: BinaryIO, facts: frames.Facts, limits: Limits) -> None:
    """Send every sample, in blocks of about two seconds, and then how it ended."""
    import numpy as np

    total, truncated, bad_samples = 0, False, 0
    pending: list[Any] = []
    pending_samples = 0
    resampler = av.AudioResampler(format="flt", layout=stream.codec_context.layout, rate=RATE_HZ)
    decoded_any = False

    def send(parts: list[Any]) -> int:
        """Send a block; return how many of its samples were no numbers. A frame is 20 ms: one by one they took a third
        of the decoding of Opus.
        """
        samples = np.concatenate(parts, axis=1).reshape(-1, facts.channels)
        wrong = ~np.isfinite(samples)
        samples[wrong] = 0
        frames.write(out, frames.BLOCK, (np.clip(samples, -1, 32767 / 32768) * 32768).round().astype("<i2").tobytes())
        out.flush()
        return int(wrong.sum())

    decoder = _frames(av, container, stream)
    while True:
        try:
            frame = next(decoder, None)
        except _BrokenError:
            truncated = True
            frame = None
        if frame is not None:
            decoded_any = True
            frame.pts = None
        for part in resampler.resample(frame):
            pending.append(part.to_ndarray())
            pending_samples += part.samples
        if pending_samples >= _BLOCK_S * RATE_HZ or (frame is None and pending):
            total += pending_samples
            if total > limits.max_duration_s * RATE_HZ:
                raise _RefusedError("too_long", f"the recording is longer than {limits.max_duration_s:.0f} s")
            bad_samples += send(pending)
            pending, pending_samples = [], 0
        if frame is None:
            break
    if not decoded_any:
        reason = "corrupt" if truncated else "no_audio"
        raise _RefusedError(reason, f"the {facts.container} file holds no audio that can be decoded")
    length_s = total / RATE_HZ
    # Containers round: what is a tenth of a second and 2 % short of its word was cut off.
    short = facts.declared_s is not None and math.isfinite(facts.declared_s)
    short = short and length_s < facts.declared_s * 0.98 - 0.1  # type: ignore[operator]
    used = resource.getrusage(resource.RUSAGE_SELF)
    trailer = frames.Trailer(
        n_samples=total,
        truncated=truncated or bool(short),
        bad_samples=bad_samples,
        cpu_s=used.ru_utime + used.ru_stime,
        peak_rss_bytes=used.ru_maxrss * 1024,
    )
    frames.write_json(out, frames.TRAILER, dataclasses.asdict(trailer))


class _BrokenError(Exception):
    """The container broke off; what was decoded before it counts."""


def _frames(av: Any, container: Any, stream: Any) -> Iterator[Any]:
    """Yield decoded frames; damaged packets are skipped, and a container that breaks off says so at the end."""
    broken = False
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except (av.error.FFmpegError, OSError):
            broken = True
            break
        if packet is None:
            break
        try:
            yield from packet.decode()
        except (av.error.FFmpegError, ValueError):
            broken = True
    if broken:
        raise _BrokenError


if __name__ == "__main__":
    main()
