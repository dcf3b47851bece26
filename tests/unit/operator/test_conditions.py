"""Conditions: one sentence for people, one word for machines, and a time that moves only when the status does."""

from __future__ import annotations

import datetime

import pytest

from aftercall.operator import conditions
from aftercall.operator.conditions import Condition, Finding, Status, Type

NOON = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
LATER = NOON + datetime.timedelta(minutes=5)
GOOD = {
    Type.VALID: Finding(Status.TRUE, "Valid", "the specification is good"),
    Type.SCALING_CONFLICT: Finding(Status.FALSE, "OneWriter", "nobody else scales it"),
    Type.REPLICAS_AVAILABLE: Finding(Status.TRUE, "Available", "4 of 4 replicas answer"),
    Type.BACKLOG_KNOWN: Finding(Status.TRUE, "Known", "everything could be read"),
}
CONFLICT = {Type.SCALING_CONFLICT: Finding(Status.TRUE, "ScalingConflict", "an HPA scales it")}
UNKNOWN = {Type.BACKLOG_KNOWN: Finding(Status.UNKNOWN, "UnknownBacklog", "Kafka does not answer")}


@pytest.mark.parametrize(
    ("found", "status", "reason"),
    [
        (GOOD, Status.TRUE, "AsWanted"),
        (GOOD | UNKNOWN, Status.UNKNOWN, "UnknownBacklog"),
        (GOOD | UNKNOWN | CONFLICT, Status.FALSE, "ScalingConflict"),  # what is wrong weighs more
        ({}, Status.UNKNOWN, "NotLookedAt"),
    ],
)
def test_ready_sums_up(found: dict[Type, Finding], status: Status, reason: str) -> None:
    """The worst, with its reason."""
    summed = conditions.summary(found)

    assert (status, reason) == (summed.status, summed.reason)


def test_a_time_moves_only_with_the_status() -> None:
    """Another message, or another generation, is no transition."""
    first = conditions.merge((), GOOD, generation=1, now=NOON)
    same = conditions.merge(
        first,
        GOOD | {Type.REPLICAS_AVAILABLE: Finding(Status.TRUE, "Available", "5 of 5 replicas answer")},
        generation=2,
        now=LATER,
    )
    changed = conditions.merge(same, GOOD | CONFLICT, generation=2, now=LATER)

    assert {NOON} == {each.since for each in (*first, *same)}
    assert {2} == {each.observed_generation for each in same}
    assert {Type.READY: LATER, Type.SCALING_CONFLICT: LATER} == {
        each.type: each.since for each in changed if each.since == LATER
    }
    assert Type.READY is changed[0].type


def test_what_was_not_looked_at_stays() -> None:
    """And counts for the sum."""
    first = conditions.merge((), GOOD | CONFLICT, generation=1, now=NOON)

    found = conditions.merge(first, {Type.BACKLOG_KNOWN: GOOD[Type.BACKLOG_KNOWN]}, generation=1, now=LATER)

    assert Finding(Status.FALSE, "ScalingConflict", "an HPA scales it") == found[0].finding
    assert len(Type) == len(found)


def test_they_come_back_as_they_were_written() -> None:
    """What others wrote is left out."""
    written = conditions.merge((), GOOD, generation=3, now=NOON)
    strange: list[dict[str, object]] = [{"type": "Theirs", "status": "True"}, {"status": "True"}]

    assert written == conditions.read([*conditions.as_status(written), *strange])
    assert Condition(Type.VALID, GOOD[Type.VALID], 3, NOON) in written
