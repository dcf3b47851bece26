"""The time of day, where parts are put together: everything below takes `now` as an argument."""

from __future__ import annotations

import datetime


def utc_now() -> datetime.datetime:
    """Return the time of day for records."""
    return datetime.datetime.now(datetime.UTC)
