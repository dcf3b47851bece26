"""Fetching: only from where it may, only as much as it may, and always a copy that cannot change."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import pathlib

import obstore
import obstore.store
import pytest

from aftercall.consumers.recording import fetch
from aftercall.contracts import errors, outcomes, services
from aftercall.contracts import tenants as contract

Reason = outcomes.Reason


def run(
    uri: str,
    tmp_path: pathlib.Path,
    *,
    stores: dict[str, object] | None = None,
    max_size_bytes: int = 1000,
    version: str | None = None,
) -> fetch.Fetched:
    """Fetch into a spool file."""
    sources = {name: fetch.Source(store) for name, store in (stores or {}).items()}
    fetcher = fetch.Fetcher(folders=[tmp_path / "in"], max_size_bytes=max_size_bytes, sources=sources)
    return asyncio.run(fetcher.fetch(uri, tmp_path / "spool", tenant="acme", version=version))


def refused(uri: str, tmp_path: pathlib.Path, **options: object) -> outcomes.Reason:
    """Fetch what must be refused; return why. Nothing stays in the spool."""
    with pytest.raises(errors.RejectedError) as caught:
        run(uri, tmp_path, **options)  # type: ignore[arg-type]
    assert not (tmp_path / "spool").exists()
    return caught.value.reason


@pytest.fixture(autouse=True)
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """A folder that may be read, with one recording."""
    found = tmp_path / "in"
    (found / "acme").mkdir(parents=True)
    (found / "acme" / "call 1.wav").write_bytes(b"RIFF" * 10)
    return found


def test_a_local_recording_is_copied_and_hashed(tmp_path: pathlib.Path, folder: pathlib.Path) -> None:
    """Spaces and other letters in its path included."""
    fetched = run((folder / "acme" / "call 1.wav").as_uri(), tmp_path)

    assert (40, hashlib.sha256(b"RIFF" * 10).hexdigest()) == (fetched.size_bytes, fetched.sha256)
    assert fetched.path.read_bytes() == b"RIFF" * 10


@pytest.mark.parametrize(
    "uri",
    [
        "file:///etc/passwd",
        "file://{in}/../secret",
        "file://{in}/link",
        "file://otherhost{in}/acme/call%201.wav",
        "http://127.0.0.1:1/x.wav",
        "s3://elsewhere/x.wav",
        "ftp://127.0.0.1/x",
    ],
)
def test_nothing_outside_is_read(tmp_path: pathlib.Path, folder: pathlib.Path, uri: str) -> None:
    """Not by dots, not by a link, not by another host or scheme."""
    (tmp_path / "secret").write_text("secret")
    (folder / "link").symlink_to(tmp_path / "secret")

    assert refused(uri.replace("{in}", str(folder)), tmp_path) is Reason.FORBIDDEN_SOURCE


def test_what_is_gone_is_rejected_as_gone(tmp_path: pathlib.Path, folder: pathlib.Path) -> None:
    """A recording that nobody can fetch will not come back by trying."""
    assert refused((folder / "acme" / "gone.wav").as_uri(), tmp_path) is Reason.NOT_FOUND
    assert refused(f"file://{folder}/acme/a%00b.wav", tmp_path) is Reason.NOT_FOUND


def test_what_is_too_large_stops_at_the_limit(tmp_path: pathlib.Path, folder: pathlib.Path) -> None:
    """Whatever its size says beforehand."""
    (folder / "acme" / "big.wav").write_bytes(bytes(1001))

    assert refused((folder / "acme" / "big.wav").as_uri(), tmp_path) is Reason.TOO_LARGE


def test_a_pipe_is_not_waited_for(tmp_path: pathlib.Path, folder: pathlib.Path) -> None:
    """It has no end to wait for."""
    os.mkfifo(folder / "acme" / "pipe.wav")

    assert refused((folder / "acme" / "pipe.wav").as_uri(), tmp_path) is Reason.NOT_AUDIO


def test_another_content_than_the_event_named_is_not_taken_for_it(tmp_path: pathlib.Path, folder: pathlib.Path) -> None:
    """A file that was replaced has an event of its own."""
    uri = (folder / "acme" / "call 1.wav").as_uri()
    right = "sha256:" + hashlib.sha256(b"RIFF" * 10).hexdigest()

    assert run(uri, tmp_path, version=right).size_bytes == 40
    assert run(uri, tmp_path, version="an-etag").size_bytes == 40
    with pytest.raises(errors.RejectedError) as caught:
        run(uri, tmp_path, version="sha256:" + "0" * 64)
    assert caught.value.reason is Reason.CHANGED


def test_objects_come_from_the_stores_that_were_given(tmp_path: pathlib.Path) -> None:
    """In memory here; the same code reads S3."""
    store = obstore.store.MemoryStore()
    obstore.put(store, "acme/call 1.wav", b"x" * 500)
    stores: dict[str, object] = {"memory://recordings": store}

    assert run("memory://recordings/acme/call%201.wav", tmp_path, stores=stores).size_bytes == 500
    (tmp_path / "spool").unlink()
    assert refused("memory://recordings/acme/gone.wav", tmp_path, stores=stores) is Reason.NOT_FOUND
    assert refused("memory://other/acme/x.wav", tmp_path, stores=stores) is Reason.FORBIDDEN_SOURCE
    assert (
        refused("memory://recordings/acme/call%201.wav", tmp_path, stores=stores, max_size_bytes=499)
        is Reason.TOO_LARGE
    )


def test_a_store_that_is_down_is_tried_again(tmp_path: pathlib.Path) -> None:
    """Nothing is concluded about the recording."""
    store = obstore.store.S3Store(
        "recordings",
        endpoint="http://127.0.0.1:9",
        client_options={"allow_http": True, "timeout": "2s"},
        retry_config={"max_retries": 0},
        skip_signature=True,
        region="us-east-1",
    )

    with pytest.raises(errors.TransientError) as caught:
        run("s3://recordings/x.wav", tmp_path, stores={"s3://recordings": store})

    assert caught.value.reason is Reason.STORE_UNAVAILABLE


def test_a_full_disk_is_waited_for(
    tmp_path: pathlib.Path, folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recording is as good as before."""
    real = pathlib.Path.open

    def full(self: pathlib.Path, mode: str = "r", **options: object) -> object:
        if self.name == "spool" and "w" in mode:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, mode, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(pathlib.Path, "open", full)

    with pytest.raises(errors.TransientError) as caught:
        run((folder / "acme" / "call 1.wav").as_uri(), tmp_path)

    assert caught.value.reason is Reason.DISK_FULL


