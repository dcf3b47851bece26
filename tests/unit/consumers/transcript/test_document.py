"""From heard windows to a document: words, speakers, echo, coverage."""

from __future__ import annotations

import dataclasses

import doubles
import numpy as np

from aftercall.consumers.recording import speech, windows
from aftercall.consumers.transcript import assemble, document, heard, quality, speakers
from aftercall.contracts import events, transcript
from aftercall.contracts import windows as speech_windows
from aftercall.serve import testing

GOOD = quality.Verdict(accepted=True)


def span(start_s: float, end_s: float) -> speech.Span:
    """Build a span from seconds."""
    return speech.Span(int(start_s * 16_000), int(end_s * 16_000))


def window(
    channel: int,
    spans: list[tuple[float, float]],
    words: list[tuple[str, float, float]] | None,
    *,
    text: str | None = None,
    index: int = 0,
    verdict: quality.Verdict = GOOD,
    language: str = "en",
) -> heard.HeardWindow:
    """Build a window of pieces of the call, with words in window time."""
    time_map = windows.TimeMap(tuple(span(*each) for each in spans))
    said = text if text is not None else " ".join(word[0] for word in words or ())
    return heard.HeardWindow(
        channel=channel,
        index=index,
        time_map=time_map,
        speech=time_map.spans,
        duration_s=time_map.n_samples / 16_000,
        result=dataclasses.replace(doubles.result(said, words), language=language),
        verdict=verdict,
        attempts=1,
    )


def build(
    found: list[heard.HeardWindow],
    *,
    n_channels: int = 2,
    levels: tuple[float, ...] = (0.1, 0.1),
    event: events.RecordingReady | None = None,
    duration_s: float = 60.0,
) -> transcript.Transcript:
    """Build the document of a call."""
    told = event or doubles.event()
    frames = int(duration_s * 16_000 / 512)
    facts = document.Facts(
        work=doubles.taken().work,
        event=told,
        audio=doubles.made().audio.model_copy(update={"duration_s": duration_s, "channels": n_channels}),
        truncated=False,
        channels=[
            heard.Channel(
                tuple(each for one in found if one.channel == at for each in one.speech),
                np.full(frames, levels[at], dtype=np.float32),
            )
            for at in range(n_channels)
        ],
        non_speech=[],
        heard_windows=found,
        backend=testing.INFO,
        options=speech_windows.Options(),
        vocabulary=(),
        requested_language=None,
        timings_s={},
    )
    return document.build(facts, now=doubles.NOW)


def test_words_return_to_where_they_were_said() -> None:
    """A window of two pieces 20 s apart: the second piece's words are in the second place."""
    made = build([window(0, [(1, 3), (20, 22)], [("hello", 0.5, 0.9), ("there", 2.5, 2.9)])])

    assert [(segment.text, segment.start_s) for segment in made.segments] == [("hello", 1.5), ("there", 20.5)]


def test_a_word_across_a_squeezed_silence_stays_in_one_piece() -> None:
    """It is clamped to the piece its middle lies in, and never spans the gap."""
    made = build([window(0, [(1, 3), (20, 22)], [("hello", 1.5, 2.2)])])

    word = made.segments[0].words[0]
    assert (word.start_s, word.end_s) == (2.5, 3.0)


def test_a_pause_ends_an_utterance_and_speakers_interleave() -> None:
    """In the order in which they begin."""
    made = build(
        [
            window(0, [(0, 10)], [("one", 0, 0.5), ("two", 0.6, 1.0), ("three", 5.0, 5.5)]),
            window(1, [(0, 10)], [("between", 3.0, 3.5)]),
        ]
    )

    assert [segment.text for segment in made.segments] == ["one two", "between", "three"]
    assert [segment.id for segment in made.segments] == [0, 1, 2]


def test_what_failed_is_kept_apart_and_never_in_the_text() -> None:
    """With its flags, for whoever wants to know."""
    bad = quality.Verdict(accepted=False, flags=(transcript.Flag.REPETITION,))

    made = build([window(0, [(0, 5)], [("loop", 0, 1), ("loop", 1, 2)], verdict=bad)])

    assert made.segments == ()
    assert [(one.text, one.flags) for one in made.dropped] == [("loop loop", (transcript.Flag.REPETITION,))]
    assert made.coverage.ratio == 0
    assert made.flags == (transcript.Flag.LOW_COVERAGE,)


