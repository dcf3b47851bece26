"""What a pod is given by its cluster, as a kubelet gives it: files, environment and addresses, on this machine.

A mount lies below a folder of the pod, and its path is written so into the environment and into mounted files. All pods
share the loopback address, so that a port is another than the pod's own, in its settings too; a Service's name leads to
its only pod there.
"""

from __future__ import annotations

import base64
import re
import time
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

from peers import control_plane as plane
from peers import kubeclient, pods, process


class Mounts:
    """Reads from the cluster for the pods of one node."""

    def __init__(self, control_plane: plane.ControlPlane) -> None:
        self._plane, self._client = control_plane, control_plane.client
        self._service_ports: dict[tuple[str, str, int], int] = {}

    def ports_of(self, manifest: kubeclient.Manifest) -> dict[str, int]:
        """Return the ports of this machine that a pod's are, by their names."""
        (container,) = manifest["spec"]["containers"]
        return {each["name"]: self._port_of(manifest, each["containerPort"]) for each in container.get("ports", ())}

    def env(self, pod: pods.Pod) -> dict[str, str]:
        """Return the environment of its process. Our own programs find the API server by a kubeconfig, since where they
        would look for mounted files is a place of the machine's.
        """
        found = {"PATH": "/usr/bin:/bin", "TMPDIR": str(pod.folder / "root" / "tmp"), "HOME": str(pod.folder)}
        for each in pod.container.get("env", ()):
            found[each["name"]] = self._moved(pod, self._value(pod, each))
        if pod.manifest["spec"].get("automountServiceAccountToken"):
            account = pod.manifest["spec"]["serviceAccountName"]
            found["KUBECONFIG"] = str(self._plane.kubeconfig_for(pod.namespace, account))
            server = urllib.parse.urlsplit(self._plane.api.url)
            found |= {"KUBERNETES_SERVICE_HOST": str(server.hostname), "KUBERNETES_SERVICE_PORT": str(server.port)}
        return found

    def args(self, pod: pods.Pod) -> list[str]:
        """Return the arguments of its process."""
        return [self._moved(pod, each) for each in pod.container.get("args", ())]

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

    def _value(self, pod: pods.Pod, told: Mapping[str, Any]) -> str:
        if "value" in told or "valueFrom" not in told:
            return str(told.get("value", ""))
        source = told["valueFrom"]
        if "fieldRef" in source:
            return pod.field(source["fieldRef"])
        asked = source["secretKeyRef"]
        return self._secret(pod, asked["name"])[asked["key"]]

    def mount(self, pod: pods.Pod) -> None:
        """Write its files, or bring them up to date."""
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

    def _files(self, pod: pods.Pod, volume: Mapping[str, Any]) -> dict[str, str]:
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

    def _config_map(self, pod: pods.Pod, source: Mapping[str, Any]) -> dict[str, str]:
        try:
            made = self._client.get("ConfigMap", source["name"], namespace=pod.namespace)
        except kubeclient.Refused as exc:
            if exc.code == 404 and source.get("optional"):
                return {}
            raise
        return dict(made.get("data") or {})

    def _secret(self, pod: pods.Pod, name: str) -> dict[str, str]:
        made = self._client.get("Secret", name, namespace=pod.namespace)
        return {key: base64.b64decode(text).decode() for key, text in (made.get("data") or {}).items()}

    def _moved(self, pod: pods.Pod, text: str) -> str:
        """Return a text with the places and ports of this machine."""
        mounts = {each["mountPath"] for each in pod.container.get("volumeMounts", ())}
        # Not /tmp, for which there is TMPDIR: what a test names may lie there.
        paths = "|".join(map(re.escape, sorted(mounts - {"/tmp"}, key=len, reverse=True)))
        text = re.sub(rf"(?<![\w/.-])({paths})(?![\w-])", lambda found: f"{pod.folder}/root{found[1]}", text)
        namespace = pod.namespace

        def reached(found: re.Match[str]) -> str:
            return f"127.0.0.1:{self._reached_by(namespace, found[1], int(found[2]))}"

        text = re.sub(rf"([a-z0-9-]+)\.{namespace}\.svc:(\d+)", reached, text)
        for each in pod.container.get("ports", ()):
            text = re.sub(rf"\bport: {each['containerPort']}\b", f"port: {pod.ports[each['name']]}", text)
        return text.replace("host: 0.0.0.0", "host: 127.0.0.1")


def _picked(files: dict[str, str], source: Mapping[str, Any]) -> dict[str, str]:
    """Return the files of a ConfigMap or Secret under the names that a volume gives them."""
    items: Sequence[Mapping[str, str]] | None = source.get("items")
    if items is None:
        return files
    return {each["path"]: files[each["key"]] for each in items if each["key"] in files}
