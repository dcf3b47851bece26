"""Webhooks through a real broker: signed, stable, retried, and no endpoint in another's way."""

from __future__ import annotations

import base64
import collections
import dataclasses
import http.server
import os
import pathlib
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator

import cluster
import doubles
import pytest
import standardwebhooks
import yaml
from peers import broker, s3

from aftercall.consumers.publish import webhooks
from aftercall.contracts import events

KILLS = int(os.environ.get("WEBHOOK_KILLS", "10"))
SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()


@dataclasses.dataclass
class Endpoints:
    """A server with an endpoint for each way of answering; what it was sent, by path and id."""

    port: int
    got: dict[str, list[tuple[str, bytes, dict[str, str]]]]

    def ids(self, path: str) -> collections.Counter[str]:
        """Return how often each id came to a path."""
        return collections.Counter(id_ for id_, _, _ in self.got[path])


@pytest.fixture
def endpoints() -> Iterator[Endpoints]:
    """`/good` takes everything, `/flaky` half of it, `/dead` is too slow, `/gone` is gone, `/moved` redirects."""
    got: dict[str, list[tuple[str, bytes, dict[str, str]]]] = collections.defaultdict(list)
    rng = random.Random(1)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if len(body) < int(self.headers["Content-Length"]):
                return  # its sender was killed in the middle of it
            got[self.path].append((self.headers["webhook-id"], body, dict(self.headers)))
            if self.path == "/dead":
                time.sleep(3)
            answers = {"/gone": 410, "/moved": 302, "/flaky": rng.choice([200, 500])}
            self.send_response(answers.get(self.path, 200))
            if self.path == "/moved":
                self.send_header("Location", "/good")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(http.server.ThreadingHTTPServer):
        request_queue_size = 256
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Endpoints(server.server_address[1], got)
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def ours(kafka: broker.Broker, store: s3.S3, names: str) -> cluster.Cluster:
    """Topics and buckets of this test, delay topics too."""
    found = cluster.Cluster(kafka, store, names)
    found.create()
    kafka.create_topics(dict.fromkeys(webhooks.delay_topics(f"{names}.after").values(), 2))
    return found


def start(
    ours: cluster.Cluster,
    endpoints: Endpoints,
    tmp_path: pathlib.Path,
    tenants: list[str],
    *,
    networks: str = "[127.0.0.1/32]",
    urls: dict[str, str] | None = None,
) -> cluster.Consumer:
    """Start a relay that tells each tenant at the endpoint of its name."""
    (tmp_path / "secret").write_text(SECRET + "\n")
    (tmp_path / "tenants.yaml").write_text(
        yaml.safe_dump(
            [
                {
                    "name": name,
                    "webhook": {
                        "url": (urls or {}).get(name, f"http://127.0.0.1:{endpoints.port}/{name}"),
                        "secret_files": [str(tmp_path / "secret")],
                    },
                }
                for name in tenants
            ]
        )
    )
    env = ours.env(
        AFTERCALL_INTAKE__TENANTS_FILE=str(tmp_path / "tenants.yaml"),
        AFTERCALL_WEBHOOKS__API_URL="https://calls.example",
        AFTERCALL_WEBHOOKS__TOPIC_PREFIX=f"{ours.name}.after",
        AFTERCALL_WEBHOOKS__PRIVATE_NETWORKS=networks,
        AFTERCALL_WEBHOOKS__TIMEOUT_S="1",
        AFTERCALL_KAFKA__SESSION_TIMEOUT_S="1.5",
        TZ="America/Los_Angeles",
    )
    return cluster.Consumer(env, tmp_path / "relay", command=("-m", "aftercall.cli", "relay"))


def tell(ours: cluster.Cluster, tenants: dict[str, int], *, first: int = 0) -> set[str]:
    """Publish news, so many a tenant, shuffled; return the ids."""
    import kafka

    told = []
    for tenant, n in tenants.items():
        for at in range(first, first + n):
            names = {"tenant": tenant, "call_id": f"c{at}", "recording_id": f"c{at}", "version": "1"}
            data = events.TranscriptReady(
                **names,
                generation=1,
                transcription_id=f"tr_{tenant}_{at}",
                transcript_key="k",
                duration_s=1.0,
                audio_s=2.0,
                decided_at=doubles.NOW,
            )
            told.append(events.decided(data, source="test"))
    random.Random(2).shuffle(told)
    producer = kafka.KafkaProducer(bootstrap_servers=ours.kafka.address)
    for event in told:
        producer.send(
            ours.transcripts, value=events.encode(event), key=event.subject.encode() if event.subject else None
        )
    producer.flush(timeout=30)
    producer.close()
    return {event.id for event in told}


