"""Bring a recording from where it lies into a spool file of our own, within limits, hashing it on the way.

What is decoded is the copy, so that a file that changes or vanishes meanwhile changes nothing.
"""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import hashlib
import os
import pathlib
import typing
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence

from aftercall.contracts import errors, outcomes

_CHUNK_BYTES = 1 << 20
DIGEST_PREFIX = "sha256:"


@dataclasses.dataclass(frozen=True, slots=True)
class Fetched:
    """A recording in the spool."""

    path: pathlib.Path
    size_bytes: int
    sha256: str


class Fetcher:
    """Fetches `file://` addresses below the allowed folders, and `scheme://bucket/key` from the stores given.

    `stores` maps `scheme://bucket` to an obstore store; nothing else can be reached.
    """

    def __init__(
        self,
        *,
        folders: Sequence[pathlib.Path],
        max_size_bytes: int,
        stores: Mapping[str, typing.Any] | None = None,
    ) -> None:
        self._folders = [folder.resolve() for folder in folders]
        self._max_size_bytes = max_size_bytes
        self._stores = dict(stores or {})

    async def fetch(self, uri: str, into: pathlib.Path, *, version: str | None = None) -> Fetched:
        """Copy the recording at `uri` to the file `into`.

        Raises `errors.RejectedError` when it is gone, too large or not allowed, and when `version` is a digest that
        its content does not have any more; `errors.TransientError` when the store or the disk fails.
        """
        parts = urllib.parse.urlsplit(uri)
        if parts.scheme == "file":
            fetched = await asyncio.to_thread(self._copy_file, parts, into)
        else:
            fetched = await self._copy_object(parts, into)
        if version is not None and version.startswith(DIGEST_PREFIX) and version != DIGEST_PREFIX + fetched.sha256:
            raise errors.RejectedError(
                "the recording's content is not what its event named", reason=outcomes.Reason.CHANGED
            )
        return fetched

    def _copy_file(self, parts: urllib.parse.SplitResult, into: pathlib.Path) -> Fetched:
        try:
            path = pathlib.Path(urllib.parse.unquote(parts.path)).resolve(strict=True)
        except (OSError, ValueError) as exc:
            raise errors.RejectedError("the recording is gone", reason=outcomes.Reason.NOT_FOUND) from exc
        if parts.netloc not in {"", "localhost"} or not any(path.is_relative_to(folder) for folder in self._folders):
            raise errors.RejectedError(
                "the recording's address is outside the folders that may be read",
                reason=outcomes.Reason.FORBIDDEN_SOURCE,
            )
        try:
            # Never wait for a writer: a pipe in the folder must not hold a thread for ever.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as exc:
            raise errors.RejectedError("the recording cannot be read", reason=outcomes.Reason.NOT_FOUND) from exc
        with os.fdopen(descriptor, "rb") as source:
            if not path.is_file():
                raise errors.RejectedError("the recording is no regular file", reason=outcomes.Reason.NOT_AUDIO)
            return self._spool(iter(lambda: source.read(_CHUNK_BYTES), b""), into)

    async def _copy_object(self, parts: urllib.parse.SplitResult, into: pathlib.Path) -> Fetched:
        store = self._stores.get(f"{parts.scheme}://{parts.netloc}")
        if store is None:
            raise errors.RejectedError(
                f"recordings are not taken from {parts.scheme}://{parts.netloc}",
                reason=outcomes.Reason.FORBIDDEN_SOURCE,
            )
        import obstore
        import obstore.exceptions

        try:
            found = await obstore.get_async(store, urllib.parse.unquote(parts.path.lstrip("/")))
            return await asyncio.to_thread(
                self._spool, (bytes(chunk) for chunk in found.stream(min_chunk_size=_CHUNK_BYTES)), into
            )
        except (FileNotFoundError, obstore.exceptions.NotFoundError) as exc:
            raise errors.RejectedError("the recording is gone", reason=outcomes.Reason.NOT_FOUND) from exc
        except (OSError, obstore.exceptions.BaseError) as exc:
            raise errors.TransientError(
                f"the store of recordings failed ({type(exc).__name__})", reason=outcomes.Reason.STORE_UNAVAILABLE
            ) from exc

    def _spool(self, chunks: Iterator[bytes], into: pathlib.Path) -> Fetched:
        digest, size_bytes = hashlib.sha256(), 0
        try:
            with into.open("wb") as spool:
                for chunk in chunks:
                    size_bytes += len(chunk)
                    if size_bytes > self._max_size_bytes:
                        raise errors.RejectedError(
                            f"the recording is larger than {self._max_size_bytes} bytes",
                            reason=outcomes.Reason.TOO_LARGE,
                        )
                    digest.update(chunk)
                    spool.write(chunk)
        except OSError as exc:
            into.unlink(missing_ok=True)
            if exc.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise errors.TransientError(
                    "the disk is full", reason=outcomes.Reason.DISK_FULL, retry_after_s=30.0
                ) from exc
            raise errors.TransientError(
                f"the recording could not be copied ({type(exc).__name__})", reason=outcomes.Reason.STORE_UNAVAILABLE
            ) from exc
        except errors.RejectedError:
            into.unlink(missing_ok=True)
            raise
        return Fetched(into, size_bytes, digest.hexdigest())