@pytest.mark.parametrize(
    ("tenants", "listed", "is_fetched"),
    [(None, (), True), (None, ("calls",), True), (None, ("other",), False), ({"globex"}, ("calls",), False)],
)
def test_a_bucket_must_be_bound_to_the_tenant_and_listed_by_its_policy(
    tmp_path: pathlib.Path, tenants: set[str] | None, listed: tuple[str, ...], is_fetched: bool
) -> None:
    """Either alone refuses, with one answer, whatever is asked of it."""
    store = obstore.store.MemoryStore()
    obstore.put(store, "c1.wav", b"RIFF")
    policy = contract.TenantPolicy(name="acme", buckets=listed)
    fetcher = fetch.Fetcher(
        folders=[],
        max_size_bytes=100,
        sources={"s3://calls": fetch.Source(store, frozenset(tenants) if tenants is not None else None)},
        may_lie_in=lambda tenant, bucket: policy.may_lie_in(bucket),
    )
    bucket = services.Bucket(name="calls", tenants=tuple(tenants or ()))

    assert is_fetched == bucket.admits(policy)
    for ask in (
        lambda: fetcher.fetch("s3://calls/c1.wav", tmp_path / "spool", tenant="acme"),
        lambda: fetcher.pin("s3://calls/c1.wav", tenant="acme"),
    ):
        if is_fetched:
            asyncio.run(ask())
            continue
        with pytest.raises(errors.RejectedError, match="recordings of 'acme' are not taken from s3://calls;") as caught:
            asyncio.run(ask())
        assert Reason.FORBIDDEN_SOURCE is caught.value.reason
