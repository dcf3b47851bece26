"""What the API needs of the service that it speaks for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from aftercall.consumers import live
from aftercall.consumers.intake import delivery, uploads
from aftercall.contracts import identity, outcomes, settings, transcript, windows


class Intake(delivery.Intake, delivery.Board, Protocol):
    """Where work is queued, and where it is."""


class Published(Protocol):
    """Where outcomes and transcripts are read."""

    async def read(self, work: identity.Work) -> outcomes.Outcome | None:
        """Return how this generation ended; None when it has not."""
        ...

    async def read_transcript(self, outcome: outcomes.Outcome) -> transcript.Transcript | None:
        """Return the transcript that a canonical outcome names; None for other outcomes and after a deletion."""
        ...


class Uploads(Protocol):
    """Where uploaded recordings are kept."""

    async def store(self, recording: identity.Recording, body: AsyncIterator[bytes]) -> uploads.Upload:
        """Take a body to its end, or keep nothing of it.

        Raises `uploads.UploadTooLargeError`, and `errors.TransientError` when it cannot be kept.
        """
        ...


class Service(Protocol):
    """The parts of a running service that requests reach."""

    @property
    def settings(self) -> settings.Settings:
        """What the service was told."""
        ...

    @property
    def intake(self) -> Intake:
        """Where work is queued, and where it is."""
        ...

    @property
    def publisher(self) -> Published:
        """Where outcomes and transcripts are read."""
        ...

    @property
    def uploads(self) -> Uploads:
        """Where uploaded recordings are kept."""
        ...

    @property
    def listeners(self) -> live.Listeners:
        """Who hears what is said while it is being transcribed."""
        ...

    @property
    def backend(self) -> windows.SpeechBackend:
        """Which model hears."""
        ...

    @property
    def ready(self) -> bool:
        """Whether the model is loaded and work is being done."""
        ...

    async def check_stores(self) -> None:
        """Write to every store that work needs; raise `errors.TransientError` for one that cannot be written."""
        ...

    async def exposition(self, *, openmetrics: bool = False) -> bytes:
        """Return the metrics in the Prometheus text format, or as OpenMetrics."""
        ...
