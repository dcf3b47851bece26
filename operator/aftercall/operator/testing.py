"""Doubles for tests: an API server that keeps objects in memory, with versions, conflicts and failures at will."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import datetime
from collections.abc import Callable, Collection, Mapping
from typing import Any

from aftercall.contracts import metrics
from aftercall.operator import failures, kube, offsets, unread

STARTED = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    """One request that was made: `read`, `list`, `create`, `write` or `patch`, of what, and with what body."""

    verb: str
    what: str
    name: str
    body: kube.Object | None = None


class Clock:
    """Monotonic seconds that go on only when they are told to."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s

    def utc(self) -> datetime.datetime:
        """Return the wall clock's time, which goes on as the other does."""
        return STARTED + datetime.timedelta(seconds=self.now_s)


class FakeOffsets:
    """Offsets as they are set; `late` groups do not answer until they are let to."""

    def __init__(self) -> None:
        self.partitions: offsets.Partitions = {}
        self.asked: list[tuple[str, tuple[str, ...]]] = []
        self.late: dict[str, asyncio.Event] = {}

    def unread(self, topic: str, *messages: int) -> None:
        """Let a topic have so many unread messages in each of its partitions."""
        self.partitions = {place: each for place, each in self.partitions.items() if place[0] != topic}
        self.partitions |= {(topic, at): unread.Partition(0, 100, 100 - n) for at, n in enumerate(messages)}

    async def read(self, group: str, topics: Collection[str]) -> offsets.Partitions:
        """Return what is set of these topics; one of which nothing is set is unknown."""
        self.asked.append((group, tuple(topics)))
        if group in self.late:
            await self.late[group].wait()
        found: offsets.Partitions = {}
        for topic in topics:
            there = {place: each for place, each in self.partitions.items() if place[0] == topic}
            found |= there or {(topic, offsets.WHOLE_TOPIC): offsets.UNKNOWN}
        return found


