"""What the tests are made of: the test model, calls, and audio files of every kind."""

from __future__ import annotations

import functools
import io
import json
import pathlib
import struct
import typing

import av
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
MODEL = ROOT / "tests" / "fixtures" / "asr-tiny"
CALLS = ROOT / "tests" / "fixtures" / "calls"
SAMPLES = ROOT / "samples"

Samples = np.ndarray[typing.Any, np.dtype[np.int16]]


def load(path: pathlib.Path, rate_hz: int = 16_000) -> Samples:
    """Decode a file of the repository to int16 [channels, n]."""
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="s16p", rate=rate_hz)
        parts = [part.to_ndarray() for frame in container.decode(audio=0) for part in resampler.resample(frame)]
        parts += [part.to_ndarray() for part in resampler.resample(None)]
    return np.concatenate(parts, axis=1)


def reference(path: pathlib.Path) -> dict[str, typing.Any]:
    """Return the reference beside a call, or of a sample."""
    beside = path.with_suffix(".json")
    if "recordings" in path.parts:
        beside = pathlib.Path(str(beside).replace("/recordings/", "/reference/"))
    return typing.cast("dict[str, typing.Any]", json.loads(beside.read_text(encoding="utf-8")))


@functools.cache
def sentences(n: int = 10) -> list[tuple[str, str, Samples]]:
    """Return (language, text, samples at 16 kHz) of single turns of the held-out calls."""
    found = []
    for path in sorted(CALLS.glob("*.opus")):
        told, audio = reference(path), load(path)
        for turn in told["turns"][2:5]:
            first, last = (int(turn[name] * 16_000) for name in ("start_s", "end_s"))
            found.append((told["language"], turn["text"], audio[turn["channel"], max(0, first - 1600) : last + 1600]))
    return found[::2][:n]


def wav(
    samples: np.ndarray[typing.Any, typing.Any],
    rate_hz: int,
    *,
    tag: int = 1,
    bits: int = 16,
    channels: int = 1,
    data_bytes: int | None = None,
) -> bytes:
    """Build a WAV by hand: `samples` interleaved and already in the form that `tag` and `bits` name."""
    data = samples.tobytes()
    block = max(1, channels * bits // 8)
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, tag, channels, rate_hz, rate_hz * block, block, bits)
    told = len(data) if data_bytes is None else data_bytes
    body = form + struct.pack("<4sI", b"data", told & 0xFFFFFFFF) + data
    return struct.pack("<4sI4s", b"RIFF", (4 + len(body)) & 0xFFFFFFFF, b"WAVE") + body


def tone(seconds: float, rate_hz: int, pitch_hz: float = 440.0) -> Samples:
    """Return a sine at a quarter of full scale."""
    at = np.arange(int(seconds * rate_hz)) / rate_hz
    return (8000 * np.sin(2 * np.pi * pitch_hz * at)).astype(np.int16)


def encode(
    samples: Samples, rate_hz: int, *, codec: str, container: str, layout: str = "mono", bit_rate: int | None = None
) -> bytes:
    """Encode int16 [channels, n] with FFmpeg's own encoders."""
    out = io.BytesIO()
    with av.open(out, "w", format=container) as target:
        stream = target.add_stream(codec, rate=rate_hz, layout=layout)
        if bit_rate is not None:
            stream.bit_rate = bit_rate
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T.reshape(1, -1)), format="s16", layout=layout)
        frame.sample_rate = rate_hz
        resampler = av.AudioResampler(
            format=stream.format.name, layout=layout, rate=stream.rate, frame_size=stream.frame_size or 1024
        )
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            target.mux(stream.encode(part))
        target.mux(stream.encode(None))
    return out.getvalue()
