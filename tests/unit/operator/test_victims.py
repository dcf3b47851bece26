"""Which pods go first."""

from __future__ import annotations

import datetime

import pytest

from aftercall.operator import victims

NOW = datetime.datetime(2026, 11, 25, 12, 0, tzinfo=datetime.UTC)


def test_the_idle_go_before_the_busy_and_the_busy_before_the_unknown() -> None:
    """By audio-seconds that run; what nobody told of may be the most."""
    pods = [victims.Pod(name) for name in ("idle", "little", "much", "silent")]

    found = victims.changes(pods, {"idle": 0.0, "little": 0.4, "much": 1e9})

    assert {"idle": 0, "little": 10, "much": 86_410, "silent": 86_410} == found


def test_only_what_has_changed_is_marked() -> None:
    """And nothing that is on its way out."""
    leaving = victims.Pod("leaving", leaves_by=NOW)
    pods = [victims.Pod("same", cost=10), victims.Pod("other", cost=10), leaving, victims.Pod("over", has_ended=True)]

    assert {"other": 0} == victims.changes(pods, {"same": 0.5, "other": 0.0})


@pytest.mark.parametrize(("marked", "cost"), [("0", 0), ("-5", -5), ("many", None), ("", None)])
def test_a_pod_is_read_as_it_is_marked(marked: str, cost: int | None) -> None:
    """Whoever marked it."""
    pod = {"metadata": {"name": "p", "annotations": {victims.ANNOTATION: marked}}, "status": {"phase": "Running"}}

    assert victims.Pod("p", cost=cost) == victims.read(pod)


def test_a_pod_that_was_let_go_is_waited_for_until_it_should_have_ended() -> None:
    """And a minute more: a node that is gone never says so."""
    metadata = {"name": "p", "deletionTimestamp": "2026-11-25T12:00:00Z"}

    leaving = victims.read({"metadata": metadata, "status": {"phase": "Running"}})

    assert leaving.is_leaving(NOW + datetime.timedelta(seconds=59))
    assert not leaving.is_leaving(NOW + datetime.timedelta(seconds=60))
    assert not victims.read({"metadata": metadata, "status": {"phase": "Succeeded"}}).is_leaving(NOW)
    assert not victims.read({"metadata": {"name": "p"}}).is_leaving(NOW)
