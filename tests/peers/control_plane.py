"""A whole control plane on loopback, whose nodes and pods are kwok's: what charts and operators are tested on."""

from __future__ import annotations

import concurrent.futures
import pathlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

from peers import apiserver, controllers, etcd, gateway, kubeclient, kubeconfig, kwok, proxy

Between = proxy.Proxy | gateway.Gateway
"""What may stand between a client and the API server."""


class ControlPlane:
    """etcd, API server, controllers, scheduler and kwok; `client` is an administrator's."""

    def __init__(
        self, folder: pathlib.Path, *, api_args: Sequence[str] = (), controller_args: Sequence[str] = ()
    ) -> None:
        self._folder = folder
        self.etcd = etcd.Etcd(folder)
        self.api = apiserver.ApiServer(folder, self.etcd.url, args=api_args)
        self.controllers = controllers.Controllers(folder, self.api, args=controller_args)
        self.scheduler = controllers.Scheduler(folder, self.api)
        self.kwok = kwok.Kwok(folder, self.api)
        self.kubeconfig = kubeconfig.write(
            folder / "admin.kubeconfig", self.api.url, self.api.authority.certificate, certificate=self.api.admin
        )
        self.client = kubeclient.Client(self.api.url, self.api.trust(self.api.admin))
        self.started_in_s = 0.0

    def start(self) -> None:
        """Start everything, and return once each part says that it is ready."""
        began = time.monotonic()
        self.etcd.start()
        self.api.start()
        with concurrent.futures.ThreadPoolExecutor() as pool:
            for starting in [pool.submit(part.start) for part in (self.controllers, self.scheduler, self.kwok)]:
                starting.result()
        self.started_in_s = time.monotonic() - began

    def stop(self) -> None:
        """End everything, as it does not matter any more."""
        self.client.close()
        for part in (self.kwok, self.scheduler, self.controllers, self.api, self.etcd):
            part.kill()

    def kill_apiserver(self) -> None:
        """End the API server at once; etcd keeps what it was told."""
        self.api.kill()

    def start_apiserver(self) -> None:
        """Start the API server again, where it was."""
        self.api.start()

    def audit(self) -> Iterator[apiserver.AuditEvent]:
        """Yield what was asked of the API server so far."""
        yield from self.api.audit()

    def create_namespace(self, name: str, *, labels: Mapping[str, str] | None = None) -> None:
        """Create a namespace, and wait for its service account, without which no pod is admitted."""
        self.client.create(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": dict(labels or {})}}
        )
        kubeclient.wait_until(
            lambda: bool(self.client.get("ServiceAccount", "default", namespace=name)),
            timeout_s=90,  # a controller that has lost the API server asks anew after up to a minute
            what=f"the service account of {name}",
        )

    def create_node(
        self,
        name: str,
        *,
        gpus: int = 0,
        cpu: str = "16",
        memory: str = "64Gi",
        labels: Mapping[str, str] | None = None,
        taints: Iterable[Mapping[str, str]] = (),
    ) -> None:
        """Create a node that offers these, and wait until it is ready."""
        offers = {"cpu": cpu, "memory": memory, "pods": "110", "ephemeral-storage": "100Gi"}
        if gpus:
            offers["nvidia.com/gpu"] = str(gpus)
        about = {
            "name": name,
            "annotations": kwok.FAKE_NODE,
            "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", **(labels or {})},
        }
        self.client.create(
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": about,
                "spec": {"taints": [dict(taint) for taint in taints]},
                "status": {"allocatable": offers, "capacity": offers},
            }
        )
        kubeclient.wait_until(lambda: self._takes_pods(name), what=f"node {name} is ready")

    def _takes_pods(self, name: str) -> bool:
        node = self.client.get("Node", name)
        ready = [each["status"] for each in node["status"].get("conditions", ()) if each["type"] == "Ready"]
        held = [taint for taint in node["spec"].get("taints", ()) if taint["key"].startswith("node.kubernetes.io/")]
        return ["True"] == ready and not held

    def token(self, namespace: str, service_account: str, *, audiences: Sequence[str] = (), pod: str = "") -> str:
        """Return an hour's token of a service account, for these audiences, bound to a pod where one is named."""
        spec: kubeclient.Manifest = {"audiences": list(audiences), "expirationSeconds": 3600}
        if pod:
            spec["boundObjectRef"] = {"apiVersion": "v1", "kind": "Pod", "name": pod}
        made = self.client.create(
            {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec},
            namespace=namespace,
            subresource_of=f"serviceaccounts/{service_account}/token",
        )
        return str(made["status"]["token"])

    def client_for(self, namespace: str, service_account: str) -> kubeclient.Client:
        """Return a client with a service account's rights."""
        token = self.token(namespace, service_account)
        return kubeclient.Client(self.api.url, self.api.trust(), token=token)

    def kubeconfig_for(self, namespace: str, service_account: str, *, through: Between | None = None) -> pathlib.Path:
        """Write the kubeconfig of a service account, which may lead through a proxy."""
        return kubeconfig.write(
            self._folder / f"{namespace}-{service_account}.kubeconfig",
            self._url(through),
            self.api.authority.certificate,
            token=self.token(namespace, service_account),
            namespace=namespace,
        )

    def proxied_kubeconfig(self, through: Between) -> pathlib.Path:
        """Write an administrator's kubeconfig that leads through a proxy, which was started to `api.port`."""
        return kubeconfig.write(
            self._folder / f"proxied-{through.port}.kubeconfig",
            self._url(through),
            self.api.authority.certificate,
            certificate=self.api.admin,
        )

    def _url(self, through: Between | None) -> str:
        return self.api.url if through is None else f"https://127.0.0.1:{through.port}"
