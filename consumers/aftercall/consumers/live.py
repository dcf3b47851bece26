"""What is said in a recording while it is being transcribed, for those who listen: in the order of the call."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
from collections.abc import Iterator, Sequence

from aftercall.consumers.transcript import assemble, heard

Line = asyncio.Queue[heard.Utterance]


class Listeners:
    """Who listens to which transcription."""

    def __init__(self) -> None:
        self._lines: dict[str, list[Line]] = {}

    @contextlib.contextmanager
    def listen(self, transcription_id: str) -> Iterator[Line]:
        """Hear every utterance from now on; what was said before is in the transcript."""
        line: Line = asyncio.Queue()
        self._lines.setdefault(transcription_id, []).append(line)
        try:
            yield line
        finally:
            lines = self._lines[transcription_id]
            lines.remove(line)
            if not lines:
                del self._lines[transcription_id]

    def tell(self, transcription_id: str, said: Sequence[heard.Utterance]) -> None:
        """Pass utterances on to whoever listens."""
        for line in self._lines.get(transcription_id, ()):
            for utterance in said:
                line.put_nowait(utterance)


class InOrder:
    """Holds utterances back until none that begins earlier can come: windows of both channels end in any order."""

    def __init__(self) -> None:
        self._held: list[tuple[float, int, int, heard.Utterance]] = []
        self._ticket = itertools.count()

    def add(self, window: heard.HeardWindow) -> None:
        """Take what a window came to; what is not believed is never told."""
        if window.verdict.accepted and not window.verdict.silent:
            for utterance in assemble.utterances([(window, assemble.words_of(window))]):
                heapq.heappush(self._held, (utterance.start_s, utterance.channel, next(self._ticket), utterance))

    def before(self, until_s: float) -> list[heard.Utterance]:
        """Return what begins before a time of the call, given that everything before it has been heard."""
        found = []
        while self._held and self._held[0][0] < until_s:
            found.append(heapq.heappop(self._held)[-1])
        return found
