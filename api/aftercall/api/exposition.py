"""In which of its formats whoever asks for metrics is answered: Prometheus' own text, or OpenMetrics with exemplars."""

from __future__ import annotations

from typing import Protocol

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class Exposition(Protocol):
    """Tells metrics as they are now."""

    def __call__(self, *, openmetrics: bool = False) -> bytes:
        """Return them in one of the two formats."""
        ...


def is_openmetrics(accept: str | None) -> bool:
    """Return whether an `Accept` header asks for OpenMetrics, as a Prometheus does."""
    for one in (accept or "").split(","):
        kind, *parameters = (part.strip().lower() for part in one.split(";"))
        if kind == "application/openmetrics-text":
            return not any(each.startswith("q=") and not each[2:].strip("0.") for each in parameters)
    return False


def media_type(*, openmetrics: bool) -> str:
    """Return what the answer is."""
    return OPENMETRICS if openmetrics else TEXT
