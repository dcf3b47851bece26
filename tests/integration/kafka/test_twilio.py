"""Twilio's callbacks, from the form to the outcome: signed, bound to a tenant, fetched with its account."""

from __future__ import annotations

import base64
import http.server
import json
import pathlib
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator

import cluster
import pytest
import yaml
from peers import broker, process, s3

from aftercall.consumers.intake import twilio

PUBLIC, PATH, TOKEN = "https://calls.example", "/v1/ingest/twilio/recording-status", "t0ken"
FORM = {
    "AccountSid": "AC1",
    "CallSid": "CA7",
    "RecordingSid": "RE7",
    "RecordingStatus": "completed",
    "RecordingDuration": "17",
    "RecordingChannels": "2",
    "RecordingStartTime": "Tue, 03 Mar 2026 09:30:00 +0000",
    "RecordingSource": "DialVerb",
}


def test_the_signature_is_that_of_twilios_documentation() -> None:
    """The example that their page on validating requests works through."""
    form = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+14158675310",
        "Digits": "1234",
        "From": "+14158675310",
        "To": "+18005551212",
    }

    assert twilio.is_signed("12345", "https://example.com/myapp.php?foo=1&bar=2", form, "L/OH5YylLD5NRKLltdqwSvS0BnU=")


@pytest.fixture
def recordings() -> Iterator[tuple[int, list[tuple[str, str | None]]]]:
    """A server that gives recordings to whoever has the account's token."""
    asked: list[tuple[str, str | None]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers.get("Authorization")))
            wanted = "Basic " + base64.b64encode(f"AC1:{TOKEN}".encode()).decode()
            body = json.dumps({"sleep_s": 0.0}).encode()
            self.send_response(200 if self.headers.get("Authorization") == wanted else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1], asked
    server.shutdown()
    thread.join()
    server.server_close()


def call(port: int, form: dict[str, str], *, token: str = TOKEN, query: str = "") -> tuple[int, dict[str, object]]:
    """Call back as Twilio does; return status and answer."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{PATH}{query}",
        data=urllib.parse.urlencode(form).encode(),
        headers={"X-Twilio-Signature": twilio.signature_of(token, PUBLIC + PATH + query, form)},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as exc:
        return exc.code, json.loads(exc.read())


@pytest.mark.timeout(150)
def test_callbacks_end_as_outcomes(
    kafka: broker.Broker,
    store: s3.S3,
    names: str,
    tmp_path: pathlib.Path,
    recordings: tuple[int, list[tuple[str, str | None]]],
) -> None:
    """`absent` is an outcome; a wrong signature, another's account and what is no callback are told apart."""
    port, asked = recordings
    ours = cluster.Cluster(kafka, store, names)
    ours.create()
    (tmp_path / "token").write_text(TOKEN + "\n")
    account = {"account_sid": "AC1", "auth_token_file": str(tmp_path / "token"), "host": "127.0.0.1"}
    (tmp_path / "tenants.yaml").write_text(yaml.safe_dump([{"name": "acme", "twilio": account}, {"name": "other"}]))
    api_port = process.free_port()
    env = ours.env(
        AFTERCALL_INTAKE__TENANTS_FILE=str(tmp_path / "tenants.yaml"),
        AFTERCALL_RECORDING__FROM_WEB="true",
        AFTERCALL_RECORDING__PRIVATE_NETWORKS="[127.0.0.1/32]",
        AFTERCALL_API__PORT=str(api_port),
        AFTERCALL_API__PUBLIC_URL=PUBLIC,
    )
    ingest = cluster.Consumer(env, tmp_path / "api", command=("-m", "aftercall.cli", "api"))
    stub = {"STUB_LOG": str(tmp_path / "began")}
    consumer = cluster.Consumer(env | stub, tmp_path / "log", command=cluster.STUB)
    form = FORM | {"RecordingUrl": f"http://127.0.0.1:{port}/2010-04-01/Accounts/AC1/Recordings/RE7"}
    try:
        cluster.wait_until(lambda: process.answers(api_port), timeout_s=30, what="the server")
        accepted = (200, {"status": "accepted"})
        assert accepted == call(api_port, form)
        assert accepted == call(api_port, form, query="?a=1&b=2")
        assert accepted == call(api_port, form | {"RecordingStatus": "in-progress", "RecordingSid": "RE8"})
        assert accepted == call(api_port, {"AccountSid": "AC1", "CallSid": "CA9", "RecordingStatus": "absent"})
        assert 403 == call(api_port, form, token="guessed")[0]
        assert 403 == call(api_port, form | {"AccountSid": "AC2"})[0]
        assert 400 == call(api_port, form | {"RecordingStatus": "dreamt"})[0]
        assert 400 == call(api_port, form | {"CallSid": "a/b"})[0]
        assert 413 == call(api_port, form | {"x": "y" * 70_000})[0]
        cluster.wait_until(lambda: len(ours.outcomes()) == 2 and ours.lag() == 0, timeout_s=60, what="both outcomes")
        consumer.stop()
        ingest.stop()
    finally:
        consumer.kill()
        ingest.kill()

    found = {(one.tenant, one.call_id, one.recording_id): (one.kind, one.reason) for one in ours.outcomes()}
    assert {
        ("acme", "CA7", "RE7"): ("canonical", "done"),
        ("acme", "CA9", "CA9"): ("rejected", "no_audio"),
    } == found
    assert ["/2010-04-01/Accounts/AC1/Recordings/RE7.wav?RequestedChannels=2"] == [path for path, _ in asked]
