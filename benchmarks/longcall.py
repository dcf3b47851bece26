"""Long calls, made by playing the held-out calls in a loop."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import av

RATE_HZ = 8_000


def duration_s(path: pathlib.Path) -> float:
    """Return how long a file says it is."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        assert stream.duration is not None
        assert stream.time_base is not None
        return float(stream.duration * stream.time_base)


def build(target: pathlib.Path, calls: Sequence[pathlib.Path], length_s: float) -> pathlib.Path:
    """Write a stereo FLAC of 8 kHz and at least this length, streaming."""
    written = 0
    with av.open(str(target), "w") as out:
        stream = out.add_stream("flac", rate=RATE_HZ, layout="stereo")
        while written < length_s * RATE_HZ:
            for call in calls:
                resampler = av.AudioResampler(format="s16", layout="stereo", rate=RATE_HZ, frame_size=4096)
                with av.open(str(call)) as source:
                    for frame in source.decode(audio=0):
                        for part in resampler.resample(frame):
                            part.pts = None
                            written += part.samples
                            out.mux(stream.encode(part))
        out.mux(stream.encode(None))
    return target


if __name__ == "__main__":
    print("a part of service.py and memory.py; nothing to run by itself")
