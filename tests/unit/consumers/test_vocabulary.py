"""What fits of the terms, whole, and in the order in which they count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftercall.consumers import vocabulary

TERMS = st.lists(st.text(max_size=60), max_size=30)


@given(TERMS, TERMS)
def test_what_is_chosen_fits_whole_and_once(call: list[str], tenant: list[str]) -> None:
    """Each term is one that was given, none twice; and nothing of the call's is left out for the tenant's."""
    chosen = vocabulary.choose(call, tenant)

    prompt = vocabulary.prompt_of(chosen)
    assert len((prompt or "").encode()) <= vocabulary.MAX_BYTES
    assert {" ".join(term.split()) for term in (*call, *tenant)} >= set(chosen)
    assert len({term.casefold() for term in chosen}) == len(chosen)
    without = vocabulary.choose(call, ())
    assert without == chosen[len(chosen) - len(without) :]


@pytest.mark.parametrize(
    ("call", "tenant", "prompt"),
    [
        ((), (), None),
        (("", " "), (), None),
        (("Anna\n Schmidt",), (), "Anna Schmidt."),
        (("b",), ("a", "B"), "a, b."),
        (("x" * 500, "y"), ("z",), "z, y."),
    ],
)
def test_the_calls_terms_stand_last(call: tuple[str, ...], tenant: tuple[str, ...], prompt: str | None) -> None:
    """Nothing to say is no prompt; a term that is too long leaves room for others."""
    assert prompt == vocabulary.prompt_of(vocabulary.choose(call, tenant))
