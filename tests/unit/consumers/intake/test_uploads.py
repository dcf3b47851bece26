"""Uploads: whole, under a name made of their content, or not at all."""

from __future__ import annotations

import asyncio
import hashlib
import pathlib
from collections.abc import AsyncIterator

import pytest

from aftercall.consumers.intake import uploads
from aftercall.contracts import identity

RECORDING = identity.Recording("acme", "call 1")


async def body(*chunks: bytes, then: BaseException | None = None) -> AsyncIterator[bytes]:
    """Send chunks, and break off if so told."""
    for chunk in chunks:
        yield chunk
    if then is not None:
        raise then


def files(tmp_path: pathlib.Path) -> list[str]:
    """Return every file that was left."""
    return sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())


async def test_an_upload_is_kept_under_its_digest(tmp_path: pathlib.Path) -> None:
    """The same content again is the same file."""
    kept = uploads.Uploads(tmp_path, max_size_bytes=100)

    first = await kept.store(RECORDING, body(b"ab", b"c"))
    again = await kept.store(RECORDING, body(b"abc"))

    digest = hashlib.sha256(b"abc").hexdigest()
    assert first == again
    assert (f"sha256:{digest}", 3) == (first.version, first.size_bytes)
    assert [f"acme/call=201/{digest}"] == files(tmp_path)


async def test_an_upload_that_is_too_large_leaves_nothing(tmp_path: pathlib.Path) -> None:
    """It stops at the limit, not at its end."""
    with pytest.raises(uploads.UploadTooLargeError, match="4 bytes"):
        await uploads.Uploads(tmp_path, max_size_bytes=4).store(RECORDING, body(b"abc", b"de", then=AssertionError()))

    assert [] == files(tmp_path)


@pytest.mark.parametrize("broken", [ConnectionError(), asyncio.CancelledError()])
async def test_an_upload_that_breaks_off_leaves_nothing(tmp_path: pathlib.Path, broken: BaseException) -> None:
    """A client that goes away has uploaded nothing."""
    with pytest.raises(type(broken) if isinstance(broken, asyncio.CancelledError) else Exception):
        await uploads.Uploads(tmp_path, max_size_bytes=100).store(RECORDING, body(b"abc", then=broken))

    assert [] == files(tmp_path)
