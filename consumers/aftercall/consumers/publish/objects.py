"""Objects by key: on disk, in memory or in S3, through obstore, with creation as the deciding act."""

from __future__ import annotations

import asyncio
import datetime
import pathlib
import typing
from collections.abc import AsyncIterator

from aftercall.contracts import errors, outcomes, services

_NO_SPACE = ("os error 28", "No space left", "os error 122", "os error 27", "File too large")

# The one layer of retries towards S3: up to about five seconds of them; then the work is handed back and waits longer.
_RETRIES: typing.Any = {
    "max_retries": 5,
    "retry_timeout": datetime.timedelta(seconds=20),
    "backoff": {
        "init_backoff": datetime.timedelta(milliseconds=100),
        "max_backoff": datetime.timedelta(seconds=2),
        "base": 2,
    },
}


class ObjectStore:
    """Small objects under keys; an object that exists is complete.

    On disk obstore writes to a staging file and links or renames it, so that a writer killed in the middle leaves
    nothing under the key.
    """

    def __init__(self, store: typing.Any) -> None:
        self._store = store

    @classmethod
    def on_disk(cls, folder: pathlib.Path) -> ObjectStore:
        """Open a folder as a store, creating it."""
        import obstore.store

        folder.mkdir(parents=True, exist_ok=True)
        return cls(obstore.store.LocalStore(prefix=str(folder)))

    @classmethod
    def in_memory(cls) -> ObjectStore:
        """Open an empty store that nobody else sees."""
        import obstore.store

        return cls(obstore.store.MemoryStore())

    @classmethod
    def s3(cls, configured: services.Store, bucket: str, *, prefix: str | None = None) -> ObjectStore:
        """Open a bucket of the S3 account."""
        return cls(open_bucket(configured, bucket, prefix=prefix))

    @classmethod
    def ours(cls, configured: services.Store) -> ObjectStore:
        """Open the bucket of transcripts, outcomes and claims, below its prefix."""
        return cls.s3(configured, str(configured.bucket), prefix=configured.prefix)

    async def create(self, key: str, data: bytes) -> None:
        """Write a new object; raise `errors.AlreadyExistsError` when there is one."""
        import obstore
        import obstore.exceptions

        try:
            await obstore.put_async(self._store, key, data, mode="create")
        except obstore.exceptions.AlreadyExistsError as exc:
            raise errors.AlreadyExistsError(f"{key} exists") from exc
        except (OSError, obstore.exceptions.BaseError) as exc:
            raise _translate(exc) from exc

    async def put(self, key: str, data: bytes | AsyncIterator[bytes]) -> None:
        """Write an object over whatever is there; of one that comes in parts nothing is seen before its end."""
        import obstore
        import obstore.exceptions

        try:
            await obstore.put_async(self._store, key, data)
        except (OSError, obstore.exceptions.BaseError) as exc:
            raise _translate(exc) from exc

    async def get(self, key: str) -> bytes | None:
        """Read an object; None when there is none."""
        import obstore
        import obstore.exceptions

        try:
            found = await obstore.get_async(self._store, key)
            return bytes(await found.bytes_async())
        except (FileNotFoundError, obstore.exceptions.NotFoundError):
            return None
        except (OSError, obstore.exceptions.BaseError) as exc:
            raise _translate(exc) from exc

    async def keys(self, prefix: str) -> list[str]:
        """Return every key below `prefix`, in order."""
        return [key for key, _ in await self.listing(prefix)]

    async def listing(self, prefix: str) -> list[tuple[str, float]]:
        """Return every key below `prefix`, in order, and when each was written last (Unix seconds)."""
        import obstore
        import obstore.exceptions

        def listed() -> list[tuple[str, float]]:
            every = (entry for batch in obstore.list(self._store, prefix) for entry in batch)
            return sorted((entry["path"], entry["last_modified"].timestamp()) for entry in every)

        try:
            return await asyncio.to_thread(listed)
        except (OSError, obstore.exceptions.BaseError) as exc:
            raise _translate(exc) from exc

    async def presign(self, key: str) -> str:
        """Return an address that gives an object of a bucket to whoever has it, for fifteen minutes."""
        import obstore

        return str(await obstore.sign_async(self._store, "GET", key, datetime.timedelta(minutes=15)))

    async def delete(self, key: str) -> None:
        """Delete an object; one that is gone already is fine."""
        import obstore
        import obstore.exceptions

        try:
            await obstore.delete_async(self._store, key)
        except (FileNotFoundError, obstore.exceptions.NotFoundError):
            return
        except (OSError, obstore.exceptions.BaseError) as exc:
            raise _translate(exc) from exc


def open_bucket(configured: services.Store, bucket: str, *, prefix: str | None = None) -> typing.Any:
    """Return an obstore store over a bucket of the S3 account."""
    import obstore.store

    config: dict[str, typing.Any] = {"region": configured.region}
    if configured.endpoint is not None:
        config["endpoint"] = configured.endpoint
    if configured.access_key_id is not None:
        config["access_key_id"] = configured.access_key_id
    if configured.secret_access_key is not None:
        config["secret_access_key"] = configured.secret_access_key.get_secret_value()
    allow_http = (configured.endpoint or "").startswith("http://")
    return obstore.store.S3Store(
        bucket, prefix=prefix, client_options={"allow_http": allow_http}, retry_config=_RETRIES, **config
    )


async def check_create_only(store: ObjectStore, *, key: str, writers: int = 32) -> None:
    """Let many writers create one object at once; raise `errors.ConfigurationError` unless just one of them could.

    Some stores ignore the condition, or race on it; exactly-one outcome would be a matter of luck on them.
    """

    async def write(number: int) -> bool:
        try:
            await store.create(key, f"writer {number}\n".encode())
        except errors.AlreadyExistsError:
            return False
        return True

    won = sum(await asyncio.gather(*(write(number) for number in range(writers))))
    await store.delete(key)
    if won != 1:
        raise errors.ConfigurationError(
            f"the object store let {won} of {writers} writers create the same object; outcomes need one that honours"
            " If-None-Match (AWS S3, MinIO, Ceph, RustFS and versitygw 1.8 do)"
        )


async def check_there(configured: services.Store) -> None:
    """Raise `errors.ConfigurationError` when a bucket does not exist, and `errors.TransientError` when nobody answers.

    Whether a login may read is not found out: one that may not list is refused a key that does not exist, too.
    """
    import obstore
    import obstore.exceptions

    missing = []
    for bucket in [str(configured.bucket), *(one.name for one in configured.recording_buckets)]:
        try:
            await obstore.get_async(open_bucket(configured, bucket), "probes/none")
        except (FileNotFoundError, obstore.exceptions.NotFoundError) as exc:
            missing += [bucket] if "NoSuchBucket" in str(exc) else []
        except (PermissionError, obstore.exceptions.PermissionDeniedError):
            pass
        except (OSError, obstore.exceptions.BaseError) as exc:
            raise _translate(exc) from exc
    if missing:
        raise errors.ConfigurationError(f"these buckets do not exist: {', '.join(missing)}")


def _translate(exc: Exception) -> errors.TransientError:
    if any(sign in str(exc) for sign in _NO_SPACE):
        return errors.TransientError("the disk is full", reason=outcomes.Reason.DISK_FULL, retry_after_s=5.0)
    return errors.TransientError(
        f"the object store failed ({type(exc).__name__})", reason=outcomes.Reason.STORE_UNAVAILABLE
    )
