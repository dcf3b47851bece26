"""The whole service as a Prometheus sees it: consumers on Triton, on Ray and by themselves, relay, API, operator, GPUs.

Everything is real but the GPUs: what DCGM would say of them is made up here, and is scraped as job `dcgm-synthetic`.
Targets have the labels that the chart's PodMonitors give them.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import http.server
import itertools
import pathlib
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import charted
import cluster
import httpx2
import material
import obstore
import operated
import yaml
from peers import broker, process, prometheus, rayserve, s3, tritonserver
from peers import control_plane as plane

from aftercall.consumers.publish import webhooks
from aftercall.contracts import events, identity
from aftercall.serve import triton_repository

NAMESPACE = "calls"
POOLS = ("triton", "rays", "own")
TENANTS = ("acme", "globex")
SPOILED = identity.Recording("acme", "spoiled")

# One GPU is cut in parts by MIG, and belongs to a pod that the exporter names; profiling is off for the other, whose
# exporter is scraped with honorLabels.
_MIG = """\
DCGM_FI_PROF_GR_ENGINE_ACTIVE{gpu="0",UUID="GPU-a",Hostname="gpu-0",GPU_I_PROFILE="3g.40gb",GPU_I_ID="1",POD} 0.7
DCGM_FI_PROF_PIPE_TENSOR_ACTIVE{gpu="0",UUID="GPU-a",Hostname="gpu-0",GPU_I_PROFILE="3g.40gb",GPU_I_ID="1",POD} 0.4
DCGM_FI_DEV_FB_USED{gpu="0",UUID="GPU-a",Hostname="gpu-0",GPU_I_PROFILE="3g.40gb",GPU_I_ID="1",POD} 30000
DCGM_FI_DEV_FB_FREE{gpu="0",UUID="GPU-a",Hostname="gpu-0",GPU_I_PROFILE="3g.40gb",GPU_I_ID="1",POD} 10000
DCGM_FI_DEV_POWER_USAGE{gpu="0",UUID="GPU-a",Hostname="gpu-0",GPU_I_PROFILE="3g.40gb",GPU_I_ID="1",POD} 210
"""
_WHOLE = """\
DCGM_FI_DEV_GPU_UTIL{gpu="0",UUID="GPU-b",Hostname="gpu-1",POD} 90
DCGM_FI_DEV_FB_USED{gpu="0",UUID="GPU-b",Hostname="gpu-1",POD} 8000
DCGM_FI_DEV_FB_FREE{gpu="0",UUID="GPU-b",Hostname="gpu-1",POD} 72000
DCGM_FI_DEV_POWER_USAGE{gpu="0",UUID="GPU-b",Hostname="gpu-1",POD} 95
"""


@contextlib.contextmanager
def serving(text: str) -> Iterator[str]:
    """Serve a text at every path; the address is `host:port`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@dataclasses.dataclass(frozen=True, slots=True)
class Servers:
    """What the service runs on."""

    kafka: broker.Broker
    store: s3.S3
    control_plane: plane.ControlPlane
    triton: tritonserver.Triton
    ray: rayserve.Ray
    ray_metrics: int


@contextlib.contextmanager
def servers(folder: Callable[[str], pathlib.Path]) -> Iterator[Servers]:
    """Start them all; `folder` makes one of each name."""
    ray_metrics = process.free_port()

    def triton() -> tritonserver.Triton:
        at = folder("triton")
        speech = triton_repository.Speech(model=str(material.MODEL), threads=1, instances=1, max_batch_windows=8)
        triton_repository.write(speech, at / "repository")
        return tritonserver.Triton(at, at / "repository")

    def ray() -> rayserve.Ray:
        return rayserve.Ray(folder("ray"), model=material.MODEL, replicas=1, RAY_METRICS_PORT=str(ray_metrics))

    with contextlib.ExitStack() as stack:

        def start(build: Callable[[], Any]) -> Any:
            return stack.enter_context(contextlib.contextmanager(process.running)(build))

        yield Servers(
            start(lambda: broker.Broker(folder("broker"))),
            start(lambda: s3.S3(folder("s3"))),
            start(lambda: plane.ControlPlane(folder("control-plane"))),
            start(triton),
            start(ray),
            ray_metrics,
        )


