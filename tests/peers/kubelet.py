"""A kubelet without containers: pods of one node as processes of this machine, with their own commands and probes.

What a pod is given it gets, as `mounts` tells: environment, mounted ConfigMaps, Secrets and tokens, kept up to date;
and probes with their thresholds, SIGTERM, the grace period, restarts, containers that prepare a pod. The image is this
checkout: an entry point of `aftercall`, and Python.
"""

from __future__ import annotations

import contextlib
import datetime
import pathlib
import subprocess
import sys
import threading
import time
from typing import Any

from peers import control_plane as plane
from peers import kubeclient, mounts, pods

_ENTRY_POINT = ["python", "-m", "aftercall.cli"]
_LOOK_S = 0.3
_REFRESH_S = 2.0
"""After so long mounted files are brought up to date; a kubelet takes a minute or two."""


class Kubelet:
    """Runs the pods of a node; pods that have gone stay known, with how they ended."""

    def __init__(self, control_plane: plane.ControlPlane, folder: pathlib.Path, node: str) -> None:
        self.node, self._folder, self._client = node, folder, control_plane.client
        self._mounts = mounts.Mounts(control_plane)
        self.pods: dict[str, pods.Pod] = {}
        """By uid."""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"kubelet {node}", daemon=True)
        self._said_at_s = 0.0

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

    def of(self, component: str) -> list[pods.Pod]:
        """Return the pods of a component, the oldest first."""
        label = "app.kubernetes.io/component"
        return [pod for pod in list(self.pods.values()) if pod.manifest["metadata"]["labels"].get(label) == component]

    def _run(self) -> None:
        while not self._stopping.wait(_LOOK_S):
            self._look()

    def _look(self) -> None:
        if time.monotonic() - self._said_at_s > 5.0:
            self._say_ready()
        params = {"fieldSelector": f"spec.nodeName={self.node}"}
        there = {
            each["metadata"]["uid"]: each
            for each in self._client.request("GET", "/api/v1/pods", params=params)["items"]
        }
        for uid, manifest in there.items():
            # What is asked for may not be there yet, or not any more: the next look sees what is.
            with contextlib.suppress(kubeclient.Refused):
                if uid not in self.pods:
                    self._admit(uid, manifest)
                self.pods[uid].manifest = manifest
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
        self.pods[uid] = pods.Pod(manifest, folder, self._mounts.ports_of(manifest))

    def _sync(self, pod: pods.Pod) -> None:
        about, spec = pod.manifest["metadata"], pod.manifest["spec"]
        if pod.process is not None and pod.process.poll() is not None:
            if pod.is_initialized or pod.process.returncode != 0:
                pod.exit_codes.append(pod.process.returncode)
            else:
                pod.n_initialized += 1
            if pod.signalled_at_s is not None and pod.ended_in_s is None:
                pod.ended_in_s = time.monotonic() - pod.signalled_at_s
            pod.process, pod.is_ready, pod.has_started, pod.killed_at_s = None, False, False, None
        if "deletionTimestamp" in about:
            self._end(pod, int(about["deletionGracePeriodSeconds"]))
        elif pod.is_over:
            self._tell(pod)
        elif pod.process is None:
            pod.n_restarts = len(pod.exit_codes)
            self._begin(pod)
            self._tell(pod)
        else:
            self._probe(pod, int(spec["terminationGracePeriodSeconds"]))
        if pod.process is not None and time.monotonic() - pod.refreshed_at_s > _REFRESH_S:
            self._mounts.mount(pod)

    def _begin(self, pod: pods.Pod) -> None:
        container = pod.container
        program = container.get("command", _ENTRY_POINT)
        assert "python" == program[0], "what else is in the image is not here"
        self._mounts.mount(pod)
        pod.probes = {
            name: pods.Probe({"timeoutSeconds": 1, "failureThreshold": 3, **container[f"{name}Probe"]})
            for name in ("startup", "liveness", "readiness")
            if f"{name}Probe" in container
        }
        with pod.log.open("ab") as out:
            command = [sys.executable, *program[1:], *self._mounts.args(pod)]
            pod.process = subprocess.Popen(command, env=self._mounts.env(pod), cwd=pod.folder, stdout=out, stderr=out)

    def _probe(self, pod: pods.Pod, grace_s: int) -> None:
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

    def _end(self, pod: pods.Pod, grace_s: int) -> None:
        if pod.process is None:
            path = self._client.path("Pod", pod.name, namespace=pod.namespace)
            self._client.request("DELETE", path, params={"gracePeriodSeconds": "0"})
        elif pod.signalled_at_s is None:
            pod.process.terminate()
            pod.signalled_at_s, pod.is_ready = time.monotonic(), False
            self._tell(pod)
        elif time.monotonic() > pod.signalled_at_s + grace_s:
            pod.process.kill()

    def _tell(self, pod: pods.Pod) -> None:
        state: dict[str, Any] = {"running": {}} if not pod.is_over else {"terminated": {"exitCode": pod.exit_codes[-1]}}
        if pod.is_over:
            phase = "Succeeded" if pod.exit_codes[-1] == 0 else "Failed"
        else:
            phase = "Running" if pod.is_initialized else "Pending"
        ready = "True" if pod.is_ready else "False"
        container = {"name": pod.container["name"], "image": pod.container["image"], "imageID": "", "state": state}
        container |= {"ready": pod.is_ready, "started": pod.has_started, "restartCount": pod.n_restarts}
        conditions = {"PodScheduled": "True", "Initialized": str(pod.is_initialized)}
        conditions |= {"ContainersReady": ready, "Ready": ready}
        statuses = "containerStatuses" if pod.is_initialized else "initContainerStatuses"
        status = {
            "phase": phase,
            "conditions": [{"type": name, "status": said} for name, said in conditions.items()],
            statuses: [container],
        }
        self._client.patch("Pod", pod.name, {"status": status}, namespace=pod.namespace, subresource="status")
