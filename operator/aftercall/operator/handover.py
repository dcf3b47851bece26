"""What an operator that ends leaves to its successor: who may hold grants of its, and the last report of each.

It stands in an annotation of the Lease from its release until it is taken. Without it a successor raises nothing for
one lease (15 minutes), and consumers that came with it, as in every upgrade, have but floors: a hundredth of limits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from aftercall.contracts import reports
from aftercall.operator import processes

NOBODY = "{}"
"""Where no operator was before."""
_MOST_BYTES = 200_000
"""The API server takes 256 KiB of annotations: at 80 bytes a consumer these are 2,500 of them."""


class Heard(NamedTuple):
    """The process of a consumer that was heard last, and its last report's number."""

    instance: str
    number: int


Holders = Mapping[str, Heard]
"""By `pool/consumer`."""


def encode(holders: Holders | None) -> str | None:
    """Return holders as text; None when they are not known, or too many."""
    if holders is None:
        return None
    text = json.dumps(holders, separators=(",", ":"))
    return text if len(text) <= _MOST_BYTES else None


def parse(text: str | None) -> Holders | None:
    """Return holders; None when nothing was left, or nothing that can be read: then they are not known."""
    if text is None:
        return None
    try:
        return {str(name): Heard(str(instance), int(number)) for name, (instance, number) in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError):
        return None


class Unheard:
    """Who may hold grants of a forerunner, and has not told what since."""

    def __init__(self, holders: Holders | None) -> None:
        self._of = None if holders is None else dict(holders)

    def holders(self) -> dict[str, Heard] | None:
        """Return those that are left; None when they are not known."""
        return self._of

    def hear(self, name: str, report: reports.ConsumerReport) -> bool:
        """Take a consumer for heard, and say whether it was not before; raise `processes.RefusedError` for a late one.

        Another process of its name, which knows nothing of what the one before held, leaves it unheard.
        """
        holder = None if self._of is None else self._of.get(name)
        if self._of is None or holder is None or holder.instance != report.instance:
            return False
        processes.refuse_late(report, holder.number)
        del self._of[name]
        return True

    def forget(self, name: str) -> None:
        """Take a consumer for gone."""
        if self._of is not None:
            self._of.pop(name, None)
