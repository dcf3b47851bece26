"""What all consumers of a pool did since they last told, together: what capacity is learned from.

Consumers report at their own times, and not with every look at the pool: what one did in half a minute is not to be
held against the seconds of one look. So a sample is taken once each of them has told something new.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from aftercall.contracts import reports
from aftercall.operator import capacity, ledger

_FULL = 0.9
"""Share of the time for which something is full that counts as always."""


@dataclasses.dataclass(frozen=True, slots=True)
class State:
    """What one look hands to the next: what consumers had told when the last sample was taken, and what it showed."""

    told: Mapping[str, ledger.Heard] = dataclasses.field(default_factory=dict)
    is_speech_full: bool = False
    are_consumers_full: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Samples:
    """What was done by speech replicas and by consumers themselves; None where nothing new is known."""

    heard: capacity.Sample | None = None
    prepared: capacity.Sample | None = None


def take(speaking: Mapping[str, ledger.Heard], state: State, *, replicas: int | None) -> tuple[Samples, State]:
    """Return what consumers that are not silent did since the last sample, and the state for the next.

    All of them see the same speech `replicas` busy: those were so for the whole time, each once. Where one has come,
    gone or begun anew meanwhile, it is not known what was done by all.
    """
    if any(state.told.get(name) is each for name, each in speaking.items()):
        return Samples(), state
    spans = _spans(speaking, state.told)
    heard, prepared = _sample(spans, lambda one: one.heard), _sample(spans, lambda one: one.prepared)
    is_speech_full = heard is not None and heard.is_saturated
    if replicas is None:
        heard = None  # what one of them did is not known
    elif heard is not None:
        passed_s = sum(passed_s for _, _, passed_s in spans) / len(spans)
        per_s = sum((now.heard.done_audio_s - then.heard.done_audio_s) / each_s for now, then, each_s in spans)
        heard = capacity.Sample(per_s * passed_s, replicas * passed_s, heard.is_saturated)
    are_consumers_full = prepared is not None and prepared.is_saturated
    return Samples(heard, prepared), State(dict(speaking), is_speech_full, are_consumers_full)


_Span = tuple[reports.ConsumerReport, reports.ConsumerReport, float]
"""A consumer's report, the one before, and the seconds between."""


def _spans(speaking: Mapping[str, ledger.Heard], told: Mapping[str, ledger.Heard]) -> list[_Span]:
    if speaking.keys() != told.keys():
        return []
    found = [(each.report, told[name].report, each.at_s - told[name].at_s) for name, each in speaking.items()]
    return found if all(now.instance == then.instance and passed_s > 0 for now, then, passed_s in found) else []


def _sample(spans: list[_Span], part: Callable[[reports.ConsumerReport], reports.Work]) -> capacity.Sample | None:
    """Return what was done; saturated, if every consumer that did anything was full for nearly all of its time."""
    done_audio_s, busy_s, is_saturated = 0.0, 0.0, True
    for now, then, passed_s in spans:
        new, old = part(now), part(then)
        if new.busy_s > old.busy_s:
            done_audio_s += new.done_audio_s - old.done_audio_s
            busy_s += new.busy_s - old.busy_s
            is_saturated = is_saturated and new.full_s - old.full_s >= _FULL * passed_s
    return capacity.Sample(done_audio_s, busy_s, is_saturated) if busy_s > 0 else None
