"""What tests of consumers share: topics, buckets, events, consumer processes, and the checker of what came of it."""

from __future__ import annotations

import collections
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import typing
from collections.abc import Iterable, Mapping

import obstore
import obstore.store
from peers import broker, s3

from aftercall.contracts import documents, events, outcomes


@dataclasses.dataclass(frozen=True, slots=True)
class Cluster:
    """One test's own topics, group and buckets on the shared servers."""

    kafka: broker.Broker
    s3: s3.S3
    name: str

    @property
    def recordings(self) -> str:
        """Topic that announces recordings."""
        return f"{self.name}.recordings"

    @property
    def transcripts(self) -> str:
        """Topic of the news."""
        return f"{self.name}.transcripts"

    @property
    def dead(self) -> str:
        """Topic of dead letters."""
        return f"{self.name}.dead"

    @property
    def deferred(self) -> str:
        """Topic of what is over its tenant's share."""
        return f"{self.name}.deferred"

    @property
    def parked(self) -> str:
        """Topic of what cannot be taken yet."""
        return f"{self.name}.parked"

    @property
    def inbox(self) -> str:
        """Bucket of recordings."""
        return f"{self.name}-in"

    @property
    def outbox(self) -> str:
        """Bucket of transcripts and outcomes."""
        return f"{self.name}-out"

    def create(self, *, partitions: int = 4) -> None:
        """Create the topics and the buckets."""
        self.create_topics(partitions)
        self.create_buckets()

    def create_topics(self, partitions: int = 4) -> None:
        """Create the topics."""
        asides = {self.deferred: 2, self.parked: 1, self.dead: 1}
        self.kafka.create_topics({self.recordings: partitions, self.transcripts: 2, **asides})

    def create_buckets(self) -> None:
        """Create the buckets."""
        self.s3.create_bucket(self.inbox)
        self.s3.create_bucket(self.outbox)

    def bucket(self, name: str) -> obstore.store.S3Store:
        """Open a bucket."""
        return obstore.store.S3Store(
            name,
            endpoint=self.s3.endpoint,
            region=s3.REGION,
            access_key_id=s3.ACCESS_KEY,
            secret_access_key=s3.SECRET_KEY,
            client_options={"allow_http": True},
        )

    def env(self, **more: str) -> dict[str, str]:
        """Return a consumer's settings."""
        return {
            "AFTERCALL_KAFKA__BOOTSTRAP_SERVERS": self.kafka.address,
            "AFTERCALL_KAFKA__GROUP": self.name,
            "AFTERCALL_KAFKA__TOPICS": f"[{{name: {self.recordings}}}]",
            "AFTERCALL_KAFKA__TRANSCRIPTS_TOPIC": self.transcripts,
            "AFTERCALL_KAFKA__DEAD_LETTER_TOPIC": self.dead,
            "AFTERCALL_KAFKA__DEFERRED_TOPIC": self.deferred,
            "AFTERCALL_KAFKA__PARKED_TOPIC": self.parked,
            "AFTERCALL_KAFKA__SESSION_TIMEOUT_S": "6",
            "AFTERCALL_KAFKA__COMMIT_INTERVAL_S": "0.2",
            "AFTERCALL_STORE__BUCKET": self.outbox,
            "AFTERCALL_STORE__RECORDING_BUCKETS": f"[{{name: {self.inbox}}}]",
            "AFTERCALL_STORE__ENDPOINT": self.s3.endpoint,
            "AFTERCALL_STORE__ACCESS_KEY_ID": s3.ACCESS_KEY,
            "AFTERCALL_STORE__SECRET_ACCESS_KEY": s3.SECRET_KEY,
            "AFTERCALL_STORE__CLAIM_LEASE_S": "2",
            **more,
        }

    def announce(self, told: Iterable[events.RecordingReady | bytes], *, topic: str = "") -> None:
        """Produce events, or records as they are, on a topic of recordings; return once all are acknowledged."""
        import kafka

        producer = kafka.KafkaProducer(bootstrap_servers=self.kafka.address)
        try:
            for one in told:
                if isinstance(one, bytes):
                    producer.send(topic or self.recordings, value=one, key=b"x")
                else:
                    plain = {
                        "specversion": "1.0",
                        "id": one.recording_id,
                        "source": "test",
                        "type": events.RECORDING_READY,
                    }
                    data = json.loads(documents.encode(one))
                    key = f"{one.tenant}/{one.recording_id}".encode()
                    producer.send(topic or self.recordings, value=json.dumps(plain | {"data": data}).encode(), key=key)
            producer.flush(timeout=60)
        finally:
            producer.close()

    def outcomes(self) -> list[outcomes.Outcome]:
        """Return every outcome that was decided."""
        store = self.bucket(self.outbox)
        every = (entry["path"] for batch in obstore.list(store, "outcomes/") for entry in batch)
        keys = [key for key in every if not key.endswith("/deleted.json")]
        return [documents.parse(outcomes.Outcome, bytes(obstore.get(store, key).bytes()), what=key) for key in keys]

    def count(self, prefix: str) -> int:
        """Return how many objects lie below a prefix of the outbox."""
        return sum(len(batch) for batch in obstore.list(self.bucket(self.outbox), prefix))

    def records(self, topic: str) -> list[typing.Any]:
        """Read a topic from its beginning to its end now."""
        import kafka

        consumer = kafka.KafkaConsumer(bootstrap_servers=self.kafka.address, auto_offset_reset="earliest")
        try:
            partitions = [kafka.TopicPartition(topic, at) for at in consumer.partitions_for_topic(topic) or ()]
            consumer.assign(partitions)
            ends = consumer.end_offsets(partitions)
            found: list[typing.Any] = []
            while any(consumer.position(at) < ends[at] for at in partitions):
                for batch in consumer.poll(timeout_ms=500).values():
                    found += batch
            return found
        finally:
            consumer.close()

    def lag(self, topic: str | None = None, *, group: str = "") -> int:
        """Return how many records are not committed as finished: those of a topic and group, or of announcements.

        What was put aside of these is announced still, whatever the first topic says.
        """
        import kafka

        topics = [topic] if topic is not None else [self.recordings, self.deferred]
        admin = kafka.KafkaConsumer(
            bootstrap_servers=self.kafka.address, group_id=self.name + group, enable_auto_commit=False
        )
        try:
            partitions = [
                kafka.TopicPartition(one, at) for one in topics for at in admin.partitions_for_topic(one) or ()
            ]
            ends = admin.end_offsets(partitions)
            return sum(ends[at] - (admin.committed(at) or 0) for at in partitions)
        finally:
            admin.close()


