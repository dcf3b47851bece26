"""Which results are believed, and what is done about the others."""

from __future__ import annotations

import dataclasses
import hashlib

import doubles
import pytest

from aftercall.consumers.transcript import quality
from aftercall.contracts import transcript

FACTS = quality.WindowFacts(duration_s=10.0, speech=((0.5, 8.5),))
Flag = transcript.Flag


def test_plain_speech_is_accepted() -> None:
    """Nothing is wrong with it."""
    assert quality.Verdict(accepted=True) == quality.judge(doubles.result("hello this is anna"), FACTS)


def test_nothing_said_is_silence() -> None:
    """An empty text is believed, whatever the numbers say."""
    assert quality.judge(doubles.result("  ", avg_logprob=-9.0), FACTS) == quality.Verdict(accepted=True, silent=True)


@pytest.mark.parametrize(
    ("text", "changes", "flags"),
    [
        ("thank you " * 5, {}, (Flag.REPETITION,)),  # too short for zlib, caught as a loop
        ("the card number is five " * 12, {}, (Flag.REPETITION,)),
        ("hello anna", {"avg_logprob": -1.3}, (Flag.LOW_CONFIDENCE,)),
        (" ".join(hashlib.sha256(bytes([at])).hexdigest()[:5] for at in range(90)), {}, (Flag.TOO_FAST,)),
    ],
)
def test_what_cannot_be_trusted_is_refused(text: str, changes: dict[str, float], flags: tuple[Flag, ...]) -> None:
    """Each measure alone is enough."""
    assert quality.Verdict(accepted=False, flags=flags) == quality.judge(doubles.result(text, **changes), FACTS)


@pytest.mark.parametrize("text", ["my number is two two two two two two two", "no no no no", "yes yes of course"])
def test_what_people_really_say_is_no_loop(text: str) -> None:
    """Digits read out and emphasis repeat too."""
    assert quality.judge(doubles.result(text), FACTS).accepted


def test_text_in_silence_is_dropped_without_another_try() -> None:
    """The model doubts it and believes that nothing was said: silence, as Whisper has it."""
    verdict = quality.judge(doubles.result("thank you", avg_logprob=-1.5, no_speech_probability=0.9), FACTS)

    assert verdict == quality.Verdict(accepted=True, flags=(Flag.NO_SPEECH,), silent=True)


def test_a_loop_in_silence_is_never_accepted() -> None:
    """The hole in the reference code: its silence rule runs last and forgives the loop."""
    verdict = quality.judge(doubles.result("thank you " * 20, avg_logprob=-1.5, no_speech_probability=0.9), FACTS)

    assert not verdict.accepted
    assert Flag.REPETITION in verdict.flags


@pytest.mark.parametrize(
    "text", ["Thank you for watching!", " Untertitel der Amara.org-Community", "ご視聴ありがとうございました。"]
)
def test_what_models_make_up_on_a_click_is_refused(text: str) -> None:
    """The same words are believed of somebody who speaks long enough to say them."""
    click = quality.WindowFacts(duration_s=1.2, speech=((0.5, 0.9),))

    assert (Flag.KNOWN_PHRASE,) == quality.judge(doubles.result(text), click).flags
    assert quality.judge(doubles.result(text), FACTS).accepted


def test_on_a_click_the_models_doubt_is_enough() -> None:
    """It is sure of what it makes up; of real speech that long it does not doubt that it is speech."""
    click = quality.WindowFacts(duration_s=2.0, speech=((0.5, 0.9),))
    made_up = doubles.result("hello anna", avg_logprob=-0.1, no_speech_probability=0.9)

    assert quality.Verdict(accepted=True, flags=(Flag.NO_SPEECH,), silent=True) == quality.judge(made_up, click)
    assert quality.judge(made_up, FACTS).accepted


def test_four_words_in_half_a_second_are_too_many() -> None:
    """However short the window: one word may be longer than what was cut off of it."""
    blip = quality.WindowFacts(duration_s=0.48, speech=((0.19, 0.29),))

    assert (Flag.TOO_FAST,) == quality.judge(doubles.result("we will call you"), blip).flags
    assert quality.judge(doubles.result("hello"), dataclasses.replace(blip, duration_s=0.1)).accepted


def test_words_where_nobody_speaks_are_refused() -> None:
    """Most of them half a second and more from any speech; without word times, where there is none at all."""
    late = [("hello", 7.0, 7.4), ("this", 7.4, 7.6), ("is", 1.0, 1.2)]
    facts = quality.WindowFacts(duration_s=8.0, speech=((0.5, 3.0),))

    assert (Flag.OUTSIDE_SPEECH,) == quality.judge(doubles.result("hello this is", late), facts).flags
    assert quality.judge(doubles.result("hello this is", late[1:]), facts).accepted
    untimed = dataclasses.replace(doubles.result("hello this is"), words=None)
    assert quality.judge(untimed, facts).accepted
    assert not quality.judge(untimed, dataclasses.replace(facts, speech=())).accepted


def test_what_a_backend_cannot_tell_is_left_out() -> None:
    """None is neither good nor bad."""
    told = doubles.result("hello anna", avg_logprob=None, no_speech_probability=None)

    assert quality.judge(told, FACTS).accepted


def attempts(*accepted: bool, logprobs: tuple[float | None, ...] = ()) -> list[quality.Attempt]:
    """Build attempts."""
    return [
        quality.Attempt(
            doubles.result(f"text {at}", avg_logprob=logprobs[at] if logprobs else -0.5),
            quality.Verdict(accepted=good, flags=() if good else (Flag.LOW_CONFIDENCE,)),
        )
        for at, good in enumerate(accepted)
    ]


def test_temperatures_are_tried_in_turn_until_one_is_good_or_none_is_left() -> None:
    """Each as one more window."""
    temperatures = (0.0, 0.2, 0.4)

    assert quality.plan_retry(attempts(False), temperatures) == 0.2
    assert quality.plan_retry(attempts(False, False), temperatures) == 0.4
    assert quality.plan_retry(attempts(False, False, False), temperatures) is None
    assert quality.plan_retry(attempts(False, True), temperatures) is None


def test_the_good_attempt_is_chosen_and_else_the_surest() -> None:
    """Even a text that is dropped is the best there was."""
    assert quality.choose(attempts(False, True)).result.text == "text 1"
    assert quality.choose(attempts(False, False, logprobs=(-3.0, -1.1))).result.text == "text 1"
