"""The same engine in this process, on a real Triton server and on a real Ray Serve: throughput, latency, batches.

Two threads for engines everywhere: two workers here, two instances there. Random weights of the true sizes say the same
tokens wherever they run, so that all do equal work. Rounds are interleaved; medians and spread are printed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import itertools
import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator

import equal_work
import whispers

sys.path.insert(0, str(whispers.ROOT / "tests"))

from peers import process, rayserve, tritonserver

from aftercall.contracts import sections, windows
from aftercall.serve import backends, triton_repository

THREADS = 2
MAX_BATCH = 8
IN_FLIGHT = 32
WINDOWS = {"tiny": 192, "base": 128, "small": 80}


def line(seconds: int, n: int, *, mixed: bool = False) -> list[windows.Window]:
    """Return windows of as many calls; `mixed` ones want different beams, so that they cannot share every batch."""
    pcm = (equal_work.sound(seconds) * 32767).astype("<i2").tobytes()
    tokens = equal_work.tokens_of(seconds)
    return [
        windows.Window(
            f"{at}",
            "bench",
            pcm,
            windows.Options(language="en", word_times=False, max_new_tokens=tokens, beam_size=1 + (mixed and at % 2)),
        )
        for at in range(n)
    ]


async def speed(backend: windows.SpeechBackend, asked: list[windows.Window]) -> float:
    """Return windows a second while the line is never short: neither its beginning nor its end counts.

    A service has no end; here two engines would finish a batch apart, which is nobody's throughput.
    """
    ended: list[float] = []

    async def one(window: windows.Window) -> None:
        await backend.transcribe(window)
        ended.append(time.perf_counter())

    await asyncio.gather(*(one(window) for window in asked))
    first, last = IN_FLIGHT // 2 - 1, len(asked) - IN_FLIGHT - 1
    return (last - first) / (ended[last] - ended[first])


async def added_s(backend: windows.SpeechBackend, asked: list[windows.Window]) -> list[float]:
    """Return what each window waited beside its engine, asked one after another; lowest first."""
    found = []
    for one in asked:
        started = time.perf_counter()
        result = await backend.transcribe(one)
        found.append(time.perf_counter() - started - (result.engine_s or 0.0))
    return sorted(found)


@contextlib.contextmanager
def started(build: Callable[[pathlib.Path], process.Server]) -> Iterator[process.Server]:
    """Run a server of the tests."""
    with tempfile.TemporaryDirectory(prefix="aftercall-bench-") as folder:
        server = build(pathlib.Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()


@dataclasses.dataclass
class Sides:
    """Every way to the same engine, and Triton itself for its counters."""

    backends: dict[str, windows.SpeechBackend]
    triton: tritonserver.Triton


@contextlib.asynccontextmanager
async def sides(model: str, *, serve_batch: bool) -> AsyncIterator[Sides]:
    """Start them all; Ray with its own batching only where asked for."""

    def triton(folder: pathlib.Path) -> tritonserver.Triton:
        speech = triton_repository.Speech(model=model, threads=1, instances=THREADS, max_batch_windows=MAX_BATCH)
        triton_repository.write(speech, folder / "repository")
        return tritonserver.Triton(folder, folder / "repository", ready_s=300)

    def ray(folder: pathlib.Path) -> rayserve.Ray:
        return rayserve.Ray(folder, model=pathlib.Path(model), replicas=THREADS, RAY_SERVE_ENABLE_HA_PROXY="1")

    def ray_batched(folder: pathlib.Path) -> rayserve.Ray:
        here = pathlib.Path(__file__).parent
        path = ":".join(str(each) for each in (whispers.ROOT / "contracts", whispers.ROOT / "serve", here))
        told = {"RAY_SERVE_ENABLE_HA_PROXY": "1", "RAY_APP": "ray_batched", "PYTHONPATH": path}
        return rayserve.Ray(folder, model=pathlib.Path(model), replicas=THREADS, **told)

    with contextlib.ExitStack() as servers:
        triton_server = servers.enter_context(started(triton))
        ray_server = servers.enter_context(started(ray))
        assert isinstance(triton_server, tritonserver.Triton)
        assert isinstance(ray_server, rayserve.Ray)
        told: dict[str, dict[str, object]] = {
            "in process": {"model": model, "device": "cpu", "threads": THREADS, "max_batch_windows": MAX_BATCH},
            "triton": {"backend": "triton", "url": triton_server.url},
            "ray": {"backend": "ray", "url": ray_server.url},
        }
        if serve_batch:
            batched_server = servers.enter_context(started(ray_batched))
            assert isinstance(batched_server, rayserve.Ray)
            told["ray, @serve.batch"] = {"backend": "ray", "url": batched_server.url}
        common = {"max_windows_in_flight": IN_FLIGHT, "request_timeout_s": 600}
        found = {name: backends.build(sections.Speech.model_validate(each | common)) for name, each in told.items()}
        for backend in found.values():
            await backend.start()
        yield Sides(found, triton_server)
        for backend in found.values():
            await backend.close()


async def run(name: str, rounds: int, lengths_s: list[int], *, mixes: tuple[bool, ...], serve_batch: bool) -> None:
    """Print one model's tables."""
    n = WINDOWS[name]
    async with sides(str(whispers.build(name)), serve_batch=serve_batch) as all_of:
        for backend in all_of.backends.values():
            await asyncio.gather(*(backend.transcribe(one) for one in line(5, 4)))
        print(
            f"\n{name}, int8, {THREADS} engine threads, batches of up to {MAX_BATCH}, {n} windows, {IN_FLIGHT} at once"
        )
        print(f"{'window':>12}", *(f"{each:>26}" for each in all_of.backends), "   of in process")
        for seconds, mixed in itertools.product(lengths_s, mixes):
            found: dict[str, list[float]] = {each: [] for each in all_of.backends}
            before = all_of.triton.counts()
            for _ in range(rounds):
                for each, backend in all_of.backends.items():
                    found[each].append(seconds * await speed(backend, line(seconds, n, mixed=mixed)))
            after = all_of.triton.counts()
            batch = (after["nv_inference_count"] - before["nv_inference_count"]) / (
                after["nv_inference_exec_count"] - before["nv_inference_exec_count"]
            )
            cells, ratios = [], []
            for each, speeds in found.items():
                cells.append(f"{statistics.median(speeds):>8.1f} ({min(speeds):.1f} to {max(speeds):.1f})".rjust(26))
                pairs = zip(found["in process"], speeds, strict=True)
                ratios.append(f"{each} {statistics.median(theirs / ours for ours, theirs in pairs):.2f}")
            shown = f"{seconds} s{' mixed' if mixed else ''}"
            print(
                f"{shown:>12}",
                *cells,
                "  ",
                ", ".join(ratios[1:]),
                f"; triton's batches {batch / MAX_BATCH:.0%} full",
                flush=True,
            )
        for each, backend in all_of.backends.items():
            waits = await added_s(backend, line(10, 40))
            print(
                f"{each}: a window alone waits {waits[20] * 1000:.1f} ms beside its engine (p90 {waits[36] * 1000:.1f})"
            )


def main() -> None:
    """Run every size, or with --quick the smallest, once."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true")
    arguments.add_argument("--sizes", nargs="*", default=list(whispers.ON_A_CPU))
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--seconds", nargs="*", type=int, default=[5, 10, 20])
    arguments.add_argument("--mixed", action="store_true", help="windows that cannot share every batch, too")
    arguments.add_argument("--serve-batch", action="store_true", help="Ray's own batching beside ours")
    given = arguments.parse_args()
    backends.prepare(sections.Speech(device="cpu"))
    rounds, mixes = 1 if given.quick else given.rounds, (False, True) if given.mixed else (False,)
    for name in ["tiny"] if given.quick else given.sizes:
        asyncio.run(run(name, rounds, given.seconds, mixes=mixes, serve_batch=given.serve_batch))


if __name__ == "__main__":
    main()
