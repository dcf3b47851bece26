"""What nobody said is never told: 200 clips without speech, and speech on either side of ten minutes of silence."""

from __future__ import annotations

import asyncio
import functools
import pathlib
import random
import typing

import doubles
import material
import numpy as np
import pytest

from aftercall.consumers import checkpoints, recognition
from aftercall.consumers.evaluation import reference, score
from aftercall.consumers.intake import delivery
from aftercall.consumers.recording import fetch
from aftercall.consumers.transcript import quality
from aftercall.contracts import identity, settings, transcript, windows
from aftercall.serve import testing
from aftercall.serve.clients import inprocess
from aftercall.serve.engines import ctranslate2

RATE_HZ = 16_000
KINDS = ("silence", "dither", "pink noise", "dtmf", "ringback", "hold sine", "hold chords", "breath")
Wave = np.ndarray[typing.Any, np.dtype[np.float64]]


@functools.cache
def engine() -> ctranslate2.Engine:
    """Load the test model, which was trained on speech alone and makes up a sentence on silence when it is asked."""
    return ctranslate2.Engine(str(material.MODEL), device="cpu", threads=2, workers=1)


def clip(kind: str, rng: np.random.Generator) -> Wave:
    """Make 3 to 20 s without speech, at full scale 1."""
    n = int(rng.uniform(3, 20) * RATE_HZ)
    at = np.arange(n) / RATE_HZ
    level = 10 ** (rng.uniform(-45, -12) / 20)
    match kind:
        case "silence":
            return np.zeros(n)
        case "dither":
            return rng.integers(-1, 2, n) / 32768
        case "pink noise":
            return level * _pink(n, rng)
        case "dtmf":
            return level * _dtmf(at, rng)
        case "ringback":
            on = (at % 6.0) < 2.0
            return level * on * (np.sin(2 * np.pi * 440 * at) + np.sin(2 * np.pi * 480 * at)) / 2
        case "hold sine":
            return level * np.sin(2 * np.pi * rng.uniform(200, 1500) * at)
        case "hold chords":
            return level * _chords(at, rng)
        case _:
            return level * _breath(at, rng)


def _pink(n: int, rng: np.random.Generator) -> Wave:
    spectrum = np.fft.rfft(rng.standard_normal(n))
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    noise = np.fft.irfft(spectrum, n)
    return np.asarray(noise / np.abs(noise).max())


def _dtmf(at: Wave, rng: np.random.Generator) -> Wave:
    low, high = (697, 770, 852, 941), (1209, 1336, 1477, 1633)
    wave = np.zeros(len(at))
    for begin in np.arange(0.3, at[-1] - 0.2, 0.3):
        pressed = (at >= begin) & (at < begin + 0.12)
        for row in (rng.choice(low), rng.choice(high)):
            wave += pressed * np.sin(2 * np.pi * row * at) / 2
    return wave


def _chords(at: Wave, rng: np.random.Generator) -> Wave:
    wave = np.zeros(len(at))
    for bar in range(int(at[-1] / 2) + 1):
        playing = (at >= 2 * bar) & (at < 2 * bar + 2)
        root = 220 * 2 ** (rng.integers(0, 12) / 12)
        for step in (0, 4, 7):
            wave += playing * np.sin(2 * np.pi * root * 2 ** (step / 12) * at) / 3
    return wave


def _breath(at: Wave, rng: np.random.Generator) -> Wave:
    noise = rng.standard_normal(len(at))
    smooth = np.convolve(noise, np.ones(8) / 8, mode="same")
    swell = np.clip(np.sin(2 * np.pi * at / rng.uniform(2.5, 4)), 0, 1) ** 2
    wave = smooth * swell
    return np.asarray(wave / max(1e-9, float(np.abs(wave).max())))


def pcm(wave: Wave) -> np.ndarray[typing.Any, np.dtype[np.int16]]:
    """Return a wave as 16-bit samples."""
    return np.asarray(np.clip(wave * 32767, -32768, 32767)).astype(np.int16)


async def transcribe(paths: list[pathlib.Path], tmp_path: pathlib.Path) -> list[transcript.Transcript]:
    """Transcribe files as the service does, with its own defaults."""
    backend = inprocess.InProcessBackend(engine, max_batch_windows=8, max_wait_s=0.05, max_in_flight=32)
    await backend.start()
    recognizer = recognition.Recognizer(
        backend,
        fetch.Fetcher(folders=[tmp_path], max_size_bytes=10**9),
        settings.load({}),
        spool=tmp_path,
        now=lambda: doubles.NOW,
    )

    async def one(path: pathlib.Path) -> transcript.Transcript:
        event = doubles.event(recording_uri=path.as_uri(), version="1", call_id=path.stem, recording_id=path.stem)
        taken = delivery.Delivery(identity.Work(event.recording, "1", 1), event, 1, 0, 0.0)

        async def report(*_: object) -> None:
            pass

        async with turns:
            return await recognizer.transcribe(taken, checkpoints.NoCheckpoints(), report)

    turns = asyncio.Semaphore(4)
    try:
        return list(await asyncio.gather(*map(one, paths)))
    finally:
        await backend.close()


