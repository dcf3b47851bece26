"""What pools and tenants there are, as a watch tells and as lists say again and again.

A watch that has died may look alive for ever. So what a list shows and the watch has not told of is noted, and once
that is too old, the watch is not to be trusted. What was listed counts all the same: a dead watch delays, and loses
nothing.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

Object = Mapping[str, Any]


@dataclasses.dataclass(slots=True)
class _Known:
    """An object: the newest of it, the version that the watch last told of, and since when it has owed another."""

    newest: Object | None
    told: str = ""
    told_at_s: float = 0.0
    owed_since_s: float | None = None


class Kind:
    """All objects of one kind, by name."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}
        self._deleted: dict[str, tuple[str, float]] = {}
        self.is_listed = False
        """Whether all that there are, are known."""

    def objects(self) -> dict[str, Object]:
        """Return the newest of each."""
        return {name: each.newest for name, each in self._known.items() if each.newest is not None}

    def tell(self, change: str | None, found: Object, *, now_s: float) -> bool:
        """Take in what the watch tells: `DELETED`, another change, or none (None) as it begins. Say if that is new."""
        name, version = _name(found), _version(found)
        known = self._known.get(name)
        if change is None:
            self._forgive_deletions(now_s)
        if change == "DELETED":
            self._known.pop(name, None)
            self._deleted[name] = version, now_s
            return known is not None and known.newest is not None
        if known is None:
            self._known[name] = _Known(found, version, now_s)
            return True
        known.told, known.told_at_s = version, now_s
        known.owed_since_s = None if not is_newer(known.newest, version) else known.owed_since_s
        if known.newest is not None and not is_newer(found, _version(known.newest)):
            return False
        known.newest = found
        return True

    def list(self, found: list[Object], *, asked_at_s: float, now_s: float) -> list[str]:
        """Take in a whole list, asked for at a time; return the names of what is new in it, or gone."""
        self.is_listed = True
        changed, seen = [], {_name(each): each for each in found if not self._is_deleted(each)}
        self._deleted = {name: each for name, each in self._deleted.items() if each[1] >= asked_at_s}
        for name, each in seen.items():
            known = self._known.setdefault(name, _Known(None))
            if known.newest is None or is_newer(each, _version(known.newest)):
                known.newest = each
                changed.append(name)
            if is_newer(each, known.told) and known.owed_since_s is None:
                known.owed_since_s = now_s
        for name, known in self._known.items():
            if name in seen or known.told_at_s >= asked_at_s:
                continue
            if known.newest is not None:
                known.newest = None
                changed.append(name)
                known.owed_since_s = now_s if known.owed_since_s is None else known.owed_since_s
        if not seen:  # a watch that begins anew has nothing to tell of then, and would owe deletions for ever
            self._forgive_deletions(math.inf)
        return changed

    def owed_since_s(self) -> float | None:
        """Return since when the watch has owed a change that lists show; None: it owes nothing."""
        return min((each.owed_since_s for each in self._known.values() if each.owed_since_s is not None), default=None)

    def _is_deleted(self, found: Object) -> bool:
        """Say whether the watch has told that it is gone: a list may show what was before."""
        told = self._deleted.get(_name(found))
        return told is not None and not is_newer(found, told[0])

    def _forgive_deletions(self, now_s: float) -> None:
        """A watch that begins anew tells of all that is there, and of nothing that is gone."""
        gone = [name for name, each in self._known.items() if each.newest is None and each.owed_since_s is not None]
        for name in gone:
            if (self._known[name].owed_since_s or 0.0) < now_s:
                del self._known[name]


def _name(found: Object) -> str:
    return str(found["metadata"]["name"])


def _version(found: Object) -> str:
    return str(found["metadata"].get("resourceVersion", ""))


def is_newer(found: Object | None, version: str) -> bool:
    """Say whether an object is newer than a version; versions are numbers that grow, and otherwise the other counts."""
    if found is None:
        return False
    mine = _version(found)
    if mine.isdecimal() and version.isdecimal():
        return int(mine) > int(version)
    return mine != version
