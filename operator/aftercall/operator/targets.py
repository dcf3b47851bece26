"""What is scaled: a Deployment through its `/scale`, or a deployment of Ray Serve through its external scaler.

A Deployment is written only if it still is as it was read: who else writes it shows as a conflict, and the next look
decides anew. Ray Serve knows no such condition; its application has to leave scaling to others.
"""

from __future__ import annotations

import dataclasses
import pathlib
import typing
from collections.abc import Mapping
from typing import Any

from aftercall.contracts import pools
from aftercall.operator import failures, kube

if typing.TYPE_CHECKING:
    import httpx2


@dataclasses.dataclass(frozen=True, slots=True)
class Seen:
    """A target as it was read. `labels` are those of its pods, where it has any of its own."""

    asked: int
    ready: int
    there: int
    leaving: int = 0
    """Replicas that were let go and have not ended yet, as far as the target tells; pods tell it of a Deployment."""
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    version: str = ""


class Target(typing.Protocol):
    """Something whose number of replicas is read and set. Both raise failures of `failures`."""

    name: str

    async def read(self) -> Seen:
        """Return how it is."""
        ...

    async def scale(self, to: int, seen: Seen) -> None:
        """Ask for so many replicas, unless it was changed since it was seen."""
        ...


class Deployment:
    """A Deployment of the namespace."""

    def __init__(self, client: kube.Kubernetes, name: str) -> None:
        self._client = client
        self.name = name

    async def read(self) -> Seen:
        """Return how it is."""
        found = await self._client.get(kube.DEPLOYMENTS, self.name)
        spec, status = found.get("spec", {}), found.get("status", {})
        return Seen(
            asked=int(spec.get("replicas", 1)),
            ready=int(status.get("readyReplicas", 0)),
            there=int(status.get("replicas", 0)),
            labels=dict(spec.get("selector", {}).get("matchLabels", {})),
            version=str(found["metadata"]["resourceVersion"]),
        )

    async def scale(self, to: int, seen: Seen) -> None:
        """Ask for so many replicas, unless it was changed since it was seen."""
        # A Scale has the version of its Deployment.
        body = {
            "metadata": {"name": self.name, "namespace": self._client.namespace, "resourceVersion": seen.version},
            "spec": {"replicas": to},
        }
        await self._client.replace(kube.DEPLOYMENTS, self.name, body, part="scale")


class RayServe:
    """A deployment of a Ray Serve application, at the dashboard's address; some want a token, which a file holds."""

    def __init__(
        self,
        client: httpx2.AsyncClient,
        address: str,
        asked: pools.RayServeTarget,
        *,
        token_file: pathlib.Path | None = None,
    ) -> None:
        self._client = client
        self._address = address
        self._asked = asked
        self._token_file = token_file
        self.name = f"{asked.application}/{asked.deployment}"

    async def read(self) -> Seen:
        """Return how it is."""
        told = await self._ask("GET", "/api/serve/applications/")
        application = told.get("applications", {}).get(self._asked.application)
        found = None if application is None else application.get("deployments", {}).get(self._asked.deployment)
        if found is None:
            raise failures.NotFoundError(f"Ray Serve at {self._address} has no deployment {self.name} yet")
        if not application.get("external_scaler_enabled"):
            raise failures.RefusedError(self._not_left_to_us())
        states = [str(each.get("state")) for each in found.get("replicas", ())]
        return Seen(
            asked=int(found["target_num_replicas"]),
            ready=states.count("RUNNING"),
            there=len(states),
            leaving=states.count("STOPPING"),
        )

    async def scale(self, to: int, seen: Seen) -> None:
        """Ask for so many replicas."""
        path = f"/api/v1/applications/{self._asked.application}/deployments/{self._asked.deployment}/scale"
        await self._ask("POST", path, {"target_num_replicas": to})

    async def _ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> dict[str, Any]:
        import httpx2

        try:
            answer = await self._client.request(method, f"{self._address}{path}", json=body, headers=self._headers())
        except httpx2.HTTPError as exc:
            raise failures.UnavailableError(
                f"Ray Serve's dashboard at {self._address} does not answer ({type(exc).__name__})"
            ) from exc
        try:
            told = answer.json()
        except ValueError:
            told = None
        if answer.is_success and isinstance(told, dict):
            return told
        why = told.get("error", "") if isinstance(told, dict) else ""
        if answer.status_code in (401, 403):
            raise failures.ForbiddenError(
                f"Ray's dashboard at {self._address} answers {answer.status_code}: it wants a token, which"
                " operator.ray_token_file has to hold"
            )
        if answer.status_code == 412:
            raise failures.RefusedError(f"{self._not_left_to_us()} ({why})")
        if answer.status_code == 404:
            raise failures.NotFoundError(f"Ray Serve at {self._address} has no deployment {self.name}")
        is_passing = answer.status_code >= 500 or answer.is_success
        kind = failures.UnavailableError if is_passing else failures.RefusedError
        raise kind(f"Ray Serve's dashboard at {self._address} answers {answer.status_code} {why}".rstrip())

    def _headers(self) -> dict[str, str]:
        if self._token_file is None:
            return {}
        try:
            return {"Authorization": f"Bearer {self._token_file.read_text().strip()}"}
        except OSError as exc:
            raise failures.UnavailableError(f"operator.ray_token_file is not read: {exc}") from exc

    def _not_left_to_us(self) -> str:
        return (
            f"Ray Serve's application {self._asked.application} does not let others scale it:"
            " set external_scaler_enabled: true in its serveConfigV2, and no autoscaling_config"
        )


def ray_address(asked: pools.RayServeTarget, namespace: str) -> str:
    """Return the dashboard's address: a Service of the pool's namespace, and of no other."""
    return f"http://{asked.service}.{namespace}.svc:{asked.port}"
