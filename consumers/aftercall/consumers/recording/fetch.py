"""Bring a recording from where it lies into a spool file of our own, within limits, hashing it on the way.

What is decoded is the copy, so that a file that changes or vanishes meanwhile changes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import errno
import hashlib
import os
import pathlib
import re
import typing
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence

from aftercall.consumers import addresses
from aftercall.contracts import errors, outcomes

if typing.TYPE_CHECKING:
    import httpx2

_CHUNK_BYTES = 1 << 20
DIGEST_PREFIX = "sha256:"
_ETAG = re.compile(r"[0-9a-f]{32}(-[0-9]+)?")
"""What S3 names contents by; another version that an event names says nothing about the object's own."""


@dataclasses.dataclass(frozen=True, slots=True)
class Fetched:
    """A recording in the spool."""

    path: pathlib.Path
    size_bytes: int
    sha256: str


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """An obstore store that recordings lie in, and whose they may be; None: anybody's."""

    store: typing.Any
    tenants: frozenset[str] | None = None


class Fetcher:
    """Fetches `file://` addresses below the allowed folders, and `scheme://bucket/key` from the sources given.

    `sources` are by `scheme://bucket`. `web` fetches `http://` and `https://`; without it nothing else can be reached.
    `credentials_of(uri, tenant)` says with which user and password, if any; `may_lie_in(tenant, bucket)` what the
    tenant's own policy says of a bucket.
    """

    def __init__(
        self,
        *,
        folders: Sequence[pathlib.Path],
        max_size_bytes: int,
        sources: Mapping[str, Source] | None = None,
        web: httpx2.AsyncClient | None = None,
        credentials_of: Callable[[str, str], tuple[str, str] | None] = lambda uri, tenant: None,
        may_lie_in: Callable[[str, str], bool] = lambda tenant, bucket: True,
    ) -> None:
        self._folders = [folder.resolve() for folder in folders]
        self._max_size_bytes = max_size_bytes
        self._sources = dict(sources or {})
        self._web = web
        self._credentials_of = credentials_of
        self._may_lie_in = may_lie_in

    async def fetch(self, uri: str, into: pathlib.Path, *, tenant: str, version: str | None = None) -> Fetched:
        """Copy the recording of `tenant` at `uri` to the file `into`.

        Of `s3://bucket/key?versionId=…` that very version is fetched. Raises `errors.RejectedError` when it is gone,
        too large or not allowed, and when `version` is an ETag or a digest that its content does not have any more;
        `errors.TransientError` when the store or the disk fails.
        """
        parts = urllib.parse.urlsplit(uri)
        if parts.scheme == "absent":
            raise errors.RejectedError(f"there is no recording: {parts.path}", reason=outcomes.Reason.NO_AUDIO)
        if parts.scheme == "file":
            fetched = await asyncio.to_thread(self._copy_file, parts, into)
        elif parts.scheme in {"http", "https"} and self._web is not None:
            fetched = await self._copy_page(self._web, uri, into, self._credentials_of(uri, tenant))
        else:
            fetched = await self._copy_object(self._source(parts, tenant), parts, into, version)
        if version is not None and version.startswith(DIGEST_PREFIX) and version != DIGEST_PREFIX + fetched.sha256:
            raise errors.RejectedError(
                "the recording's content is not what its event named", reason=outcomes.Reason.CHANGED
            )
        return fetched

    async def pin(self, uri: str, *, tenant: str) -> tuple[str, str]:
        """Name the version of what lies at `uri` now, and the address of just that version.

        That is a bucket's version id or ETag, or size and time where it has neither; a web server's ETag, or `1`.
        Raises as `fetch` does.
        """
        parts = urllib.parse.urlsplit(uri)
        if parts.scheme in {"http", "https"} and self._web is not None:
            with _web_translated():
                answer = await self._web.head(uri)
            return answer.headers.get("etag", "").removeprefix("W/").strip('"') or "1", uri
        source = self._source(parts, tenant)
        if version_id := urllib.parse.parse_qs(parts.query).get("versionId"):
            return version_id[0], uri
        import obstore

        with _translated():
            found = await obstore.head_async(source.store, urllib.parse.unquote(parts.path.lstrip("/")))
        if found.get("version") not in {None, "", "null"}:
            return found["version"], f"{uri}?{urllib.parse.urlencode({'versionId': found['version']})}"
        etag = (found.get("e_tag") or "").strip('"')
        return etag or f"{found['size']}-{found['last_modified']:%Y%m%dT%H%M%SZ}", uri

    def _source(self, parts: urllib.parse.SplitResult, tenant: str) -> Source:
        source = self._sources.get(f"{parts.scheme}://{parts.netloc}")
        is_bound = source is not None and (source.tenants is None or tenant in source.tenants)
        if source is None or not is_bound or not self._may_lie_in(tenant, parts.netloc):
            # One answer for all, so that nobody learns from it which buckets there are.
            raise errors.RejectedError(
                f"recordings of {tenant!r} are not taken from {parts.scheme}://{parts.netloc}; store.recording_buckets"
                " and the tenant's policy say where they may lie",
                reason=outcomes.Reason.FORBIDDEN_SOURCE,
            )
        return source

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

    async def _copy_object(
        self, source: Source, parts: urllib.parse.SplitResult, into: pathlib.Path, version: str | None
    ) -> Fetched:
        import obstore

        options: dict[str, typing.Any] = {}
        if version_id := urllib.parse.parse_qs(parts.query).get("versionId"):
            options["version"] = version_id[0]
        elif version is not None and _ETAG.fullmatch(version):
            options["if_match"] = f'"{version}"'
        with _translated():
            found = await obstore.get_async(source.store, urllib.parse.unquote(parts.path.lstrip("/")), options=options)
            return await asyncio.to_thread(
                self._spool, (bytes(chunk) for chunk in found.stream(min_chunk_size=_CHUNK_BYTES)), into
            )

    async def _copy_page(
        self, web: httpx2.AsyncClient, uri: str, into: pathlib.Path, credentials: tuple[str, str] | None
    ) -> Fetched:
        digest, size_bytes = hashlib.sha256(), 0
        with _web_translated(), _kept_whole(into):
            async with web.stream("GET", uri, headers={"Accept-Encoding": "identity"}, auth=credentials) as answer:
                if answer.status_code != 200:
                    raise _not_answered(answer.status_code)
                with into.open("wb") as spool:
                    async for chunk in answer.aiter_raw(_CHUNK_BYTES):
                        size_bytes += len(chunk)
                        self._check_size(size_bytes)
                        digest.update(chunk)
                        await asyncio.to_thread(spool.write, chunk)
        return Fetched(into, size_bytes, digest.hexdigest())

    def _check_size(self, size_bytes: int) -> None:
        if size_bytes > self._max_size_bytes:
            raise errors.RejectedError(
                f"the recording is larger than {self._max_size_bytes} bytes", reason=outcomes.Reason.TOO_LARGE
            )

    def _spool(self, chunks: Iterator[bytes], into: pathlib.Path) -> Fetched:
        digest, size_bytes = hashlib.sha256(), 0
        with _kept_whole(into), into.open("wb") as spool:
            for chunk in chunks:
                size_bytes += len(chunk)
                self._check_size(size_bytes)
                digest.update(chunk)
                spool.write(chunk)
        return Fetched(into, size_bytes, digest.hexdigest())


