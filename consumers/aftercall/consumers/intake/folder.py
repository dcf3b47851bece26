"""A watched folder as a source of recordings, laid out as `{tenant}/{call_id}.{ext}`.

A file is taken once it has stopped changing. Its version is a digest of its content: the same recording put there
again is the same work, and another recording under the same name is another version of it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
import logging
import os
import pathlib
import sqlite3
from collections.abc import Awaitable, Callable, Iterator

from aftercall.consumers import observer
from aftercall.consumers.intake import database
from aftercall.consumers.recording import fetch
from aftercall.contracts import documents, errors, events, identity, metrics

log = logging.getLogger(__name__)

_UNFINISHED = (".part", ".partial", ".tmp", ".temp", ".crdownload", ".swp", ".filepart", "~")
_SIDECAR = ".json"
_SIDECAR_BYTES = 65_536


@dataclasses.dataclass(frozen=True, slots=True)
class Facts:
    """What tells whether a file is still the one that was seen."""

    size_bytes: int
    mtime_ns: int
    inode: int

    def __str__(self) -> str:
        """Return the facts as they are remembered."""
        return f"{self.size_bytes}:{self.mtime_ns}:{self.inode}"


@dataclasses.dataclass(frozen=True, slots=True)
class Named:
    """Whose recording a path names."""

    tenant: str
    call_id: str


@dataclasses.dataclass(frozen=True, slots=True)
class Skipped:
    """Why a path names no recording."""

    why: str


def name_of(relative: pathlib.PurePath) -> Named | Skipped:
    """Read a path below the folder as `{tenant}/{call_id}.{ext}`."""
    if any(part.startswith(".") for part in relative.parts):
        return Skipped("hidden")
    if len(relative.parts) != 2:
        return Skipped("layout")
    name = relative.name
    if name.lower().endswith(_UNFINISHED):
        return Skipped("unfinished")
    if name.lower().endswith(_SIDECAR):
        return Skipped("sidecar")
    try:
        tenant = identity.parse_id(relative.parts[0], what="tenant")
        call_id = identity.parse_id(relative.stem if relative.suffix else name, what="call_id")
    except identity.InvalidIdError:
        return Skipped("invalid_id")
    return Named(tenant, call_id)


class FolderSource:
    """Looks through a folder again and again, and queues what is new.

    `publish` queues an event. What was queued is remembered in the database, so that a restart reads no file again.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        db: database.Database,
        publish: Callable[[events.RecordingReady], Awaitable[object]],
        *,
        interval_s: float,
        settle_s: float,
        clock: Callable[[], float],
        observe: observer.Observer,
    ) -> None:
        self._folder = folder.resolve()
        self._db = db
        self._publish = publish
        self._interval_s = interval_s
        self._settle_s = settle_s
        self._clock = clock
        self._observe = observe
        self._pending: dict[str, tuple[Facts, float]] = {}
        self._skipped: set[tuple[str, str]] = set()
        self._done: dict[str, str] = {}

    async def run(self, stopping: asyncio.Event) -> None:
        """Watch until `stopping`."""
        self._done = await self._remembered()
        while not stopping.is_set():
            try:
                await self.scan()
            except errors.TransientError as exc:
                log.warning("scan failed", extra={"reason": exc.reason})
            try:
                async with asyncio.timeout(self._interval_s):
                    await stopping.wait()
            except TimeoutError:
                pass

    async def scan(self) -> int:
        """Look once; queue what has settled, and return how many that were."""
        found = await asyncio.to_thread(lambda: list(self._walk()))
        now_s = self._clock()
        seen, queued = set(), 0
        for relative, facts in found:
            key = relative.as_posix()
            seen.add(key)
            if self._done.get(key) == str(facts):
                continue
            named = name_of(relative)
            if isinstance(named, Skipped):
                self._skip(key, named.why)
                continue
            before, since_s = self._pending.get(key, (None, now_s))
            if before != facts:
                since_s = now_s
                self._pending[key] = (facts, now_s)
            if now_s - since_s >= self._settle_s:
                queued += await self._queue(relative, named, facts)
        self._pending = {key: value for key, value in self._pending.items() if key in seen}
        return queued

    async def _queue(self, relative: pathlib.PurePath, named: Named, facts: Facts) -> int:
        path = self._folder / relative
        key = relative.as_posix()
        try:
            digest, told = await asyncio.to_thread(lambda: (_digest(path), _sidecar(path)))
        except OSError:
            self._skip(key, "unreadable")
            return 0
        plain = {
            **told,
            "tenant": named.tenant,
            "call_id": named.call_id,
            "recording_uri": path.as_uri(),
            "version": fetch.DIGEST_PREFIX + digest,
        }
        try:
            event = documents.validate(events.RecordingReady, plain, what=f"sidecar of {key}")
        except errors.ContractError as exc:
            log.warning("sidecar ignored", extra={"path": key, "problem": str(exc)})
            self._skip(key, "sidecar_invalid")
            event = documents.validate(
                events.RecordingReady, {name: plain[name] for name in _OWN_FIELDS}, what=f"name of {key}"
            )
        await self._publish(event)
        await self._remember(key, facts)
        self._pending.pop(key, None)
        return 1

    def _walk(self) -> Iterator[tuple[pathlib.PurePath, Facts]]:
        for parent, folders, names in os.walk(self._folder, followlinks=False):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in names:
                path = pathlib.Path(parent) / name
                try:
                    # A link may lead anywhere, and a pipe never ends.
                    stat = path.lstat()
                except OSError:
                    continue
                if not os.path.isfile(path) or path.is_symlink():
                    continue
                yield path.relative_to(self._folder), Facts(stat.st_size, stat.st_mtime_ns, stat.st_ino)

    def _skip(self, key: str, why: str) -> None:
        if (key, why) not in self._skipped:
            self._skipped.add((key, why))
            self._observe.add(metrics.SOURCE_SKIPPED, why=why)

    async def _remembered(self) -> dict[str, str]:
        def use(connection: sqlite3.Connection) -> dict[str, str]:
            return {row["path"]: row["facts"] for row in connection.execute("SELECT path, facts FROM seen_files")}

        return await self._db.run(use)

    async def _remember(self, key: str, facts: Facts) -> None:
        def use(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR REPLACE INTO seen_files VALUES (?, ?)", (key, str(facts)))

        await self._db.run(use)
        self._done[key] = str(facts)


_OWN_FIELDS = ("tenant", "call_id", "recording_uri", "version")


def _digest(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sidecar(path: pathlib.Path) -> dict[str, object]:
    """Read `{call_id}.json` beside a recording: fields of its event, as its source would have named them."""
    beside = path.with_suffix(_SIDECAR)
    try:
        with beside.open("rb") as file:
            plain = json.loads(file.read(_SIDECAR_BYTES))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        return {"channels": "unreadable"}
    return plain if isinstance(plain, dict) else {"channels": "not an object"}
