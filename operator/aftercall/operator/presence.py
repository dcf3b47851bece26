"""Which consumers of a pool tell what they have: those that speak, those that have fallen silent, and those that are
ready and have told nothing, so that what they have read looks unread and nobody's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from aftercall.operator import ledger, unread

STALE_S = 30.0
"""Seconds after which a consumer that reports every few has fallen silent, or one that is ready and has never reported
counts as one that does not: a new one tells within five."""
BEGINNING_S = 90.0
"""Seconds from a pool's first look in which consumers find an operator that has just begun. After one that was killed
it takes the Lease after 24, and consumers ask again after 33, or 43 where a server hung."""

Place = tuple[str, int]


@dataclasses.dataclass(frozen=True, slots=True)
class State:
    """What one look hands to the next: when the first was, how many consumers were ready before this operator could
    order any, and since when some that are ready tell nothing.
    """

    began_at_s: float | None = None
    n_before: int | None = None
    missing_since_s: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Presence:
    """Who speaks and who has fallen silent, with what they told last."""

    speaking: Mapping[str, ledger.Heard]
    silent: Mapping[str, ledger.Heard]
    n_missing: int = 0
    """Consumers that are ready and tell nothing, where that is no matter of seconds."""
    is_beginning: bool = False
    """Whether the operator has just begun, and not all that are there have told it what they have. What they have read
    counts as unread then, by a length that is believed and for no tenant: 24,000 messages of a tenant that its limit
    lets 60 audio-seconds a second through looked like work for 40 replicas, where one was enough."""


def take(
    heard: Mapping[str, ledger.Heard], ready: int | None, state: State, *, is_done: bool, now_s: float
) -> tuple[Presence, State]:
    """Return who is there, and the state for the next look.

    `ready` are consumers that are ready; None: unknown. `is_done` says that everything in Kafka is committed: then who
    tells nothing has nothing.
    """
    speaking = {name: each for name, each in heard.items() if now_s - each.at_s < STALE_S}
    silent = {name: each for name, each in heard.items() if name not in speaking}
    staying = sum(not each.report.is_draining for each in speaking.values())
    missing = 0 if ready is None or is_done else max(0, ready - staying)
    began_at_s = now_s if state.began_at_s is None else state.began_at_s
    n_before = ready if state.n_before is None else state.n_before
    # Those that were ordered since have read nothing that was read before.
    are_unheard = ready is None or staying < min(ready, n_before or 0)
    since_s = None if not missing else now_s if state.missing_since_s is None else state.missing_since_s
    is_beginning = not is_done and now_s - began_at_s < BEGINNING_S and are_unheard
    is_lasting = is_beginning or (since_s is not None and now_s - since_s >= STALE_S)
    return Presence(speaking, silent, missing if is_lasting else 0, is_beginning), State(began_at_s, n_before, since_s)


def positions(present: Presence) -> dict[Place, int]:
    """Return up to where consumers say they have read; the furthest, if two have reported a partition.

    That of a consumer which has fallen silent counts where nobody else has its partition: what it had read counts with
    it, and else its offsets counted twice.
    """
    found: dict[Place, int] = {}
    for consumers in (present.silent, present.speaking):
        told: dict[Place, int] = {}
        for each in consumers.values():
            for one in each.report.positions:
                place = one.topic, one.partition
                told[place] = max(one.position, told.get(place, 0))
        found.update(told)
    return found


def shares(seen: Mapping[Place, unread.Partition], present: Presence) -> dict[str, ledger.Share]:
    """Return which share of what each silent consumer told is still its own: by its partitions, as those are even.

    What lies in a partition that another tells of counts with that one. What is committed up to where it had read is
    done, which it will tell when it speaks again. So where nothing is left, nothing is unknown either.
    """
    if not present.silent:
        return {}
    taken = {(one.topic, one.partition) for each in present.speaking.values() for one in each.report.positions}

    def is_left(place: Place, position: int) -> bool:
        if place not in seen:
            return True
        # A partition without a commit is read from its beginning, and one that holds nothing is never committed.
        done = seen[place].begin if seen[place].committed is None else seen[place].committed
        return done is None or done < position

    found = {}
    for name, each in present.silent.items():
        told = {(one.topic, one.partition): one.position for one in each.report.positions}
        own = {place: position for place, position in told.items() if place not in taken}
        n_left = sum(is_left(*one) for one in own.items())
        found[name] = ledger.Share(len(own) / len(told), n_left / len(told)) if told else ledger.WHOLE
    return found
