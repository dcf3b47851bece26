"""Whisper of the true sizes on this machine's NVIDIA GPU: speed by batch, share of the roofline, how busy the GPU is.

Random weights (speed does not depend on them), as many tokens as speech has, temperature 0. The roofline is what the
card's data sheet allows for the same work; it is never scaled to another card. Without a GPU nothing is run.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import gc
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence

import ctranslate2 as runtime
import equal_work
import whispers

from aftercall.contracts import windows
from aftercall.serve.clients import inprocess
from aftercall.serve.engines import ctranslate2

WINDOW_S = 30
MODELS = ("large-v3-turbo", "large-v3")
PRECISIONS = ("float16", "int8_float16")
BATCHES = (1, 2, 4, 8, 16, 32, 64)
FRAMES = 1_500  # of the encoder's output, 20 ms each


@dataclasses.dataclass(frozen=True, slots=True)
class Card:
    """What a card's data sheet promises without sparsity."""

    flops: float
    int8_ops: float
    bytes_per_s: float


CARDS = {
    "NVIDIA L4": Card(121e12, 242e12, 300e9),
    "NVIDIA A10G": Card(70e12, 140e12, 600e9),
    "NVIDIA H100 80GB HBM3": Card(989e12, 1979e12, 3350e9),
    "NVIDIA H200": Card(989e12, 1979e12, 4800e9),
}


def floor_s(size: whispers.Size, card: Card, precision: str, batch: int, tokens: int) -> float:
    """Return the least seconds a batch of full windows can take: arithmetic of the encoder, reads of the decoder.

    The encoder multiplies 12 width² weights a layer and frame and 2 x 1,500 x width for attention; each decoder step
    reads every decoder weight once and each row's keys and values of 1,500 frames.
    """
    width, int8 = size.width, precision.startswith("int8")
    linear = 2 * 12 * width**2 * FRAMES * size.layers + 2 * 2 * width**2 * FRAMES * size.decoder_layers
    attention = 4 * FRAMES**2 * width * size.layers
    encode_s = batch * (linear / (card.int8_ops if int8 else card.flops) + attention / card.flops)
    weights_bytes = (size.decoder_layers * 14 * width**2 + size.vocabulary * width) * (1 if int8 else 2)
    cross_bytes = size.decoder_layers * 2 * FRAMES * width * 2
    return encode_s + tokens * (weights_bytes + batch * cross_bytes) / card.bytes_per_s


def work(n: int, seconds: int, *, word_times: bool = False, trim: bool = False) -> list[windows.Window]:
    """Return windows of one length, as of so many calls."""
    pcm = (equal_work.sound(seconds) * 32767).astype("<i2").tobytes()
    options = windows.Options(
        language="en", beam_size=1, word_times=word_times, max_new_tokens=equal_work.tokens_of(seconds), trim=trim
    )
    return [windows.Window(f"{at}", "bench", pcm, options) for at in range(n)]


def load(model: str, precision: str, workers: int = 1) -> ctranslate2.Engine:
    """Load a random model onto the GPU and warm it."""
    gc.collect()
    engine = ctranslate2.Engine(str(whispers.build(model)), device="cuda", precision=precision, workers=workers)
    engine.warm_up()
    return engine


def timed(engine: ctranslate2.Engine, batch: Sequence[windows.Window], rounds: int) -> list[float]:
    """Return the seconds of each round, lowest first; one more goes before them."""
    taken = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        engine.transcribe(batch)
        taken.append(time.perf_counter() - started)
    return sorted(taken[1:])


def curve(engine: ctranslate2.Engine, model: str, precision: str, card: Card | None, rounds: int) -> None:
    """Print the speed over the batch, and where a batch's time goes."""
    print(
        f"\n{model}, {precision}: full windows of 30 s, {equal_work.tokens_of(WINDOW_S)} tokens each, one engine worker"
    )
    print(f"{'batch':>5} {'s a batch (lowest to highest)':>30} {'x real time':>12} {'of roofline':>12}")
    for size in BATCHES:
        try:
            taken = timed(engine, work(size, WINDOW_S), rounds)
        except RuntimeError as exc:
            print(f"{size:>5} {exc}")
            break
        median = statistics.median(taken)
        share = (
            floor_s(whispers.SIZES[model], card, precision, size, equal_work.tokens_of(WINDOW_S)) / median
            if card
            else None
        )
        shown = f"{median:.3f} ({taken[0]:.3f} to {taken[-1]:.3f})"
        print(
            f"{size:>5} {shown:>30} {size * WINDOW_S / median:>12.0f} {'-' if share is None else f'{share:.0%}':>12}",
            flush=True,
        )


