"""The object store on a real S3 server: one winner, whoever else tries at the same moment."""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import http.client
import http.server
import pathlib
import random
import re
import socket
import sys
import threading
import time
from collections.abc import Iterator

import doubles
import obstore
import pydantic
import pytest
from peers import s3

from aftercall.consumers.publish import objects, outcome
from aftercall.consumers.recording import fetch
from aftercall.contracts import documents, errors, outcomes, services


@pytest.fixture
def bucket(store: s3.S3, names: str) -> objects.ObjectStore:
    """A bucket of this test."""
    store.create_bucket(names)
    return objects.ObjectStore.s3(configured(store), names, prefix="some/prefix")


def configured(store: s3.S3) -> services.Store:
    """Return the settings of the server."""
    return services.Store(
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


async def test_the_very_version_that_an_event_names_is_fetched(
    store: s3.S3, names: str, tmp_path: pathlib.Path
) -> None:
    """What was written over it since is another recording's content, and is not taken for it."""
    store.create_bucket(names)
    lies = objects.open_bucket(configured(store), names)
    etag = str(obstore.put(lies, "c 1.wav", b"first")["e_tag"]).strip('"')
    fetcher = fetch.Fetcher(folders=[], max_size_bytes=100, sources={f"s3://{names}": fetch.Source(lies)})
    uri = f"s3://{names}/c%201.wav"

    fetched = await fetcher.fetch(uri, tmp_path / "a", tenant="acme", version=etag)
    assert b"first" == fetched.path.read_bytes()
    assert (etag, uri) == await fetcher.pin(uri, tenant="acme")
    obstore.put(lies, "c 1.wav", b"second")
    with pytest.raises(errors.RejectedError) as caught:
        await fetcher.fetch(uri, tmp_path / "b", tenant="acme", version=etag)
    assert outcomes.Reason.CHANGED is caught.value.reason
    await fetcher.fetch(uri, tmp_path / "c", tenant="acme", version="a name of the upstream's own")


async def test_what_has_no_etag_is_named_by_size_and_time(store: s3.S3, names: str) -> None:
    """As where a gateway serves files that were put below it: `None` is not the version of everything."""
    store.create_bucket(names)
    lies = objects.open_bucket(configured(store), names)
    (store.folder_of(names) / "put-below.wav").write_bytes(b"12345")
    fetcher = fetch.Fetcher(folders=[], max_size_bytes=100, sources={f"s3://{names}": fetch.Source(lies)})

    version, uri = await fetcher.pin(f"s3://{names}/put-below.wav", tenant="acme")

    assert re.fullmatch(r"5-\d{8}T\d{6}Z", version)
    assert f"s3://{names}/put-below.wav" == uri


@pytest.mark.parametrize(
    ("told", "version", "query"),
    [
        ({"version": "v 1", "e_tag": '"e1"'}, "v 1", "?versionId=v+1"),
        ({"version": "null", "e_tag": '"e1"'}, "e1", ""),
        ({"version": None, "e_tag": '"e1"'}, "e1", ""),
    ],
)
async def test_a_version_id_pins_the_address(
    told: dict[str, object], version: str, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written over it between the look and the fetch is not taken for it."""

    async def head(*_: object) -> dict[str, object]:
        return told

    monkeypatch.setattr(obstore, "head_async", head)
    fetcher = fetch.Fetcher(folders=[], max_size_bytes=100, sources={"s3://b": fetch.Source(None)})

    assert (version, f"s3://b/k{query}") == await fetcher.pin("s3://b/k", tenant="acme")
    assert ("v2", "s3://b/k?versionId=v2") == await fetcher.pin("s3://b/k?versionId=v2", tenant="acme")


async def test_buckets_that_do_not_exist_are_named(store: s3.S3, names: str) -> None:
    """All of them at once, and before anything is asked of them; a store that is away is another matter."""
    store.create_bucket(names)
    known = configured(store).model_copy(update={"bucket": names, "recording_buckets": (services.Bucket(name=names),)})
    await objects.check_there(known)
    missing = tuple(services.Bucket(name=f"{names}-{end}") for end in "ab")
    with pytest.raises(errors.ConfigurationError, match=f"{names}-a, {names}-b"):
        await objects.check_there(known.model_copy(update={"recording_buckets": missing}))
    with pytest.raises(errors.TransientError):
        await asyncio.wait_for(objects.check_there(known.model_copy(update={"endpoint": "http://127.0.0.1:9"})), 100)


@dataclasses.dataclass
class Faulty:
    """A proxy before the server that answers some requests itself, or loses the answer of what it passed on."""

    endpoint: str
    faults: list[str]


@pytest.fixture
def faulty(store: s3.S3) -> Iterator[Faulty]:
    """Each request takes the next fault: `lost` (done, no answer), a status, `slow`, or nothing."""
    found = Faulty("", [])

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fault = found.faults.pop(0) if found.faults else ""
            if fault.isdigit():
                self._answer(int(fault), b"<Error><Code>SlowDown</Code></Error>", {})
                return
            if fault == "slow":
                time.sleep(1.0)
            # The signature covers the host's name: it is passed on as it came.
            there = http.client.HTTPConnection("127.0.0.1", store.port)
            there.request(self.command, self.path, body, dict(self.headers.items()))
            answer = there.getresponse()
            said = answer.read()
            if fault == "lost":
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self._answer(answer.status, said, dict(answer.getheaders()))

        def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in {"content-length", "transfer-encoding", "connection", "date", "server"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _pass

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    found.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


_FAULTS = ("lost", "409", "503", "500", "507", "429", "slow", "")
_N_TRIALS = 20


@pytest.mark.timeout(180)
async def test_a_store_that_falters_changes_no_outcome(store: s3.S3, faulty: Faulty, names: str) -> None:
    """Answers that are lost, conflicts, throttling: every generation is decided once, and told as it was decided."""
    store.create_bucket(names)
    clear = objects.ObjectStore.s3(configured(store), names)
    through = objects.ObjectStore.s3(configured(store).model_copy(update={"endpoint": faulty.endpoint}), names)
    rng = random.Random(5)
    given = collections.Counter[str]()
    n_retries = 0
    for trial in range(_N_TRIALS):
        work, news = doubles.taken(f"c{trial}").work, doubles.ListTopic()
        publisher = outcome.Publisher(through, news)
        faulty.faults[:] = [rng.choice(_FAULTS) for _ in range(8)]
        given.update(faulty.faults)
        for _ in range(20):
            try:
                made = doubles.made(f"c{trial}", texts=(f"run {rng.random()}",))
                said = await publisher.publish_transcript(work, made, attempts=1, now=doubles.NOW)
                break
            except errors.TransientError:
                n_retries += 1
        data = await clear.get(work.outcome_key)
        assert data is not None
        assert said == documents.parse(outcomes.Outcome, data, what="outcome")
        assert said.transcript_key is not None
        assert await clear.get(said.transcript_key) is not None
        assert {work.transcription_id} == {event.id for event in news.events}
    sys.stdout.write(f"{_N_TRIALS} publications through {dict(given)}: {n_retries} retries, 0 lost, 0 decided twice\n")


async def test_an_answer_that_was_lost_makes_no_conflict(store: s3.S3, faulty: Faulty, names: str) -> None:
    """The client writes again, and is told that the object exists: it was itself who won."""
    store.create_bucket(names)
    through = objects.ObjectStore.s3(configured(store).model_copy(update={"endpoint": faulty.endpoint}), names)
    conflicts: list[outcomes.Outcome] = []
    work = doubles.taken().work
    publisher = outcome.Publisher(through, doubles.ListTopic(), on_conflict=conflicts.append)
    faulty.faults[:] = ["", "lost"]

    said = await publisher.publish_transcript(work, doubles.made(), attempts=1, now=doubles.NOW)

    assert outcomes.Kind.CANONICAL is said.kind
    assert said.transcript_key is not None
    assert await through.get(said.transcript_key) is not None
    assert [] == conflicts


async def test_another_recording_under_the_same_identity_is_put_in_quarantine(store: s3.S3, names: str) -> None:
    """It does not replace what was decided, is not lost, and somebody is told."""
    store.create_bucket(names)
    bucket = objects.ObjectStore.s3(configured(store), names)
    conflicts: list[outcomes.Outcome] = []
    work, news = doubles.taken().work, doubles.ListTopic()
    publisher = outcome.Publisher(bucket, news, on_conflict=conflicts.append)
    first = await publisher.publish_transcript(work, doubles.made(sha256="aa"), attempts=1, now=doubles.NOW)
    again = await publisher.publish_transcript(
        work, doubles.made(sha256="aa", texts=("an honest run",)), attempts=1, now=doubles.NOW
    )
    assert (first, [], []) == (again, conflicts, await bucket.keys("quarantine/"))

    other = await publisher.publish_transcript(
        work, doubles.made(sha256="bb", texts=("another call",)), attempts=1, now=doubles.NOW
    )

    assert (first, [first]) == (other, conflicts)
    (kept,) = await bucket.keys("quarantine/")
    assert kept.startswith("quarantine/acme/c1/v1/1/")
    assert [first.transcript_key] == await bucket.keys("transcripts/acme/c1/")
