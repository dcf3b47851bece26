"""A window's text and word times are what faster-whisper says of it, in whatever batch it lands."""

from __future__ import annotations

import dataclasses
import random
import typing

import faster_whisper
import material
import numpy as np
import pytest

from aftercall.contracts import errors, outcomes, windows
from aftercall.serve.engines import ctranslate2

WORD_TIME_S = 0.02


@pytest.fixture(scope="module")
def theirs() -> faster_whisper.WhisperModel:
    """The reference, on the test model."""
    return faster_whisper.WhisperModel(str(material.MODEL), device="cpu", compute_type="int8", cpu_threads=2)


@pytest.fixture(scope="module")
def ours() -> ctranslate2.Engine:
    """The engine, on the test model."""
    return ctranslate2.Engine(str(material.MODEL), device="cpu", threads=2)


def windows_of(options: windows.Options, n: int = 8, *, joined: int = 1) -> list[windows.Window]:
    """Build windows of held-out turns, `joined` of them in a row."""
    turns = material.sentences(n * joined)
    found = []
    for at in range(0, len(turns) - joined + 1, joined):
        audio = np.concatenate([turn[2] for turn in turns[at : at + joined]])[: windows.MAX_WINDOW_SAMPLES]
        found.append(windows.Window(str(at), "acme", audio.tobytes(), options))
    return found


def reference(
    model: faster_whisper.WhisperModel, window: windows.Window, *, words: bool
) -> tuple[str, list[typing.Any], str]:
    """Return (text, words, language) by faster-whisper with the same options and no thresholds."""
    audio = np.frombuffer(window.pcm, dtype="<i2").astype(np.float32) / 32768
    segments, info = model.transcribe(
        audio,
        language=window.options.language,
        beam_size=window.options.beam_size,
        temperature=0.0,
        condition_on_previous_text=False,
        compression_ratio_threshold=None,
        log_prob_threshold=None,
        no_speech_threshold=None,
        without_timestamps=not window.options.timestamps,
        word_timestamps=words,
        initial_prompt=window.options.prompt,
        max_initial_timestamp=1.0,
        vad_filter=False,
    )
    found = list(segments)
    spoken = [
        word for segment in found if segment.seek == 0 or window.options.timestamps for word in segment.words or ()
    ]
    return "".join(segment.text for segment in found), spoken, info.language


@pytest.mark.parametrize("beam_size", [1, 5])
@pytest.mark.parametrize("language", [None, "en"])
def test_text_equals_faster_whispers_alone_and_in_a_batch(
    theirs: faster_whisper.WhisperModel, ours: ctranslate2.Engine, beam_size: int, language: str | None
) -> None:
    """Greedy and beam search, language given and detected, one window and eight."""
    asked = windows_of(windows.Options(language=language, beam_size=beam_size))
    expected = [reference(theirs, window, words=False)[0] for window in asked]

    together = ours.transcribe(asked)
    alone = [ours.transcribe([window])[0] for window in asked]

    assert any(expected)
    assert expected == [result.text for result in together]
    assert expected == [result.text for result in alone]


@pytest.mark.parametrize("joined", [1, 4])
def test_text_equals_faster_whispers_with_the_models_own_timestamps(
    theirs: faster_whisper.WhisperModel, ours: ctranslate2.Engine, joined: int
) -> None:
    """Several passes over one window, where the model stops before its end, are made in a batch too."""
    asked = windows_of(windows.Options(language="en", timestamps=True, word_times=False), 4, joined=joined)
    expected = [reference(theirs, window, words=False)[0] for window in asked]

    assert expected == [result.text for result in ours.transcribe(asked)]


def test_word_times_agree_within_20_ms(theirs: faster_whisper.WhisperModel, ours: ctranslate2.Engine) -> None:
    """Starts and ends of every word of the first pass, in a batch of mixed languages."""
    asked = windows_of(windows.Options(), 10)

    results = ours.transcribe(asked)

    compared = 0
    for window, result in zip(asked, results, strict=True):
        _, words, language = reference(theirs, window, words=True)
        assert result.words is not None
        assert language == result.language
        assert [word.word for word in words] == [word.text for word in result.words]
        for expected, actual in zip(words, result.words, strict=True):
            assert abs(expected.start - actual.start_s) <= WORD_TIME_S
            assert abs(expected.end - actual.end_s) <= WORD_TIME_S
            compared += 1
    assert compared > 40


def test_results_do_not_depend_on_the_batch(ours: ctranslate2.Engine) -> None:
    """Random batches in random order give each window the same text, words and times."""
    asked = windows_of(windows.Options(), 10) + windows_of(windows.Options(), 3, joined=3)
    expected = {id(window): ours.transcribe([window])[0] for window in asked}
    rng = random.Random(7)
    for _ in range(4):
        batch = rng.sample(asked, rng.randint(2, 8))

        for window, result in zip(batch, ours.transcribe(batch), strict=True):
            alone = expected[id(window)]
            assert (alone.text, placed(alone)) == (result.text, placed(result))
            assert result.avg_logprob == pytest.approx(alone.avg_logprob, abs=1e-2)


def placed(result: windows.WindowResult) -> list[tuple[str, float, float]]:
    """Return the words and their times; int8 probabilities move in the third decimal with the batch."""
    return [(word.text, word.start_s, word.end_s) for word in result.words or ()]


