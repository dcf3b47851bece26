"""What there is, by a watch that may be dead and lists that may be late."""

from __future__ import annotations

from typing import Any

from aftercall.operator import inventory


def one(version: int, name: str = "a") -> dict[str, Any]:
    """Return an object of a version."""
    return {"metadata": {"name": name, "resourceVersion": str(version)}}


def test_a_watch_that_tells_all_owes_nothing() -> None:
    """Lists repeat what it has told."""
    known = inventory.Kind()

    assert known.tell(None, one(5), now_s=0.0)
    assert not known.tell("MODIFIED", one(5), now_s=0.5)
    assert [] == known.list([one(5)], asked_at_s=1.0, now_s=1.1)
    assert known.tell("MODIFIED", one(6), now_s=2.0)
    assert {"a": one(6)} == known.objects()
    assert known.owed_since_s() is None


def test_what_lists_show_counts_though_the_watch_is_dead() -> None:
    """And it owes it from when it was first listed."""
    known = inventory.Kind()
    known.tell(None, one(5), now_s=0.0)

    assert ["a", "b"] == known.list([one(7), one(3, "b")], asked_at_s=20.0, now_s=20.1)
    assert [] == known.list([one(7), one(3, "b")], asked_at_s=40.0, now_s=40.1)

    assert {"a": one(7), "b": one(3, "b")} == known.objects()
    assert 20.1 == known.owed_since_s()


def test_a_watch_that_catches_up_owes_nothing_any_more() -> None:
    """Once it has told of what was listed; something older in between is not it."""
    known = inventory.Kind()
    known.tell(None, one(5), now_s=0.0)
    known.list([one(7)], asked_at_s=20.0, now_s=20.1)

    assert not known.tell("MODIFIED", one(6), now_s=21.0)
    assert 20.1 == known.owed_since_s()
    assert not known.tell("MODIFIED", one(7), now_s=22.0)
    assert known.owed_since_s() is None
    assert {"a": one(7)} == known.objects()


def test_a_deletion_is_owed_like_a_change() -> None:
    """Until it is told of."""
    known = inventory.Kind()
    known.tell(None, one(5), now_s=0.0)
    known.tell(None, one(5, "b"), now_s=0.0)

    assert ["a"] == known.list([one(5, "b")], asked_at_s=20.0, now_s=20.1)
    assert [] == known.list([one(5, "b")], asked_at_s=40.0, now_s=40.1)
    assert {"b": one(5, "b")} == known.objects()
    assert 20.1 == known.owed_since_s()
    assert not known.tell("DELETED", one(8), now_s=41.0)
    assert known.owed_since_s() is None


def test_a_watch_that_begins_anew_tells_of_no_deletions() -> None:
    """What was deleted in between is owed no more: it has told of all that is there."""
    known = inventory.Kind()
    known.tell(None, one(5), now_s=0.0)
    known.tell(None, one(5, "b"), now_s=0.0)
    known.list([one(5, "b")], asked_at_s=20.0, now_s=20.1)

    known.tell(None, one(5, "b"), now_s=30.0)

    assert known.owed_since_s() is None


def test_the_deletion_of_the_last_is_not_owed() -> None:
    """Of nothing a watch that begins anew tells nothing; what comes later is owed again."""
    known = inventory.Kind()
    known.tell(None, one(5), now_s=0.0)

    assert ["a"] == known.list([], asked_at_s=20.0, now_s=20.1)
    assert {} == known.objects()
    assert known.owed_since_s() is None
    known.list([one(9)], asked_at_s=40.0, now_s=40.1)
    assert 40.1 == known.owed_since_s()


def test_a_list_that_was_asked_for_before_does_not_undo_what_was_told_since() -> None:
    """It shows an older state, in which the object was not there yet."""
    known = inventory.Kind()
    known.tell("ADDED", one(9), now_s=20.05)

    assert [] == known.list([], asked_at_s=20.0, now_s=20.1)
    assert {"a": one(9)} == known.objects()
    assert [] == known.list([one(8)], asked_at_s=20.2, now_s=20.3)
    assert {"a": one(9)} == known.objects()


def test_a_late_list_does_not_bring_back_what_was_told_to_be_gone() -> None:
    """Nor does the watch owe its end a second time."""
    known = inventory.Kind()
    known.tell("ADDED", one(5), now_s=0.0)
    known.tell("DELETED", one(6), now_s=20.05)

    assert [] == known.list([one(5)], asked_at_s=20.0, now_s=20.1)
    assert [] == known.list([], asked_at_s=40.0, now_s=40.1)
    assert {} == known.objects()
    assert known.owed_since_s() is None


def test_what_was_deleted_may_come_back() -> None:
    """As another object of the same name."""
    known = inventory.Kind()
    known.tell("ADDED", one(5), now_s=0.0)
    assert known.tell("DELETED", one(6), now_s=1.0)
    known.list([], asked_at_s=2.0, now_s=2.1)

    assert known.tell("ADDED", one(7), now_s=3.0)
    assert {"a": one(7)} == known.objects()
    assert known.owed_since_s() is None
