"""An external metrics API for the HPA, as KEDA has one: series of values, one value each time it is asked."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import http.server
import json
import math
import ssl
import threading
import time
from collections.abc import Sequence

from peers import apiserver, kubeclient, process

_GROUP = "external.metrics.k8s.io"
_ROOT = f"/apis/{_GROUP}/v1beta1"
_GRANTS = f"""\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: external-metrics-reader}}
rules:
- {{apiGroups: [{_GROUP}], resources: ["*"], verbs: [get, list]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: external-metrics-reader}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: external-metrics-reader}}
subjects:
- {{kind: ServiceAccount, name: horizontal-pod-autoscaler, namespace: kube-system}}
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Sync:
    """One look of the HPA: when (of the epoch), what it was told, and how many replicas there were."""

    now_s: float
    value: int
    replicas: int


@dataclasses.dataclass(slots=True)
class _Series:
    namespace: str
    deployment: str
    values: Sequence[int]
    syncs: list[Sync] = dataclasses.field(default_factory=list)


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Say nothing of an API server that hangs up."""


class ExternalMetrics:
    """Answers on a grid of `step_s`, so that the HPA, which looks a while after its last look, is in time with it.

    Each series belongs to a Deployment: what that has when the HPA asks is what came of the last look.
    """

    def __init__(self, api: apiserver.ApiServer, client: kubeclient.Client, *, step_s: float) -> None:
        self._api, self._client, self._step_s = api, client, step_s
        self._series: dict[str, _Series] = {}
        self._port = process.free_port()
        self._server = _Server(("127.0.0.1", self._port), self._handler())
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*api.authority.issue("external-metrics", hosts=["external-metrics.kube-system.svc"]))
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever)

    def start(self) -> None:
        """Serve, and return once the API server passes questions on to it."""
        self._thread.start()
        authority = base64.b64encode(self._api.authority.certificate.read_bytes()).decode()
        about = {"name": "external-metrics", "namespace": "kube-system"}
        # A Service of loopback can only be one by name.
        self._client.apply(
            [
                {
                    "apiVersion": "v1",
                    "kind": "Service",
                    "metadata": about,
                    "spec": {"type": "ExternalName", "externalName": "localhost"},
                },
                {
                    "apiVersion": "apiregistration.k8s.io/v1",
                    "kind": "APIService",
                    "metadata": {"name": f"v1beta1.{_GROUP}"},
                    "spec": {
                        "group": _GROUP,
                        "version": "v1beta1",
                        "service": {**about, "port": self._port},
                        "caBundle": authority,
                        "groupPriorityMinimum": 100,
                        "versionPriority": 100,
                    },
                },
            ]
        )
        self._client.apply(_GRANTS)
        kubeclient.wait_until(lambda: bool(self._client.request("GET", _ROOT)), what="external metrics are served")

    def stop(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def tell(self, metric: str, values: Sequence[int], *, namespace: str, deployment: str) -> None:
        """Tell these values of a metric, one at each look, and the last for ever after."""
        self._series[metric] = _Series(namespace, deployment, values)

    def are_told(self) -> bool:
        """Say whether every value was told, and it was seen what came of it."""
        return all(len(each.syncs) > len(each.values) for each in self._series.values())

    def syncs(self, metric: str) -> list[Sync]:
        """Return the looks so far, no more than there are values and one, which shows what came of the last."""
        return self._series[metric].syncs[: len(self._series[metric].values) + 1]

    def _next(self, metric: str) -> int:
        series = self._series[metric]
        found = self._client.get("Deployment", series.deployment, namespace=series.namespace)
        now_s = time.time()
        if series.syncs:
            began_s = series.syncs[0].now_s
            steps = math.ceil((now_s - began_s) / self._step_s)
            time.sleep(max(0.0, began_s + steps * self._step_s - now_s))
            now_s = began_s + steps * self._step_s
        value = series.values[min(len(series.syncs), len(series.values) - 1)]
        series.syncs.append(Sync(now_s, value, found["spec"]["replicas"]))
        return value

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                """Answer what the API server passes on."""
                path = self.path.partition("?")[0].strip("/").split("/")
                if path[3:4] == ["namespaces"]:
                    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
                    item = {"metricName": path[5], "timestamp": stamp, "value": str(owner._next(path[5]))}
                    told = {"kind": "ExternalMetricValueList", "apiVersion": f"{_GROUP}/v1beta1", "items": [item]}
                else:
                    told = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{_GROUP}/v1beta1"}
                    told["resources"] = []
                body = json.dumps(told).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        return Handler
