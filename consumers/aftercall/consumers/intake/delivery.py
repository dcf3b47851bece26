"""The one interface through which work arrives, whatever broker stands behind it.

A delivery is taken, worked on, and then either finished (its outcome is durable elsewhere) or handed back
(nothing was concluded; it is due again later). Until one of the two has happened, the intake keeps it.
"""

from __future__ import annotations

import dataclasses
from typing import Protocol

from aftercall.contracts import errors, events, identity, outcomes, reports


@dataclasses.dataclass(frozen=True, slots=True)
class Delivery:
    """One piece of work, taken. `attempts` counts this one too; `strikes` are deaths of its own decode child.

    `ticket` tells two deliveries of the same work apart; work of a lower `rank` goes first. `trace` are the headers of
    the trace that the event is part of. `promise_s` is how soon after `queued_at` an outcome is due, where that differs
    from the others'; `is_throttled` says that its tenant waited for its own limit meanwhile.
    """

    work: identity.Work
    event: events.RecordingReady
    attempts: int
    strikes: int
    queued_at: float
    ticket: int = 0
    rank: int = 0
    trace: tuple[tuple[str, bytes], ...] = ()
    promise_s: float | None = None
    is_throttled: bool = False


class RequestKeyReusedError(errors.AftercallError):
    """A request key came again with another request: another recording, or another language."""


class Queue(Protocol):
    """Where work is taken from."""

    async def take(self) -> Delivery | None:
        """Take the next piece of work that is due, counting the attempt durably first; None when nothing is due."""
        ...

    async def finish(self, delivery: Delivery, outcome: outcomes.Outcome) -> None:
        """Record that the work has ended with this outcome, which is durable already."""
        ...

    async def hand_back(
        self,
        delivery: Delivery,
        *,
        delay_s: float,
        reason: outcomes.Reason | None = None,
        message: str = "",
        strike: bool = False,
    ) -> None:
        """Return the work unconcluded; it is due again after `delay_s`. `strike` counts its decode child's death."""
        ...


class Intake(Queue, Protocol):
    """Where work is announced and taken from."""

    async def publish(self, event: events.RecordingReady) -> reports.WorkReport:
        """Queue a recording durably, once: the same recording, version and generation again changes nothing.

        `event.version` must be known. Returns where that work is now.
        """
        ...

    async def publish_again(
        self, recording: identity.Recording, *, language: str | None, request_key: str | None = None
    ) -> reports.WorkReport | None:
        """Queue a deliberate transcription of a recording that is known already; None when it is not.

        Work that is still open with the same language is returned as it is; otherwise the next generation is opened.
        The same `request_key` of the same tenant always returns the same work; with another recording or language
        it raises `RequestKeyReusedError`.
        """
        ...


class Progress(Protocol):
    """Where running work says how far it is."""

    async def report(
        self,
        work: identity.Work,
        stage: reports.Stage,
        *,
        progress: float | None = None,
        audio_s: float | None = None,
    ) -> None:
        """Record the stage that running work is in."""
        ...


class Board(Progress, Protocol):
    """Where each piece of work is; what `status` and the API read."""

    async def find(self, transcription_id: str) -> reports.WorkReport | None:
        """Return the work of this id."""
        ...

    async def find_call(self, id_: str, *, tenant: str | None = None) -> list[reports.WorkReport]:
        """Return all work on recordings whose call id or recording id is `id_`, newest first."""
        ...

    async def list_reports(
        self, *, tenant: str | None = None, before: str | None = None, limit: int = 100
    ) -> list[reports.WorkReport]:
        """Return reports, newest first: the newest, or those that follow the transcription id `before`."""
        ...
