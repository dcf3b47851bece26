"""The engine alone, side by side with faster-whisper: many short calls in shared batches against one at a time.

Random-weight models of the true sizes, int8, two threads, temperature 0, equal beams. End-of-text is suppressed on
every side and 2.5 tokens a second are forced, so that all do equal work. Rounds are interleaved; medians and spread are
printed. The ratio is of equal work, all padded to 30 s; the last column is what `speech.trim_padding` makes of it.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import dataclasses
import functools
import multiprocessing
import statistics
import time
import typing
from collections.abc import Callable

import equal_work
import faster_whisper
import numpy as np
import whispers

from aftercall.contracts import windows
from aftercall.serve.engines import ctranslate2

THREADS = 2
WINDOW_S = 30
BATCH_WINDOWS = 8


@dataclasses.dataclass(frozen=True, slots=True)
class Case:
    """Calls of one length."""

    call_s: int
    calls: int

    @property
    def windows_a_call(self) -> list[int]:
        """Lengths of a call's windows in seconds."""
        whole, rest = divmod(self.call_s, WINDOW_S)
        return [WINDOW_S] * whole + ([rest] if rest else [])


CASES = (Case(5, 8), Case(10, 8), Case(20, 8), Case(60, 4), Case(180, 2))


class Theirs:
    """faster-whisper in a process of its own, as it comes: our engine changes its process's allocator."""

    model: typing.ClassVar[faster_whisper.WhisperModel]
    batched: typing.ClassVar[faster_whisper.BatchedInferencePipeline]
    common: typing.ClassVar[dict[str, typing.Any]]

    @classmethod
    def load(cls, model: str, beam_size: int) -> None:
        """Load both of its ways."""
        equal_work.suppress_the_end()
        cls.model = faster_whisper.WhisperModel(model, device="cpu", compute_type="int8", cpu_threads=THREADS)
        cls.batched = faster_whisper.BatchedInferencePipeline(cls.model)
        cls.common = {
            "language": "en",
            "beam_size": beam_size,
            "temperature": 0.0,
            "without_timestamps": True,
            "compression_ratio_threshold": None,
            "log_prob_threshold": None,
            "no_speech_threshold": None,
        }

    @classmethod
    def one_at_a_time(cls, case: Case) -> float:
        """Return the seconds for one call after another."""
        audio = [equal_work.sound(case.call_s) for _ in range(case.calls)]
        started = time.perf_counter()
        for call in audio:
            segments, _ = cls.model.transcribe(
                call,
                condition_on_previous_text=False,
                max_new_tokens=equal_work.tokens_of(min(case.call_s, WINDOW_S)),
                **cls.common,
            )
            list(segments)
        return time.perf_counter() - started

    @classmethod
    def pipeline(cls, case: Case) -> float:
        """Return the seconds by its batches, which hold windows of one call."""
        audio = [equal_work.sound(case.call_s) for _ in range(case.calls)]
        cuts, at = [], 0
        for window_s in case.windows_a_call:
            cuts.append({"start": float(at), "end": float(at + window_s)})
            at += window_s
        started = time.perf_counter()
        for call in audio:
            segments, _ = cls.batched.transcribe(
                call,
                batch_size=BATCH_WINDOWS,
                vad_filter=False,
                clip_timestamps=cuts,
                max_new_tokens=equal_work.tokens_of(min(case.call_s, WINDOW_S)),
                **cls.common,
            )
            list(segments)
        return time.perf_counter() - started