@contextlib.contextmanager
def _kept_whole(into: pathlib.Path) -> Iterator[None]:
    """Keep a spool file whole or not at all, and name what the disk said."""
    try:
        yield
    except OSError as exc:
        into.unlink(missing_ok=True)
        if exc.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise errors.TransientError(
                "the disk is full", reason=outcomes.Reason.DISK_FULL, retry_after_s=30.0
            ) from exc
        raise errors.TransientError(
            f"the recording could not be copied ({type(exc).__name__})", reason=outcomes.Reason.STORE_UNAVAILABLE
        ) from exc
    except BaseException:
        into.unlink(missing_ok=True)
        raise


def _not_answered(status: int) -> errors.AftercallError:
    if status in {408, 425, 429} or status >= 500:
        return errors.TransientError(
            f"the recording's server answered {status}", reason=outcomes.Reason.STORE_UNAVAILABLE, retry_after_s=10.0
        )
    reason = outcomes.Reason.FORBIDDEN_SOURCE if status in {401, 403} else outcomes.Reason.NOT_FOUND
    return errors.RejectedError(f"the recording's server answered {status}", reason=reason)


@contextlib.contextmanager
def _web_translated() -> Iterator[None]:
    """Turn a web client's errors into ours."""
    import httpx2

    try:
        yield
    except addresses.RefusedAddressError as exc:
        raise errors.RejectedError(
            f"the recording's address may not be asked: {exc}", reason=outcomes.Reason.FORBIDDEN_SOURCE
        ) from exc
    except (httpx2.TooManyRedirects, httpx2.UnsupportedProtocol, httpx2.InvalidURL) as exc:
        raise errors.RejectedError(
            f"the recording's address leads nowhere ({type(exc).__name__})", reason=outcomes.Reason.NOT_FOUND
        ) from exc
    except httpx2.HTTPError as exc:
        raise errors.TransientError(
            f"the recording's server did not answer ({type(exc).__name__})", reason=outcomes.Reason.STORE_UNAVAILABLE
        ) from exc


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Turn a store's errors into ours."""
    import obstore.exceptions

    try:
        yield
    except (FileNotFoundError, obstore.exceptions.NotFoundError) as exc:
        raise errors.RejectedError("the recording is gone", reason=outcomes.Reason.NOT_FOUND) from exc
    except obstore.exceptions.PreconditionError as exc:
        raise errors.RejectedError(
            "another recording lies there than its event named", reason=outcomes.Reason.CHANGED
        ) from exc
    except (OSError, obstore.exceptions.BaseError) as exc:
        raise errors.TransientError(
            f"the store of recordings failed ({type(exc).__name__})", reason=outcomes.Reason.STORE_UNAVAILABLE
        ) from exc
