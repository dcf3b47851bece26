"""Checkpoints in the embedded database."""

from __future__ import annotations

import sqlite3

from aftercall.consumers.intake import database
from aftercall.contracts import identity


class EmbeddedCheckpoints:
    """Implements `checkpoints.Checkpoints`."""

    def __init__(self, db: database.Database) -> None:
        self._db = db

    async def get(self, work: identity.Work, digest: str) -> bytes | None:
        """Return the stored result of this question, if any."""

        def use(connection: sqlite3.Connection) -> bytes | None:
            row = connection.execute(
                "SELECT result FROM checkpoints WHERE transcription_id = ? AND digest = ?",
                (work.transcription_id, digest),
            ).fetchone()
            return None if row is None else bytes(row[0])

        return await self._db.run(use)

    async def put(self, work: identity.Work, digest: str, result: bytes) -> None:
        """Store the result of this question."""

        def use(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?)", (work.transcription_id, digest, result)
            )

        await self._db.run(use)

    async def clear(self, work: identity.Work) -> None:
        """Forget every result of this work."""

        def use(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM checkpoints WHERE transcription_id = ?", (work.transcription_id,))

        await self._db.run(use)
