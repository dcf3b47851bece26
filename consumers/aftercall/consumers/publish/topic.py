"""The outbox: news of outcomes, in order, kept until every consumer group has taken them."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Sequence
from typing import Protocol

from aftercall.consumers.intake import database
from aftercall.contracts import events

TRANSCRIPTS_READY = "transcripts.ready"


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """One event, its place in the topic, and the headers of the trace that it is part of."""

    position: int
    event: events.Event
    trace: tuple[tuple[str, bytes], ...] = ()


class News(Protocol):
    """Where the news of outcomes goes."""

    async def append(self, event: events.Event) -> None:
        """Add an event durably; readers take the same event id again for a repeat."""
        ...


class Readable(Protocol):
    """A topic of events as a consumer group reads it."""

    async def read(self, group: str, *, limit: int) -> Sequence[Record]:
        """Return the next events that the group has not committed yet, oldest first."""
        ...

    async def commit(self, group: str, position: int) -> None:
        """Record that the group is done with everything up to and including `position`."""
        ...


class EmbeddedTopic:
    """Implements `Topic` in the embedded database."""

    def __init__(self, db: database.Database, name: str = TRANSCRIPTS_READY) -> None:
        self._db = db
        self._name = name

    async def append(self, event: events.Event) -> None:
        """Add an event; see `Topic`."""

        def use(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO topic (topic, event_id, payload) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (self._name, event.id, events.encode(event)),
            )

        await self._db.run(use)

    async def read(self, group: str, *, limit: int) -> list[Record]:
        """Return the group's next events; see `Topic`."""

        def use(connection: sqlite3.Connection) -> list[Record]:
            rows = connection.execute(
                "SELECT position, payload FROM topic WHERE topic = ? AND position > COALESCE("
                "(SELECT position FROM consumed WHERE topic = ? AND consumer_group = ?), 0) ORDER BY position LIMIT ?",
                (self._name, self._name, group, limit),
            ).fetchall()
            return [Record(row["position"], events.parse(row["payload"])) for row in rows]

        return await self._db.run(use)

    async def commit(self, group: str, position: int) -> None:
        """Record the group's progress; see `Topic`."""

        def use(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO consumed VALUES (?, ?, ?) ON CONFLICT (topic, consumer_group)"
                " DO UPDATE SET position = MAX(position, excluded.position)",
                (self._name, group, position),
            )

        await self._db.run(use)
