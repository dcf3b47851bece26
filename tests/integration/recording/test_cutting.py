"""From files to windows: where speech is, where it is not, and that streaming changes nothing."""

from __future__ import annotations

import asyncio
import pathlib

import faster_whisper.vad
import material
import numpy as np
import pytest

from aftercall.consumers.recording import cutting, decode, tones, vad

LIMITS = decode.Limits(memory_bytes=512 * 2**20, cpu_s=60, stall_s=30, max_duration_s=3600, max_channels=8)


def cut(path: pathlib.Path) -> tuple[list[cutting.CutWindow], cutting.Summary]:
    """Cut a file to its end."""

    async def work() -> tuple[list[cutting.CutWindow], cutting.Summary]:
        async with decode.open_recording(path, LIMITS) as decoding:
            cutter = cutting.Cutter(decoding)
            return [window async for window in cutter.windows()], cutter.summary

    return asyncio.run(work())


@pytest.mark.parametrize("path", sorted(material.CALLS.glob("*.opus")), ids=lambda path: path.stem)
def test_speech_is_found_where_people_speak(path: pathlib.Path) -> None:
    """At least 97 % of what a channel's own speaker says, and at most 10 % more; not the other channel's leak."""
    told, (_, summary) = material.reference(path), cut(path)
    for channel in (0, 1):
        spoken = np.zeros(summary.n_samples, dtype=bool)
        for turn in told["turns"]:
            if turn["channel"] == channel:
                spoken[int(turn["start_s"] * 16_000) : int(turn["end_s"] * 16_000)] = True
        found = np.zeros(summary.n_samples, dtype=bool)
        for span in summary.channels[channel].speech:
            found[span.start : span.end] = True

        assert (found & spoken).sum() >= 0.97 * spoken.sum()
        assert (found & ~spoken).sum() <= 0.10 * spoken.sum()


def test_a_windows_audio_is_the_calls_audio() -> None:
    """Every sample of every window is the sample of the call that its map names."""
    path = material.SAMPLES / "recordings" / "acme" / "plain.flac"
    audio = material.load(path)

    for window in cut(path)[0]:
        expected = np.concatenate([audio[window.channel, span.start : span.end] for span in window.time_map.spans])
        actual = np.frombuffer(window.pcm, dtype="<i2")
        assert expected.shape == actual.shape
        assert np.abs(expected.astype(int) - actual).max() <= 1


def test_the_same_recording_gives_the_same_windows() -> None:
    """Checkpoints are found again by the audio's bytes."""
    path = material.SAMPLES / "recordings" / "globex" / "mono.flac"

    assert cut(path)[0] == cut(path)[0]


def test_hold_music_is_marked_and_not_transcribed() -> None:
    """Ten seconds of it, of which most is marked; no window reaches into the marked part."""
    windows, summary = cut(material.SAMPLES / "recordings" / "acme" / "hold-music.opus")
    marked = [stretch for stretch in summary.channels[0].steady if stretch.sound is tones.Sound.MUSIC]

    assert 7 <= sum(stretch.end - stretch.start for stretch in marked) / 16_000 <= 10.5
    for window in windows:
        for span in window.speech:
            assert not any(span.start < stretch.end and stretch.start < span.end for stretch in marked)


def test_silence_has_no_windows() -> None:
    """Nothing was said, so nothing is asked."""
    windows, summary = cut(material.SAMPLES / "recordings" / "globex" / "nothing-said.opus")

    assert [] == windows
    assert len(summary.silences()) == 1


def test_probabilities_of_a_stream_are_those_of_the_whole() -> None:
    """State and context are carried over blocks of any size."""
    audio = material.load(material.SAMPLES / "recordings" / "acme" / "plain.flac")[0]
    audio = audio[: len(audio) // 512 * 512]
    stream = vad.SpeechProbability()

    found = np.concatenate([stream.feed(block)[0] for block in np.array_split(audio, 37)])

    # The bundled wrapper blanks the end of its last frame, so that one is left out.
    whole = faster_whisper.vad.get_vad_model()(audio.astype(np.float32) / 32768).reshape(-1)
    assert len(whole) == len(found)
    assert np.abs(whole[:-1] - found[:-1]).max() < 1e-4


def test_voices_are_never_taken_for_music() -> None:
    """No second of the held-out calls is steady for two seconds in a row."""
    for path in sorted(material.CALLS.glob("*.opus"))[:3]:
        for channel in material.load(path):
            sounds = [
                tones.listen(channel[at : at + tones.CHUNK_SAMPLES])
                for at in range(0, len(channel) - tones.CHUNK_SAMPLES, tones.CHUNK_SAMPLES)
            ]
            assert [] == tones.stretches(sounds)


@pytest.mark.parametrize("level", [0.02, 0.1, 0.4])
@pytest.mark.parametrize("kind", ["sine", "ringback", "chords"])
def test_steady_sounds_are_heard_as_such(kind: str, level: float) -> None:
    """Over line noise 20 dB down, at any level."""
    rng = np.random.default_rng(3)
    at = np.arange(tones.CHUNK_SAMPLES * 4) / 16_000
    if kind == "sine":
        wave = np.sin(2 * np.pi * 425 * at)
    elif kind == "ringback":
        wave = (np.sin(2 * np.pi * 440 * at) + np.sin(2 * np.pi * 480 * at)) / 2
    else:
        roots = np.repeat([262, 330, 392, 294, 349, 440, 262, 392], len(at) // 8 + 1)[: len(at)]
        wave = sum(np.sin(2 * np.pi * roots * ratio * at) for ratio in (1, 1.25, 1.5)) / 3
    sound = wave * level + rng.standard_normal(len(at)) * level * 0.07
    chunks = (sound * 32767).astype(np.int16).reshape(4, -1)

    assert all(tones.listen(chunk) is not tones.Sound.OTHER for chunk in chunks)
