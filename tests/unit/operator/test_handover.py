"""What is left to a successor, as text and back."""

from __future__ import annotations

import pytest

from aftercall.operator import handover


def test_holders_come_back_as_they_were() -> None:
    """None, one, and as many as an annotation takes."""
    some = {"calls/a": handover.Heard("i1", 7), "bulk/b": handover.Heard("i2", 0)}

    assert some == handover.parse(handover.encode(some))
    assert {} == handover.parse(handover.NOBODY)
    assert handover.encode(None) is None
    assert handover.encode({f"calls/consumer-{at:060}": handover.Heard("i" * 32, at) for at in range(3000)}) is None


@pytest.mark.parametrize("text", [None, "", "7", "[]", "null", '{"a": 1}', '{"a": ["i"]}', '{"a": ["i", "x"]}'])
def test_what_cannot_be_read_is_not_known(text: str | None) -> None:
    """It is not nobody."""
    assert handover.parse(text) is None
