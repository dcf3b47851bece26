"""OpenAI's client against a deployment: the API hands in, a consumer hears, on a real broker and a real S3 server."""

from __future__ import annotations

import pathlib

import cluster
import material
import openai
import pytest
from peers import broker, process, s3

from aftercall.contracts import outcomes

CALL = material.CALLS / "call-8.opus"


@pytest.mark.timeout(150)
def test_a_request_is_heard_by_a_consumer(
    kafka: broker.Broker, store: s3.S3, names: str, tmp_path: pathlib.Path
) -> None:
    """In its turn, as an event; the same again, by another client, costs nothing; a stream tells it all."""
    ours = cluster.Cluster(kafka, store, names)
    ours.create()
    port = process.free_port()
    env = ours.env(
        AFTERCALL_API__PORT=str(port),
        AFTERCALL_API__KEYS="{acme: a-key, globex: o-key}",
        AFTERCALL_API__UPLOADS_BUCKET=ours.inbox,
        AFTERCALL_SPEECH__MODEL=str(material.MODEL),
    )
    consumer = cluster.Consumer(env, tmp_path / "log")
    api = cluster.Consumer(env, tmp_path / "api", command=("-m", "aftercall.cli", "api"))
    try:
        cluster.wait_until(lambda: process.answers(port), timeout_s=60, what="the API")
        with openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="a-key", timeout=90) as client:
            told = client.audio.transcriptions.create(model="whisper-1", file=CALL, language="en")
            again = client.audio.transcriptions.create(model="whisper-1", file=CALL, language="en", stream=True)
            events = list(again)
            with pytest.raises(openai.BadRequestError) as failed:
                client.audio.transcriptions.create(model="whisper-1", file=("x.wav", b"no audio"))
        assert len(told.text.split()) > 50
        assert told.text == events[-1].text == "".join(event.delta for event in events[:-1])
        assert "not_audio" == failed.value.code
        decided = ours.outcomes()
        assert [outcomes.Kind.CANONICAL, outcomes.Kind.REJECTED] == sorted(one.kind for one in decided)
        assert {"acme"} == {one.tenant for one in decided}
        api.check()
    finally:
        api.kill()
        consumer.kill()


def test_a_bucket_that_no_consumer_reads_is_refused(
    kafka: broker.Broker, store: s3.S3, names: str, tmp_path: pathlib.Path
) -> None:
    """In one line, at the start."""
    ours = cluster.Cluster(kafka, store, names)
    ours.create()
    env = ours.env(AFTERCALL_API__PORT="0", AFTERCALL_API__UPLOADS_BUCKET="elsewhere")
    api = cluster.Consumer(env, tmp_path / "api", command=("-m", "aftercall.cli", "api"))

    assert 3 == api.process.wait(60)
    assert "api.uploads_bucket: elsewhere is not one of store.recording_buckets" in api.log.read_text()
