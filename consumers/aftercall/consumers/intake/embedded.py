"""The embedded queue: work in SQLite, with where each piece of it is."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable

from aftercall.consumers.intake import database, delivery
from aftercall.contracts import documents, events, identity, outcomes, reports

_COLUMNS = """transcription_id, tenant, call_id, recording_id, version, generation, status, stage, progress, attempts,
    waiting_reason, message, audio_s, outcome, reason, queued_at, updated_at"""


class EmbeddedIntake:
    """Implements `delivery.Intake` and `delivery.Board`.

    Work is taken from tenants in turn, the one served longest ago first, and within a tenant in order of arrival.
    """

    def __init__(self, db: database.Database, *, now: Callable[[], float]) -> None:
        self._db = db
        self._now = now
        self._arrived = asyncio.Event()

    async def recover(self) -> int:
        """Make work due that was open when an earlier process ended; return how much."""

        def use(connection: sqlite3.Connection) -> int:
            return connection.execute(
                "UPDATE work SET status = ?, stage = ?, progress = NULL, due_at = ? WHERE status = ?",
                (reports.Status.QUEUED, reports.Stage.QUEUED, self._now(), reports.Status.PROCESSING),
            ).rowcount

        return await self._db.run(use)

    async def publish(self, event: events.RecordingReady) -> reports.WorkReport:
        """Queue a recording once; see `delivery.Intake`."""

        def use(connection: sqlite3.Connection) -> reports.WorkReport:
            return _insert(connection, event, now=self._now())

        report = await self._db.run(use)
        self._arrived.set()
        return report

    async def publish_again(
        self, recording: identity.Recording, *, language: str | None, request_key: str | None = None
    ) -> reports.WorkReport | None:
        """Queue a deliberate transcription of a known recording; see `delivery.Intake`."""

        asked = json.dumps([recording.recording_id, language])

        def remember(connection: sqlite3.Connection, transcription_id: str) -> None:
            if request_key is not None:
                connection.execute(
                    "INSERT INTO requests (tenant, request_key, transcription_id, asked) VALUES (?, ?, ?, ?)",
                    (recording.tenant, request_key, transcription_id, asked),
                )

        def use(connection: sqlite3.Connection) -> reports.WorkReport | None:
            if request_key is not None:
                known = connection.execute(
                    "SELECT transcription_id, asked FROM requests WHERE tenant = ? AND request_key = ?",
                    (recording.tenant, request_key),
                ).fetchone()
                if known is not None and known["asked"] not in {None, asked}:
                    raise delivery.RequestKeyReusedError("this key came with another request before")
                if known is not None:
                    return _one(connection, known["transcription_id"])
            row = connection.execute(
                "SELECT * FROM work WHERE tenant = ? AND recording_id = ? ORDER BY sequence DESC LIMIT 1",
                (recording.tenant, recording.recording_id),
            ).fetchone()
            if row is None:
                return None
            event = documents.parse(events.RecordingReady, row["event"], what="stored event")
            still_open = row["status"] in {reports.Status.QUEUED, reports.Status.PROCESSING}
            if still_open and language in {None, event.language}:
                remember(connection, row["transcription_id"])
                return _one(connection, row["transcription_id"])
            last = connection.execute(
                "SELECT MAX(generation) FROM work WHERE tenant = ? AND recording_id = ? AND version = ?",
                (recording.tenant, recording.recording_id, row["version"]),
            ).fetchone()[0]
            again = event.model_copy(update={"generation": last + 1, "language": language or event.language})
            remember(connection, _work(again).transcription_id)
            return _insert(connection, again, now=self._now())

        report = await self._db.run(use)
        self._arrived.set()
        return report

    async def take(self) -> delivery.Delivery | None:
        """Take the next due work, its attempt counted first; see `delivery.Intake`."""

        def use(connection: sqlite3.Connection) -> delivery.Delivery | None:
            now = self._now()
            row = connection.execute(
                "SELECT work.* FROM work LEFT JOIN served ON served.tenant = work.tenant"
                " WHERE work.status = ? AND work.due_at <= ?"
                " ORDER BY COALESCE(served.last_at, 0), work.sequence LIMIT 1",
                (reports.Status.QUEUED, now),
            ).fetchone()
            if row is None:
                return None
            connection.execute(
                "UPDATE work SET status = ?, attempts = attempts + 1, waiting_reason = NULL, message = '',"
                " updated_at = ? WHERE sequence = ?",
                (reports.Status.PROCESSING, now, row["sequence"]),
            )
            connection.execute(
                "INSERT INTO served VALUES (?, ?) ON CONFLICT (tenant) DO UPDATE SET last_at = excluded.last_at",
                (row["tenant"], now),
            )
            event = documents.parse(events.RecordingReady, row["event"], what="stored event")
            return delivery.Delivery(
                _work(event), event, row["attempts"] + 1, row["strikes"], queued_at=row["queued_at"]
            )

        return await self._db.run(use)

    async def wait_for_work(self, timeout_s: float) -> None:
        """Return when something was queued since the last call, or after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._arrived.wait()
        except TimeoutError:
            pass
        self._arrived.clear()

    async def finish(self, taken: delivery.Delivery, outcome: outcomes.Outcome) -> None:
        """Record the end of work; see `delivery.Intake`."""
        completed = outcome.kind is outcomes.Kind.CANONICAL
        status = reports.Status.COMPLETED if completed else reports.Status.FAILED
        await self._update(
            taken.work,
            "status = ?, stage = ?, progress = NULL, outcome = ?, reason = ?, message = ?, waiting_reason = NULL",
            (status, reports.Stage.DONE, outcome.kind, outcome.reason, outcome.message),
        )

    async def hand_back(
        self,
        taken: delivery.Delivery,
        *,
        delay_s: float,
        reason: outcomes.Reason | None = None,
        message: str = "",
        strike: bool = False,
    ) -> None:
        """Return work unconcluded; see `delivery.Intake`."""
        await self._update(
            taken.work,
            "status = ?, stage = ?, progress = NULL, due_at = ?, waiting_reason = ?, message = ?,"
            " strikes = strikes + ?",
            (reports.Status.QUEUED, reports.Stage.QUEUED, self._now() + delay_s, reason, message, int(strike)),
        )

    async def report(
        self,
        work: identity.Work,
        stage: reports.Stage,
        *,
        progress: float | None = None,
        audio_s: float | None = None,
    ) -> None:
        """Record the stage of running work; see `delivery.Board`."""
        await self._update(work, "stage = ?, progress = ?, audio_s = COALESCE(?, audio_s)", (stage, progress, audio_s))

    async def _update(self, work: identity.Work, change: str, values: tuple[object, ...]) -> None:
        def use(connection: sqlite3.Connection) -> None:
            connection.execute(
                f"UPDATE work SET {change}, updated_at = ? WHERE transcription_id = ?",  # noqa: S608 -- own constants
                (*values, self._now(), work.transcription_id),
            )

        await self._db.run(use)

    async def find(self, transcription_id: str) -> reports.WorkReport | None:
        """Return the work of this id; see `delivery.Board`."""
        found = await self._select("transcription_id = ?", (transcription_id,), limit=1)
        return found[0] if found else None

    async def find_call(self, id_: str, *, tenant: str | None = None) -> list[reports.WorkReport]:
        """Return all work on a call or recording; see `delivery.Board`."""
        return await self._select(
            "(call_id = ? OR recording_id = ?) AND (? IS NULL OR tenant = ?)", (id_, id_, tenant, tenant), limit=1000
        )

    async def list_reports(
        self, *, tenant: str | None = None, before: str | None = None, limit: int = 100
    ) -> list[reports.WorkReport]:
        """Return reports, newest first; see `delivery.Board`."""
        return await self._select(
            "(? IS NULL OR tenant = ?)"
            " AND (? IS NULL OR sequence < (SELECT sequence FROM work WHERE transcription_id = ?))",
            (tenant, tenant, before, before),
            limit=limit,
        )

    async def count_waiting(self) -> int:
        """Return how much work is queued."""

        def use(connection: sqlite3.Connection) -> int:
            row = connection.execute("SELECT COUNT(*) FROM work WHERE status = ?", (reports.Status.QUEUED,)).fetchone()
            return int(row[0])

        return await self._db.run(use)

    async def _select(self, where: str, values: tuple[object, ...], *, limit: int) -> list[reports.WorkReport]:
        def use(connection: sqlite3.Connection) -> list[reports.WorkReport]:
            rows = connection.execute(
                f"SELECT {_COLUMNS}, sequence FROM work WHERE {where} ORDER BY sequence DESC LIMIT ?",  # noqa: S608
                (*values, limit),
            ).fetchall()
            return [_report(connection, row) for row in rows]

        return await self._db.run(use)


