"""Words, speakers and times of one call against what was said."""

from __future__ import annotations

import doubles
import numpy as np
import pytest

from aftercall.consumers.evaluation import reference, score, totals
from aftercall.contracts import transcript

SAID = reference.Reference(
    turns=(
        reference.Turn(
            start_s=0.0,
            end_s=2.0,
            text="Hello, this is Anna.",
            channel=0,
            words=tuple(
                reference.Word(text=text, start_s=at / 2) for at, text in enumerate(["hello", "this", "is", "anna"])
            ),
        ),
        reference.Turn(start_s=3.0, end_s=5.0, text="I owe you twenty one dollars", channel=1),
    )
)


def heard(*spoken: tuple[int, float, float, str], channels: int = 2) -> transcript.Transcript:
    """Build a transcript of segments (channel, start, end, text), words spread evenly."""
    segments = []
    for at, (channel, start_s, end_s, text) in enumerate(spoken):
        parts = text.split()
        step_s = (end_s - start_s) / len(parts)
        words = tuple(
            transcript.Word(text=part, start_s=start_s + place * step_s, end_s=start_s + (place + 1) * step_s)
            for place, part in enumerate(parts)
        )
        segments.append(
            transcript.Segment(
                id=at, channel=channel, speaker=f"S{channel + 1}", start_s=start_s, end_s=end_s, text=text, words=words
            )
        )
    made = doubles.made()
    audio = made.audio.model_copy(update={"channels": channels, "duration_s": 5.0})
    return made.model_copy(update={"segments": tuple(segments), "audio": audio, "language": "en"})


GOOD = heard((0, 0.0, 2.0, "hello this is anna"), (1, 3.0, 5.0, "I owe you $21."))


def test_spelling_is_no_error() -> None:
    """Case, signs and the way numbers are written are normalized, as Whisper's own figures are."""
    found = score.score(SAID, GOOD, language="en")

    assert (0, 0) == (found.words.errors, found.dropped)
    assert found.words.reference == 8
    assert pytest.approx((0.0, 0.0, 0.0, 0.0)) == found.word_starts_off_s


def test_each_kind_of_error_is_counted() -> None:
    """One wrong, one missing, two added, on the channel that they are on."""
    made = heard((0, 0.0, 2.0, "hello this was"), (1, 3.0, 5.0, "I owe you $21 yes indeed"))

    assert score.Words(8, 1, 1, 2) == score.score(SAID, made, language="en").words


def test_words_on_the_wrong_channel_are_wrong_twice() -> None:
    """They are missing where they were said, and added where nobody said them."""
    made = heard((1, 0.0, 2.0, "hello this is anna"), (1, 3.0, 5.0, "I owe you $21"))

    found = score.score(SAID, made, language="en")
    assert (4, 4) == (found.words.deleted, found.words.inserted)


def test_words_where_nobody_spoke_are_added() -> None:
    """On a channel of which the reference tells nothing, and against a reference without words."""
    one_sided = reference.Reference(turns=SAID.turns[:1])

    assert score.Words(4, 0, 0, 4) == score.score(one_sided, GOOD, language="en").words
    silent = reference.Reference(turns=(SAID.turns[0].model_copy(update={"text": ""}),))
    assert score.Words(0, 0, 0, 8) == score.score(silent, GOOD, language="en").words


def test_who_spoke_is_an_error_rate_of_its_own() -> None:
    """Speakers' names do not count, only who is who; four seconds of speech, two given to the wrong one."""
    swapped = heard((0, 0.0, 2.0, "hello this is anna"), (0, 3.0, 5.0, "I owe you $21"), channels=1)

    good, bad = (score.score(SAID, made, language="en").speakers for made in (GOOD, swapped))
    assert good == score.Speakers(4.0, 0.0)
    assert bad == score.Speakers(4.0, 2.0)
    untimed = reference.Reference(turns=SAID.turns, timed=False)
    assert score.score(untimed, GOOD, language="en").speakers is None


def test_times_are_those_of_words_that_were_heard_right() -> None:
    """A quarter of a second late; what was misheard has no time to compare."""
    made = heard((0, 0.25, 2.25, "hello this was anna"), (1, 3.0, 5.0, "I owe you"))

    assert pytest.approx((0.25, 0.25, 0.25)) == score.score(SAID, made, language="en").word_starts_off_s


def test_a_call_that_failed_has_every_word_missing() -> None:
    """So that failing is never better than guessing."""
    found = score.score(SAID, None, language="en")

    assert (8, 8) == (found.words.reference, found.words.deleted)


def result(call_id: str, errors: int, words: int = 100, **slices: str) -> totals.Result:
    """Build a call's result."""
    scored = score.Score(score.Words(words, errors), None, (0.1, 0.3), 10.0, 9.0, 20.0, 0, 0)
    return totals.Result(call_id, "acme", slices, scored, None)


def test_long_calls_weigh_more() -> None:
    """Rates are ratios of sums; what nothing is known of is None."""
    found = totals.total([result("a", 10, 100), result("b", 0, 900)])

    assert (pytest.approx(0.01), None, pytest.approx(0.9)) == (found.wer, found.der, found.coverage)
    assert totals.total([]).wer is None


def test_groups_are_tenants_and_slices() -> None:
    """A single tenant is no group beside all."""
    found = totals.groups([result("a", 1, line="g711"), result("b", 3, line="opus", team="x")])

    assert ["all", "line=g711", "line=opus", "team=x"] == list(found)
    assert pytest.approx(0.03) == found["line=opus"].wer


def test_a_difference_is_clear_only_where_most_calls_agree() -> None:
    """One call that is much worse is chance; fifty that are a little worse are not."""
    rng = np.random.default_rng(1)
    base = [result(str(at), 10) for at in range(50)]
    worse = [result(str(at), 12) for at in range(50)]
    one_worse = [result(str(at), 110 if at == 7 else 10) for at in range(50)]

    clear = totals.difference(base, worse, rng=rng)
    chance = totals.difference(base, one_worse, rng=rng)
    assert clear is not None
    assert chance is not None
    assert (pytest.approx(0.02), True) == (clear.wer, clear.is_clear)
    assert (pytest.approx(0.02), False) == (chance.wer, chance.is_clear)
    assert totals.difference([], [], rng=rng) is None


def test_two_transcripts_agree_or_not() -> None:
    """Channel by channel, the first taken for what was said."""
    other = heard((0, 0.0, 2.0, "hello this is hannah"), (1, 3.0, 5.0, "I owe you 21 dollars"))

    assert score.Words(8, 1) == score.agreement(GOOD, other)
