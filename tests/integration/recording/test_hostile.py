"""Thousands of broken files: each is a recording, a named refusal or a strike, and nothing else ever happens.

`HOSTILE_MUTANTS` says how many; `make soak` takes 10,000.
"""

from __future__ import annotations

import asyncio
import collections
import json
import os
import pathlib
import random
import resource
import subprocess
import sys
import time

import material
import numpy as np
import pytest

from aftercall.consumers.recording import decode
from aftercall.contracts import errors

N_MUTANTS = int(os.environ.get("HOSTILE_MUTANTS", "2000"))
LIMITS = decode.Limits(memory_bytes=512 * 2**20, cpu_s=10, stall_s=15, max_duration_s=3600, max_channels=8)
_SIZES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)


def seeds() -> list[bytes]:
    """Build twenty small recordings of every form that is taken."""
    mono, stereo = material.tone(0.4, 16_000)[None], np.stack([material.tone(0.4, 16_000)] * 2)
    low = material.tone(0.4, 8000)
    wide = (low / 32768 * 0.9).astype("<f4")
    found = [
        material.wav(low, 8000),
        material.wav((low // 256 + 128).astype(np.uint8), 8000, bits=8),
        material.wav(wide, 8000, tag=3, bits=32),
        material.wav(stereo.T.reshape(-1).copy(), 16_000, channels=2),
    ]
    for codec, container, rate_hz, bit_rate, layout in (
        ("pcm_alaw", "wav", 8_000, None, "mono"),
        ("pcm_mulaw", "wav", 8_000, None, "stereo"),
        ("pcm_s24le", "wav", 16_000, None, "mono"),
        ("flac", "flac", 16_000, None, "mono"),
        ("flac", "flac", 16_000, None, "stereo"),
        ("libmp3lame", "mp3", 8_000, 16_000, "mono"),
        ("libmp3lame", "mp3", 16_000, 32_000, "mono"),
        ("libmp3lame", "mp3", 44_100, 64_000, "stereo"),
        ("libopus", "ogg", 48_000, 24_000, "mono"),
        ("libopus", "ogg", 48_000, 48_000, "stereo"),
        ("pcm_s16be", "aiff", 16_000, None, "mono"),
        ("aac", "mp4", 16_000, 32_000, "mono"),
        ("aac", "mp4", 48_000, 64_000, "stereo"),
        ("aac", "adts", 16_000, 32_000, "mono"),
        ("alac", "mp4", 16_000, None, "mono"),
        ("libopencore_amrnb", "amr", 8_000, 12_200, "mono"),
    ):
        samples = mono if layout == "mono" else stereo
        found.append(
            material.encode(samples, rate_hz, codec=codec, container=container, bit_rate=bit_rate, layout=layout)
        )
    return found


def mutate(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """Break a file: bytes changed, sizes that lie, pieces cut out, repeated, or taken from another file."""
    made = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        at, length = rng.randrange(len(made)), rng.choice([1, 2, 4, 64, 1024])
        match rng.randrange(7):
            case 0 | 1:
                made[at] = rng.randrange(256)
            case 2:
                head = rng.randrange(min(len(made), 64))
                made[head : head + 4] = rng.choice(_SIZES).to_bytes(4, rng.choice(["little", "big"]))
            case 3:
                del made[at : at + length]
            case 4:
                made[at:at] = made[at : at + length]
            case 5:
                made[at : at + length] = other[at : at + length]
            case 6:
                made = made[: max(16, at)]
        made = made or bytearray(b"\0")
    return bytes(made)


async def end_of(path: pathlib.Path) -> str:
    """Decode a file to its end, and say how it ended."""
    try:
        async with asyncio.timeout(60), decode.open_recording(path, LIMITS) as decoding:
            n_samples = 0
            async for block in decoding.blocks():
                n_samples += block.shape[1]
            return "decoded, truncated" if decoding.trailer.truncated else "decoded"
    except errors.RejectedError as exc:
        return f"rejected: {exc.reason}"
    except errors.StrikeError as exc:
        return f"strike: {exc.reason}"


async def run_all(folder: pathlib.Path, seed: int) -> tuple[collections.Counter[str], float]:
    """Decode every mutant, a few at once; return how they ended, and the longest that one took."""
    rng, originals = random.Random(seed), seeds()
    ends: collections.Counter[str] = collections.Counter()
    slowest_s = 0.0

    async def worker(numbers: range) -> None:
        nonlocal slowest_s
        for number in numbers:
            path = folder / f"{number}"
            path.write_bytes(mutate(rng, originals[number % len(originals)], rng.choice(originals)))
            began_s = time.monotonic()
            ends[await end_of(path)] += 1
            slowest_s = max(slowest_s, time.monotonic() - began_s)
            path.unlink()

    n_workers = 2 * (os.cpu_count() or 1)
    await asyncio.gather(*(worker(range(at, N_MUTANTS, n_workers)) for at in range(n_workers)))
    return ends, slowest_s


def main(folder: str) -> None:
    """Run all, in a process that has no other children; print what came of it as JSON."""
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ends, slowest_s = asyncio.run(run_all(pathlib.Path(folder), seed=20))
    told = {
        "ends": dict(ends),
        "slowest_s": slowest_s,
        "grown_mb": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb) / 1024,
        "child_mb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
    }
    sys.stdout.write(json.dumps(told) + "\n")


@pytest.mark.timeout(3600)
def test_mutants_never_hurt_the_parent(tmp_path: pathlib.Path) -> None:
    """No child takes more than its memory or a minute; their parent neither dies nor grows."""
    assert 20 == len(seeds())
    done = subprocess.run(
        [sys.executable, __file__, str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(pathlib.Path(material.__file__).parent)},
        check=False,
    )

    assert 0 == done.returncode, done.stderr[-2000:]
    told = json.loads(done.stdout)
    print(f"\n{N_MUTANTS} mutants: {told}")
    ends = collections.Counter(told["ends"])
    assert N_MUTANTS == ends.total()
    assert ends["decoded"] > N_MUTANTS / 20
    assert sum(n for end, n in ends.items() if end.startswith("rejected")) > N_MUTANTS / 20
    assert told["slowest_s"] <= 60
    assert told["child_mb"] <= 512
    assert told["grown_mb"] < 64


if __name__ == "__main__":
    main(sys.argv[1])
