"""When to come again, as an HTTP server says it."""

from __future__ import annotations


def retry_after_s(told: str | None, *, otherwise_s: float) -> float:
    """Read a `Retry-After` header; seconds are taken, dates and nonsense are not."""
    return float(told) if told is not None and told.isdecimal() else otherwise_s
