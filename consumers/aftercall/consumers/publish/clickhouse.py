"""Rows in ClickHouse: one code path for a server and for the one embedded in this process (chdb).

Rows are idempotent by their sorting key, so delivering them again changes nothing that the views show.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
import datetime
import importlib.resources
import pathlib
import typing
from collections.abc import Callable, Sequence
from typing import TypeVar

from aftercall.contracts import errors, events, identity, outcomes, services, transcript

Answer = TypeVar("Answer")

CANONICAL_PRECEDENCE, DELETION_PRECEDENCE = 2, 3
"""Precedence of rows by who wrote them: 1 is a realtime transcriber, 2 a canonical transcript, 3 a deletion."""


class ClickHouse:
    """A connection and the thread that it lives on; chdb allows one of them a process."""

    def __init__(self, connect: Callable[[], typing.Any]) -> None:
        self._connect = connect
        self._thread = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="clickhouse")
        self._client: typing.Any = None

    @classmethod
    def embedded(cls, folder: pathlib.Path) -> ClickHouse:
        """Use the ClickHouse inside this process, with its data in `folder`."""

        def connect() -> typing.Any:
            import clickhouse_connect

            folder.mkdir(parents=True, exist_ok=True)
            return clickhouse_connect.get_client(interface="chdb", path=str(folder))

        return cls(connect)

    @classmethod
    def configured(cls, configured: services.ClickHouse) -> ClickHouse:
        """Use the server, or the folder, that the settings name."""
        if configured.url is None and configured.folder is None:
            raise errors.ConfigurationError("clickhouse.url: names no server")
        if configured.url is None:
            return cls.embedded(typing.cast(pathlib.Path, configured.folder))
        url = configured.url

        def connect() -> typing.Any:
            import clickhouse_connect

            return clickhouse_connect.get_client(
                dsn=str(url),
                port=url.port,  # else none is 8443 or 8123, and an address has none that names its scheme's own
                interface=url.scheme,  # else it goes by the port, and would speak in the clear to https on another
                database=configured.database,
                username=configured.username,
                password=configured.password.get_secret_value() if configured.password is not None else "",
            )

        return cls(connect)

    async def open(self) -> None:
        """Connect, and create the tables and views that are missing."""

        def use() -> None:
            self._client = self._connect()
            for statement in statements():
                self._client.command(statement)

        await self._run(use)

    async def close(self) -> None:
        """Disconnect."""
        if self._client is not None:
            await self._run(self._client.close)
            self._client = None
        self._thread.shutdown()

    async def insert(self, table: str, rows: Sequence[dict[str, object]]) -> None:
        """Insert rows of equal columns at once."""
        if rows:
            columns = list(rows[0])
            values = [[row[column] for column in columns] for row in rows]
            await self._run(lambda: self._client.insert(table, values, column_names=columns))

    async def forget(self, recording: identity.Recording) -> None:
        """Delete what was said in a recording; that it was deleted stays, and hides what may come late."""
        sql = "DELETE FROM segments WHERE tenant = {tenant:String} AND recording_id = {recording_id:String}"
        values = dataclasses.asdict(recording)
        await self._run(lambda: self._client.command(sql, parameters=values))

    async def known(self, transcription_ids: Sequence[str]) -> set[str]:
        """Return those of the ids that have a row."""
        sql = "SELECT DISTINCT transcription_id FROM recordings WHERE transcription_id IN {ids:Array(String)}"
        values = {"ids": list(transcription_ids)}
        rows = await self._run(lambda: self._client.query(sql, parameters=values).result_rows)
        return {str(row[0]) for row in rows}

    async def query(self, sql: str) -> list[dict[str, object]]:
        """Return the rows of a query."""
        return await self._run(lambda: list(self._client.query(sql).named_results()))

    async def _run(self, use: Callable[[], Answer]) -> Answer:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, use)
        except ImportError:
            raise
        except Exception as exc:  # every driver has its own family, and chdb raises bare RuntimeError
            raise errors.TransientError(
                f"ClickHouse failed ({type(exc).__name__})", reason=outcomes.Reason.STORE_UNAVAILABLE
            ) from exc


def statements() -> list[str]:
    """Return the checked-in SQL, statement by statement, in order."""
    folder = importlib.resources.files("aftercall.consumers.publish") / "sql"
    found = []
    for file in sorted(folder.iterdir(), key=lambda each: each.name):
        text = "\n".join(
            line for line in file.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("--")
        )
        found += [statement.strip() for statement in text.split(";") if statement.strip()]
    return found


def recording_row(
    news: events.TranscriptReady | events.TranscriptFailed, made: transcript.Transcript | None
) -> dict[str, object]:
    """Return the row of a generation that has ended."""
    failed = isinstance(news, events.TranscriptFailed)
    return {
        "tenant": news.tenant,
        "call_id": news.call_id,
        "recording_id": news.recording_id,
        "version": news.version,
        "generation": news.generation,
        "is_canonical": 0 if made is None else 1,
        "is_deleted": 0,
        "transcription_id": news.transcription_id,
        "outcome": str(news.kind) if isinstance(news, events.TranscriptFailed) else str(outcomes.Kind.CANONICAL),
        "reason": str(news.reason) if isinstance(news, events.TranscriptFailed) else str(outcomes.Reason.DONE),
        "language": None if made is None else made.language,
        "duration_s": None if made is None else made.audio.duration_s,
        "audio_s": None if made is None else made.cost.audio_s,
        "coverage": None if made is None else made.coverage.ratio,
        "segments": 0 if made is None else len(made.segments),
        "words": 0 if made is None else made.word_count,
        "model": "" if made is None else made.model.name,
        "transcript_key": "" if failed else typing.cast(events.TranscriptReady, news).transcript_key,
        "decided_at": news.decided_at.astimezone(datetime.UTC),
        "precedence": CANONICAL_PRECEDENCE,
    }


def deletion_row(news: events.RecordingDeleted) -> dict[str, object]:
    """Return the row that hides every other of a recording."""
    known = {"tenant": news.tenant, "call_id": news.call_id, "recording_id": news.recording_id}
    unknown = dict.fromkeys(("language", "duration_s", "audio_s", "coverage"))
    return {
        **known,
        "version": "",
        "generation": 0,
        "is_canonical": 0,
        "is_deleted": 1,
        "transcription_id": "",
        "outcome": "deleted",
        "reason": str(outcomes.Reason.DELETED),
        **unknown,
        "segments": 0,
        "words": 0,
        "model": "",
        "transcript_key": "",
        "decided_at": news.deleted_at.astimezone(datetime.UTC),
        "precedence": DELETION_PRECEDENCE,
    }


def segment_rows(made: transcript.Transcript) -> list[dict[str, object]]:
    """Return a row for each segment of a canonical transcript."""
    roles = {speaker.id: speaker.role for speaker in made.speakers}
    return [
        {
            "tenant": made.tenant,
            "call_id": made.call_id,
            "recording_id": made.recording_id,
            "version": made.version,
            "generation": made.generation,
            "is_canonical": 1,
            "segment_id": segment.id,
            "channel": segment.channel,
            "speaker": made.name_of(segment.speaker),
            "role": roles[segment.speaker],
            "start_s": segment.start_s,
            "end_s": segment.end_s,
            "text": segment.text,
            "language": segment.language,
            "confidence": segment.confidence,
            "flags": [str(flag) for flag in segment.flags],
            "precedence": CANONICAL_PRECEDENCE,
        }
        for segment in made.segments
    ]
