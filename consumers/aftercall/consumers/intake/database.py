"""The one-process service's own database: SQLite in the data folder, used from one thread of its own.

Write-ahead logging with full synchronisation: what a call has returned for survives a power cut.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import pathlib
import sqlite3
from collections.abc import Callable
from typing import TypeVar

from aftercall.contracts import errors, outcomes

Answer = TypeVar("Answer")

FILE_NAME = "state.sqlite"
_MIGRATIONS = (
    """
    CREATE TABLE work (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        transcription_id TEXT NOT NULL UNIQUE,
        tenant TEXT NOT NULL,
        call_id TEXT NOT NULL,
        recording_id TEXT NOT NULL,
        version TEXT NOT NULL,
        generation INTEGER NOT NULL,
        event TEXT NOT NULL,
        status TEXT NOT NULL,
        stage TEXT NOT NULL,
        progress REAL,
        attempts INTEGER NOT NULL DEFAULT 0,
        strikes INTEGER NOT NULL DEFAULT 0,
        due_at REAL NOT NULL,
        waiting_reason TEXT,
        message TEXT NOT NULL DEFAULT '',
        audio_s REAL,
        outcome TEXT,
        reason TEXT,
        queued_at REAL NOT NULL,
        updated_at REAL NOT NULL,
        UNIQUE (tenant, recording_id, version, generation)
    );
    CREATE INDEX work_due ON work (status, tenant, due_at, sequence);
    CREATE INDEX work_call ON work (call_id);
    CREATE INDEX work_recording ON work (recording_id);
    CREATE TABLE served (tenant TEXT PRIMARY KEY, last_at REAL NOT NULL);
    CREATE TABLE topic (
        topic TEXT NOT NULL,
        position INTEGER PRIMARY KEY AUTOINCREMENT,
        event_id TEXT NOT NULL,
        payload BLOB NOT NULL,
        UNIQUE (topic, event_id)
    );
    CREATE TABLE consumed (topic TEXT NOT NULL, consumer_group TEXT NOT NULL, position INTEGER NOT NULL,
        PRIMARY KEY (topic, consumer_group));
    CREATE TABLE checkpoints (
        transcription_id TEXT NOT NULL, digest TEXT NOT NULL, result BLOB NOT NULL,
        PRIMARY KEY (transcription_id, digest)
    ) WITHOUT ROWID;
    CREATE TABLE seen_files (path TEXT PRIMARY KEY, facts TEXT NOT NULL);
    CREATE TABLE requests (
        tenant TEXT NOT NULL, request_key TEXT NOT NULL, transcription_id TEXT NOT NULL,
        PRIMARY KEY (tenant, request_key)
    );
    """,
    "ALTER TABLE requests ADD COLUMN asked TEXT;",
)


class Database:
    """A connection and the thread that it lives on; every use is one transaction."""

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path
        self._thread = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="sqlite")
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Open the file, creating or migrating it."""
        await self._on_thread(self._open)

    async def close(self) -> None:
        """Close the file and end the thread."""
        await self._on_thread(self._close)
        self._thread.shutdown()

    async def run(self, use: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """Run `use` in a transaction on the database's thread and return what it returns."""
        return await self._on_thread(lambda: self._transact(use))

    async def _on_thread(self, call: Callable[[], Answer]) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def _open(self) -> None:
        try:
            connection = sqlite3.connect(self._path, timeout=10, isolation_level=None)
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > len(_MIGRATIONS):
                raise errors.ConfigurationError(f"{self._path} was written by a newer aftercall (schema {version})")
            for number, script in enumerate(_MIGRATIONS[version:], start=version + 1):
                connection.executescript(f"BEGIN; {script} PRAGMA user_version = {number}; COMMIT;")
        except sqlite3.Error as exc:
            raise errors.ConfigurationError(f"{self._path} cannot be opened: {exc}") from exc
        self._connection = connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _transact(self, use: Callable[[sqlite3.Connection], Answer]) -> Answer:
        connection = self._connection
        if connection is None:
            raise RuntimeError("the database is closed")
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                answer = use(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        except sqlite3.OperationalError as exc:
            full = exc.sqlite_errorcode == sqlite3.SQLITE_FULL
            reason = outcomes.Reason.DISK_FULL if full else outcomes.Reason.STORE_UNAVAILABLE
            said = "the disk is full" if full else f"the state database failed: {exc}"
            raise errors.TransientError(said, reason=reason, retry_after_s=5.0) from exc
        return answer
