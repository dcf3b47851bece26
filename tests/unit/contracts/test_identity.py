"""Ids, and the keys that they become."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftercall.contracts import identity

IDS = st.text(min_size=1, max_size=200).filter(
    lambda text: (
        text.strip()
        and text not in {".", ".."}
        and not set(text) & set("/\\")
        and not any(unicodedata.category(char) in {"Cc", "Cs", "Cn"} for char in text)
        and len(unicodedata.normalize("NFC", text)) <= 200
        and unicodedata.normalize("NFC", text).strip()
    )
)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        (".", "is a path"),
        ("..", "is a path"),
        ("a/b", "holds a slash"),
        ("..\\up", "holds a slash"),
        ("a\x00b", "control character"),
        ("line\nbreak", "control character"),
        ("x" * 1100, "1100 characters"),
        ("\ud800", "control character"),
    ],
)
def test_ids_that_could_be_paths_or_cannot_be_read_are_refused(value: str, said: str) -> None:
    """The message names the rule, and never repeats raw control characters."""
    with pytest.raises(identity.InvalidIdError, match=re.escape(said)) as caught:
        identity.parse_id(value, what="call_id")

    assert str(caught.value).isprintable()


def test_ids_may_hold_spaces_parentheses_and_any_script() -> None:
    """What people name calls is kept as it is."""
    for value in ("call (1) final.v2", "звонок 7", "通話", "a.b", "con"):
        assert value == identity.parse_id(value, what="call_id")


def test_two_spellings_of_one_letter_are_one_id() -> None:
    """Composed and decomposed forms of the same text are the same id (NFC)."""
    assert identity.parse_id("caf\u00e9", what="x") == identity.parse_id("cafe\u0301", what="x")


@given(IDS)
def test_a_key_part_is_safe_in_paths_and_in_s3(value: str) -> None:
    """Only plain ASCII, never a path, never longer than file systems take."""
    part = identity.key_part(identity.parse_id(value, what="id"))

    assert re.fullmatch(r"[A-Za-z0-9._=-]+", part)
    assert not part.startswith(".")
    assert len(part) <= 120


@given(IDS, IDS)
def test_different_ids_have_different_key_parts(one: str, other: str) -> None:
    """The map is one to one."""
    one, other = identity.parse_id(one, what="id"), identity.parse_id(other, what="id")

    assert (one == other) == (identity.key_part(one) == identity.key_part(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [("a b", "a=20b"), ("A", "a"), ("é" * 100, "é" * 99 + "e"), ("x=.y", "x.y"), (".a", "=2Ea")],
)
def test_ids_that_look_alike_have_different_key_parts(one: str, other: str) -> None:
    """Neither escaping nor shortening brings two ids together."""
    assert identity.key_part(one) != identity.key_part(other)


def test_keys_are_where_the_design_says() -> None:
    """Other programs rely on the layout."""
    work = identity.Work(identity.Recording("acme", "call 1"), "sha256:ab", 2)

    assert work.outcome_key == "outcomes/acme/call=201/sha256=3Aab/2.json"
    assert work.recording.tombstone_key == "outcomes/acme/call=201/deleted.json"
    assert work.recording.transcript_key("ff") == "transcripts/acme/call=201/ff.json"
    assert identity.current_copy_key("acme", "c") == "transcripts/acme/c.json"


def test_a_transcription_id_is_stable_and_its_own() -> None:
    """The same work always has the same id, and moving a letter from one part to the next changes it."""
    one = identity.Work(identity.Recording("ab", "c"), "v", 1)

    assert one.transcription_id == identity.Work(identity.Recording("ab", "c"), "v", 1).transcription_id
    assert one.transcription_id != identity.Work(identity.Recording("a", "bc"), "v", 1).transcription_id
