"""Equal work for every side of a comparison: the same sound, and as many tokens as speech of its length has."""

from __future__ import annotations

import faster_whisper.transcribe
import numpy as np

TOKENS_PER_S = 2.5
END_OF_TEXT = 50257


def suppress_the_end() -> None:
    """Make every side run to its token count: both get their suppressed tokens from the same function."""
    plain = faster_whisper.transcribe.get_suppressed_tokens

    def with_end(tokenizer: object, tokens: list[int]) -> tuple[int, ...]:
        return tuple(sorted({*plain(tokenizer, tokens), END_OF_TEXT}))

    faster_whisper.transcribe.get_suppressed_tokens = with_end


def sound(seconds: int) -> np.ndarray:
    """Return noise with a voice's slow ups and downs; what it is does not matter here."""
    rng = np.random.default_rng(seconds)
    at = np.arange(seconds * 16_000) / 16_000
    return (rng.standard_normal(len(at)) * 0.05 * (1.2 + np.sin(2 * np.pi * 4 * at))).astype(np.float32)


def tokens_of(window_s: int) -> int:
    """Return the tokens forced on a window."""
    return round(TOKENS_PER_S * window_s)
