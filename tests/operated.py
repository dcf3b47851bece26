"""A namespace with everything that the operator works with, and the operator's process in it, with its own rights."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import charted
import cluster
import httpx2
import kafka
from peers import control_plane as plane
from peers import kubeclient, process

from aftercall.contracts import crds, reports

AUDIENCE = "aftercall-operator"
LEASE_S = 3.0
TEN_MORE = 25
"""Calls that want ten more speech servers of a `growing` pool."""


def install(control_plane: plane.ControlPlane) -> None:
    """Apply our definitions, and wait until they are served."""
    for definition in crds.definitions().values():
        control_plane.client.apply(definition)
    for plural in crds.definitions():
        path = f"/apis/{crds.GROUP}/{crds.VERSION}/{plural}"
        kubeclient.wait_until(lambda path=path: bool(control_plane.client.request("GET", path)), what=plural)


def deployment(name: str, replicas: int, **labels: str) -> kubeclient.Manifest:
    """Return a Deployment whose pods do nothing."""
    selector = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": selector},
            "template": {
                "metadata": {"labels": selector | labels},
                "spec": {
                    "serviceAccountName": charted.CONSUMERS,
                    "containers": [{"name": "main", "image": "example.invalid/main:1"}],
                },
            },
        },
    }


def pool(name: str, *, topic: str = "", group: str = "", **more: Any) -> kubeclient.Manifest:
    """Return a pool of speech servers and consumers, each from none to four."""
    spec: dict[str, Any] = {
        "consumerGroup": group or name,
        "topics": [{"name": topic or name}],
        "deferredTopic": f"{topic or name}.deferred",
        "backend": {"kind": "Deployment", "deployment": {"name": charted.deployment(name, "speech")}},
        "scaling": {
            "minReplicas": 0,
            "maxReplicas": 4,
            "capacityAudioSecondsPerMinute": 3000,
            "stabilizationSeconds": 0,
            "coldStartSeconds": 5,
        },
        "consumers": {
            "deployment": charted.deployment(name, "consumers"),
            "minReplicas": 0,
            "maxReplicas": 4,
            "stabilizationSeconds": 0,
        },
    }
    return {
        "apiVersion": f"{crds.GROUP}/{crds.VERSION}",
        "kind": "TranscriptionPool",
        "metadata": {"name": name},
        "spec": {**spec, **more},
    }


def growing(name: str, topic: str, group: str) -> kubeclient.Manifest:
    """Return a pool that each `TEN_MORE` calls let grow by ten speech servers, also by who has seen none arrive.

    25 calls of 300 s in 15 s are 500 audio-seconds a second, and a server does 50. As arrivals over a minute at least
    they are 145 a second, three servers: what waits outweighs what an operator before this one has seen come.
    """
    made = pool(name, topic=topic, group=group)
    quickly = {"drainTargetSeconds": 15, "coldStartSeconds": 0}
    made["spec"]["scaling"] |= {"maxReplicas": 1000, "stabilizationSeconds": 300, **quickly}
    made["spec"]["consumers"]["stabilizationSeconds"] = 300
    return made


@dataclasses.dataclass
class Namespace:
    """A namespace of pools, of which each has its Deployments, and one Kafka."""

    control_plane: plane.ControlPlane
    name: str
    kafka: str
    folder: pathlib.Path
    pools: tuple[str, ...]
    through: plane.Between | None = None
    account: str = charted.OPERATOR
    shards: int = 1
    """In how many ConfigMaps tenants are."""
    settings: dict[str, str] = dataclasses.field(default_factory=dict)
    command: tuple[str, ...] = ("-m", "aftercall.cli", "operator")
    do_speak: bool = False
    """Whether consumers report, while the operator runs: that they have nothing."""
    may_be_refused: bool = False
    """Whether the API server is started anew: one that has not read its roles yet forbids everything to everybody."""

    def __post_init__(self) -> None:
        client = self.client
        made = charted.operator(self.name, self.pools, self.shards)
        if self.account != charted.OPERATOR:
            made = [*made, *charted.bound(made, self.account)]
        client.apply(made, namespace=self.name)
        for pool in self.pools:
            for part in ("speech", "consumers"):
                client.apply(deployment(charted.deployment(pool, part), 0), namespace=self.name)
        (told,) = (each for each in made if (each["kind"], each["metadata"]["name"]) == ("ConfigMap", charted.OPERATOR))
        self.settings_file = self.folder / f"{self.name}.yaml"
        self.settings_file.write_text(told["data"]["settings.yaml"])
        self.telemetry, self.reports = process.free_port(), process.free_port()
        self.operator: cluster.Consumer | None = None
        self._speaking: threading.Thread | None = None
        self._is_over = threading.Event()

    @property
    def client(self) -> kubeclient.Client:
        """An administrator's view."""
        return self.control_plane.client

    def start(self, *, wait: bool = True) -> cluster.Consumer:
        """Start the operator."""
        config = self.control_plane.kubeconfig_for(self.name, self.account, through=self.through)
        env = {
            "KUBECONFIG": str(config),
            "AFTERCALL_SETTINGS_FILE": str(self.settings_file),
            "AFTERCALL_KAFKA__BOOTSTRAP_SERVERS": json.dumps([self.kafka]),
            "AFTERCALL_OPERATOR__PORT": str(self.reports),
            "AFTERCALL_OPERATOR__LEASE_S": str(LEASE_S),
            "AFTERCALL_OPERATOR__INTERVAL_S": "1",
            "AFTERCALL_TELEMETRY__PORT": str(self.telemetry),
            "AFTERCALL_TELEMETRY__LOG_FORMAT": "json",
            **self.settings,
        }
        self.operator = cluster.Consumer(env, self.folder / f"{self.name}-{self.account}.log", command=self.command)
        if self.do_speak and self._speaking is None:
            self._speaking = threading.Thread(target=self._speak, daemon=True)
            self._speaking.start()
        if wait:
            cluster.wait_until(lambda: 200 == self.probe("readyz")[0], timeout_s=60, what="the operator is ready")
        return self.operator

    def settle(self, pool: str) -> None:
        """Wait until a pool was looked at a few times: what comes from then on was not there before."""

        def is_known() -> bool:
            found = [
                float(line.rpartition(" ")[2])
                for line in self.probe("metrics")[1].splitlines()
                if line.startswith("aftercall_operator_decisions_total{") and f'fleet="speech",pool="{pool}"' in line
            ]
            return sum(found) >= 4

        cluster.wait_until(is_known, timeout_s=60, what=f"{pool} was looked at")

    def probe(self, path: str) -> tuple[int, str]:
        """Return how the operator answers on its telemetry port; 0: not at all."""
        if self.operator is not None:
            self.operator.check()
        try:
            answer = httpx2.get(f"http://127.0.0.1:{self.telemetry}/{path}", timeout=5, trust_env=False)
        except httpx2.TransportError:
            return 0, ""
        return answer.status_code, answer.text

    def get(self, kind: str, name: str) -> kubeclient.Manifest:
        """Return an object."""
        return self.client.get(kind, name, namespace=self.name)

    def asked(self, name: str) -> int:
        """Return how many replicas a Deployment is to have."""
        return int(self.get("Deployment", name)["spec"]["replicas"])

    def pods(self, name: str) -> list[str]:
        """Return the pods of a Deployment that are not being deleted."""
        found = self.client.list("Pod", namespace=self.name, selector=f"app={name}")
        return sorted(each["metadata"]["name"] for each in found if "deletionTimestamp" not in each["metadata"])

    def condition(self, name: str, of: str = "Ready", kind: str = "TranscriptionPool") -> tuple[str, str, str]:
        """Return the status, reason and message of a condition."""
        for each in self.get(kind, name).get("status", {}).get("conditions", ()):
            if each["type"] == of:
                return each["status"], each["reason"], each["message"]
        return "", "", ""

    def report(self, pool: str, pod: str, **more: Any) -> tuple[int, Mapping[str, Any]]:
        """Report as a consumer does, with its pod's token; return the status and the answer."""
        told = {"consumer": pod, "instance": "1", "pool": pool, "number": time.monotonic_ns()} | more
        with httpx2.Client(timeout=10, trust_env=False) as client:
            answer = client.post(self._reports_url, content=_body(told), headers=self._headers(pod))
        return answer.status_code, answer.json()

    def time_reports(self, pool: str, pod: str, n: int) -> float:
        """Report so often; return in how many milliseconds 99 of 100 were answered."""
        took_ms = []
        load = reports.TenantLoad(tenant="acme", waiting=1, waiting_audio_s=60.0)
        with httpx2.Client(timeout=10, trust_env=False) as client:
            for _ in range(n):
                told = {"consumer": pod, "instance": "1", "pool": pool, "number": time.monotonic_ns()}
                body = _body(told | {"tenants": (load,)})
                began = time.perf_counter()
                answer = client.post(self._reports_url, content=body, headers=self._headers(pod))
                took_ms.append(1000 * (time.perf_counter() - began))
                assert 200 == answer.status_code, answer.text
        return sorted(took_ms)[int(0.99 * n) - 1]

    def rss_mib(self) -> float:
        """Return the memory that the operator holds."""
        assert self.operator is not None
        fields = pathlib.Path(f"/proc/{self.operator.process.pid}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

    @property
    def _reports_url(self) -> str:
        return f"http://127.0.0.1:{self.reports}/v1/reports"

    def _headers(self, pod: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(pod)}"}

    def token(self, pod: str) -> str:
        """Return a token of a consumer's pod, asked for once."""
        tokens = self.__dict__.setdefault("_tokens", {})
        if pod not in tokens:
            tokens[pod] = self.control_plane.token(self.name, charted.CONSUMERS, audiences=[AUDIENCE], pod=pod)
        return str(tokens[pod])

    def writers(self) -> set[str]:
        """Return who wrote a scale here, as the audit log has it."""
        return {
            event.user
            for event in self.control_plane.audit()
            if (event.resource, event.namespace) == ("deployments/scale", self.name)
            and event.verb in ("update", "patch")
            and event.code < 300
        }

    @property
    def user(self) -> str:
        """The operator, as the API server knows it."""
        return f"system:serviceaccount:{self.name}:{self.account}"

    def scaled(self, name: str = "") -> list[tuple[str, str, int]]:
        """Return who set which Deployment to what, in their order, as the audit log has it; or of one Deployment."""
        return [
            (event.user, event.name, int(event.response["spec"].get("replicas", 0)))
            for event in self.control_plane.audit()
            if (event.resource, event.namespace) == ("deployments/scale", self.name)
            and name in ("", event.name)
            and event.verb in ("update", "patch")
            and event.code < 300
            and isinstance(event.response, dict)
        ]

    def refused(self) -> list[tuple[str, str, str]]:
        """Return what the operator was forbidden: verb, resource and name."""
        return [
            (event.verb, event.resource, event.name)
            for event in self.control_plane.audit()
            if event.user == self.user and event.code == 403
        ]

    def _speak(self) -> None:
        """Report for every consumer, again and again; what is dead or hangs at the moment is asked again."""
        while not self._is_over.wait(2):
            for pool in self.pools:
                with contextlib.suppress(httpx2.HTTPError, kubeclient.Refused, ValueError, OSError):
                    for pod in self.pods(charted.deployment(pool, "consumers")):
                        self.report(pool, pod)

    def stop(self) -> None:
        """End the operator."""
        self._is_over.set()
        if self._speaking is not None:
            self._speaking.join(30)
        if self.operator is not None and self.operator.process.poll() is None:
            self.operator.kill()


def _body(told: Mapping[str, Any]) -> str:
    return reports.ConsumerReport.model_validate(told).model_dump_json()


def publish(
    address: str, topic: str, n: int, *, partitions: Sequence[int] = range(4), transactional_id: str | None = None
) -> None:
    """Put messages on a topic, into these partitions by turns; with an id as one transaction."""
    producer = kafka.KafkaProducer(bootstrap_servers=address, transactional_id=transactional_id)
    if transactional_id is not None:
        producer.init_transactions()
        producer.begin_transaction()
    for at in range(n):
        producer.send(topic, str(at).encode(), partition=partitions[at % len(partitions)])
    if transactional_id is not None:
        producer.commit_transaction()
    producer.flush()
    producer.close()


def commit(address: str, group: str, topic: str, offset: int, *, partitions: Iterable[int] = range(4)) -> None:
    """Commit an offset on partitions, as a member that has left since."""
    consumer = kafka.KafkaConsumer(bootstrap_servers=address, group_id=group, enable_auto_commit=False)
    places = [kafka.TopicPartition(topic, at) for at in partitions]
    consumer.assign(places)
    consumer.commit({at: kafka.OffsetAndMetadata(offset, "", -1) for at in places})
    consumer.close(autocommit=False)