class Measured:
    """Keeps what was measured last, and counts, by metric's name and labels."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}

    def add(self, metric: metrics.Metric, amount: float = 1.0, **labels: str) -> None:
        """Add to a counter or gauge."""
        key = metric.name, tuple(sorted(labels.items()))
        self.values[key] = self.values.get(key, 0.0) + amount

    def set(self, metric: metrics.Metric, value: float, **labels: str) -> None:
        """Set a gauge."""
        self.values[metric.name, tuple(sorted(labels.items()))] = value

    def observe(self, metric: metrics.Metric, value: float, **labels: str) -> None:
        """Keep the last observation."""
        self.set(metric, value, **labels)

    def forget(self, *of: metrics.Metric, **labels: str) -> None:
        """Drop every series of these metrics, or of all, that has all of these labels."""
        names = {metric.name for metric in of or metrics.ALL}
        gone = {key for key in self.values if key[0] in names and labels.items() <= dict(key[1]).items()}
        self.values = {key: each for key, each in self.values.items() if key not in gone}

    def value(self, metric: metrics.Metric, **labels: str) -> float | None:
        """Return what a series is; None: there is none."""
        return self.values.get((metric.name, tuple(sorted(labels.items()))))


class FakeKubernetes:
    """Objects by kind and name. `broken` raises in place of an answer; `before` is called with each request."""

    def __init__(self, namespace: str = "calls") -> None:
        self.namespace = namespace
        self.calls: list[Call] = []
        self.broken: dict[tuple[str, str], Exception] = {}
        """By verb and plural (with the subresource); `*` is every one."""
        self.before: Callable[[Call], None] | None = None
        self.tokens: dict[str, Mapping[str, Any]] = {}
        """What a TokenReview says of a token: its status."""
        self._objects: dict[tuple[str, str], kube.Object] = {}
        self._version = 0

    def put(self, resource: kube.Resource, name: str, **more: Any) -> kube.Object:
        """Let an object be there, in place of what was; return it as it is kept."""
        known = self._objects.get((resource.plural, name), {})
        self._version += 1
        metadata = {
            "name": name,
            "namespace": self.namespace,
            "uid": known.get("metadata", {}).get("uid", f"uid-{self._version}"),
            "generation": 1,
            "creationTimestamp": STARTED.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        body = {"apiVersion": _api_version(resource), "kind": resource.kind, "metadata": metadata} | more
        body["metadata"] = metadata | more.get("metadata", {}) | {"resourceVersion": str(self._version)}
        self._objects[resource.plural, name] = body
        return body

    def deployment(self, name: str, replicas: int = 1, *, ready: int | None = None) -> None:
        """Let a Deployment be there, with so many replicas, of which some are ready (none said: all)."""
        self.put(
            kube.DEPLOYMENTS,
            name,
            spec={"replicas": replicas, "selector": {"matchLabels": {"app": name}}},
            status={"replicas": replicas, "readyReplicas": replicas if ready is None else ready},
        )

    def pod(self, name: str, of: str, **more: Any) -> None:
        """Let a pod of a Deployment be there."""
        metadata = {"labels": {"app": of}} | more.pop("metadata", {})
        self.put(kube.PODS, name, metadata=metadata, status={"phase": "Running"} | more.pop("status", {}), **more)

    def drop(self, resource: kube.Resource, name: str) -> None:
        """Let an object be gone."""
        self._objects.pop((resource.plural, name), None)

    def seen(self, resource: kube.Resource, name: str) -> kube.Object:
        """Return an object as it is kept."""
        return self._objects[resource.plural, name]

    def made(self, verb: str, what: str) -> list[Call]:
        """Return the requests of a verb and a plural, such as `write` and `deployments/scale`."""
        return [each for each in self.calls if (each.verb, each.what) == (verb, what)]

    async def get(self, resource: kube.Resource, name: str, *, part: str | None = None) -> kube.Object:
        """Return an object."""
        self._note("read", resource, name, part)
        found = self._there(resource, name)
        return _scale(found) if part == "scale" else copy.deepcopy(found)

    async def list(self, resource: kube.Resource, *, labels: Mapping[str, str] | None = None) -> list[kube.Object]:
        """Return all objects that have these labels."""
        self._note("list", resource, "", None)
        return [
            copy.deepcopy(each)
            for (plural, _), each in self._objects.items()
            if plural == resource.plural
            and all(each["metadata"].get("labels", {}).get(key) == value for key, value in (labels or {}).items())
        ]

    async def create(self, resource: kube.Resource, body: kube.Object) -> kube.Object:
        """Create an object, or answer a review."""
        metadata = body.get("metadata", {})
        name = str(metadata.get("name") or f"{metadata.get('generateName', '')}{self._version}")
        self._note("create", resource, name, None, body)
        if resource == kube.TOKEN_REVIEWS:
            return body | {"status": dict(self.tokens.get(body["spec"]["token"], {"authenticated": False}))}
        if (resource.plural, name) in self._objects:
            raise failures.ConflictError(f"cannot create {resource.plural} {name}: 409 it is there")
        return copy.deepcopy(self.put(resource, name, **copy.deepcopy(body)))

    async def replace(
        self, resource: kube.Resource, name: str, body: kube.Object, *, part: str | None = None
    ) -> kube.Object:
        """Write an object whole, or the number of a scale."""
        self._note("write", resource, name, part, body)
        found = self._there(resource, name)
        asked = body["metadata"].get("resourceVersion")
        if asked is not None and asked != found["metadata"]["resourceVersion"]:
            raise failures.ConflictError(f"cannot write {resource.plural} {name}: 409 it was changed")
        if part == "scale":
            found["spec"]["replicas"] = body["spec"]["replicas"]
            self._touch(found)
            return _scale(found)
        return copy.deepcopy(self.put(resource, name, **copy.deepcopy(body)))

    async def patch(
        self, resource: kube.Resource, name: str, body: kube.Object, *, part: str | None = None
    ) -> kube.Object:
        """Merge into an object, or into its status alone."""
        self._note("patch", resource, name, part, body)
        found = self._there(resource, name)
        asked = body.get("metadata", {}).get("resourceVersion")
        if asked is not None and asked != found["metadata"]["resourceVersion"]:
            raise failures.ConflictError(f"cannot patch {resource.plural} {name}: 409 it was changed")
        merged = _merged(found, {"status": body["status"]} if part == "status" else body)
        found.clear()
        found.update(merged)
        self._touch(found)
        return copy.deepcopy(found)

    def _there(self, resource: kube.Resource, name: str) -> kube.Object:
        if (resource.plural, name) not in self._objects:
            raise failures.NotFoundError(f"cannot find {resource.plural} {name}: 404 it is not there")
        return self._objects[resource.plural, name]

    def _touch(self, found: kube.Object) -> None:
        self._version += 1
        found["metadata"]["resourceVersion"] = str(self._version)

    def _note(
        self, verb: str, resource: kube.Resource, name: str, part: str | None, body: kube.Object | None = None
    ) -> None:
        what = resource.plural if part is None else f"{resource.plural}/{part}"
        call = Call(verb, what, name, copy.deepcopy(body))
        self.calls.append(call)
        if self.before is not None:
            self.before(call)
        for key in ((verb, what), (verb, "*"), ("*", "*")):
            if key in self.broken:
                raise self.broken[key]


def _api_version(resource: kube.Resource) -> str:
    return f"{resource.group}/{resource.version}" if resource.group else resource.version


def _scale(deployment: kube.Object) -> kube.Object:
    labels = deployment["spec"]["selector"]["matchLabels"]
    return {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {key: deployment["metadata"][key] for key in ("name", "namespace", "uid", "resourceVersion")},
        "spec": {"replicas": deployment["spec"]["replicas"]},
        "status": {
            "replicas": deployment["status"]["replicas"],
            "selector": ",".join(f"{key}={value}" for key, value in labels.items()),
        },
    }


def _merged(into: Any, change: Any) -> Any:
    """Return the result of a merge patch (RFC 7386)."""
    if not isinstance(change, dict):
        return copy.deepcopy(change)
    merged = dict(into) if isinstance(into, dict) else {}
    for key, value in change.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merged(merged.get(key), value)
    return merged
