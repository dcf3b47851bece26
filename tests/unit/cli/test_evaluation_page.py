"""What an evaluation says in words."""

from __future__ import annotations

import pytest

from aftercall.cli import evaluation_page
from aftercall.consumers.evaluation import totals


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (totals.Difference(0.02, 0.01, 0.03), "2.00% of words more wrong"),
        (totals.Difference(-0.02, -0.03, -0.01), "2.00% of words fewer wrong"),
        (totals.Difference(0.02, -0.01, 0.03), "no clear difference: it may be chance"),
        (totals.Difference(0.02, 0.01, 0.03), "+1.00% to +3.00%): a clear difference"),
        (None, "no words to compare"),
    ],
)
def test_a_comparison_in_a_sentence(found: totals.Difference | None, said: str) -> None:
    """Which way, how far, and whether it may be chance."""
    assert said in evaluation_page.told(found, "small", "tiny")
