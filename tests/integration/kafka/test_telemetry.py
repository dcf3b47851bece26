"""What an SRE sees of a call: one trace from the producer's to the webhook's, logs by its id, and nothing personal."""

from __future__ import annotations

import base64
import collections
import http.server
import json
import pathlib
import threading
from collections.abc import Iterator

import cluster
import kafka as client
import obstore
import pytest
import yaml
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from peers import broker, process, s3

from aftercall.consumers.publish import webhooks
from aftercall.contracts import events

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
CANARY = "Zyxwv-555-0100"


class Listener:
    """Takes everything that is posted to it, by path."""

    def __init__(self) -> None:
        self.got: dict[str, list[tuple[dict[str, str], bytes]]] = collections.defaultdict(list)
        listener = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                listener.got[self.path].append(({k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"

    def spans(self) -> list[tuple[str, str, str, str, str]]:
        """Return service, name, trace, span and parent of every span."""
        found = []
        for _, body in self.got["/v1/traces"]:
            told = trace_service_pb2.ExportTraceServiceRequest.FromString(body)
            for resource in told.resource_spans:
                service = next(a.value.string_value for a in resource.resource.attributes if a.key == "service.name")
                for one in (span for scope in resource.scope_spans for span in scope.spans):
                    ids = (one.trace_id.hex(), one.span_id.hex(), one.parent_span_id.hex())
                    found.append((service, one.name, *ids))
        return found


@pytest.fixture
def listener() -> Iterator[Listener]:
    """A collector and an endpoint."""
    found = Listener()
    thread = threading.Thread(target=found.server.serve_forever)
    thread.start()
    yield found
    found.server.shutdown()
    thread.join()
    found.server.server_close()


@pytest.mark.timeout(150)
def test_one_trace_and_nothing_personal(
    kafka: broker.Broker, store: s3.S3, names: str, tmp_path: pathlib.Path, listener: Listener
) -> None:
    """Names, numbers and addresses are in the recording's key, in metadata, and in what goes wrong."""
    ours = cluster.Cluster(kafka, store, names)
    ours.create()
    kafka.create_topics(dict.fromkeys(webhooks.delay_topics(f"{names}.after").values(), 1))
    (tmp_path / "secret").write_text("whsec_" + base64.b64encode(b"s" * 32).decode())
    hook = {"url": f"{listener.address}/hook", "secret_files": [str(tmp_path / "secret")]}
    (tmp_path / "tenants.yaml").write_text(yaml.safe_dump([{"name": "acme", "webhook": hook}]))
    producer = client.KafkaProducer(bootstrap_servers=kafka.address)
    for call_id, do in (("c1", "hear"), ("c2", "reject"), ("c3", "strike")):
        key = f"acme/{CANARY} {call_id}.wav"
        obstore.put(ours.bucket(ours.inbox), key, json.dumps({"sleep_s": 0.0, "do": do, "who": CANARY}).encode())
        data = {
            "tenant": "acme",
            "call_id": call_id,
            "recording_uri": f"s3://{ours.inbox}/acme/{CANARY}%20{call_id}.wav?token={CANARY}",
            "version": "1",
            "channels": [{"index": 0, "role": "customer", "name": CANARY}],
            "metadata": {"phone": CANARY},
        }
        whole = {"specversion": "1.0", "id": call_id, "source": "test", "type": events.RECORDING_READY, "data": data}
        trace = [("traceparent", f"00-{TRACE_ID}-b7ad6b7169203331-01".encode())] if call_id == "c1" else []
        producer.send(ours.recordings, json.dumps(whole).encode(), headers=trace)
    producer.send(ours.recordings, json.dumps({"specversion": "1.0", "data": {"phone": CANARY}}).encode())
    producer.flush()
    producer.close()
    port = process.free_port()
    env = ours.env(
        STUB_LOG=str(tmp_path / "began"),
        STUB_METRICS=str(tmp_path / "metrics"),
        AFTERCALL_TELEMETRY__OTLP_ENDPOINT=listener.address,
        AFTERCALL_TELEMETRY__LOG_FORMAT="json",
        AFTERCALL_INTAKE__TENANTS_FILE=str(tmp_path / "tenants.yaml"),
        AFTERCALL_WEBHOOKS__API_URL="https://calls.example",
        AFTERCALL_WEBHOOKS__TOPIC_PREFIX=f"{names}.after",
        AFTERCALL_WEBHOOKS__PRIVATE_NETWORKS="[127.0.0.1/32]",
    )
    relay_env = {name: value for name, value in env.items() if not name.startswith("STUB_")}
    consumer = cluster.Consumer(env, tmp_path / "consumer.log", command=cluster.STUB)
    relay = cluster.Consumer(
        relay_env | {"AFTERCALL_TELEMETRY__PORT": str(port)},
        tmp_path / "relay.log",
        command=("-m", "aftercall.cli", "relay"),
    )
    try:
        cluster.wait_until(lambda: len(listener.got["/hook"]) == 3, timeout_s=90, what="every webhook")
        cluster.wait_until(lambda: ours.lag() == 0, timeout_s=30, what="every offset")
        consumer.stop()
        relay.stop()
    finally:
        consumer.kill()
        relay.kill()

    traced = [one for one in listener.spans() if one[2] == TRACE_ID]
    parents = {span: parent for _, _, _, span, parent in traced}
    name_of = {span: name for _, name, _, span, _ in traced}
    (webhook,) = [span for _, name, _, span, _ in traced if name == "webhook"]
    way = []
    at = webhook
    while at in name_of:
        way.append(name_of[at])
        at = parents[at]
    assert ["webhook", "publish", "process recording"] == way
    assert "b7ad6b7169203331" == at
    assert {"aftercall-consumer", "aftercall-relay"} == {service for service, *_ in traced}
    told = {json.loads(body)["data"]["callId"]: headers for headers, body in listener.got["/hook"]}
    assert f"00-{TRACE_ID}-{webhook}-01" == told["c1"]["traceparent"]
    said = [json.loads(line) for line in (tmp_path / "consumer.log").read_text().splitlines() if line.startswith("{")]
    ended = [one for one in said if one["message"] == "work ended" and one.get("trace_id") == TRACE_ID]
    assert ["canonical"] == [one["outcome"] for one in ended]

    seen = [path.read_bytes() for path in (tmp_path / "consumer.log", tmp_path / "relay.log", tmp_path / "metrics")]
    seen += [body for _, body in listener.got["/v1/traces"]] + [body for _, body in listener.got["/hook"]]
    assert not [one for one in seen if CANARY.encode() in one or CANARY.encode("utf-16-le") in one]
