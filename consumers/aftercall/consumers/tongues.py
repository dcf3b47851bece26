"""Which language each channel of a call speaks, where nobody has said it.

The first window that is heard with confidence decides for the rest of its channel: detection on every short window
takes a few of them for another language, and their text is then nonsense. Who switches languages within a call is
detected window by window, where that has been asked for.
"""

from __future__ import annotations

import asyncio

SURE = 0.5
"""A language that is at least this likely is believed, as is one from a backend that tells no probability."""


class Tongues:
    """`requested` is everybody's language; with `switching` every window is detected anew."""

    def __init__(self, requested: str | None, *, switching: bool) -> None:
        self._requested = requested
        self._switching = switching
        self._known: dict[int, str] = {}
        self._detecting: dict[int, asyncio.Event] = {}

    async def ask(self, channel: int) -> str | None:
        """Return the language to ask for; None to detect it. Waits for a window that is detecting the channel's."""
        if self._requested is not None or self._switching:
            return self._requested
        while channel not in self._known:
            running = self._detecting.get(channel)
            if running is None:
                self._detecting[channel] = asyncio.Event()
                return None
            await running.wait()
        return self._known[channel]

    def heard(self, channel: int, language: str | None, probability: float | None) -> None:
        """Learn what a window that was asked about came to; None where nothing was said in it, or it failed."""
        if language is not None and channel not in self._known and (probability is None or probability >= SURE):
            self._known[channel] = language
        running = self._detecting.pop(channel, None)
        if running is not None:
            running.set()
