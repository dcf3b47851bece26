"""The object store on a real S3 server: one winner, whoever else tries at the same moment."""

from __future__ import annotations

import asyncio
import sys
import time

import pydantic
import pytest
from peers import s3

from aftercall.consumers.publish import objects
from aftercall.contracts import errors, sections


@pytest.fixture
def bucket(store: s3.S3, names: str) -> objects.ObjectStore:
    """A bucket of this test."""
    store.create_bucket(names)
    return objects.ObjectStore.s3(configured(store), names, prefix="some/prefix")


def configured(store: s3.S3) -> sections.Store:
    """Return the settings of the server."""
    return sections.Store(
        endpoint=store.endpoint,
        region=s3.REGION,
        access_key_id=s3.ACCESS_KEY,
        secret_access_key=pydantic.SecretStr(s3.SECRET_KEY),
    )


async def try_to_create(bucket: objects.ObjectStore, key: str, writer: int) -> int | None:
    """Return the writer's number if it won."""
    try:
        await bucket.create(key, f"writer {writer}".encode())
    except errors.AlreadyExistsError:
        return None
    return writer


@pytest.mark.timeout(180)
async def test_of_fifty_writers_of_a_key_one_wins(bucket: objects.ObjectStore) -> None:
    """For two hundred keys; and what lies there is the winner's, whole."""
    started = time.monotonic()
    for first in range(0, 200, 10):
        keys = [f"outcomes/acme/{at}/1.json" for at in range(first, first + 10)]
        tries = [try_to_create(bucket, key, writer) for writer in range(50) for key in keys]
        said = await asyncio.gather(*tries)
        for at, key in enumerate(keys):
            winners = [writer for writer in said[at::10] if writer is not None]
            assert 1 == len(winners), key
            assert f"writer {winners[0]}".encode() == await bucket.get(key)
    sys.stdout.write(f"200 keys x 50 writers in {time.monotonic() - started:.0f} s: one winner each\n")
    assert 200 == len(await bucket.keys("outcomes/"))


async def test_the_probe_passes_here_and_leaves_nothing(bucket: objects.ObjectStore) -> None:
    """Thirty-two writers, one winner."""
    await objects.check_create_only(bucket, key="probes/x")

    assert [] == await bucket.keys("")


async def test_a_store_that_ignores_the_condition_is_refused(
    bucket: objects.ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However well it does everything else."""
    monkeypatch.setattr(bucket, "create", bucket.put)

    with pytest.raises(errors.ConfigurationError, match="32 of 32 writers"):
        await objects.check_create_only(bucket, key="probes/x")


async def test_a_store_that_is_away_is_a_passing_trouble(store: s3.S3, names: str) -> None:
    """Not a verdict about a recording; and another's bucket is no empty one."""
    away = configured(store).model_copy(update={"endpoint": "http://127.0.0.1:9"})
    with pytest.raises(errors.TransientError):
        await asyncio.wait_for(objects.ObjectStore.s3(away, names).get("x"), 100)
    with pytest.raises(errors.TransientError):
        await objects.ObjectStore.s3(configured(store), f"{names}-missing").put("x", b"1")
