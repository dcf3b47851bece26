"""Keep an uploaded recording, complete or not at all: on disk under a name made of its content, or in a bucket."""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import hashlib
import io
import os
import pathlib
import urllib.parse
import uuid
from collections.abc import AsyncIterator

from aftercall.consumers.publish import objects
from aftercall.consumers.recording import fetch
from aftercall.contracts import errors, identity, outcomes, services


@dataclasses.dataclass(frozen=True, slots=True)
class Upload:
    """A recording that was uploaded: where it lies now, and the version that its content makes it."""

    uri: str
    version: str
    size_bytes: int


class UploadTooLargeError(errors.AftercallError):
    """The body is longer than an upload may be."""


class Uploads:
    """Stores uploads below a folder."""

    def __init__(self, folder: pathlib.Path, *, max_size_bytes: int) -> None:
        self._folder = folder
        self._max_size_bytes = max_size_bytes

    async def store(self, recording: identity.Recording, body: AsyncIterator[bytes]) -> Upload:
        """Take a body to its end; nothing of one that is too large, or that breaks off, stays behind.

        Raises `UploadTooLargeError`, and `errors.TransientError` when the disk is full.
        """
        target = self._folder / identity.key_part(recording.tenant) / identity.key_part(recording.recording_id)
        part = target / f".{uuid.uuid4().hex}.part"
        digest, size_bytes = hashlib.sha256(), 0
        try:
            await asyncio.to_thread(target.mkdir, parents=True, exist_ok=True)
            file = await asyncio.to_thread(part.open, "wb")
            try:
                async for chunk in body:
                    size_bytes += len(chunk)
                    if size_bytes > self._max_size_bytes:
                        raise UploadTooLargeError(
                            f"the recording is larger than the {self._max_size_bytes} bytes that are taken"
                        )
                    digest.update(chunk)
                    await asyncio.to_thread(file.write, chunk)
                await asyncio.to_thread(_seal, file)
            finally:
                await asyncio.to_thread(file.close)
            final = target / digest.hexdigest()
            await asyncio.to_thread(os.replace, part, final)
        except OSError as exc:
            full = exc.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
            raise errors.TransientError(
                "the disk is full" if full else f"the recording could not be kept ({type(exc).__name__})",
                reason=outcomes.Reason.DISK_FULL if full else outcomes.Reason.STORE_UNAVAILABLE,
                retry_after_s=30.0,
            ) from exc
        finally:
            await asyncio.shield(asyncio.to_thread(part.unlink, missing_ok=True))
        return Upload(final.resolve().as_uri(), fetch.DIGEST_PREFIX + digest.hexdigest(), size_bytes)


class BucketUploads:
    """Stores uploads in a bucket from which consumers may fetch recordings."""

    def __init__(self, configured: services.Store, bucket: str) -> None:
        if bucket not in {one.name for one in configured.recording_buckets}:
            raise errors.ConfigurationError(
                f"api.uploads_bucket: {bucket} is not one of store.recording_buckets, so that no consumer would fetch"
                " from it"
            )
        self._bucket = bucket
        self._objects = objects.ObjectStore.s3(configured, bucket)

    async def store(self, recording: identity.Recording, body: AsyncIterator[bytes]) -> Upload:
        """Take a body to its end; raises `errors.TransientError` when it cannot be kept."""
        key = f"uploads/{identity.key_part(recording.tenant)}/{identity.key_part(recording.recording_id)}"
        digest, size_bytes = hashlib.sha256(), 0

        async def counted() -> AsyncIterator[bytes]:
            nonlocal size_bytes
            async for chunk in body:
                digest.update(chunk)
                size_bytes += len(chunk)
                yield chunk

        await self._objects.put(key, counted())
        uri = f"s3://{self._bucket}/{urllib.parse.quote(key)}"
        return Upload(uri, fetch.DIGEST_PREFIX + digest.hexdigest(), size_bytes)


def _seal(file: io.BufferedWriter) -> None:
    file.flush()
    os.fsync(file.fileno())
