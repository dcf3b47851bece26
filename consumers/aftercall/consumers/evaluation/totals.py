"""Figures of many calls: by tenant, by slice, and the difference between two ways to transcribe the same calls."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from aftercall.consumers.evaluation import score

_RESAMPLES = 2000


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """One call's score, and where it belongs; `failure` says why there is no transcript."""

    call_id: str
    tenant: str
    slices: Mapping[str, str]
    score: score.Score
    failure: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class Total:
    """Figures of some calls together: each is a ratio of sums, so that long calls weigh more. None: nothing to tell."""

    calls: int
    failed: int
    audio_s: float
    words: score.Words
    wer: float | None
    der: float | None
    word_start_p50_s: float | None
    word_start_p95_s: float | None
    coverage: float | None
    dropped: int
    retried_windows: int


@dataclasses.dataclass(frozen=True, slots=True)
class Difference:
    """Word error rate of the second less that of the first, and in which range it lies with 95 % of resampled calls."""

    wer: float
    low: float
    high: float

    @property
    def is_clear(self) -> bool:
        """Say whether the range leaves out zero."""
        return self.low > 0 or self.high < 0


def total(results: Sequence[Result]) -> Total:
    """Add up."""
    scores = [result.score for result in results]
    words = sum((one.words for one in scores), score.Words())
    spoken = [one.speakers for one in scores if one.speakers is not None]
    reference_s, speech_s = sum(one.reference_s for one in spoken), sum(one.speech_s for one in scores)
    off_s = np.concatenate([np.asarray(one.word_starts_off_s) for one in scores]) if scores else np.zeros(0)
    return Total(
        calls=len(results),
        failed=sum(result.failure is not None for result in results),
        audio_s=sum(one.audio_s for one in scores),
        words=words,
        wer=_ratio(words.errors, words.reference),
        der=_ratio(sum(one.error_s for one in spoken), reference_s),
        word_start_p50_s=float(np.quantile(off_s, 0.5)) if len(off_s) else None,
        word_start_p95_s=float(np.quantile(off_s, 0.95)) if len(off_s) else None,
        coverage=_ratio(sum(one.covered_s for one in scores), speech_s),
        dropped=sum(one.dropped for one in scores),
        retried_windows=sum(one.retried_windows for one in scores),
    )


def groups(results: Sequence[Result]) -> dict[str, Total]:
    """Return totals of all calls, of each tenant where there are several, and of each slice, by name."""
    tenants: dict[str, list[Result]] = {}
    slices: dict[str, list[Result]] = {}
    for result in results:
        tenants.setdefault(f"tenant={result.tenant}", []).append(result)
        for name, value in result.slices.items():
            slices.setdefault(f"{name}={value}", []).append(result)
    found = {"all": list(results)} | (tenants if len(tenants) > 1 else {}) | dict(sorted(slices.items()))
    return {name: total(some) for name, some in found.items()}


def difference(first: Sequence[Result], second: Sequence[Result], *, rng: np.random.Generator) -> Difference | None:
    """Compare two results of the same calls, in the same order; None without words.

    Calls are resampled with replacement (a paired bootstrap): words of one call stand and fall together.
    """
    errors = np.array([[a.score.words.errors, b.score.words.errors] for a, b in zip(first, second, strict=True)])
    words = np.array([result.score.words.reference for result in first])
    if not words.sum():
        return None
    picked = rng.integers(0, len(words), (_RESAMPLES, len(words)))
    picked_words = np.maximum(1, words[picked].sum(axis=1))
    differences = (errors[picked, 1].sum(axis=1) - errors[picked, 0].sum(axis=1)) / picked_words
    low, high = np.quantile(differences, (0.025, 0.975))
    return Difference(float((errors[:, 1].sum() - errors[:, 0].sum()) / words.sum()), float(low), float(high))


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None
