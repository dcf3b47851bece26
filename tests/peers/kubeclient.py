"""A client of the Kubernetes API in a few lines: objects are what the API says, as plain dictionaries."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import httpx2
import yaml

Manifest = dict[str, Any]
"""One Kubernetes object."""

_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_AGAIN_S = 15.0


class Refused(Exception):
    """The API server answered no; `code` is its HTTP status, `reason` Kubernetes' word for it."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(f"{code} {reason}: {message}")
        self.code, self.reason, self.message = code, reason, message


class Client:
    """One user's view of a cluster. A kind is `Deployment`, or `apps/v1/Deployment` where two groups have it."""

    def __init__(self, url: str, trust: ssl.SSLContext, *, token: str = "") -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx2.Client(base_url=url, verify=trust, headers=headers, timeout=30, trust_env=False)
        self._kinds: dict[str, tuple[str, str, bool]] = {}

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def request(
        self,
        method: str,
        path: str,
        body: object | None = None,
        *,
        params: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Manifest:
        """Ask anything; raise `Refused` with what the server says against it.

        A server that is asked too much says so for a moment, also of a kind whose definition has just changed: it is
        asked again. It says the same of pods that a budget does not let go (POST), which is an answer.
        """
        headers = {"Content-Type": content_type, "Accept": accept}
        deadline = time.monotonic() + _AGAIN_S
        while True:
            answer = self._http.request(method, path, params=params, headers=headers, json=body)
            if answer.status_code != 429 or method == "POST" or time.monotonic() > deadline:
                break
            time.sleep(0.2)
        # Not by its content type: the index of OpenAPI documents is JSON that says that it is plain text.
        told = answer.json() if answer.text.startswith("{") else {"message": answer.text}
        if answer.status_code >= 400:
            raise Refused(answer.status_code, told.get("reason", ""), told.get("message", ""))
        return dict(told)

    def path(self, kind: str, name: str = "", *, namespace: str = "", subresource: str = "") -> str:
        """Return the path of objects of a kind, or of one, or of what hangs below it (`scale`, `status`)."""
        if kind not in self._kinds:
            self._discover()
        if kind not in self._kinds:
            raise Refused(404, "NotFound", f"the server has no kind {kind}")
        prefix, plural, namespaced = self._kinds[kind]
        within = ["namespaces", namespace] if namespaced and namespace else []
        return "/".join([prefix, *within, plural, *filter(None, (name, subresource))])

    def _discover(self) -> None:
        for root in ("/api", "/apis"):
            for group in self.request("GET", root, accept=_DISCOVERY)["items"]:
                for version in group["versions"]:
                    named = "/".join(filter(None, (group["metadata"].get("name"), version["version"])))
                    for resource in version.get("resources", ()):
                        if (kind := resource["responseKind"]["kind"]) is None:
                            continue
                        found = (f"{root}/{named}", resource["resource"], resource["scope"] == "Namespaced")
                        self._kinds[f"{named}/{kind}"] = found
                        self._kinds.setdefault(kind, found)

    def apply(self, manifests: str | Manifest | Iterable[Manifest], *, namespace: str = "default") -> list[Manifest]:
        """Apply objects, server-side, in their order, as the field manager `test`; YAML of many documents, too."""
        if isinstance(manifests, str):
            manifests = [each for each in yaml.safe_load_all(manifests) if each]
        elif isinstance(manifests, dict):
            manifests = [manifests]
        return [self._apply(each, namespace) for each in manifests]

    def _apply(self, manifest: Manifest, namespace: str) -> Manifest:
        about = manifest["metadata"]
        kind = f"{manifest['apiVersion']}/{manifest['kind']}"
        path = self.path(kind, about["name"], namespace=about.get("namespace", namespace))
        params = {"fieldManager": "test", "force": "true"}
        return self.request("PATCH", path, manifest, params=params, content_type="application/apply-patch+yaml")

    def create(self, manifest: Manifest, *, namespace: str = "default", subresource_of: str = "") -> Manifest:
        """Create an object, which must not exist; or post to a subresource, `serviceaccounts/NAME/token`."""
        if subresource_of:
            return self.request("POST", f"/api/v1/namespaces/{namespace}/{subresource_of}", manifest)
        kind = f"{manifest['apiVersion']}/{manifest['kind']}"
        namespace = manifest.get("metadata", {}).get("namespace", namespace)
        return self.request("POST", self.path(kind, namespace=namespace), manifest)

    def get(self, kind: str, name: str, *, namespace: str = "default", subresource: str = "") -> Manifest:
        """Return an object."""
        return self.request("GET", self.path(kind, name, namespace=namespace, subresource=subresource))

    def list(self, kind: str, *, namespace: str = "default", selector: str = "") -> list[Manifest]:
        """Return the objects of a kind in a namespace, or in all where it is empty, that a label selector finds."""
        params = {"labelSelector": selector} if selector else None
        return list(self.request("GET", self.path(kind, namespace=namespace), params=params)["items"])

    def patch(
        self, kind: str, name: str, change: Manifest, *, namespace: str = "default", subresource: str = ""
    ) -> Manifest:
        """Merge a change into an object."""
        path = self.path(kind, name, namespace=namespace, subresource=subresource)
        return self.request("PATCH", path, change, content_type="application/merge-patch+json")

    def replace(
        self, kind: str, name: str, manifest: Manifest, *, namespace: str = "default", subresource: str = ""
    ) -> Manifest:
        """Put an object; with a resource version in it, only if it is that one still."""
        return self.request("PUT", self.path(kind, name, namespace=namespace, subresource=subresource), manifest)

    def delete(self, kind: str, name: str, *, namespace: str = "default") -> None:
        """Delete an object, if there is one."""
        try:
            self.request("DELETE", self.path(kind, name, namespace=namespace))
        except Refused as exc:
            if exc.code != 404:
                raise


def wait_until(condition: Callable[[], bool], *, timeout_s: float = 30.0, what: str) -> None:
    """Return once a condition holds; the server's refusal is a no, for what is asked for may only be coming."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            if condition():
                return
        except Refused as exc:
            refusal = f" ({exc})"
        else:
            refusal = ""
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}{refusal}"
        time.sleep(0.1)
