"""Which consumers of a pool tell what they have: those that speak, those that have fallen silent, and those that are
ready and have told nothing, so that what they have read looks unread and nobody's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping

from aftercall.operator import ledger, unread

STALE_S = 30.0
"""Seconds after which a consumer that reports every few has fallen silent, or one that is ready and has never reported
counts as one that does not: a new one tells within five."""
BEGINNING_S = 90.0
"""Seconds from a pool's first look with the Lease in which consumers find an operator that has just begun: those that
the one before did not answer ask again after 33, or 43 where a server hung."""

Place = tuple[str, int]


@dataclasses.dataclass(frozen=True, slots=True)
class Silent:
    """A consumer that has fallen silent: what it told last, and what has become of its partitions since."""

    heard: ledger.Heard
    had: Mapping[Place, int] | None = None
    """Messages that it had read and that were not committed as it fell silent; None: that is not known."""
    taken: frozenset[Place] = frozenset()
    """Partitions that another has told of since. They stay so until it speaks again: where a lost consumer's came back
    for one look, since the taker slept, began anew or passed them on, all that it had told seemed to arrive once more:
    30,000 audio-seconds in 5 s were 8 replicas for work that was done."""

    @property
    def told(self) -> dict[Place, int]:
        """Up to where it had read."""
        return dict(_read(self.heard))


@dataclasses.dataclass(frozen=True, slots=True)
class State:
    """What one look hands to the next: when the first was, how many consumers were ready before this operator could
    order any, since when some that are ready tell nothing, and who was silent.
    """

    began_at_s: float | None = None
    n_before: int | None = None
    missing_since_s: float | None = None
    silent: Mapping[str, Silent] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class Presence:
    """Who speaks, with what they told last, and who has fallen silent."""

    speaking: Mapping[str, ledger.Heard]
    silent: Mapping[str, Silent]
    n_missing: int = 0
    """Consumers that are ready and tell nothing, where that is no matter of seconds."""
    is_beginning: bool = False
    """Whether the operator has just begun, and not all that are there have told it what they have. What they have read
    counts as unread then, by a length that is believed and for no tenant: 24,000 messages of a tenant that its limit
    lets 60 audio-seconds a second through looked like work for 40 replicas, where one was enough."""


def take(
    heard: Mapping[str, ledger.Heard],
    ready: int | None,
    state: State,
    seen: Mapping[Place, unread.Partition],
    *,
    is_done: bool,
    now_s: float,
) -> tuple[Presence, State]:
    """Return who is there, and the state for the next look.

    `ready` are consumers that are ready; None: unknown. `is_done` says that everything in Kafka is committed: then who
    tells nothing has nothing.
    """
    speaking = {name: each for name, each in heard.items() if now_s - each.at_s < STALE_S}
    silent = _silent({name: each for name, each in heard.items() if name not in speaking}, speaking, state, seen)
    staying = sum(not each.report.is_draining for each in speaking.values())
    missing = 0 if ready is None or is_done else max(0, ready - staying)
    began_at_s = now_s if state.began_at_s is None else state.began_at_s
    n_before = ready if state.n_before is None else state.n_before
    # Those that were ordered since have read nothing that was read before.
    are_unheard = ready is None or staying < min(ready, n_before or 0)
    since_s = None if not missing else now_s if state.missing_since_s is None else state.missing_since_s
    is_beginning = not is_done and now_s - began_at_s < BEGINNING_S and are_unheard
    is_lasting = is_beginning or (since_s is not None and now_s - since_s >= STALE_S)
    present = Presence(speaking, silent, missing if is_lasting else 0, is_beginning)
    return present, State(began_at_s, n_before, since_s, silent)


def positions(present: Presence) -> dict[Place, int]:
    """Return up to where consumers say they have read; the furthest, if two have reported a partition.

    That of a consumer which has fallen silent counts while no other has had its partition: what it had read counts with
    it, and else its offsets counted twice.
    """
    left = (at for one in present.silent.values() for at in one.told.items() if at[0] not in one.taken)
    told = (at for each in present.speaking.values() for at in _read(each))
    return _furthest(left) | _furthest(told)


def shares(seen: Mapping[Place, unread.Partition], present: Presence) -> dict[str, ledger.Share]:
    """Return which share of what each silent consumer told is still its own: by the messages that it had.

    What lies in a partition that another tells of counts with that one. What is committed up to where it had read is
    done, which it will tell when it speaks again. So where nothing is left, nothing is unknown either.
    """
    return {name: _share(one, seen) for name, one in present.silent.items()}


def _read(heard: ledger.Heard) -> Iterator[tuple[Place, int]]:
    return (((one.topic, one.partition), one.position) for one in heard.report.positions)


def _furthest(positions: Iterable[tuple[Place, int]]) -> dict[Place, int]:
    found: dict[Place, int] = {}
    for place, position in positions:
        found[place] = max(position, found.get(place, 0))
    return found


def _silent(
    heard: Mapping[str, ledger.Heard],
    speaking: Mapping[str, ledger.Heard],
    state: State,
    seen: Mapping[Place, unread.Partition],
) -> dict[str, Silent]:
    if not heard:
        return {}
    taken = {place for each in speaking.values() for place, _ in _read(each)}
    found = {}
    for name, each in heard.items():
        before = state.silent.get(name)
        one = before if before is not None and before.heard is each else Silent(each)
        found[name] = dataclasses.replace(
            one, had=_had(one.told, seen) if one.had is None else one.had, taken=one.taken | (taken & one.told.keys())
        )
    return found


def _had(told: Mapping[Place, int], seen: Mapping[Place, unread.Partition]) -> dict[Place, int] | None:
    had = {}
    for place, position in told.items():
        n_left = _left(seen.get(place), position)
        if n_left is None:
            return None
        had[place] = n_left
    return had


def _left(partition: unread.Partition | None, position: int) -> int | None:
    """Return how many messages before a position are not committed; None: that is not known."""
    if partition is None:
        return None
    # A partition without a commit is read from its beginning, and one that holds nothing is never committed.
    done = partition.begin if partition.committed is None else partition.committed
    return None if done is None else max(0, position - done)


def _share(one: Silent, seen: Mapping[Place, unread.Partition]) -> ledger.Share:
    told = one.told
    if not told:
        has_work = any(load.waiting_audio_s + load.running_audio_s > 0 for load in one.heard.report.tenants)
        return ledger.WHOLE if has_work else ledger.DONE
    had = dict.fromkeys(told, 1) if one.had is None else one.had
    total = sum(had.values())
    if not total:
        return ledger.DONE
    own = {place: n for place, n in had.items() if place not in one.taken}
    n_left = 0
    for place, n in own.items():
        known = _left(seen.get(place), told[place])
        n_left += n if known is None else min(n, known)
    return ledger.Share(sum(own.values()) / total, n_left / total)