def short_calls(engine: ctranslate2.Engine, rounds: int) -> None:
    """Print what short calls gain by sharing batches, and by being padded to 10 s only; all are x real time."""
    heads = ("one at a time", "batches of 16", "gain", "trimmed", "gain", "word times")
    print(f"{'call':>6}", *(f"{head:>13}" for head in heads))
    for seconds in (5, 10, 20, 30):
        alone = seconds / statistics.median(timed(engine, work(1, seconds), rounds))
        shared = 16 * seconds / statistics.median(timed(engine, work(16, seconds), rounds))
        trimmed = 16 * seconds / statistics.median(timed(engine, work(16, seconds, trim=True), rounds))
        words = 16 * seconds / statistics.median(timed(engine, work(16, seconds, word_times=True), rounds))
        cells = (f"{alone:.0f}", f"{shared:.0f}", f"{shared / alone:.1f}", f"{trimmed:.0f}", f"{trimmed / shared:.1f}")
        print(f"{seconds:>4} s", *(f"{cell:>13}" for cell in (*cells, f"{words:.0f}")), flush=True)


class Busy:
    """How busy the GPU was while this was open, by its own counter, in percent."""

    def __enter__(self) -> Busy:
        query = [
            "nvidia-smi",
            "--query-gpu=utilization.gpu,memory.used",
            "--format=csv,noheader,nounits",
            "-lms",
            "100",
        ]
        self._process = subprocess.Popen(query, stdout=subprocess.PIPE, text=True)
        self.samples: list[int] = []
        self.memory_mib = 0
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        return self

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            busy, memory = line.split(",")
            self.samples.append(int(busy))
            self.memory_mib = max(self.memory_mib, int(memory))

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._reader.join()
        self._process.wait()


async def under_load(engine: ctranslate2.Engine, workers: int, seconds: float, *, word_times: bool) -> None:
    """Print speed and how busy the GPU is with more waiting than the engine takes, through the in-process client."""
    reports: list[inprocess.BatchReport] = []
    backend = inprocess.InProcessBackend(
        lambda: engine,
        max_batch_windows=32,
        max_wait_s=0.02,
        max_in_flight=32 * (workers + 2),
        workers=workers,
        on_batch=reports.append,
    )
    await backend.start()
    until = time.perf_counter() + seconds
    endless = iter(_endless(word_times))

    async def caller() -> int:
        done = 0
        while time.perf_counter() < until:
            await backend.transcribe(next(endless))
            done += 1
        return done

    with Busy() as busy:
        started = time.perf_counter()
        done = sum(await asyncio.gather(*(caller() for _ in range(32 * (workers + 2)))))
        took = time.perf_counter() - started
    await backend.close()
    steady = busy.samples[10:-10] or [0]
    fill = statistics.mean(report.n_windows for report in reports) / 32
    what = "with word times" if word_times else "text alone"
    how_busy = f"GPU busy {statistics.mean(steady):.1f} % (lowest {min(steady)})"
    print(
        f"{workers} workers, {what}: {done * WINDOW_S / took:.0f} x real time, {how_busy}, batches {fill:.0%} full, "
        f"{busy.memory_mib} MiB of the GPU's memory",
        flush=True,
    )


def _endless(word_times: bool) -> Iterator[windows.Window]:
    line = work(1, WINDOW_S, word_times=word_times)
    number = 0
    while True:
        number += 1
        yield dataclasses.replace(line[0], window_id=str(number))


def main() -> None:
    """Run every model and precision, or say that there is no GPU."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--models", nargs="*", default=list(MODELS))
    arguments.add_argument("--precisions", nargs="*", default=list(PRECISIONS))
    arguments.add_argument("--workers", nargs="*", type=int, default=[1, 2, 3])
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--load-s", type=float, default=10)
    given = arguments.parse_args()
    if not runtime.get_cuda_device_count():
        print("did not run: this machine has no NVIDIA GPU")
        return
    query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    name = subprocess.run(query, check=True, capture_output=True, text=True).stdout.splitlines()[0].strip()
    card = CARDS.get(name)
    print(
        f"{name}; figures are this card's alone" + ("" if card else "; its data sheet is not known here: no roofline")
    )
    equal_work.suppress_the_end()
    for model in given.models:
        for precision in given.precisions:
            engine = load(model, precision, max(given.workers))
            curve(engine, model, precision, card, given.rounds)
            short_calls(engine, given.rounds)
            for workers in given.workers:
                for word_times in (False, True):
                    asyncio.run(under_load(engine, workers, given.load_s, word_times=word_times))
            del engine


if __name__ == "__main__":
    main()
