"""The Kubernetes API, as far as the operator uses it: objects as they are in JSON, and failures in our words.

In a pod its service account is used, whose token lightkube reads again when it has changed; elsewhere `KUBECONFIG`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import typing
from collections.abc import Awaitable, Mapping
from typing import Any

from aftercall.contracts import crds, errors
from aftercall.operator import failures

if typing.TYPE_CHECKING:
    import lightkube

_T = typing.TypeVar("_T")

Object = dict[str, Any]
"""An object of the API, as in JSON."""


@dataclasses.dataclass(frozen=True, slots=True)
class Resource:
    """A kind of objects."""

    group: str
    version: str
    kind: str
    plural: str
    is_namespaced: bool = True


DEPLOYMENTS = Resource("apps", "v1", "Deployment", "deployments")
PODS = Resource("", "v1", "Pod", "pods")
EVENTS = Resource("", "v1", "Event", "events")
CONFIG_MAPS = Resource("", "v1", "ConfigMap", "configmaps")
LEASES = Resource("coordination.k8s.io", "v1", "Lease", "leases")
AUTOSCALERS = Resource("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
TOKEN_REVIEWS = Resource("authentication.k8s.io", "v1", "TokenReview", "tokenreviews", is_namespaced=False)
POOLS = Resource(crds.GROUP, crds.VERSION, "TranscriptionPool", "transcriptionpools")
TENANTS = Resource(crds.GROUP, crds.VERSION, "Tenant", "tenants")


class Kubernetes(typing.Protocol):
    """What the operator's parts ask of it; `part` is a subresource, patches are merge patches.

    Each method raises `failures.UnavailableError`, `ForbiddenError`, `NotFoundError`, `ConflictError` (the object has
    another `resourceVersion`, or is there already) or `RefusedError`.
    """

    namespace: str

    async def get(self, resource: Resource, name: str, *, part: str | None = None) -> Object:
        """Return an object."""
        ...

    async def list(self, resource: Resource, *, labels: Mapping[str, str] | None = None) -> list[Object]:
        """Return all objects of the namespace that have these labels."""
        ...

    async def create(self, resource: Resource, body: Object) -> Object:
        """Create an object."""
        ...

    async def replace(self, resource: Resource, name: str, body: Object, *, part: str | None = None) -> Object:
        """Write an object whole, if it still has the `resourceVersion` of `body`."""
        ...

    async def patch(self, resource: Resource, name: str, body: Object, *, part: str | None = None) -> Object:
        """Change what `body` names."""
        ...


class Kube:
    """The API server, by lightkube. Every request ends within `answer_s`."""

    def __init__(self, client: lightkube.AsyncClient, *, answer_s: float = 10.0) -> None:
        self._client = client
        self._answer_s = answer_s
        self.namespace = str(client.namespace)

    @classmethod
    def configured(cls, namespace: str | None = None, *, answer_s: float = 10.0) -> Kube:
        """Connect as the pod or `KUBECONFIG` says; raise `errors.ConfigurationError` where neither says anything."""
        import httpx2
        import lightkube

        try:
            client = lightkube.AsyncClient(namespace=namespace, timeout=httpx2.Timeout(answer_s))
        except (lightkube.ConfigError, OSError, LookupError, ValueError) as exc:
            raise errors.ConfigurationError(
                f"no access to Kubernetes, by a pod's account or KUBECONFIG: {exc}"
            ) from exc
        return cls(client, answer_s=answer_s)

    async def get(self, resource: Resource, name: str, *, part: str | None = None) -> Object:
        """Return an object."""
        return await self._one("read", resource, name, part, self._client.get(_class_of(resource, part), name))

    async def list(self, resource: Resource, *, labels: Mapping[str, str] | None = None) -> list[Object]:
        """Return all objects of the namespace that have these labels."""

        async def listed() -> list[Object]:
            found = self._client.list(_class_of(resource), labels=dict(labels) if labels else None)
            return [each.to_dict() async for each in found]

        return await self._within(f"list {resource.plural}", listed())

    async def create(self, resource: Resource, body: Object) -> Object:
        """Create an object."""
        asked = self._client.create(_class_of(resource).from_dict(body))
        return await self._one("create", resource, _name(body), None, asked)

    async def replace(self, resource: Resource, name: str, body: Object, *, part: str | None = None) -> Object:
        """Write an object whole, if it still has the `resourceVersion` of `body`."""
        asked = self._client.replace(_class_of(resource, part).from_dict(body), name)
        return await self._one("write", resource, name, part, asked)

    async def patch(self, resource: Resource, name: str, body: Object, *, part: str | None = None) -> Object:
        """Change what `body` names."""
        from lightkube import types

        asked = self._client.patch(_class_of(resource, part), name, body, patch_type=types.PatchType.MERGE)
        return await self._one("patch", resource, name, part, asked)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _one(self, doing: str, resource: Resource, name: str, part: str | None, asked: Awaitable[Any]) -> Object:
        plural = resource.plural if part is None else f"{resource.plural}/{part}"
        found = await self._within(f"{doing} {plural} {name}".rstrip(), asked)
        return typing.cast("Object", found.to_dict())

    async def _within(self, what: str, asked: Awaitable[_T]) -> _T:
        """Wait for an answer, and say in our words why there is none."""
        import httpx2
        import lightkube
        import msgspec

        try:
            async with asyncio.timeout(self._answer_s):
                return await asked
        except lightkube.ApiError as exc:
            raise _failure(what, int(exc.response.status_code), str(exc.status.message)) from exc
        except httpx2.HTTPStatusError as exc:
            raise _failure(what, exc.response.status_code, exc.response.reason_phrase) from exc
        except (TimeoutError, httpx2.HTTPError, OSError) as exc:
            why = f"{type(exc).__name__} {exc}".rstrip()
            raise failures.UnavailableError(f"cannot {what}: the API server does not answer ({why})") from exc
        except (msgspec.MsgspecError, LookupError, ValueError) as exc:
            raise failures.UnavailableError(f"cannot {what}: what answers is no API server ({exc})") from exc


_FAILURES: dict[int, type[errors.AftercallError]] = {
    401: failures.ForbiddenError,
    403: failures.ForbiddenError,
    404: failures.NotFoundError,
    409: failures.ConflictError,
    410: failures.ConflictError,
    429: failures.UnavailableError,
}


def _failure(what: str, status: int, message: str) -> errors.AftercallError:
    kind = _FAILURES.get(status, failures.UnavailableError if status >= 500 else failures.RefusedError)
    return kind(f"cannot {what}: {status} {message}")


def _name(body: Object) -> str:
    metadata = body.get("metadata", {})
    return str(metadata.get("name") or metadata.get("generateName") or "")


@functools.cache
def _class_of(resource: Resource, part: str | None = None) -> Any:
    """Return a class of lightkube's for plain dictionaries; none of its registry, which has one of each kind."""
    from lightkube import generic_resource
    from lightkube.core import resource as lightkube_resource

    whole = lightkube_resource.ResourceDef(resource.group, resource.version, resource.kind)
    api_info = generic_resource.create_api_info(resource.group, resource.version, resource.kind, resource.plural)
    if part is not None:
        own = lightkube_resource.ResourceDef("autoscaling", "v1", "Scale") if part == "scale" else whole
        api_info = lightkube_resource.ApiInfo(
            resource=own, parent=whole, plural=resource.plural, verbs=["get", "patch", "put"], action=part
        )
    scope = lightkube_resource.NamespacedResourceG if resource.is_namespaced else lightkube_resource.GlobalResource
    return type(resource.kind, (scope, generic_resource.Generic), {"_api_info": api_info})