def sides(model: str, beam_size: int, theirs: concurrent.futures.Executor) -> dict[str, Callable[[Case], float]]:
    """Return each system as a function that takes a case and returns the seconds it took."""
    ours = ctranslate2.Engine(model, device="cpu", precision="int8", threads=THREADS, workers=THREADS)

    def across_calls(case: Case, *, trim: bool = False) -> float:
        audio = [equal_work.sound(case.call_s) for _ in range(case.calls)]
        started = time.perf_counter()
        line = []
        for number, call in enumerate(audio):
            pcm = (call * 32767).astype("<i2")
            at = 0
            for window_s in case.windows_a_call:
                part = pcm[at * 16_000 : (at + window_s) * 16_000]
                at += window_s
                options = windows.Options(
                    language="en",
                    beam_size=beam_size,
                    word_times=False,
                    max_new_tokens=equal_work.tokens_of(min(case.call_s, WINDOW_S)),
                    trim=trim,
                )
                line.append(windows.Window(f"{number}/{at}", "bench", part.tobytes(), options))
        share = min(BATCH_WINDOWS, -(-len(line) // THREADS))
        batches = [line[first : first + share] for first in range(0, len(line), share)]
        with concurrent.futures.ThreadPoolExecutor(THREADS) as threads:
            list(threads.map(ours.transcribe, batches))
        return time.perf_counter() - started

    return {
        "faster-whisper": lambda case: theirs.submit(Theirs.one_at_a_time, case).result(),
        "its pipeline": lambda case: theirs.submit(Theirs.pipeline, case).result(),
        "aftercall": across_calls,
        "with trim_padding": functools.partial(across_calls, trim=True),
    }


def run(name: str, beam_size: int, rounds: int, cases: list[Case]) -> None:
    """Print one model's table."""
    model = str(whispers.build(name))
    with concurrent.futures.ProcessPoolExecutor(
        1, mp_context=multiprocessing.get_context("spawn"), initializer=Theirs.load, initargs=(model, beam_size)
    ) as theirs:
        compare(name, beam_size, rounds, cases, sides(model, beam_size, theirs))


def compare(
    name: str, beam_size: int, rounds: int, cases: list[Case], systems: dict[str, Callable[[Case], float]]
) -> None:
    """Print one table."""
    for system in systems.values():
        system(Case(5, 1))
    print(f"\n{name}, int8, {THREADS} threads, beam {beam_size}; x real time: median (lowest to highest of {rounds})")
    print(
        f"{'call':>6} {'calls':>5} {'windows/call':>12} {'fill':>5}", *(f"{each:>24}" for each in systems), "   ratio"
    )
    for case in cases:
        times: dict[str, list[float]] = {each: [] for each in systems}
        for _ in range(rounds):
            for each, system in systems.items():
                times[each].append(system(case))
        audio_s = case.call_s * case.calls
        fill = case.call_s / (WINDOW_S * len(case.windows_a_call))
        cells = []
        for taken in times.values():
            speeds = sorted(audio_s / one for one in taken)
            cells.append(f"{statistics.median(speeds):>8.1f} ({speeds[0]:.1f} to {speeds[-1]:.1f})".rjust(24))
        pairs = [min(first, second) / third for first, second, third, _ in zip(*times.values(), strict=True)]
        print(
            f"{case.call_s:>4} s {case.calls:>5} {len(case.windows_a_call):>12} {fill:>5.2f}",
            *cells,
            f"{statistics.median(pairs):>8.2f}",
            flush=True,
        )


def profile(name: str) -> None:
    """Print where the engine's time goes for one window alone and for eight together."""
    engine = ctranslate2.Engine(str(whispers.build(name)), device="cpu", precision="int8", threads=THREADS)
    whisper = engine._whisper
    print(f"\n{name}: seconds a window of 20 s, by stage")
    print(f"{'batch':>5} {'features':>9} {'encode':>8} {'generate':>9} {'a step':>9}")
    samples = equal_work.sound(20)
    for batch in (1, 2, 4, 8):
        spent = {"features": 0.0, "encode": 0.0, "generate": 0.0}
        for _ in range(2):
            started = time.perf_counter()
            mel = np.stack(
                [faster_whisper.audio.pad_or_trim(whisper.feature_extractor(samples)[:, :-1]) for _ in range(batch)]
            )
            spent["features"] = time.perf_counter() - started
            started = time.perf_counter()
            encoded = whisper.encode(mel)
            spent["encode"] = time.perf_counter() - started
            started = time.perf_counter()
            whisper.model.generate(
                encoded,
                [[50258, 50259, 50359, 50363]] * batch,
                beam_size=1,
                max_length=4 + equal_work.tokens_of(20),
                suppress_tokens=[equal_work.END_OF_TEXT],
            )
            spent["generate"] = time.perf_counter() - started
        row = [spent[each] / batch for each in ("features", "encode", "generate")]
        print(
            f"{batch:>5} {row[0]:>9.3f} {row[1]:>8.3f} {row[2]:>9.3f} {row[2] / equal_work.tokens_of(20):>9.4f}",
            flush=True,
        )
    both = ctranslate2.Engine(
        str(whispers.build(name)), device="cpu", precision="int8", threads=THREADS, workers=THREADS
    )
    mel = np.stack([faster_whisper.audio.pad_or_trim(whisper.feature_extractor(samples)[:, :-1])])
    started = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(lambda _: np.array(both._whisper.encode(mel)), range(4 * THREADS)))
    each_s = (time.perf_counter() - started) / (4 * THREADS)
    print(f"encode by {THREADS} workers of one thread, as the engine does: {each_s:.3f} s a window", flush=True)


def main() -> None:
    """Run every size, or with --quick only the smallest, once."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true")
    arguments.add_argument("--sizes", nargs="*", default=list(whispers.ON_A_CPU))
    arguments.add_argument("--beams", nargs="*", type=int, default=[1, 5])
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--no-profile", action="store_true")
    arguments.add_argument("--calls-s", nargs="*", type=int, default=[case.call_s for case in CASES])
    given = arguments.parse_args()
    equal_work.suppress_the_end()
    cases = [case for case in CASES if case.call_s in given.calls_s]
    for name in ["tiny"] if given.quick else given.sizes:
        if not given.no_profile:
            profile(name)
        for beam_size in [1] if given.quick else given.beams:
            run(name, beam_size, 1 if given.quick else given.rounds, cases)


if __name__ == "__main__":
    main()
