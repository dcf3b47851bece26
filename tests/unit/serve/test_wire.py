"""Whatever is sent is what is read, and nothing that is too much or no request gets further."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftercall.contracts import errors, outcomes, windows
from aftercall.serve import testing, wire

TEXTS = st.text(max_size=40)
OPTIONS = st.builds(
    windows.Options,
    language=st.none() | st.sampled_from(["en", "es"]),
    task=st.sampled_from(windows.Task),
    beam_size=st.integers(1, 8),
    temperature=st.floats(0, 1),
    timestamps=st.booleans(),
    word_times=st.booleans(),
    prompt=st.none() | TEXTS,
    max_new_tokens=st.none() | st.integers(1, 448),
    trim=st.booleans(),
    fill_prompt=st.booleans(),
)
NUMBERS = st.none() | st.floats(-10, 10)
TIMES = st.floats(0, 30)
RESULTS = st.builds(
    windows.WindowResult,
    window_id=TEXTS,
    text=TEXTS,
    words=st.none()
    | st.lists(st.builds(windows.Word, TEXTS, NUMBERS.filter(bool), NUMBERS.filter(bool), NUMBERS)).map(tuple),
    segments=st.lists(st.builds(windows.TextSegment, TEXTS, TIMES, TIMES)).map(tuple),
    language=st.none() | TEXTS,
    language_probability=NUMBERS,
    avg_logprob=NUMBERS,
    no_speech_probability=NUMBERS,
    temperature=st.floats(0, 1),
    engine_s=NUMBERS,
)


@given(TEXTS, TEXTS, OPTIONS, st.binary(min_size=1, max_size=50).map(lambda data: data + data))
def test_a_window_arrives_as_it_was_sent(window_id: str, tenant: str, options: windows.Options, pcm: bytes) -> None:
    """Ids, options and samples."""
    window = windows.Window(window_id, tenant, pcm, options)

    assert window == wire.read_request(wire.head_of(window), pcm)


@given(RESULTS)
def test_a_result_arrives_as_it_was_sent(result: windows.WindowResult) -> None:
    """Nothing known becomes unknown, nothing unknown a number."""
    assert result == wire.read_answer(wire.answer(result))


def test_who_answers_is_told() -> None:
    """Whatever samples come with the question."""
    assert wire.read_request(wire.INFO_HEAD, wire.INFO_PCM) is None
    assert testing.INFO == wire.read_answer(wire.answer(testing.INFO))


@pytest.mark.parametrize(
    "raised",
    [
        errors.RejectedError("no such language", reason=outcomes.Reason.UNKNOWN_LANGUAGE),
        errors.PermanentError("never", reason=outcomes.Reason.BACKEND_REFUSED),
        errors.TransientError("later", reason=outcomes.Reason.BACKEND_UNAVAILABLE, retry_after_s=7.5),
    ],
)
def test_a_refusal_is_raised_where_it_was_asked(raised: errors.PermanentError | errors.TransientError) -> None:
    """Of the same family, with its reason, its words and its time."""
    with pytest.raises(type(raised)) as caught:
        wire.read_answer(wire.answer(raised))

    assert type(raised) is type(caught.value)
    assert (raised.reason, str(raised)) == (caught.value.reason, str(caught.value))
    assert getattr(raised, "retry_after_s", None) == getattr(caught.value, "retry_after_s", None)


def test_an_engines_own_words_stay_where_they_were_said() -> None:
    """They may hold what somebody said on the phone."""
    told = wire.answer(RuntimeError("my card number is one two three"))

    assert b"card" not in told
    with pytest.raises(errors.TransientError, match="RuntimeError"):
        wire.read_answer(told)


@pytest.mark.parametrize(
    ("head", "pcm"),
    [
        (b"", b"xx"),
        (b"\xff\xfe", b"xx"),
        (b"[]", b"xx"),
        (b'{"version": 2}', b"xx"),
        (b'{"unheard_of": 1}', b"xx"),
        (b'{"options": {"beam_size": "many"}}', b"xx"),
        (b"{}", b""),
        (b"{}", b"odd"),
        (b"{}", bytes(wire.MAX_PCM_BYTES + 2)),
        (b'{"window_id": "' + b"x" * 401 + b'"}', b"xx"),
        (json.dumps({"tenant": "x" * 20_000}).encode(), b"xx"),
    ],
)
def test_what_is_no_request_is_refused_in_one_sentence(head: bytes, pcm: bytes) -> None:
    """It is a client that is wrong, not a recording."""
    with pytest.raises(errors.PermanentError) as caught:
        wire.read_request(head, pcm)

    assert outcomes.Reason.BACKEND_REFUSED is caught.value.reason
    assert not isinstance(caught.value, errors.RejectedError)
    assert len(str(caught.value)) < 200
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"{}", b"<html>", b'{"version": 2}', b'{"result": {}}'])
def test_what_is_no_answer_is_a_passing_trouble(data: bytes) -> None:
    """A proxy's page, or half an answer."""
    with pytest.raises(errors.TransientError):
        wire.read_answer(data)
