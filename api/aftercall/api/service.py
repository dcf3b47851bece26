"""What the API needs of the service that it speaks for."""

from __future__ import annotations

from typing import Protocol

from aftercall.consumers.intake import delivery, uploads
from aftercall.consumers.publish import outcome
from aftercall.contracts import settings, windows


class Intake(delivery.Intake, delivery.Board, Protocol):
    """Where work is queued, and where it is."""


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
    def publisher(self) -> outcome.Publisher:
        """Where outcomes and transcripts are read."""
        ...

    @property
    def uploads(self) -> uploads.Uploads:
        """Where uploaded recordings are kept."""
        ...

    @property
    def backend(self) -> windows.SpeechBackend:
        """Which model hears."""
        ...

    @property
    def ready(self) -> bool:
        """Whether the model is loaded and work is being done."""
        ...

    async def exposition(self) -> bytes:
        """Return the metrics in the Prometheus text format."""
        ...
