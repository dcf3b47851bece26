"""Who works on a piece of work, and how often it was tried: create-only objects, one an attempt.

The owner of an attempt rewrites its claim as a heartbeat. Whoever else is given the same work (a redelivery, another
partition, a network that came back) leaves it alone while the heartbeat goes on, and opens the next attempt once it has
seen no change for a lease, on its own clock. The highest attempt is the count: it is durable before any work is done.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

import pydantic

from aftercall.contracts import events, outcomes, reports


class Claim(pydantic.BaseModel):
    """One attempt, as stored. `beat` counts heartbeats; `strikes` are deaths that the recording itself is blamed for.

    `suspect` says that its process died before, so that it must be worked on alone; `alone`, that nothing else is open
    in the process now, so that a death of the process is the recording's. A suspect that waits its turn is not alone.
    `event` is what announced the work, for whoever asks where it is or wants it again.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="allow")

    schema_version: Literal["1.0"] = "1.0"
    owner: str
    event: events.RecordingReady | None = None
    trace_id: str | None = None
    attempt: Annotated[int, pydantic.Field(ge=1)]
    strikes: Annotated[int, pydantic.Field(ge=0)] = 0
    suspect: bool = False
    alone: bool = False
    beat: Annotated[int, pydantic.Field(ge=0)] = 0
    ended: bool = False
    reason: outcomes.Reason | None = None
    message: str = ""
    stage: reports.Stage = reports.Stage.QUEUED
    progress: float | None = None
    audio_s: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Take:
    """Create this attempt."""

    claim: Claim


@dataclasses.dataclass(frozen=True, slots=True)
class Wait:
    """Somebody works on it; look again after `delay_s`."""

    delay_s: float
    owner: str


def decide(latest: Claim | None, *, unchanged_s: float, owner: str, lease_s: float) -> Take | Wait:
    """Decide what to do about a piece of work whose latest claim has been seen unchanged for `unchanged_s`.

    A claim that its owner ended is followed at once. One whose owner fell silent is followed after the lease, alone: if
    the process dies again with nothing else open, that counts as a strike; the first death proves nothing.
    """
    if latest is None:
        return Take(Claim(owner=owner, attempt=1))
    following = Claim(owner=owner, attempt=latest.attempt + 1, strikes=latest.strikes)
    if latest.ended:
        return Take(following)
    if unchanged_s < lease_s:
        return Wait(lease_s - unchanged_s, latest.owner)
    return Take(following.model_copy(update={"suspect": True, "strikes": latest.strikes + int(latest.alone)}))
