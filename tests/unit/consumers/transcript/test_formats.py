"""What each rendering looks like, to the letter."""

from __future__ import annotations

import json

import doubles

from aftercall.consumers.transcript import formats

MADE = doubles.made(texts=("hello this is anna", "i <want> to & fro"))


def test_text_reads_as_a_person_would() -> None:
    """A clock, a name, the words."""
    assert formats.text(MADE) == "[00:00:00] Alice: hello this is anna\n[00:00:02] Customer: i <want> to & fro\n"


def test_srt_numbers_its_captions() -> None:
    """Comma before the milliseconds."""
    assert formats.render(MADE, formats.Format.SRT) == (
        "1\n00:00:00,000 --> 00:00:00,750\nAlice: hello this is anna\n"
        "\n2\n00:00:02,000 --> 00:00:02,950\nCustomer: i <want> to & fro\n"
    )


def test_vtt_names_voices_and_escapes() -> None:
    """A name or a word that looks like a tag is none."""
    assert formats.render(MADE, formats.Format.VTT) == (
        "WEBVTT\n"
        "\n00:00:00.000 --> 00:00:00.750\n<v Alice>hello this is anna\n"
        "\n00:00:02.000 --> 00:00:02.950\n<v Customer>i &lt;want&gt; to &amp; fro\n"
    )


def test_whisperx_has_segments_and_word_segments() -> None:
    """As programs made for whisperX expect."""
    plain = json.loads(formats.render(MADE, formats.Format.WHISPERX))

    assert plain["segments"][0]["words"][0] == {
        "word": "hello",
        "start": 0.0,
        "end": 0.15,
        "score": 0.9,
        "speaker": "Alice",
    }
    assert len(plain["word_segments"]) == 9
    assert plain["language"] == "en"


def test_hours_are_counted() -> None:
    """A long call's clock does not wrap."""
    late = MADE.segments[0].model_copy(update={"start_s": 3 * 3600 + 61.0})

    assert formats.text(MADE.model_copy(update={"segments": (late,)})).startswith("[03:01:01] ")