class Service:
    """Three pools with a consumer each, a relay, an API, an operator, and recordings and requests that go on coming."""

    def __init__(self, servers_: Servers, folder: pathlib.Path) -> None:
        self._servers = servers_
        self._folder = folder
        self._running: list[cluster.Consumer] = []
        self._stopping = threading.Event()
        self._ports: dict[str, int] = {}
        self._pods: dict[str, str] = {}
        self._upload = material.wav(material.sentences(1)[0][2], 16_000)
        self._clusters = {name: cluster.Cluster(servers_.kafka, servers_.store, f"calls-{name}") for name in POOLS}
        control_plane = servers_.control_plane
        control_plane.create_node("node-0")
        operated.install(control_plane)
        control_plane.create_namespace(NAMESPACE)
        self._space = operated.Namespace(control_plane, NAMESPACE, servers_.kafka.address, folder, POOLS)
        self._tenants = folder / "tenants.yaml"
        limits = [{"name": name, "audio_seconds_per_minute": 60_000} for name in TENANTS]
        self._tenants.write_text(yaml.safe_dump(limits))

    def start(self) -> None:
        """Start every process, and let recordings come."""
        for name, ours in self._clusters.items():
            ours.create()
            ours.kafka.create_topics({_bulk(ours): 1})
            for at, (_, _, pcm) in enumerate(material.sentences(4)):
                obstore.put(ours.bucket(ours.inbox), f"sentence-{at}.wav", material.wav(pcm, 16_000))
            scaling = {"minReplicas": 1, "maxReplicas": 2, "capacityAudioSecondsPerMinute": 3000}
            consumers = {"deployment": charted.deployment(name, "consumers"), "minReplicas": 1, "maxReplicas": 1}
            self._space.client.apply(
                operated.pool(
                    name,
                    topic=ours.recordings,
                    group=ours.name,
                    deferredTopic=ours.deferred,
                    scaling=scaling,
                    consumers=consumers,
                ),
                namespace=NAMESPACE,
            )
        for name in TENANTS:
            tenant = {"apiVersion": "aftercall.io/v1alpha1", "kind": "Tenant", "metadata": {"name": name}}
            self._space.client.apply({**tenant, "spec": {"audioSecondsPerMinute": 60_000}}, namespace=NAMESPACE)
        self._space.start()
        for name in POOLS:
            what = f"a pod of {name}"
            cluster.wait_until(lambda name=name: bool(self._pods_of(name)), timeout_s=30, what=what)
            self._consume(name)
        self._relay()
        self._api()
        for one in self._running:
            one.wait_ready()
        self._feeder = threading.Thread(target=self._feed)
        self._feeder.start()

    def _pods_of(self, name: str) -> list[str]:
        return self._space.pods(charted.deployment(name, "consumers"))

    def _consume(self, name: str) -> None:
        pod = self._pods[name] = self._pods_of(name)[0]
        token = self._folder / f"{name}.token"
        token.write_text(self._space.token(pod))
        self._ports[name] = process.free_port()
        model = {"AFTERCALL_SPEECH__MODEL": str(material.MODEL), "AFTERCALL_SPEECH__THREADS": "1"}
        speech = {
            "triton": {"AFTERCALL_SPEECH__URL": self._servers.triton.url, "AFTERCALL_SPEECH__BACKEND": "triton"},
            "rays": {"AFTERCALL_SPEECH__URL": self._servers.ray.url, "AFTERCALL_SPEECH__BACKEND": "ray"},
            "own": model
            | {
                "AFTERCALL_SHADOW__SHARE": "1",
                "AFTERCALL_SHADOW__MODEL": str(material.MODEL),
                "AFTERCALL_SHADOW__THREADS": "1",
            },
        }[name]
        ours = self._clusters[name]
        env = ours.env(
            AFTERCALL_KAFKA__TOPICS=f"[{{name: {ours.recordings}}}, {{name: {_bulk(ours)}, lane: bulk}}]",
            AFTERCALL_TELEMETRY__PORT=str(self._ports[name]),
            AFTERCALL_TELEMETRY__OTLP_ENDPOINT=f"http://127.0.0.1:{process.free_port()}",  # nobody: ids are enough
            AFTERCALL_INTAKE__TENANTS_FILE=str(self._tenants),
            AFTERCALL_REPORTING__URL=f"http://127.0.0.1:{self._space.reports}",
            AFTERCALL_REPORTING__POOL=name,
            AFTERCALL_REPORTING__NAME=pod,
            AFTERCALL_REPORTING__TOKEN_FILE=str(token),
            AFTERCALL_REPORTING__INTERVAL_S="1",
            AFTERCALL_SPEECH__TEMPERATURES="[0.0]",
            **speech,
        )
        self._running.append(cluster.Consumer(env, self._folder / f"{name}.log"))

    def _relay(self) -> None:
        prefix = "calls.after"
        self._servers.kafka.create_topics(dict.fromkeys(webhooks.delay_topics(prefix).values(), 1))
        self._ports["relay"] = process.free_port()
        (self._folder / "secret").write_text("whsec_" + base64.b64encode(b"s" * 32).decode())
        # Nobody answers there: attempts are put off.
        hook = {"url": f"http://127.0.0.1:{process.free_port()}/", "secret_files": [str(self._folder / "secret")]}
        told = self._folder / "told.yaml"
        told.write_text(yaml.safe_dump([{"name": name, "webhook": hook} for name in TENANTS]))
        env = self._clusters["own"].env(
            AFTERCALL_TELEMETRY__PORT=str(self._ports["relay"]),
            AFTERCALL_INTAKE__TENANTS_FILE=str(told),
            AFTERCALL_WEBHOOKS__API_URL="https://calls.example",
            AFTERCALL_WEBHOOKS__TOPIC_PREFIX=prefix,
            AFTERCALL_WEBHOOKS__PRIVATE_NETWORKS="[127.0.0.1/32]",
        )
        relay = cluster.Consumer(env, self._folder / "relay.log", command=("-m", "aftercall.cli", "relay"))
        self._running.append(relay)

    def _api(self) -> None:
        self._ports["api"], self._ports["asked"] = process.free_port(), process.free_port()
        ours = self._clusters["own"]
        obstore.put(ours.bucket(ours.outbox), f"{SPOILED.outcomes_prefix}1/1.json", b"{")
        env = ours.env(
            AFTERCALL_TELEMETRY__PORT=str(self._ports["api"]),
            AFTERCALL_API__PORT=str(self._ports["asked"]),
            AFTERCALL_API__KEYS="{acme: a-key}",
            AFTERCALL_API__UPLOADS_BUCKET=ours.inbox,
            AFTERCALL_API__WAIT_S="0.001",  # nothing is heard within it: who waits for a transcript is told 504
            AFTERCALL_SPEECH__MODEL=str(material.MODEL),
        )
        self._running.append(cluster.Consumer(env, self._folder / "api.log", command=("-m", "aftercall.cli", "api")))

    def _ask(self) -> None:
        """Ask the API for a call that nobody knows, for one whose outcome somebody spoiled, and to hear one at once."""
        with httpx2.Client(
            base_url=f"http://127.0.0.1:{self._ports['asked']}",
            headers={"Authorization": "Bearer a-key"},
            timeout=30,
            trust_env=False,
        ) as client:
            assert 404 == client.get("/v1/calls/nobody").status_code
            # A server ends the connection after a fault of its own.
            failed = client.get(f"/v1/calls/{SPOILED.recording_id}", headers={"Connection": "close"})
            assert 500 == failed.status_code, failed.text
            told = client.post(
                "/v1/audio/transcriptions",
                data={"model": "whisper-1", "language": "en"},
                files={"file": ("call.wav", self._upload)},
            )
            assert told.status_code in (200, 504), told.text

    def _feed(self) -> None:
        for at in itertools.count():
            self._ask()
            for ours in self._clusters.values():
                told = {
                    "tenant": TENANTS[at % 2],
                    "call_id": f"c{at}",
                    "recording_uri": f"s3://{ours.inbox}/sentence-{at % 4}.wav",
                    "language": "en",
                }
                ours.announce([events.RecordingReady.model_validate(told)])
                if at % 4 == 0:
                    told["call_id"] = f"b{at}"
                    ours.announce([events.RecordingReady.model_validate(told)], topic=_bulk(ours))
            if self._stopping.wait(1.5):
                return

    def jobs(self, dcgm: Mapping[str, str]) -> dict[str, list[prometheus.Target]]:
        """Return what a Prometheus would find in the cluster; `dcgm` are addresses of exporters."""

        def target(port: int, component: str, pod: str, **more: str) -> prometheus.Target:
            labels = {"namespace": NAMESPACE, "pod": pod, "container": component, "component": component}
            return prometheus.Target(f"127.0.0.1:{port}", labels | more)

        consumers = [target(self._ports[name], "consumers", self._pods[name], pool=name) for name in POOLS]
        return {
            "aftercall": [
                *consumers,
                target(self._ports["relay"], "relay", "relay-0"),
                target(self._ports["api"], "api", "api-0"),
                target(self._space.telemetry, "operator", "operator-0"),
                target(self._servers.triton.metrics, "speech", "triton-speech-0", pool="triton"),
                target(self._servers.ray_metrics, "speech", "rays-speech-0", pool="rays"),
            ],
            "dcgm-synthetic": [
                prometheus.Target(dcgm["mig"], {"namespace": "gpu-operator", "pod": "dcgm-0"}),
                prometheus.Target(dcgm["whole"]),
            ],
        }

    def check(self) -> None:
        """Fail when a process has ended."""
        for one in self._running:
            one.check()

    def stop(self) -> None:
        """End every process."""
        self._stopping.set()
        if hasattr(self, "_feeder"):
            self._feeder.join()
        for one in self._running:
            one.kill()
        self._space.stop()


def _bulk(ours: cluster.Cluster) -> str:
    return f"{ours.name}.bulk"


@contextlib.contextmanager
def exporters() -> Iterator[dict[str, str]]:
    """Serve what DCGM would say of two GPUs, whose pods are speech servers of ours."""

    def of(text: str, pod: str) -> str:
        return text.replace("POD", f'namespace="{NAMESPACE}",pod="{pod}",container="triton"')

    with serving(of(_MIG, "triton-speech-0")) as mig, serving(of(_WHOLE, "rays-speech-0")) as whole:
        yield {"mig": mig, "whole": whole}