STUB = (str(pathlib.Path(__file__).with_name("stub_consumer.py")),)
"""The command of a consumer whose stages do what each recording says."""


class Consumer:
    """One `aftercall consume`, or another command that runs the same pod."""

    def __init__(self, env: Mapping[str, str], log: pathlib.Path, *, command: tuple[str, ...] = ()) -> None:
        self.log = log
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, *(command or ("-m", "aftercall.cli", "consume"))],
                env={**os.environ, **env},
                stdout=out,
                stderr=out,
            )

    def wait_ready(self, timeout_s: float = 60) -> None:
        """Return once it has said that it is ready."""
        deadline = time.monotonic() + timeout_s
        while b"is ready" not in self.log.read_bytes():
            self.check()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.1)

    def check(self) -> None:
        """Fail when it has ended by itself."""
        assert self.process.poll() is None, self.log.read_text()[-2000:]

    def signal(self, sign: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(sign)

    def stop(self, timeout_s: float = 30) -> int:
        """End it as Kubernetes would; return its exit status."""
        self.process.terminate()
        try:
            return self.process.wait(timeout_s)
        finally:
            self.kill()

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()


def rows(folder: pathlib.Path, sql: str) -> list[list[str]]:
    """Query an embedded ClickHouse whose process has ended, in another process: chdb allows one folder each."""
    code = (
        "import sys, json, clickhouse_connect as c\n"
        "found = c.get_client(interface='chdb', path=sys.argv[1]).query(sys.argv[2])\n"
        "print(json.dumps([[str(cell) for cell in row] for row in found.result_rows]))\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, str(folder), sql], check=True, capture_output=True, text=True, timeout=60
    )
    return typing.cast("list[list[str]]", json.loads(said.stdout))


def wait_until(condition: typing.Callable[[], bool], *, timeout_s: float, what: str) -> None:
    """Return once a condition holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.2)


def doubled(found: Iterable[object]) -> list[object]:
    """Return what comes more than once."""
    return [each for each, times in collections.Counter(found).items() if times > 1]
