"""What batching across calls is worth, and what less padding is.

1. Random weights: windows of one call at a time against batches of 2 to 32 of as many calls, on the same engine;
   fill is the share of the encoder's 30 s that is sound.
2. Windows of mixed lengths, padded to 30 s and to their bucket (`speech.trim_padding`): times real time.
3. Tenants with vocabularies of different lengths: batches and speed with prompts as they are, and filled up
   (`speech.fill_prompts`).
4. The test model on turns of the held-out calls, padded both ways: words that come out wrong. (It was never trained
   on prompts, so that it says nothing of what those do to words.)
"""

from __future__ import annotations

import argparse
import concurrent.futures
import dataclasses
import random
import statistics
import sys
import time
from collections.abc import Sequence

import equal_work
import whispers

sys.path.insert(0, str(whispers.ROOT / "tests"))
import jiwer
import material

from aftercall.contracts import windows
from aftercall.serve.engines import ctranslate2

THREADS = 2
SIZES = (1, 2, 4, 8, 16, 32)


def asked(lengths_s: Sequence[float], *, trim: bool = False) -> list[windows.Window]:
    """Return a window of each length, saying as many tokens as so much speech has."""
    return [
        windows.Window(
            str(at),
            "bench",
            (equal_work.sound(seconds) * 32767).astype("<i2").tobytes(),
            windows.Options(language="en", word_times=False, max_new_tokens=equal_work.tokens_of(seconds), trim=trim),
        )
        for at, seconds in enumerate(lengths_s)
    ]


def seconds_for(engine: ctranslate2.Engine, batches: Sequence[Sequence[windows.Window]]) -> float:
    """Return the seconds for all of these batches, one for each thread at a time."""
    started = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(engine.transcribe, batches))
    return time.perf_counter() - started


def curve(engine: ctranslate2.Engine, lengths_s: list[int], rounds: int) -> None:
    """Print the throughput over the size of batches."""
    n = THREADS * max(SIZES)
    print(f"{'window':>8} {'fill':>5}", *(f"{'batch ' + str(size):>12}" for size in SIZES), "   best of one at a time")
    for length_s in lengths_s:
        line = asked([length_s] * n)
        speeds: dict[int, list[float]] = {size: [] for size in SIZES}
        for _ in range(rounds):
            for size in SIZES:
                batches = [line[at : at + size] for at in range(0, n, size)]
                speeds[size].append(n * length_s / seconds_for(engine, batches))
        median = {size: statistics.median(found) for size, found in speeds.items()}
        shown = " ".join(f"{median[size]:>12.1f}" for size in SIZES)
        gain = max(median.values()) / median[1]
        print(f"{length_s:>6} s {length_s / 30:>5.2f} {shown}   {gain:.2f}", flush=True)


def formed(engine: ctranslate2.Engine, line: Sequence[windows.Window]) -> list[list[windows.Window]]:
    """Return batches of at most eight of each bucket, the longest first, so that no thread ends late."""
    by_bucket: dict[object, list[windows.Window]] = {}
    for window in line:
        by_bucket.setdefault(engine.bucket(window), []).append(window)
    batches = [some[at : at + 8] for some in by_bucket.values() for at in range(0, len(some), 8)]
    return sorted(batches, key=lambda some: -sum(window.duration_s for window in some))


def buckets(engine: ctranslate2.Engine, rounds: int) -> None:
    """Print what padding to buckets is worth for windows of mixed lengths."""
    lengths_s = [3, 5, 7, 9, 12, 16, 21, 28] * 8
    found: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(rounds):
        for trim in found:
            line = asked(lengths_s, trim=trim)
            found[trim].append(sum(lengths_s) / seconds_for(engine, formed(engine, line)))
    whole, trimmed = (statistics.median(found[trim]) for trim in found)
    print(
        f"windows of 3 to 28 s: padded to 30 s {whole:.1f}, to buckets {trimmed:.1f} times real time:"
        f" {trimmed / whole:.2f}"
    )


def vocabularies(engine: ctranslate2.Engine, rounds: int) -> None:
    """Print what prompts of different lengths cost: windows of 64 tenants, each with a vocabulary of its own."""
    rng = random.Random(1)
    line = asked([10] * 64)
    prompts = [vocabulary(rng, rng.randint(1, 40)) for _ in line]
    ways = {
        "no vocabulary": {},
        "vocabularies as they are": {"fill_prompt": False},
        "filled up": {"fill_prompt": True},
    }
    speeds: dict[str, list[float]] = {way: [] for way in ways}
    sizes: dict[str, float] = {}
    for _ in range(rounds):
        for way, told in ways.items():
            each = [
                dataclasses.replace(
                    one, options=dataclasses.replace(one.options, prompt=prompt if told else None, **told)
                )
                for one, prompt in zip(line, prompts, strict=True)
            ]
            batches = formed(engine, each)
            sizes[way] = len(each) / len(batches)
            speeds[way].append(640 / seconds_for(engine, batches))
    told = [f"{way} {statistics.median(found):.1f} (batches of {sizes[way]:.1f})" for way, found in speeds.items()]
    print(f"windows of 10 s of 64 tenants, times real time: {', '.join(told)}", flush=True)


def vocabulary(rng: random.Random, n_terms: int) -> str:
    """Return a prompt of made-up names."""
    names = [
        "".join(rng.choice(["ba", "lo", "ker", "mi", "sto", "va", "ne", "dro"]) for _ in range(3))
        for _ in range(n_terms)
    ]
    return ", ".join(name.capitalize() for name in names) + "."


def errors() -> None:
    """Print words that come out wrong on identical clips, padded both ways."""
    engine = ctranslate2.Engine(str(material.MODEL), device="cpu", threads=THREADS)
    turns = []
    for call in sorted(material.CALLS.glob("*.opus")):
        told, audio = material.reference(call), material.load(call)
        for turn in told["turns"]:
            first, last = (int(turn[name] * 16_000) for name in ("start_s", "end_s"))
            clip = audio[turn["channel"], max(0, first - 3_200) : last + 3_200]
            turns.append((told["language"], turn["text"], clip))
    for trim in (False, True):
        wrong = []
        for language, _, audio in turns:
            options = windows.Options(language=language, trim=trim)
            wrong.append(engine.transcribe([windows.Window("w", "bench", audio.tobytes(), options)])[0].text.strip())
        told = jiwer.process_words([text for _, text, _ in turns], wrong)
        print(
            f"test model, {len(turns)} turns, {'padded to buckets' if trim else 'padded to 30 s'}: WER {told.wer:.3f}"
        )


def main() -> None:
    """Run all four."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--sizes", nargs="*", default=["tiny", "base"])
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--seconds", nargs="*", type=int, default=[5, 10, 20])
    given = arguments.parse_args()
    errors()
    equal_work.suppress_the_end()
    for name in given.sizes:
        print(f"\n{name} (random weights), int8, {THREADS} threads, times real time")
        model = str(whispers.build(name))
        engine = ctranslate2.Engine(model, device="cpu", precision="int8", threads=THREADS, workers=THREADS)
        curve(engine, given.seconds, given.rounds)
        buckets(engine, given.rounds)
        vocabularies(engine, given.rounds)


if __name__ == "__main__":
    main()
