"""A kubelet without containers: pods of one node as processes of this machine, with their own commands and probes.

What a pod is given it gets: environment, mounted ConfigMaps, Secrets and tokens (brought up to date as a kubelet does),
probes with their thresholds, SIGTERM, the grace period, restarts. What differs is named here. A mount lies below a
folder of the pod, and its path is written so into the environment and into mounted files. All pods share the loopback
address, so that a port is another than the pod's own, in its settings too; a Service's name leads to its pod there. The
image is this checkout: an entry point of `aftercall`, and no other command.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import datetime
import pathlib
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from peers import control_plane as plane
from peers import kubeclient, process

_LOOK_S = 0.3
_REFRESH_S = 2.0
"""After so long mounted files are brought up to date; a kubelet takes a minute or two."""
_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


class Unknown(Exception):
    """Something that a pod refers to is not there yet."""


@dataclasses.dataclass(slots=True)
class _Probe:
    """One of a container's; `failed` in a row."""

    told: Mapping[str, Any]
    due_at_s: float = 0.0
    failed: int = 0

    def look(self, ports: Mapping[str, int]) -> bool | None:
        """Ask if it is time to; say whether it is well, None when it was not asked."""
        if time.monotonic() < self.due_at_s:
            return None
        self.due_at_s = time.monotonic() + self.told["periodSeconds"]
        asked = self.told["httpGet"]
        is_well = _answers(ports[asked["port"]], asked["path"], self.told["timeoutSeconds"])
        self.failed = 0 if is_well else self.failed + 1
        return is_well

    @property
    def has_failed(self) -> bool:
        """Whether that is enough."""
        return self.failed >= self.told["failureThreshold"]


