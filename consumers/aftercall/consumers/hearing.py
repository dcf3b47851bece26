"""Hear one window until its result can be trusted, or until every temperature has been tried."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from aftercall.consumers import checkpoints
from aftercall.consumers.transcript import quality
from aftercall.contracts import identity, transcript, windows


@dataclasses.dataclass(frozen=True, slots=True)
class Heard:
    """What a window came to: the chosen attempt, all that were made, and how many of them the backend was asked for."""

    result: windows.WindowResult
    verdict: quality.Verdict
    attempts: int
    asked: int


class Hearing:
    """Ask the backend for windows of one piece of work, going by the checkpoints first."""

    def __init__(
        self,
        backend: windows.SpeechBackend,
        kept: checkpoints.Checkpoints,
        work: identity.Work,
        *,
        temperatures: tuple[float, ...],
        on_retry: Callable[[transcript.Flag | None], None] = lambda _: None,
    ) -> None:
        self._backend = backend
        self._kept = kept
        self._work = work
        self._temperatures = temperatures
        self._on_retry = on_retry

    async def hear(self, window: windows.Window, facts: quality.WindowFacts) -> Heard:
        """Decode at the first temperature; a bad result goes back in hotter, as one more window of a later batch."""
        tried: list[quality.Attempt] = []
        n_asked = 0
        temperature: float | None = self._temperatures[0]
        while temperature is not None:
            result, is_new = await self._ask(_at(window, temperature))
            n_asked += is_new
            tried.append(quality.Attempt(result, quality.judge(result, facts)))
            temperature = quality.plan_retry(tried, self._temperatures)
            if temperature is not None:
                flags = tried[-1].verdict.flags
                self._on_retry(flags[0] if flags else None)
        best = quality.choose(tried)
        return Heard(best.result, best.verdict, len(tried), n_asked)

    async def _ask(self, window: windows.Window) -> tuple[windows.WindowResult, bool]:
        digest = checkpoints.digest_of(window, self._backend.info)
        stored = await self._kept.get(self._work, digest)
        known = checkpoints.decode(stored) if stored is not None else None
        if known is not None:
            return dataclasses.replace(known, window_id=window.window_id), False
        result = await self._backend.transcribe(window)
        await self._kept.put(self._work, digest, checkpoints.encode(result))
        return result, True


def _at(window: windows.Window, temperature: float) -> windows.Window:
    if temperature == 0:
        return window
    # Sampling with beams is not defined; and a bad result may be the missing padding's, or the prompt's.
    options = dataclasses.replace(window.options, temperature=temperature, beam_size=1, trim=False, prompt=None)
    return dataclasses.replace(window, options=options)
