"""What holds of a pool, as Kubernetes says such things: conditions by type, with a reason that machines read.

`Ready` sums up the others. A condition's time is that of its last change of status, so that nothing is written where
nothing has changed.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
from collections.abc import Mapping, Sequence


class Type(enum.StrEnum):
    """What may hold."""

    READY = "Ready"
    BACKLOG_KNOWN = "BacklogKnown"
    REPLICAS_AVAILABLE = "ReplicasAvailable"
    SCALING_CONFLICT = "ScalingConflict"
    VALID = "Valid"


class Status(enum.StrEnum):
    """Whether it does."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one type."""

    status: Status
    reason: str
    message: str


@dataclasses.dataclass(frozen=True, slots=True)
class Condition:
    """A finding, of which generation of the specification, and since when its status holds."""

    type: Type
    finding: Finding
    observed_generation: int
    since: datetime.datetime


GOOD = {
    Type.BACKLOG_KNOWN: Status.TRUE,
    Type.REPLICAS_AVAILABLE: Status.TRUE,
    Type.SCALING_CONFLICT: Status.FALSE,
    Type.VALID: Status.TRUE,
}
"""What each has to be for a pool to be ready."""


def summary(found: Mapping[Type, Finding]) -> Finding:
    """Return what `Ready` is: the first of the others that is not good, by their weight, else that all is."""
    for kind in (Type.VALID, Type.SCALING_CONFLICT, Type.REPLICAS_AVAILABLE, Type.BACKLOG_KNOWN):
        one = found.get(kind)
        if one is None:
            return Finding(Status.UNKNOWN, "NotLookedAt", f"nothing is known yet of {kind}")
        if one.status is not GOOD[kind]:
            status = Status.UNKNOWN if one.status is Status.UNKNOWN else Status.FALSE
            return Finding(status, one.reason, one.message)
    return Finding(Status.TRUE, "AsWanted", "replicas are as they are wanted")


def merge(
    before: Sequence[Condition], found: Mapping[Type, Finding], *, generation: int, now: datetime.datetime
) -> tuple[Condition, ...]:
    """Return conditions after a look, `Ready` first; what was not looked at now stays as it was."""
    known = {each.type: each for each in before}
    whole = {kind: each.finding for kind, each in known.items() if kind is not Type.READY} | dict(found)
    merged = {}
    for kind, finding in {Type.READY: summary(whole), **found}.items():
        last = known.get(kind)
        since = last.since if last is not None and last.finding.status is finding.status else now
        merged[kind] = Condition(kind, finding, generation, since)
    return tuple((known | merged)[kind] for kind in Type if kind in known | merged)


def as_status(conditions: Sequence[Condition]) -> list[dict[str, object]]:
    """Return conditions as a status has them."""
    return [
        {
            "type": str(each.type),
            "status": str(each.finding.status),
            "observedGeneration": each.observed_generation,
            "lastTransitionTime": each.since.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "reason": each.finding.reason,
            "message": each.finding.message,
        }
        for each in conditions
    ]


def read(status: Sequence[Mapping[str, object]]) -> tuple[Condition, ...]:
    """Return the conditions of a status; what is none of ours, or not as we write it, is left out."""
    found = []
    for each in status:
        try:
            found.append(
                Condition(
                    Type(str(each["type"])),
                    Finding(Status(str(each["status"])), str(each["reason"]), str(each["message"])),
                    int(str(each.get("observedGeneration", 0))),
                    datetime.datetime.fromisoformat(str(each["lastTransitionTime"])),
                )
            )
        except (KeyError, ValueError):
            continue
    return tuple(found)