@dataclasses.dataclass(slots=True)
class Pod:
    """A pod and the process of its container."""

    manifest: kubeclient.Manifest
    folder: pathlib.Path
    ports: Mapping[str, int]
    process: subprocess.Popen[bytes] | None = None
    probes: dict[str, _Probe] = dataclasses.field(default_factory=dict)
    is_ready: bool = False
    has_started: bool = False
    n_restarts: int = 0
    exit_codes: list[int] = dataclasses.field(default_factory=list)
    killed_at_s: float | None = None
    refreshed_at_s: float = 0.0
    signalled_at_s: float | None = None
    ended_in_s: float | None = None
    """Seconds from SIGTERM to its end."""

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.manifest["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Where it is."""
        return str(self.manifest["metadata"]["namespace"])

    def field(self, told: Mapping[str, str]) -> str:
        """Return a field that the manifest refers to."""
        return {"metadata.name": self.name, "metadata.namespace": self.namespace}[told["fieldPath"]]

    @property
    def container(self) -> Mapping[str, Any]:
        """Its only container."""
        (one,) = self.manifest["spec"]["containers"]
        return dict(one)

    @property
    def log(self) -> pathlib.Path:
        """What it printed, over all restarts."""
        return self.folder / "log"


class Kubelet:
    """Runs the pods of a node; pods that have gone stay known, with how they ended."""

    def __init__(self, control_plane: plane.ControlPlane, folder: pathlib.Path, node: str) -> None:
        self.node, self._folder, self._plane = node, folder, control_plane
        self._client = control_plane.client
        self.pods: dict[str, Pod] = {}
        """By uid."""
        self._service_ports: dict[tuple[str, str, int], int] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"kubelet {node}", daemon=True)
        self._said_at_s = 0.0
        self.mistakes: list[str] = []

    def start(self) -> None:
        """Register the node, and run what is bound to it from now on."""
        offers = {"cpu": "16", "memory": "64Gi", "pods": "110", "ephemeral-storage": "100Gi"}
        labels = {"kubernetes.io/hostname": self.node, "kubernetes.io/os": "linux"}
        about = {"name": self.node, "labels": labels}
        status = {"allocatable": offers, "capacity": offers}
        self._client.create({"apiVersion": "v1", "kind": "Node", "metadata": about, "status": status})
        self._thread.start()

    def stop(self) -> None:
        """Kill whatever is left, and take the node away."""
        self._stopping.set()
        self._thread.join(30)
        for pod in self.pods.values():
            if pod.process is not None:
                pod.process.kill()
                pod.process.wait()
        self._client.delete("Node", self.node)
        assert not self.mistakes, self.mistakes

    def of(self, component: str) -> list[Pod]:
        """Return the pods of a component, the oldest first."""
        label = "app.kubernetes.io/component"
        return [pod for pod in self.pods.values() if pod.manifest["metadata"]["labels"].get(label) == component]

    def _run(self) -> None:
        while not self._stopping.wait(_LOOK_S):
            try:
                self._look()
            except (kubeclient.Refused, Unknown):
                continue  # level-triggered: the next look sees it again
            except Exception as exc:
                self.mistakes.append(repr(exc))
                raise

    def _look(self) -> None:
        if time.monotonic() - self._said_at_s > 5.0:
            self._say_ready()
        params = {"fieldSelector": f"spec.nodeName={self.node}"}
        there = {
            each["metadata"]["uid"]: each
            for each in self._client.request("GET", "/api/v1/pods", params=params)["items"]
        }
        for uid, manifest in there.items():
            if uid not in self.pods:
                self._admit(uid, manifest)
            self.pods[uid].manifest = manifest
            with contextlib.suppress(Unknown):
                self._sync(self.pods[uid])

    def _say_ready(self) -> None:
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": ""}
        times = {"lastHeartbeatTime": now, "lastTransitionTime": now}
        self._client.patch("Node", self.node, {"status": {"conditions": [ready | times]}}, subresource="status")
        self._said_at_s = time.monotonic()

    def _admit(self, uid: str, manifest: kubeclient.Manifest) -> None:
        folder = self._folder / manifest["metadata"]["name"]
        (folder / "root" / "tmp").mkdir(parents=True)
        (container,) = manifest["spec"]["containers"]
        ports = {each["name"]: self._port_of(manifest, each["containerPort"]) for each in container.get("ports", ())}
        self.pods[uid] = Pod(manifest, folder, ports)

    def _port_of(self, manifest: kubeclient.Manifest, port: int) -> int:
        """Return a free port; for what a Service leads to the same one after every restart, since there is one pod."""
        about = manifest["metadata"]
        for service in self._client.list("Service", namespace=about["namespace"]):
            selects = service["spec"].get("selector") or {"no": "selector"}
            if selects.items() <= about["labels"].items() and any(
                each["port"] == port for each in service["spec"]["ports"]
            ):
                return self._reached_by(about["namespace"], service["metadata"]["name"], port)
        return process.free_port()

    def _reached_by(self, namespace: str, service: str, port: int) -> int:
        return self._service_ports.setdefault((namespace, service, port), process.free_port())

    def _sync(self, pod: Pod) -> None:
        about, spec = pod.manifest["metadata"], pod.manifest["spec"]
        if pod.process is not None and pod.process.poll() is not None:
            pod.exit_codes.append(pod.process.returncode)
            if pod.signalled_at_s is not None and pod.ended_in_s is None:
                pod.ended_in_s = time.monotonic() - pod.signalled_at_s
            pod.process, pod.is_ready, pod.has_started, pod.killed_at_s = None, False, False, None
        if "deletionTimestamp" in about:
            self._end(pod, int(about["deletionGracePeriodSeconds"]))
        elif pod.process is None and (not pod.exit_codes or spec["restartPolicy"] == "Always"):
            pod.n_restarts = len(pod.exit_codes)
            self._begin(pod)
            self._tell(pod)
        elif pod.process is None:
            self._tell(pod)
        else:
            self._probe(pod, int(spec["terminationGracePeriodSeconds"]))
        if pod.process is not None and time.monotonic() - pod.refreshed_at_s > _REFRESH_S:
            self._mount(pod)

    def _begin(self, pod: Pod) -> None:
        container = pod.container
        assert "command" not in container, "the image's own command is all that there is"
        assert not pod.manifest["spec"].get("initContainers"), "no init containers"
        self._mount(pod)
        env = {"PATH": "/usr/bin:/bin", "TMPDIR": str(pod.folder / "root" / "tmp"), "HOME": str(pod.folder)}
        for each in container.get("env", ()):
            env[each["name"]] = self._moved(pod, self._value(pod, each))
        if pod.manifest["spec"].get("automountServiceAccountToken"):
            env["KUBECONFIG"] = str(
                self._plane.kubeconfig_for(pod.namespace, pod.manifest["spec"]["serviceAccountName"])
            )
        pod.probes = {
            name: _Probe({"timeoutSeconds": 1, "failureThreshold": 3, **container[f"{name}Probe"]})
            for name in ("startup", "liveness", "readiness")
            if f"{name}Probe" in container
        }
        with pod.log.open("ab") as out:
            command = [sys.executable, "-m", "aftercall.cli", *container["args"]]
            pod.process = subprocess.Popen(command, env=env, cwd=pod.folder, stdout=out, stderr=out)

    def _value(self, pod: Pod, told: Mapping[str, Any]) -> str:
        if "value" in told or "valueFrom" not in told:
            return str(told.get("value", ""))
        source = told["valueFrom"]
        if "fieldRef" in source:
            return pod.field(source["fieldRef"])
        asked = source["secretKeyRef"]
        return self._secret(pod, asked["name"])[asked["key"]]

    def _mount(self, pod: Pod) -> None:
        volumes = {each["name"]: each for each in pod.manifest["spec"].get("volumes", ())}
        for mount in pod.container.get("volumeMounts", ()):
            at = pod.folder / "root" / mount["mountPath"].removeprefix("/")
            files = self._files(pod, volumes[mount["name"]])
            if "subPath" in mount:
                if not at.exists():  # what is mounted so never changes
                    at.parent.mkdir(parents=True, exist_ok=True)
                    at.write_text(self._moved(pod, files[mount["subPath"]]))
                continue
            at.mkdir(parents=True, exist_ok=True)
            for name, text in files.items():
                beside = at.parent / f".{at.name}-{name}"
                beside.write_text(self._moved(pod, text))
                beside.replace(at / name)
        pod.refreshed_at_s = time.monotonic()

    def _files(self, pod: Pod, volume: Mapping[str, Any]) -> dict[str, str]:
        found: dict[str, str] = {}
        for source in volume["projected"]["sources"] if "projected" in volume else [volume]:
            if "configMap" in source:
                found |= _picked(self._config_map(pod, source["configMap"]), source["configMap"])
            elif "secret" in source:
                found |= _picked(self._secret(pod, source["secret"]["secretName"]), source["secret"])
            elif "serviceAccountToken" in source:
                asked = source["serviceAccountToken"]
                audiences = [asked["audience"]] if "audience" in asked else []
                account = pod.manifest["spec"]["serviceAccountName"]
                found[asked["path"]] = self._plane.token(pod.namespace, account, audiences=audiences, pod=pod.name)
            elif "downwardAPI" in source:
                found |= {each["path"]: pod.field(each["fieldRef"]) for each in source["downwardAPI"]["items"]}
        return found

    def _config_map(self, pod: Pod, source: Mapping[str, Any]) -> dict[str, str]:
        try:
            made = self._client.get("ConfigMap", source["name"], namespace=pod.namespace)
        except kubeclient.Refused as exc:
            if exc.code == 404 and source.get("optional"):
                return {}
            raise
        return dict(made.get("data") or {})

    def _secret(self, pod: Pod, name: str) -> dict[str, str]:
        made = self._client.get("Secret", name, namespace=pod.namespace)
        return {key: base64.b64decode(text).decode() for key, text in (made.get("data") or {}).items()}

    def _moved(self, pod: Pod, text: str) -> str:
        """Return a text with the places and ports of this machine."""
        mounts = sorted((each["mountPath"] for each in pod.container.get("volumeMounts", ())), key=len, reverse=True)
        paths = "|".join(map(re.escape, mounts))
        text = re.sub(rf"(?<![\w/.-])({paths})(?![\w-])", lambda found: f"{pod.folder}/root{found[1]}", text)
        namespace = pod.namespace

        def reached(found: re.Match[str]) -> str:
            return f"127.0.0.1:{self._reached_by(namespace, found[1], int(found[2]))}"

        text = re.sub(rf"([a-z0-9-]+)\.{namespace}\.svc:(\d+)", reached, text)
        for each in pod.container.get("ports", ()):
            text = re.sub(rf"\bport: {each['containerPort']}\b", f"port: {pod.ports[each['name']]}", text)
        return text.replace("host: 0.0.0.0", "host: 127.0.0.1")

    def _probe(self, pod: Pod, grace_s: int) -> None:
        assert pod.process is not None
        if pod.killed_at_s is not None:
            if time.monotonic() > pod.killed_at_s + grace_s:
                pod.process.kill()
            return
        was_ready = pod.is_ready
        if not pod.has_started:
            startup = pod.probes.get("startup")
            said = True if startup is None else startup.look(pod.ports)
            pod.has_started = bool(said)
            is_failed = startup is not None and startup.has_failed
        else:
            liveness, readiness = pod.probes.get("liveness"), pod.probes.get("readiness")
            if liveness is not None:
                liveness.look(pod.ports)
            is_failed = liveness is not None and liveness.has_failed
            said = True if readiness is None else readiness.look(pod.ports)
            pod.is_ready = pod.is_ready if said is None else said and not is_failed
        if is_failed:
            pod.process.terminate()
            pod.killed_at_s, pod.is_ready = time.monotonic(), False
        if was_ready != pod.is_ready:
            self._tell(pod)

    def _end(self, pod: Pod, grace_s: int) -> None:
        if pod.process is None:
            path = self._client.path("Pod", pod.name, namespace=pod.namespace)
            self._client.request("DELETE", path, params={"gracePeriodSeconds": "0"})
        elif pod.signalled_at_s is None:
            pod.process.terminate()
            pod.signalled_at_s, pod.is_ready = time.monotonic(), False
            self._tell(pod)
        elif time.monotonic() > pod.signalled_at_s + grace_s:
            pod.process.kill()

    def _tell(self, pod: Pod) -> None:
        ended = pod.process is None and bool(pod.exit_codes)
        state: dict[str, Any] = {"running": {}} if not ended else {"terminated": {"exitCode": pod.exit_codes[-1]}}
        phase = "Running" if not ended else "Succeeded" if pod.exit_codes[-1] == 0 else "Failed"
        ready = "True" if pod.is_ready else "False"
        container = {"name": pod.container["name"], "image": pod.container["image"], "imageID": "", "state": state}
        container |= {"ready": pod.is_ready, "started": pod.has_started, "restartCount": pod.n_restarts}
        conditions = {"PodScheduled": "True", "Initialized": "True", "ContainersReady": ready, "Ready": ready}
        status = {
            "phase": phase,
            "conditions": [{"type": name, "status": said} for name, said in conditions.items()],
            "containerStatuses": [container],
        }
        self._client.patch("Pod", pod.name, {"status": status}, namespace=pod.namespace, subresource="status")


def _picked(files: dict[str, str], source: Mapping[str, Any]) -> dict[str, str]:
    """Return the files of a ConfigMap or Secret under the names that a volume gives them."""
    items: Sequence[Mapping[str, str]] | None = source.get("items")
    if items is None:
        return files
    return {each["path"]: files[each["key"]] for each in items if each["key"] in files}


def _answers(port: int, path: str, timeout_s: float) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=timeout_s) as answer:
            return bool(200 <= answer.status < 400)
    except (urllib.error.URLError, OSError):
        return False


def running(control_plane: plane.ControlPlane, folder: pathlib.Path, node: str) -> Iterator[Kubelet]:
    """Run the pods of a node of this name."""
    found = Kubelet(control_plane, folder, node)
    try:
        found.start()
        yield found
    finally:
        found.stop()