@pytest.mark.timeout(300)
async def test_nothing_is_told_where_nobody_speaks(tmp_path: pathlib.Path) -> None:
    """At most two of 200 clips with any word in the text, and no loop at all."""
    rng = np.random.default_rng(7)
    paths = []
    for at in range(200):
        paths.append(tmp_path / f"clip-{at}-{KINDS[at % len(KINDS)].replace(' ', '-')}.wav")
        paths[-1].write_bytes(material.wav(pcm(clip(KINDS[at % len(KINDS)], rng)), RATE_HZ))

    made = await transcribe(paths, tmp_path)

    spoken = {one.call_id: [segment.text for segment in one.segments] for one in made if one.word_count}
    assert len(spoken) <= 2, spoken
    assert not [text for texts in spoken.values() for text in texts if quality.is_loop(text)]
    asked = sum(one.cost.windows for one in made)
    print(f"\n200 clips without speech: words in {len(spoken)}, windows asked {asked}")


@pytest.mark.timeout(200)
async def test_what_the_model_makes_up_is_not_told() -> None:
    """The same clips as windows of their own, as if the detector had taken half a second of each for speech.

    This is the second line: the first lets hardly any of them through.
    """
    rng = np.random.default_rng(7)
    asked = [
        windows.Window(
            str(at), "acme", pcm(clip(KINDS[at % len(KINDS)], rng)).tobytes(), windows.Options(language="en")
        )
        for at in range(200)
    ]
    results = [result for at in range(0, 200, 8) for result in engine().transcribe(asked[at : at + 8])]
    judged = [
        (window, result, quality.judge(result, quality.WindowFacts(window.duration_s, ((1.0, 1.5),))))
        for window, result in zip(asked, results, strict=True)
    ]

    told = [result.text for _, result, verdict in judged if verdict.accepted and not verdict.silent]
    assert not [text for text in told if quality.is_loop(text)]
    assert len(told) <= 10, told
    made_up = sum(bool(result.text.strip()) for result in results)
    print(f"\n200 clips asked all the same: the model made up {made_up} texts, {len(told)} of them told")
    assert made_up > 100


@pytest.mark.timeout(200)
async def test_times_hold_after_ten_minutes_of_silence(tmp_path: pathlib.Path) -> None:
    """Speech, 10 min of silence, the same speech: its words come as late as they were said, within 0.3 s (p95)."""
    call = material.CALLS / "call-1.opus"
    mixed = material.load(call).astype(np.int32).sum(axis=0) // 2
    voice = mixed[: 40 * RATE_HZ].astype(np.int16)
    silence = np.zeros(600 * RATE_HZ, dtype=np.int16)
    path = tmp_path / "long.wav"
    path.write_bytes(material.wav(np.concatenate([voice, silence, voice]), RATE_HZ))

    (made,) = await transcribe([path], tmp_path)

    later_s = (len(voice) + len(silence)) / RATE_HZ
    turns = [reference.Turn.model_validate(turn) for turn in material.reference(call)["turns"]]
    late = [_later(turn, later_s) for turn in turns if turn.end_s < 39.0]
    after = made.model_copy(update={"segments": tuple(each for each in made.segments if each.start_s > later_s - 1)})
    found = score.score(reference.Reference(turns=tuple(late)), after, language="en")
    off_s = np.asarray(found.word_starts_off_s)
    assert found.words.errors < 0.3 * found.words.reference
    assert len(off_s) > 0.7 * found.words.reference
    assert float(np.quantile(off_s, 0.95)) <= 0.3
    assert not [each for each in made.segments if each.end_s > 41.0 and each.start_s < later_s - 1]
    print(f"\n{len(off_s)} words after 10 min of silence: p95 {np.quantile(off_s, 0.95):.2f} s off")


def _later(turn: reference.Turn, by_s: float) -> reference.Turn:
    words = tuple(word.model_copy(update={"start_s": word.start_s + by_s}) for word in turn.words)
    return turn.model_copy(update={"start_s": turn.start_s + by_s, "end_s": turn.end_s + by_s, "words": words})


async def test_nothing_is_swapped_or_leaked() -> None:
    """10,000 windows of 40 tenants, withdrawn and given up at random: each answer is its own window's, or none."""
    rng = random.Random(3)

    class Marked:
        """Says of each window what only it holds, after a moment, in a batch of any others."""

        info = engine().info

        def bucket(self, window: windows.Window) -> object:
            return window.options

        def warm_up(self) -> None:
            pass

        def transcribe(self, batch: typing.Sequence[windows.Window]) -> list[windows.WindowResult]:
            return [testing.said(window, f"{window.tenant} {window.pcm.hex()}") for window in batch]

    backend = inprocess.InProcessBackend(Marked, max_batch_windows=32, max_wait_s=0.002, max_in_flight=512, workers=2)
    await backend.start()
    told = given_up = 0

    async def ask(at: int) -> None:
        nonlocal told, given_up
        data = at.to_bytes(4, "little") + rng.randbytes(4)
        options = windows.Options(temperature=rng.choice((0.0, 0.2)), language=rng.choice(("en", "de")))
        window = windows.Window(f"w{rng.randrange(50)}", f"t{at % 40}", data, options)
        try:
            async with asyncio.timeout(rng.choice((0.0, 0.001, 0.01, 30.0, 30.0, 30.0))):
                result = await backend.transcribe(window)
        except TimeoutError:
            given_up += 1
            return
        assert f"{window.tenant} {data.hex()}" == result.text
        assert window.window_id == result.window_id
        told += 1

    asked = [asyncio.create_task(ask(at)) for at in range(10_000)]
    for task in rng.sample(asked, 1_000):
        asyncio.get_running_loop().call_later(rng.uniform(0, 1), task.cancel)
    await asyncio.wait(asked)
    await backend.close()

    assert not [task for task in asked if not task.cancelled() and task.exception() is not None]
    assert told > 4_000
    assert given_up > 1_000
    print(f"\n10,000 windows: {told} answered, {given_up} given up, {10_000 - told - given_up} withdrawn; 0 swapped")
