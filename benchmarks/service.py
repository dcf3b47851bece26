"""The whole service: against the bare engine on the same windows, by stage, and on a long call.

1. Random-weight `small`: seconds for eight stereo calls through the service (folder, queue, decoding, cutting, engine,
   assembling, publishing, ClickHouse) against seconds of the engine alone on the windows of the same calls.
2. The test model: CPU-seconds of every stage for each second of audio (of one channel).
3. Random-weight `base`: a call of 60 minutes, times real time.
"""

from __future__ import annotations

import argparse
import asyncio
import concurrent.futures
import dataclasses
import pathlib
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence

import equal_work
import longcall
import whispers

from aftercall.cli import local
from aftercall.consumers.recording import cutting, decode
from aftercall.contracts import reports, settings, windows
from aftercall.serve.clients import inprocess
from aftercall.serve.engines import ctranslate2

ROOT = pathlib.Path(__file__).resolve().parents[1]
CALLS = sorted((ROOT / "tests" / "fixtures" / "calls").glob("*.opus"))
THREADS = 2
TOKENS = 60
LIMITS = decode.Limits(memory_bytes=2**29, cpu_s=600, stall_s=120, max_duration_s=1e6, max_channels=8)


class Forced(ctranslate2.Engine):
    """An engine that says a fixed number of tokens for every window, since random weights know no end."""

    def bucket(self, window: windows.Window) -> object:
        """Put everything into one bucket, as it will be asked."""
        return super().bucket(force(window))

    def transcribe(self, batch: Sequence[windows.Window]) -> list[windows.WindowResult]:
        """Transcribe with the count forced."""
        return super().transcribe([force(window) for window in batch])


def force(window: windows.Window) -> windows.Window:
    """Ask for a fixed number of tokens."""
    return dataclasses.replace(
        window, options=dataclasses.replace(window.options, language="en", max_new_tokens=TOKENS)
    )


def load(model: str, *, forced: bool, threads: int = THREADS) -> ctranslate2.Engine:
    """Load an engine as the service does: a worker for each thread."""
    kind = Forced if forced else ctranslate2.Engine
    return kind(model, device="cpu", precision="int8", threads=threads, workers=threads)


async def cut(path: pathlib.Path) -> list[windows.Window]:
    """Cut a call into windows."""
    async with decode.open_recording(path, LIMITS) as decoding:
        cutter = cutting.Cutter(decoding)
        return [
            windows.Window(f"{path.stem}/{each.channel}/{each.index}", "bench", each.pcm, windows.Options())
            async for each in cutter.windows()
        ]


def bare(
    loaded: ctranslate2.Engine, line: list[windows.Window], batch_windows: int = 8, *, threads: int = THREADS
) -> float:
    """Return the seconds that the engine alone takes for these windows."""
    # As many batches as threads, or a multiple: with one left over at the end, a thread would have nothing to do.
    count = threads * -(-len(line) // (threads * batch_windows))
    batches = [line[first::count] for first in range(count)]
    started = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(threads) as running:
        list(running.map(loaded.transcribe, batches))
    return time.perf_counter() - started


async def through_service(loaded: ctranslate2.Engine, calls: list[pathlib.Path]) -> float:
    """Return the seconds from the first look at the folder to the last outcome."""
    with tempfile.TemporaryDirectory(prefix="aftercall-bench-") as folder:
        root = pathlib.Path(folder)
        target = root / "in" / "bench"
        target.mkdir(parents=True)
        for call in calls:
            shutil.copy(call, target)
        configured = settings.load(
            {},
            overrides={
                "data": {"dir": root / "data"},
                "intake": {"recordings_dir": root / "in", "settle_s": 0.0, "scan_interval_s": 0.05},
                "speech": {"temperatures": (0.0,), "language": "en"},
            },
        )
        backend = inprocess.InProcessBackend(
            lambda: loaded, max_batch_windows=8, max_wait_s=0.05, max_in_flight=32, workers=THREADS
        )
        async with local.open_service(configured, backend=backend) as service:
            await service.start()
            stopping = asyncio.Event()
            started = time.perf_counter()
            running = asyncio.create_task(service.run(stopping))
            while True:
                known = await service.intake.list_reports(limit=1000)
                if sum(report.stage is reports.Stage.DONE for report in known) == len(calls):
                    break
                await asyncio.sleep(0.02)
            took_s = time.perf_counter() - started
            bad = [report for report in known if report.status is not reports.Status.COMPLETED]
            if bad:
                raise SystemExit(f"not completed: {bad[0].message}")
            stopping.set()
            await running
            return took_s


def efficiency(rounds: int) -> None:
    """Print the service's seconds against the engine's."""
    loaded = load(str(whispers.build("small")), forced=True)
    line = [window for call in CALLS for window in asyncio.run(cut(call))]
    print(f"\nsmall (random weights), {len(CALLS)} stereo calls, {len(line)} windows, {TOKENS} tokens each")
    ratios = []
    for _ in range(rounds):
        alone, service = bare(loaded, line), asyncio.run(through_service(loaded, CALLS))
        ratios.append(alone / service)
        print(f"engine alone {alone:6.1f} s   service {service:6.1f} s   efficiency {alone / service:.2f}", flush=True)
    print(f"efficiency: median {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


def stages() -> None:
    """Print CPU-seconds of each stage for each audio-second."""
    loaded = load(str(whispers.TINY_FIXTURE), forced=False)
    loaded.warm_up()
    audio_s = cut_s = child_s = 0.0
    line = []
    for call in CALLS:
        before, children = time.process_time(), resource.getrusage(resource.RUSAGE_CHILDREN)
        found = asyncio.run(cut(call))
        cut_s += time.process_time() - before
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        child_s += after.ru_utime + after.ru_stime - children.ru_utime - children.ru_stime
        line += found
        audio_s += 2 * longcall.duration_s(call)
    before = time.process_time()
    bare(loaded, line)
    engine_s = time.process_time() - before
    before = time.process_time()
    asyncio.run(through_service(loaded, CALLS))
    rest_s = time.process_time() - before - engine_s - cut_s
    print(f"\ntest model, {len(CALLS)} stereo calls, {audio_s:.0f} audio-seconds: CPU-seconds an audio-second")
    for name, spent in (
        ("decode child (start included)", child_s),
        ("voice activity, tones, cutting", cut_s),
        ("engine (features, encode, decode, align)", engine_s),
        ("all else (queue, assemble, publish, rows)", rest_s),
    ):
        print(f"  {name:<44} {spent / audio_s:.5f}")


def hour() -> None:
    """Print how fast a call of 60 minutes goes."""
    loaded = load(str(whispers.build("base")), forced=True)
    with tempfile.TemporaryDirectory(prefix="aftercall-bench-") as folder:
        call = longcall.build(pathlib.Path(folder) / "hour.flac", CALLS, 3600.0)
        took_s = asyncio.run(through_service(loaded, [call]))
    print(f"\nbase (random weights), a stereo call of 60 min: {took_s:.1f} s, {3600 / took_s:.0f} times real time")


def main() -> None:
    """Run all three."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--only", choices=("efficiency", "stages", "hour"))
    arguments.add_argument("--rounds", type=int, default=3)
    given = arguments.parse_args()
    if given.only in {None, "stages"}:
        stages()
    equal_work.suppress_the_end()
    if given.only in {None, "hour"}:
        hour()
    if given.only in {None, "efficiency"}:
        efficiency(given.rounds)


if __name__ == "__main__":
    main()
