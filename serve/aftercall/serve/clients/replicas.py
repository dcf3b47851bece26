"""Which servers answer behind a name, and which of them is asked next.

A Service's one address would pin every stream of a connection to one pod, so a name is resolved to all its addresses
(a headless Service has one for each ready pod), and every window goes to whoever has least to do.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable
from typing import Generic, TypeVar

Address = tuple[str, int]
Channel = TypeVar("Channel")

_FIRST_REST_S = 0.5
_LONGEST_REST_S = 15.0


@dataclasses.dataclass(slots=True)
class Replica(Generic[Channel]):
    """A server: `n_asked` windows are with it now; after `n_failed` failures in a row it rests until `rests_until_s`.

    One that its name does not lead to any more (`is_gone`) gets nothing new, and answers what it was asked.
    """

    address: Address
    channel: Channel
    n_asked: int = 0
    n_failed: int = 0
    rests_until_s: float = 0.0
    is_gone: bool = False

    def failed(self, now_s: float) -> None:
        """Note that it did not answer: it rests for twice as long each time."""
        self.rests_until_s = now_s + min(_LONGEST_REST_S, _FIRST_REST_S * 2**self.n_failed)
        self.n_failed += 1

    def answered(self) -> None:
        """Note that it answered, whatever it said."""
        self.n_failed, self.rests_until_s = 0, 0.0


def choose(replicas: Iterable[Replica[Channel]], *, now_s: float, luck: float) -> Replica[Channel] | None:
    """Return whoever has least to do of those that do not rest, by `luck` (0 to 1) among equals; None without any.

    When all of them rest, whoever rests shortest is asked: somebody has to find out that they are back.
    """
    there = [one for one in replicas if not one.is_gone]
    if not there:
        return None
    awake = [one for one in there if one.rests_until_s <= now_s]
    if not awake:
        return min(there, key=lambda one: one.rests_until_s)
    least = min(one.n_asked for one in awake)
    equals = [one for one in awake if one.n_asked == least]
    return equals[min(len(equals) - 1, int(luck * len(equals)))]


def difference(known: Collection[Address], found: Collection[Address]) -> tuple[list[Address], list[Address]]:
    """Return the addresses that are new, and those that are gone, each in order."""
    return sorted(set(found) - set(known)), sorted(set(known) - set(found))
