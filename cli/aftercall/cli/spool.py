"""A folder for the recordings that a process works on, which does not outlive it: not even if it is killed.

A container that ran out of memory begins again in the same pod, on the same disk: of calls of 170 MiB (three hours),
four at a time, eight deaths would leave 5 GiB, and recordings of customers would lie where nobody deletes them. So each
process holds a lock on its folder, which ends with it, and whoever begins deletes those that nobody holds.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

log = logging.getLogger(__name__)

_PREFIX = "aftercall-spool-"
_UNLOCKED_PREFIX = "aftercall-new-"


@contextlib.contextmanager
def open_spool() -> Iterator[pathlib.Path]:
    """Yield an empty folder of our own among temporary files, and delete it, having deleted those of the dead."""
    _sweep(pathlib.Path(tempfile.gettempdir()))
    made = pathlib.Path(tempfile.mkdtemp(prefix=_UNLOCKED_PREFIX))
    held = _open(made)
    try:
        _lock(held)
        # It has its name once it is held: else another process that begins now would find it without a lock.
        folder = made.rename(made.with_name(made.name.replace(_UNLOCKED_PREFIX, _PREFIX)))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(held)


def _sweep(folder: pathlib.Path) -> None:
    for each in folder.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # it is in use, somebody else's, or another has just deleted it
            held = _open(each)
            try:
                if os.fstat(held).st_uid == os.geteuid() and _lock(held):
                    shutil.rmtree(each)
                    log.warning("deleted recordings of a process that was killed", extra={"folder": str(each)})
            finally:
                os.close(held)


def _open(folder: pathlib.Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)


def _lock(held: int) -> bool:
    """Say whether the folder is ours now. Where the disk knows no locks it is nobody's, and nothing is deleted."""
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
