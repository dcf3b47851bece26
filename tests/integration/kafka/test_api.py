"""The API that webhooks name: a tenant's key, a status, and an address in S3 that is signed for some minutes."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import typing
import urllib.error
import urllib.request
from collections.abc import Iterator

import cluster
import httpx2
import obstore
import pytest
import schema_check
from peers import broker, process, s3

from aftercall.contracts import events, identity

# A signature cannot be made up, so what is valid by schema is refused; and ids have rules no schema can say.
CONFIGURATION = """
[generation]
codec = "ascii"

[[operations]]
include-path = "/v1/ingest/twilio/recording-status"
checks.positive_data_acceptance.expected-statuses = ["403"]

[[operations]]
include-path = "/v1/transcriptions/{{transcription_id}}/transcript"
parameters = {{ transcription_id = "{completed}" }}
"""


def get(port: int, path: str, key: str | None) -> tuple[int, typing.Any, str]:
    """Ask the API, following where it sends; return status, JSON or text, and the final address."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}")
    if key is not None:
        # Not sent on to another host, as every client should do.
        request.add_unredirected_header("X-API-Key", key)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            body, status, at = answer.read().decode(), answer.status, answer.url
    except urllib.error.HTTPError as exc:
        body, status, at = exc.read().decode(), exc.code, path
    try:
        return status, json.loads(body), at
    except ValueError:
        return status, body, at


@dataclasses.dataclass(frozen=True, slots=True)
class Served:
    """A deployment's API, the transcription of a call that was heard, and that of one that was rejected."""

    port: int
    completed: str
    failed: str
    s3_endpoint: str
    api: cluster.Consumer
    metrics: int


@pytest.fixture
def served(kafka: broker.Broker, store: s3.S3, names: str, tmp_path: pathlib.Path) -> Iterator[Served]:
    """Two calls of acme through a consumer, and the API over what came of them."""
    ours = cluster.Cluster(kafka, store, names)
    ours.create()
    for call_id, do in (("c1", "hear"), ("c2", "reject")):
        obstore.put(ours.bucket(ours.inbox), call_id, json.dumps({"sleep_s": 0.0, "do": do}).encode())
    ours.announce(
        events.RecordingReady.model_validate(
            {"tenant": "acme", "call_id": call_id, "recording_uri": f"s3://{ours.inbox}/{call_id}", "version": "1"}
        )
        for call_id in ("c1", "c2")
    )
    port, metrics = process.free_port(), process.free_port()
    env = ours.env(
        AFTERCALL_API__PORT=str(port),
        AFTERCALL_API__KEYS="{acme: a-key, other: o-key}",
        AFTERCALL_TELEMETRY__PORT=str(metrics),
    )
    consumer = cluster.Consumer(ours.env(STUB_LOG=str(tmp_path / "began")), tmp_path / "log", command=cluster.STUB)
    api = cluster.Consumer(env, tmp_path / "api", command=("-m", "aftercall.cli", "api"))
    try:
        cluster.wait_until(lambda: len(ours.outcomes()) == 2 and process.answers(port), timeout_s=60, what="outcomes")
        ids = [identity.Work(identity.Recording("acme", id_), "1", 1).transcription_id for id_ in ("c1", "c2")]
        yield Served(port, *ids, store.endpoint, api, metrics)
        consumer.stop()
    finally:
        api.kill()
        consumer.kill()


@pytest.mark.timeout(120)
def test_what_is_asked_is_counted_on_a_port_of_its_own(served: Served) -> None:
    """Where Prometheus scrapes, and no key is asked for; the API's own port tells nobody."""
    assert 404 == get(served.port, "/v1/calls/nobody", "a-key")[0]
    assert 404 == get(served.port, "/metrics", "a-key")[0]

    def told(path: str) -> httpx2.Response:
        return httpx2.get(f"http://127.0.0.1:{served.metrics}{path}", timeout=10, trust_env=False)

    assert [200, 200] == [told(path).status_code for path in ("/healthz", "/readyz")]
    lines = told("/metrics").text.splitlines()
    assert 'aftercall_api_requests_total{method="GET",route="/v1/calls/{call_id}",status="404"} 1.0' in lines
    assert any(line.startswith('aftercall_build_info{part="api"') and line.endswith(" 1.0") for line in lines)
    assert "aftercall_intake_tenants_file_invalid 0.0" in lines


@pytest.mark.timeout(120)
def test_a_transcript_is_had_by_its_tenant_alone(served: Served) -> None:
    """By transcription id and by call; what failed, what is not known, and what is another's."""
    port, id_ = served.port, served.completed
    status, shown, _ = get(port, f"/v1/transcriptions/{id_}", "a-key")
    assert (200, "completed", "c1") == (status, shown["status"], shown["callId"])
    assert "hello there" in shown["text"]
    status, document, at = get(port, f"/v1/transcriptions/{id_}/transcript", "a-key")
    assert (200, "acme", id_) == (status, document["tenant"], document["transcription_id"])
    assert at.startswith(served.s3_endpoint)
    assert "X-Amz-Signature=" in at
    status, text, _ = get(port, f"/v1/transcriptions/{id_}/transcript?format=text", "a-key")
    assert (200, True) == (status, "hello there" in text)
    status, known, _ = get(port, "/v1/calls/c2", "a-key")
    assert (200, ["failed"]) == (status, [one["status"] for one in known["transcriptions"]])
    assert 409 == get(port, f"/v1/transcriptions/{served.failed}/transcript", "a-key")[0]
    for path in (f"/v1/transcriptions/{id_}", f"/v1/transcriptions/{id_}/transcript", "/v1/calls/c1"):
        assert 404 == get(port, path, "o-key")[0]
        assert 401 == get(port, path, None)[0]
        assert 401 == get(port, path, "guessed")[0]
    assert 404 == get(port, "/v1/transcriptions/tr_00", "a-key")[0]
    assert 200 == get(port, "/healthz", None)[0]
    assert 0 == served.api.stop()


@pytest.mark.timeout(200)
def test_the_api_does_what_its_document_says(served: Served, tmp_path: pathlib.Path) -> None:
    """By schemathesis: no server error, no status, header, media type or schema that is not documented."""
    done = schema_check.run(
        f"http://127.0.0.1:{served.port}",
        CONFIGURATION.format(completed=served.completed),
        tmp_path,
        key="a-key",
        timeout_s=180,
    )

    assert 0 == done.returncode, done.stdout[-6000:] + done.stderr[-2000:]
    assert "Tested: 5" in done.stdout