@pytest.mark.timeout(120)
def test_each_endpoint_by_itself(ours: cluster.Cluster, endpoints: Endpoints, tmp_path: pathlib.Path) -> None:
    """A dead one delays nobody, a flaky one gets everything, a gone one is left alone, a redirect is no success."""
    tell(ours, {"good": 60, "flaky": 20, "dead": 60, "gone": 10, "moved": 2, "unknown": 3})
    relay = start(ours, endpoints, tmp_path, ["good", "flaky", "dead", "gone", "moved"])
    try:
        started = time.monotonic()
        cluster.wait_until(lambda: len(endpoints.ids("/good")) == 60, timeout_s=30, what="everything at the good one")
        good_s = time.monotonic() - started
        cluster.wait_until(
            lambda: sum(endpoints.ids("/flaky").values()) >= 24 and len(endpoints.ids("/flaky")) == 20,
            timeout_s=40,
            what="retries at the flaky one",
        )
        assert 0 == relay.stop()
    finally:
        relay.kill()
    sys.stdout.write(
        f"60 at the good endpoint in {good_s:.1f} s, beside {len(endpoints.got['/dead'])} attempts at a dead one\n"
    )
    assert {1} == set(endpoints.ids("/good").values())
    assert len(endpoints.got["/gone"]) <= 10
    assert endpoints.got["/moved"]
    assert not [id_ for id_ in endpoints.ids("/good") if "moved" in id_]
    for path in ("/good", "/flaky"):
        bodies = collections.defaultdict(set)
        for id_, body, headers in endpoints.got[path]:
            bodies[id_].add(body)
            standardwebhooks.Webhook(SECRET).verify(body, headers)
        assert {1} == {len(each) for each in bodies.values()}, "an attempt differed from the one before"


@pytest.mark.timeout(900)
def test_nothing_is_lost_with_the_sender(ours: cluster.Cluster, endpoints: Endpoints, tmp_path: pathlib.Path) -> None:
    """Killed again and again in the middle of it: every id arrives, always with the same bytes."""
    ids = tell(ours, {"good": 800, "flaky": 200})
    rng, kills = random.Random(3), 0
    relay = start(ours, endpoints, tmp_path, ["good", "flaky"])
    try:
        while len(endpoints.ids("/good")) < 800 or kills < KILLS:
            time.sleep(rng.uniform(2, 6))
            if kills < KILLS:
                relay.kill()
                relay = start(ours, endpoints, tmp_path, ["good", "flaky"])
                kills += 1
        topics = [ours.transcripts, *webhooks.delay_topics(f"{ours.name}.after").values()][:2]
        cluster.wait_until(
            lambda: all(ours.lag(topic, group=".webhooks") == 0 for topic in topics), timeout_s=60, what="no lag"
        )
        assert relay.stop() in {0, -signal.SIGTERM}  # it may have begun a moment ago
    finally:
        relay.kill()
    arrived = endpoints.ids("/good") + endpoints.ids("/flaky")
    sys.stdout.write(
        f"{len(ids)} events, {kills} kills of the sender: {len(arrived)} arrived, {arrived.total()} attempts\n"
    )
    assert ids == set(arrived)
    for path in ("/good", "/flaky"):
        assert len({(id_, body) for id_, body, _ in endpoints.got[path]}) == len(endpoints.ids(path))


@pytest.mark.timeout(120)
def test_a_secret_is_replaced_without_a_gap(
    ours: cluster.Cluster, endpoints: Endpoints, tmp_path: pathlib.Path
) -> None:
    """With the old secret, then both, then the new one: a receiver that knows either believes what it gets then."""
    new = "whsec_" + base64.b64encode(b"n" * 32).decode()
    relay = start(ours, endpoints, tmp_path, ["good"])
    (tmp_path / "next").write_text(new)
    policies = yaml.safe_load((tmp_path / "tenants.yaml").read_text())
    told = 0

    def believed(*files: str, secrets: tuple[str, ...]) -> None:
        nonlocal told
        policies[0]["webhook"]["secret_files"] = [str(tmp_path / name) for name in files]
        (tmp_path / "tenants.yaml").write_text(yaml.safe_dump(policies))
        time.sleep(3)  # the file is looked at every two seconds
        tell(ours, {"good": 1}, first=told)
        told += 1
        cluster.wait_until(lambda: len(endpoints.ids("/good")) == told, timeout_s=40, what="the webhook")
        _, body, headers = endpoints.got["/good"][-1]
        for secret in (SECRET, new):
            if secret in secrets:
                standardwebhooks.Webhook(secret).verify(body, headers)
            else:
                with pytest.raises(standardwebhooks.WebhookVerificationError):
                    standardwebhooks.Webhook(secret).verify(body, headers)

    try:
        believed("secret", secrets=(SECRET,))
        believed("secret", "next", secrets=(SECRET, new))
        believed("next", secrets=(new,))
        assert 0 == relay.stop()
    finally:
        relay.kill()


@pytest.mark.timeout(120)
def test_an_endpoint_on_a_private_network_is_never_asked(
    ours: cluster.Cluster, endpoints: Endpoints, tmp_path: pathlib.Path
) -> None:
    """However its address is written; it counts as an endpoint that does not answer."""
    port = endpoints.port
    forms = {
        "plain": f"http://127.0.0.1:{port}/",
        "name": f"http://localhost:{port}/",
        "decimal": f"http://2130706433:{port}/",
        "short": f"http://127.1:{port}/",
        "mapped": f"http://[::ffff:127.0.0.1]:{port}/",
        "nat64": f"http://[64:ff9b::7f00:1]:{port}/",
        "any": f"http://0.0.0.0:{port}/",
        "user": f"http://good.example@127.0.0.1:{port}/",
        "metadata": "http://169.254.169.254/latest/meta-data",
    }
    relay = start(ours, endpoints, tmp_path, list(forms), networks="[]", urls=forms)
    try:
        tell(ours, dict.fromkeys(forms, 1))
        first = webhooks.delay_topics(f"{ours.name}.after")[5.0]
        cluster.wait_until(lambda: len(ours.records(first)) == len(forms), timeout_s=40, what="every attempt put off")
        assert relay.stop() in {0, -signal.SIGTERM}
    finally:
        relay.kill()

    assert {} == dict(endpoints.got)