@pytest.mark.parametrize("fill", [False, True])
def test_prompts_share_a_batch_where_they_are_of_one_length_and_do_not_leak(
    ours: ctranslate2.Engine, fill: bool
) -> None:
    """Each row is led by its own prompt alone; filled up, 5, 6 and 8 tokens are of one length."""
    base = windows_of(windows.Options(language="en"), 3)
    asked = [
        dataclasses.replace(one, options=dataclasses.replace(one.options, prompt=prompt, fill_prompt=fill))
        for one, prompt in zip(
            base, ("hello anna and peter", "hello anna and peter again", "Acme, Globex."), strict=True
        )
    ]
    assert (1 if fill else 3) == len({ours.bucket(window) for window in asked})

    alone = [ours.transcribe([window])[0].text for window in asked]

    if fill:
        assert alone == [result.text for result in ours.transcribe(asked)]
    else:
        with pytest.raises(ValueError, match="the same position"):
            ours.transcribe(asked)


@pytest.mark.parametrize(
    ("n_tokens", "n_filled"), [(0, 0), (1, 1), (3, 4), (4, 4), (5, 8), (33, 64), (130, 223), (223, 223), (300, 223)]
)
def test_a_filled_prompt_keeps_its_end_and_says_nothing_thrice(n_tokens: int, n_filled: int) -> None:
    """What stands before it is the end of itself."""
    tokens = list(range(n_tokens))

    found = ctranslate2.filled(tokens, room=223)

    assert n_filled == len(found)
    assert found[-min(223, n_tokens) :] == tokens[-223:]
    assert all(found.count(token) <= 2 for token in tokens)


def test_what_cannot_share_a_batch_has_another_bucket(ours: ctranslate2.Engine) -> None:
    """Language may differ by row; beams, temperature, timestamps and prompt length may not."""
    window = windows_of(windows.Options(language="en"), 1)[0]

    def bucket(**changes: object) -> object:
        return ours.bucket(dataclasses.replace(window, options=dataclasses.replace(window.options, **changes)))  # type: ignore[arg-type]

    assert bucket() == bucket(language="es") == bucket(language=None)
    others = [bucket(beam_size=5), bucket(temperature=0.2), bucket(timestamps=True), bucket(prompt="hello anna")]
    assert len({bucket(), *others}) == 5


def test_a_language_that_does_not_exist_is_refused(ours: ctranslate2.Engine) -> None:
    """With a reason, before anything runs."""
    window = windows_of(windows.Options(language="tlh"), 1)[0]

    with pytest.raises(errors.RejectedError, match="tlh") as caught:
        ours.bucket(window)

    assert caught.value.reason is outcomes.Reason.UNKNOWN_LANGUAGE


@pytest.mark.parametrize("n_samples", [1, 160, 399, 400, 480_000])
def test_windows_of_any_length_run(ours: ctranslate2.Engine, n_samples: int) -> None:
    """From one sample to thirty seconds."""
    result = ours.transcribe([windows.Window("w", "acme", bytes(2 * n_samples))])[0]

    assert result.window_id == "w"


def test_sampling_at_a_temperature_runs(ours: ctranslate2.Engine) -> None:
    """A hotter attempt says so in its result."""
    asked = windows_of(windows.Options(language="en", temperature=0.6), 2)

    assert [0.6, 0.6] == [result.temperature for result in ours.transcribe(asked)]


@pytest.mark.parametrize("name", ["/nowhere/model", "no-such-model", str(material.CALLS)])
def test_a_model_that_cannot_be_had_is_one_line_that_says_how(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No traceback of a download; a hint at a local path."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    with pytest.raises(errors.ConfigurationError) as caught:
        ctranslate2.Engine(name)

    assert "\n" not in str(caught.value)
    assert "CTranslate2 Whisper" in str(caught.value) or "--model /path" in str(caught.value)


async def test_trimmed_windows_say_the_same_in_less_time(ours: ctranslate2.Engine) -> None:
    """Ten seconds are encoded for a short window, alone and in any batch; the test model bears it."""
    whole = windows_of(windows.Options(language="en"), n=16)
    short = [dataclasses.replace(one, options=dataclasses.replace(one.options, trim=True)) for one in whole]
    frames = [ctranslate2.padded_frames(one) for one in short]
    assert {1_000} == {length for one, length in zip(short, frames, strict=True) if one.duration_s <= 8}
    assert {3_000} == {ctranslate2.padded_frames(one) for one in whole}
    assert ours.bucket(short[0]) != ours.bucket(whole[0])

    together = ours.transcribe([one for one, length in zip(short, frames, strict=True) if length == 1_000])
    alone = {one.window_id: ours.transcribe([one])[0] for one in short}
    padded = {result.window_id: result.text for result in ours.transcribe(whole)}

    assert [alone[one.window_id].text for one in together] == [one.text for one in together]
    for one in together:
        pairs = zip(alone[one.window_id].words or (), one.words or (), strict=True)
        assert all(abs(first.start_s - second.start_s) <= WORD_TIME_S for first, second in pairs)
    same = [alone[name].text == text for name, text in padded.items()]
    assert sum(same) >= 0.8 * len(same)
