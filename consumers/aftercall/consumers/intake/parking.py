"""What is put aside on a topic of its own, so that one tenant's waiting calls never hold up the others'.

Over its share, a tenant's record goes to the deferred topic, which the same consumers read with what room is left. What
cannot be taken yet (an unknown tenant, an event of a later version) goes to the parked topic, and is looked at again.
Either is appended and acknowledged before the record counts as finished; nothing parked is lost, nor dead.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from aftercall.contracts import errors

TOPIC, ANNOUNCED, WHY = "aftercall-topic", "aftercall-announced-s", "aftercall-parked"
_OURS = frozenset({TOPIC, ANNOUNCED, WHY})
Headers = Sequence[tuple[str, bytes]]


@dataclasses.dataclass(frozen=True, slots=True)
class Origin:
    """Where a record was announced first, and when (Unix seconds)."""

    topic: str
    announced_s: float


def wrap(headers: Headers, origin: Origin, why: str) -> list[tuple[str, bytes]]:
    """Return a record's headers for the topic that it is put aside on."""
    kept = [(name, value) for name, value in headers if name not in _OURS]
    mark = [(TOPIC, origin.topic.encode()), (ANNOUNCED, repr(origin.announced_s).encode()), (WHY, why.encode())]
    return [*kept, *mark]


def origin_of(headers: Headers) -> Origin:
    """Return where a record that was put aside came from; raise `errors.ContractError` when it does not say."""
    found = dict(headers)
    try:
        return Origin(found[TOPIC].decode(), float(found[ANNOUNCED]))
    except (KeyError, ValueError) as exc:
        raise errors.ContractError("record was not put aside by a consumer: it does not say where it is from") from exc
