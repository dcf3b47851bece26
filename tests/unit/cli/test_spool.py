"""Recordings on disk end with the process that works on them."""

from __future__ import annotations

import pathlib
import subprocess
import sys
import tempfile

import pytest

from aftercall.cli import spool

HOLDS = """
import sys
from aftercall.cli import spool
with spool.open_spool() as folder:
    (folder / "job-1").mkdir()
    (folder / "job-1" / "call.flac").write_bytes(b"someone speaks")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def tmp(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """Temporary files in a folder of the test's own, also those of processes that it starts."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def holder() -> tuple[subprocess.Popen[str], pathlib.Path]:
    """Start a process with a recording in its spool."""
    process = subprocess.Popen([sys.executable, "-c", HOLDS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, pathlib.Path(process.stdout.readline().strip())


def end(process: subprocess.Popen[str]) -> None:
    """Kill it, and wait until it is gone."""
    process.kill()
    process.communicate()


def test_a_spool_is_empty_and_gone_afterwards(tmp: pathlib.Path) -> None:
    """With all that is in it."""
    with spool.open_spool() as folder:
        assert [] == list(folder.iterdir())
        (folder / "call.flac").write_bytes(b"someone speaks")
        assert [folder] == list(tmp.iterdir())

    assert [] == list(tmp.iterdir())


def test_what_a_killed_process_left_goes_as_the_next_begins_and_what_is_in_use_stays(tmp: pathlib.Path) -> None:
    """Nothing runs at SIGKILL; the lock ends with the process all the same."""
    killed, left = holder()
    alive, used = holder()
    try:
        assert (left / "job-1" / "call.flac").exists()  # the second has not taken it for one that nobody holds
        end(killed)
        with spool.open_spool() as folder:
            assert {used, folder} == set(tmp.iterdir())
            assert (used / "job-1" / "call.flac").exists()
    finally:
        end(alive)


def test_a_link_is_not_followed_and_a_disk_without_locks_loses_nothing(
    tmp: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others may write among temporary files too."""
    own = tmp / "own"
    own.mkdir()
    (own / "file").touch()
    (tmp / "aftercall-spool-link").symlink_to(own)
    with spool.open_spool():
        assert (own / "file").exists()

    (tmp / "aftercall-spool-other").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr("fcntl.flock", refuse)
        with spool.open_spool():
            assert (tmp / "aftercall-spool-other").exists()


def refuse(*_: object) -> None:
    """Have no locks."""
    raise OSError("no locks available")
