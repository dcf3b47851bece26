"""`aftercall consume`: from an event on a topic to a transcript in a bucket, on real servers."""

from __future__ import annotations

import pathlib
import urllib.error
import urllib.request

import cluster
import material
import obstore
import pytest
from peers import broker, process, s3

from aftercall.contracts import documents, events, outcomes, transcript


@pytest.fixture
def ours(kafka: broker.Broker, store: s3.S3, names: str) -> cluster.Cluster:
    """Topics and buckets of this test."""
    found = cluster.Cluster(kafka, store, names)
    found.create()
    return found


def upload(ours: cluster.Cluster, tenant: str, call_id: str, path: pathlib.Path) -> events.RecordingReady:
    """Put a recording into the bucket, and return its event."""
    key = f"{tenant}/{call_id}{path.suffix}"
    obstore.put(ours.bucket(ours.inbox), key, path.read_bytes())
    uri = f"s3://{ours.inbox}/{key}"
    return events.RecordingReady.model_validate({"tenant": tenant, "call_id": call_id, "recording_uri": uri})


def get(port: int, path: str) -> bytes:
    """Ask a consumer's probes."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return bytes(answer.read())


def refusal(port: int, path: str) -> str:
    """Return what a consumer's probes answer when they are red; nothing when green, or nobody answers."""
    try:
        get(port, path)
    except urllib.error.HTTPError as exc:
        with exc:
            return f"{exc.code} {exc.read().decode()}"
    except urllib.error.URLError:
        pass
    return ""


@pytest.mark.timeout(180)
def test_events_end_as_transcripts_and_dead_letters(ours: cluster.Cluster, tmp_path: pathlib.Path) -> None:
    """Each call one canonical outcome and one event; a record that says nothing is a dead letter; all is committed."""
    samples = sorted(path for path in material.SAMPLES.glob("recordings/*/*") if path.suffix != ".json")
    told = [upload(ours, path.parent.name, path.stem, path) for path in samples]
    gone = told[0].model_copy(
        update={"call_id": "gone", "recording_id": "gone", "recording_uri": told[0].recording_uri + "x"}
    )
    ours.announce([*told, told[0], gone, b"not json"])

    port = process.free_port()
    env = ours.env(
        AFTERCALL_SPEECH__MODEL=str(material.MODEL),
        AFTERCALL_SPEECH__TEMPERATURES="[0.0]",
        AFTERCALL_TELEMETRY__PORT=str(port),
    )
    consumer = cluster.Consumer(env, tmp_path / "log")
    try:
        cluster.wait_until(
            lambda: len(ours.outcomes()) == len(told) + 1 and ours.lag() == 0, timeout_s=120, what="every outcome"
        )
        assert b"ready\n" == get(port, "/readyz")
        metrics = get(port, "/metrics").decode()
        assert 0 == consumer.stop()
    finally:
        consumer.kill()

    assert 'aftercall_consumer_jobs_total{outcome="canonical",reason="done"} 6.0' in metrics
    assert "aftercall_consumer_repeats_total 1.0" in metrics
    assert 'aftercall_intake_dead_letters_total{reason="invalid_event"} 1.0' in metrics
    assert "aftercall_intake_waiting_recordings 0.0" in metrics
    decided = {one.recording_id: one for one in ours.outcomes()}
    assert outcomes.Reason.NOT_FOUND is decided.pop("gone").reason
    assert {outcomes.Kind.CANONICAL} == {one.kind for one in decided.values()}
    news = [events.parse(record.value) for record in ours.records(ours.transcripts)]
    assert {one.transcription_id for one in ours.outcomes()} == {event.id for event in news}
    plain = next(one for one in decided.values() if one.recording_id == told[0].recording_id)
    assert plain.transcript_key is not None
    made = documents.parse(
        transcript.Transcript,
        bytes(obstore.get(ours.bucket(ours.outbox), plain.transcript_key).bytes()),
        what="transcript",
    )
    assert made.word_count > 0
    (dead,) = ours.records(ours.dead)
    assert (b"not json", b"invalid_event") == (dead.value, dict(dead.headers)["aftercall-reason"])


STANDS_STILL = """
import asyncio
from aftercall.cli import main
from aftercall.consumers import reporting

async def stand_still(reporter, stopping):
    await asyncio.Event().wait()

reporting.Reporter._try, reporting._LATE_S = stand_still, 2.0
main.main()
"""


@pytest.mark.timeout(120)
def test_a_consumer_that_does_not_report_any_more_fails_its_probe(
    ours: cluster.Cluster, tmp_path: pathlib.Path
) -> None:
    """So that Kubernetes starts it anew; why is in the answer."""
    port = process.free_port()
    (tmp_path / "token").write_text("t")
    env = ours.env(
        AFTERCALL_SPEECH__MODEL=str(material.MODEL),
        AFTERCALL_TELEMETRY__PORT=str(port),
        AFTERCALL_REPORTING__URL=f"http://127.0.0.1:{process.free_port()}",
        AFTERCALL_REPORTING__POOL="calls",
        AFTERCALL_REPORTING__TOKEN_FILE=str(tmp_path / "token"),
    )
    consumer = cluster.Consumer(env, tmp_path / "log", command=("-c", STANDS_STILL, "consume"))
    try:
        consumer.wait_ready()
        assert b"ok\n" == get(port, "/healthz")

        cluster.wait_until(lambda: refusal(port, "/healthz") != "", timeout_s=20, what="a red probe")
        assert refusal(port, "/healthz").startswith("503 ")
        assert "a report is" in refusal(port, "/healthz")
    finally:
        consumer.kill()


@pytest.mark.timeout(120)
def test_a_consumer_without_a_speech_server_is_well_and_not_ready(
    ours: cluster.Cluster, tmp_path: pathlib.Path
) -> None:
    """There may be none for as long as nothing is to be heard; and told to end, it ends."""
    port = process.free_port()
    env = ours.env(
        AFTERCALL_SPEECH__BACKEND="triton",
        AFTERCALL_SPEECH__URL=f"grpc://127.0.0.1:{process.free_port()}",
        AFTERCALL_TELEMETRY__PORT=str(port),
    )
    consumer = cluster.Consumer(env, tmp_path / "log")
    try:
        cluster.wait_until(lambda: refusal(port, "/readyz") != "", timeout_s=60, what="probes that answer")
        assert "no speech server says what it is" in refusal(port, "/readyz")
        assert b"ok\n" == get(port, "/healthz")
        assert b"aftercall_intake_waiting_recordings 0.0" in get(port, "/metrics")
        assert 0 == consumer.stop(timeout_s=10)
    finally:
        consumer.kill()
    assert "Traceback" not in consumer.log.read_text()