def _work(event: events.RecordingReady) -> identity.Work:
    if event.version is None:
        raise ValueError("an event must name its recording's version before it is queued")
    return identity.Work(event.recording, event.version, event.generation)


def _insert(connection: sqlite3.Connection, event: events.RecordingReady, *, now: float) -> reports.WorkReport:
    """Queue an event unless its work is known, and return where that is."""
    work = _work(event)
    connection.execute(
        "INSERT INTO work (transcription_id, tenant, call_id, recording_id, version, generation, event, status,"
        " stage, due_at, audio_s, queued_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        (
            work.transcription_id,
            event.tenant,
            event.call_id,
            event.recording_id,
            work.version,
            work.generation,
            documents.encode(event).decode(),
            reports.Status.QUEUED,
            reports.Stage.QUEUED,
            now,
            event.duration_s,
            now,
            now,
        ),
    )
    return _one(connection, work.transcription_id)


def _one(connection: sqlite3.Connection, transcription_id: str) -> reports.WorkReport:
    row = connection.execute(
        f"SELECT {_COLUMNS}, sequence FROM work WHERE transcription_id = ?",  # noqa: S608 -- own constants
        (transcription_id,),
    ).fetchone()
    return _report(connection, row)


def _report(connection: sqlite3.Connection, row: sqlite3.Row) -> reports.WorkReport:
    plain = dict(row)
    sequence = plain.pop("sequence")
    position = None
    if plain["status"] == reports.Status.QUEUED:
        position = connection.execute(
            "SELECT COUNT(*) FROM work WHERE status = ? AND sequence < ?", (reports.Status.QUEUED, sequence)
        ).fetchone()[0]
    return reports.WorkReport(**plain, queue_position=position)
