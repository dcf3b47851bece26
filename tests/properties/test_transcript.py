"""Whatever was heard: no word lost, none doubled, times forward and inside the call."""

from __future__ import annotations

import itertools

import doubles
from hypothesis import given
from hypothesis import strategies as st

from aftercall.consumers.recording import speech, windows
from aftercall.consumers.transcript import assemble, formats, heard, quality
from aftercall.contracts import transcript

SHAPES = st.lists(st.tuples(st.integers(0, 320_000), st.integers(1_600, 100_000)), min_size=1, max_size=4)
SAID = st.lists(st.tuples(st.text("abcdeé", min_size=1, max_size=6), st.floats(0, 1), st.floats(0, 0.2)), max_size=25)


def window_of(shape: list[tuple[int, int]], said: list[tuple[str, float, float]]) -> heard.HeardWindow:
    """Build a window with words anywhere in it, in order of their starts."""
    spans, at = [], 0
    for gap, length in shape:
        spans.append(speech.Span(at + gap, at + gap + length))
        at += gap + length
    time_map = windows.TimeMap(tuple(spans))
    length_s = time_map.n_samples / 16_000
    words = [
        (f" {text}", start * length_s, min(length_s, (start + width) * length_s))
        for text, start, width in sorted(said, key=lambda word: word[1])
    ]
    return heard.HeardWindow(
        channel=0,
        index=0,
        time_map=time_map,
        speech=spans,
        duration_s=length_s,
        result=doubles.result(" ".join(word[0] for word in words), words),
        verdict=quality.Verdict(accepted=True),
        attempts=1,
    )


@given(SHAPES, SAID)
def test_every_word_comes_out_once_in_order_and_inside(
    shape: list[tuple[int, int]], said: list[tuple[str, float, float]]
) -> None:
    """Assembling keeps words, their order, and the bounds of the speech they came from."""
    window = window_of(shape, said)
    words = assemble.words_of(window)

    utterances = assemble.utterances([(window, words)])

    out = [word for utterance in utterances for word in utterance.words]
    assert [word.text for word in out] == [text for text, _, _ in sorted(said, key=lambda word: word[1])]
    for one, other in itertools.pairwise(out):
        assert one.start_s <= other.start_s
    for word in out:
        assert window.time_map.spans[0].start / 16_000 - 0.001 <= word.start_s
        assert word.start_s <= word.end_s <= window.time_map.spans[-1].end / 16_000 + 0.001


@given(SHAPES, SAID)
def test_coverage_is_a_share(shape: list[tuple[int, int]], said: list[tuple[str, float, float]]) -> None:
    """Never more than the speech there was, and more words never cover less."""
    window = window_of(shape, said)
    words = assemble.words_of(window)

    whole = assemble.covered_s(window.speech, words)

    assert -1e-6 <= whole <= heard.seconds(window.speech) + 1e-6
    assert assemble.covered_s(window.speech, words[: len(words) // 2]) <= whole + 1e-6


@given(st.lists(st.text("abc def", min_size=1, max_size=60).filter(str.strip), max_size=6))
def test_captions_hold_every_word_in_order(texts: list[str]) -> None:
    """SRT and VTT, read back, are the text; times run forward."""
    made = doubles.made(texts=tuple(" ".join(text.split()) for text in texts))

    srt = formats.render(made, formats.Format.SRT)

    blocks = [block.splitlines() for block in srt.strip().split("\n\n") if block]
    assert [block[0] for block in blocks] == [str(at + 1) for at in range(len(blocks))]
    spoken = " ".join(" ".join(block[2:]).partition(": ")[2] for block in blocks)
    assert spoken.split() == " ".join(texts).split()
    assert all(len(line) <= formats.MAX_LINE_CHARS for block in blocks for line in block[2:])
    starts = [block[1].partition(" --> ") for block in blocks]
    assert all(start < end for start, _, end in starts)


def test_every_form_of_an_empty_transcript_is_a_valid_file() -> None:
    """Nothing was said, and every reader copes."""
    made = doubles.made(texts=())

    assert formats.render(made, formats.Format.TEXT) == ""
    assert formats.render(made, formats.Format.VTT).startswith("WEBVTT")
    assert '"segments": []' in formats.render(made, formats.Format.WHISPERX)
    assert transcript.Transcript.model_validate_json(formats.render(made, formats.Format.JSON)) == made