def test_an_echo_is_not_said_twice() -> None:
    """The same words at the same time, much quieter."""
    words = [("how", 0.0, 0.3), ("are", 0.3, 0.6), ("you", 0.6, 1.0)]
    late = [(text, start_s + 0.1, end_s + 0.1) for text, start_s, end_s in words]

    made = build([window(0, [(0, 5)], words), window(1, [(0, 5)], late)], levels=(0.2, 0.02))

    assert [(segment.channel, segment.text) for segment in made.segments] == [(0, "how are you")]
    assert [one.flags for one in made.dropped] == [(transcript.Flag.ECHO,)]


def test_two_who_say_the_same_are_both_kept() -> None:
    """Equal loudness is agreement, and an unknown level proves nothing."""
    words = [("yes", 0.0, 0.3), ("of", 0.3, 0.6), ("course", 0.6, 1.0)]

    for levels in ((0.1, 0.1), (0.1, 0.0)):
        made = build([window(0, [(0, 5)], words), window(1, [(0, 5)], words)], levels=levels)
        assert len(made.segments) == 2


def test_roles_come_from_metadata_or_from_who_speaks_first() -> None:
    """And the document says which."""
    found = [window(0, [(5, 6)], [("late", 0, 0.5)]), window(1, [(0, 1)], [("first", 0, 0.5)])]
    named = doubles.event(channels=[{"index": 0, "role": "agent", "name": "Alice"}, {"index": 1, "role": "customer"}])

    guessed, told = build(found), build(found, event=named)

    assert [(one.role, one.role_source) for one in guessed.speakers] == [
        ("customer", "first_speaker"),
        ("agent", "first_speaker"),
    ]
    assert [(one.name, one.role_source) for one in told.speakers] == [("Alice", "metadata"), ("Customer", "metadata")]


def test_one_channel_is_one_speaker_without_a_role() -> None:
    """Nobody is guessed at on mono."""
    made = build([window(0, [(0, 1)], [("hello", 0, 0.5)])], n_channels=1)

    assert [(one.name, one.role) for one in made.speakers] == [("Speaker 1", None)]
    assert () == speakers.identify(0, (), [])


def test_coverage_is_the_share_of_speech_with_words() -> None:
    """Ten seconds of speech, words over four and a half of them with their margins."""
    made = build([window(0, [(0, 10)], [("a", 1.0, 2.0), ("b", 2.0, 5.0)])])

    assert made.coverage.ratio == 0.45
    assert made.channels[1].coverage is None


def test_a_call_without_speech_is_complete() -> None:
    """No words, coverage unknown, language none."""
    made = build([])

    assert (made.segments, made.coverage.ratio, made.language, made.flags) == ((), None, None, ())


def test_without_word_times_words_are_spread_and_flagged() -> None:
    """The backend told none, and the document does not pretend."""
    made = build([window(0, [(0, 2), (4, 6)], None, text="one two three four")])

    assert " ".join(segment.text for segment in made.segments) == "one two three four"
    assert all(transcript.Flag.NO_WORD_TIMES in segment.flags for segment in made.segments)


def test_the_language_is_that_of_most_speech() -> None:
    """Weighed by how long and how sure; windows with nothing in them do not vote."""
    found = [
        window(0, [(0, 20)], [("hola", 0, 1)], language="es"),
        window(1, [(0, 5)], [("hello", 0, 1)], language="en"),
        window(1, [(30, 60)], [("uh", 0, 1)], index=1, language="fr", verdict=quality.Verdict(True, (), True)),
    ]

    made = build(found)

    assert (made.language, made.language_source) == ("es", "detected")
    assert [channel.language for channel in made.channels] == ["es", "en"]


def test_sentences_part_at_a_shorter_pause() -> None:
    """After a full stop, 0.3 s is enough."""
    made = build([window(0, [(0, 10)], [("done.", 0, 1), ("next", 1.4, 2), ("word", 2.4, 3)])])

    assert [segment.text for segment in made.segments] == ["done.", "next word"]
    assert assemble.PAUSE_S > assemble.SENTENCE_PAUSE_S
