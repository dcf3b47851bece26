"""Fakes of this part, shipped so that everyone tests against the same ones."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from aftercall.contracts import windows

INFO = windows.BackendInfo(
    backend="fake",
    model="fake",
    revision="1",
    precision=None,
    languages=("en", "es"),
    capabilities=windows.Capabilities(word_times=True, logprobs=True, no_speech=True, translation=True, prompts=True),
)


class FakeBackend:
    """Answers at once: by default one word a window, made of its audio, so that swapped answers show.

    `script(window)` may return another result or raise; every window asked is kept in `asked`.
    """

    def __init__(self, script: Callable[[windows.Window], windows.WindowResult] | None = None) -> None:
        self._script = script or (lambda window: said(window, f" {fingerprint(window)}"))
        self.asked: list[windows.Window] = []
        self.started = False

    @property
    def info(self) -> windows.BackendInfo:
        """Always the same."""
        return INFO

    async def start(self) -> None:
        """Start at once."""
        self.started = True

    async def transcribe(self, window: windows.Window) -> windows.WindowResult:
        """Answer by the script."""
        self.asked.append(window)
        return self._script(window)

    async def close(self) -> None:
        """Close at once."""
        self.started = False


def fingerprint(window: windows.Window) -> str:
    """Return a word that only this audio gives."""
    return hashlib.sha256(window.pcm).hexdigest()[:12]


def said(window: windows.Window, text: str, **changes: object) -> windows.WindowResult:
    """Make a good result: the words of `text` spread evenly over the window."""
    spoken = text.split()
    step_s = window.duration_s / max(1, len(spoken))
    fields: dict[str, object] = {
        "window_id": window.window_id,
        "text": text,
        "words": tuple(windows.Word(f" {word}", at * step_s, (at + 1) * step_s, 0.9) for at, word in enumerate(spoken)),
        "segments": (),
        "language": window.options.language or "en",
        "language_probability": None if window.options.language else 0.99,
        "avg_logprob": -0.2,
        "no_speech_probability": 0.01,
        "temperature": window.options.temperature,
    }
    return windows.WindowResult(**{**fields, **changes})  # type: ignore[arg-type]
