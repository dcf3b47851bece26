"""What a platform team asks of the operator: a pool of speech replicas and consumers, as a custom resource.

Whole numbers only: a float in a specification comes back from an API server as another one. Times are seconds, capacity
is audio-seconds a minute, as a tenant's limit is.
"""

from __future__ import annotations

import enum
from typing import Annotated, Any

import pydantic
from pydantic import alias_generators

Name = Annotated[str, pydantic.Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
"""The name of an object in the pool's namespace."""
ServeName = Annotated[str, pydantic.Field(min_length=1, max_length=253, pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._-]*$")]
"""What Ray Serve calls something, as a part of an address."""
Whole = pydantic.StrictInt
"""A number that an API server takes for whole: neither text nor true."""
TopicName = Annotated[str, pydantic.Field(min_length=1, max_length=249, pattern=r"^[a-zA-Z0-9._-]+$")]
Seconds = Annotated[Whole, pydantic.Field(ge=1, le=604_800)]
Replicas = Annotated[Whole, pydantic.Field(ge=0, le=10_000)]


class Spec(pydantic.BaseModel):
    """A part of a custom resource: camel case outside, and nothing in it is ignored."""

    model_config = pydantic.ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        alias_generator=alias_generators.to_camel,
        populate_by_name=True,
    )


def _rules(*rules: tuple[str, str]) -> dict[str, Any]:
    """Return rules that the API server itself holds: an expression, and what it says when it does not."""
    return {"x-kubernetes-validations": [{"rule": rule, "message": message} for rule, message in rules]}


class Mode(enum.StrEnum):
    """Who decides how many replicas there are."""

    OPERATOR = "Operator"
    EXTERNAL = "External"
    PAUSED = "Paused"


class Lane(enum.StrEnum):
    """Whether what comes on a topic goes before the rest."""

    LIVE = "Live"
    BULK = "Bulk"


class Topic(Spec):
    """A Kafka topic that the pool's consumers read."""

    name: TopicName
    """Its name; two pools on one topic are refused."""
    lane: Lane = Lane.LIVE
    """Live goes first; bulk has a quarter of the places less."""
    promise_seconds: Seconds | None = None
    """Seconds in which a transcript is due, where that differs from the pool's."""


class DeploymentTarget(Spec):
    """A Deployment of speech servers."""

    name: Name
    """Its name."""


class RayServeTarget(Spec):
    """A deployment of a Ray Serve application with `external_scaler_enabled`."""

    service: Name
    """Service of the Ray dashboard in the pool's namespace."""
    port: Annotated[Whole, pydantic.Field(ge=1, le=65_535)] = 8265
    """Port of the Ray dashboard."""
    application: ServeName = "aftercall"
    """Ray Serve application."""
    deployment: ServeName = "speech"
    """Its deployment that is scaled."""


class BackendKind(enum.StrEnum):
    """What answers for speech."""

    DEPLOYMENT = "Deployment"
    RAY_SERVE = "RayServe"
    EXTERNAL = "External"


class Backend(Spec):
    """Where the pool's speech replicas are. An external one is somebody else's to scale."""

    model_config = pydantic.ConfigDict(
        json_schema_extra=_rules(
            (
                "(self.kind == 'Deployment') == has(self.deployment)",
                "kind Deployment names a deployment, no other does",
            ),
            ("(self.kind == 'RayServe') == has(self.rayServe)", "kind RayServe has rayServe, no other does"),
        )
    )
    kind: BackendKind
    """What it is."""
    deployment: DeploymentTarget | None = None
    """The Deployment, of kind Deployment."""
    ray_serve: RayServeTarget | None = None
    """The application, of kind RayServe."""

    @pydantic.model_validator(mode="after")
    def _has_one_target(self) -> Backend:
        if (self.kind is BackendKind.DEPLOYMENT) != (self.deployment is not None):
            raise ValueError("kind Deployment names a deployment, no other does")
        if (self.kind is BackendKind.RAY_SERVE) != (self.ray_serve is not None):
            raise ValueError("kind RayServe has rayServe, no other does")
        return self


class Bounds(Spec):
    """How many there may be."""

    model_config = pydantic.ConfigDict(
        json_schema_extra=_rules(("self.minReplicas <= self.maxReplicas", "minReplicas is at most maxReplicas"))
    )
    min_replicas: Replicas = 1
    """Replicas that always stay; 0 lets the last one go when nothing waits."""
    max_replicas: Replicas
    """Replicas at most."""

    @pydantic.model_validator(mode="after")
    def _is_a_range(self) -> Bounds:
        if self.min_replicas > self.max_replicas:
            raise ValueError("minReplicas is at most maxReplicas")
        return self


class Scaling(Bounds):
    """How many speech replicas there may be, and how they follow the work."""

    drain_target_seconds: Seconds = 150
    """Seconds in which what waits is to be worked off; a quarter of the promise is a good beginning."""
    headroom_percent: Annotated[Whole, pydantic.Field(ge=-50, le=90)] = 0
    """Share of a replica's capacity that is kept free for what comes unevenly; below zero, what waits asks for more."""
    stabilization_seconds: Annotated[Whole, pydantic.Field(ge=0, le=86_400)] = 300
    """Seconds for which the largest number wanted counts before replicas go."""
    cold_start_seconds: Annotated[Whole, pydantic.Field(ge=0, le=86_400)] = 180
    """Seconds from asking for a replica to its first work, its node included."""
    capacity_audio_seconds_per_minute: Annotated[Whole, pydantic.Field(ge=1, le=10_000_000)]
    """Audio-seconds a minute that one replica does; what is measured counts, within four times of this."""
    max_step: Annotated[Whole, pydantic.Field(ge=1, le=10_000)] | None = None
    """Replicas that may be added at once; none: as many as are wanted."""


class Consumers(Bounds):
    """The Deployment of the pool's consumers; never more than partitions."""

    deployment: Name
    """Its name."""
    stabilization_seconds: Annotated[Whole, pydantic.Field(ge=0, le=86_400)] = 600
    """Seconds for which the largest number wanted counts before consumers go: each change moves partitions."""
    capacity_audio_seconds_per_minute: Annotated[Whole, pydantic.Field(ge=1, le=10_000_000)] = 9000
    """Audio-seconds a minute that one consumer prepares; what is measured counts, within four times of this."""


class TranscriptionPool(Spec):
    """What a pool is to be."""

    model_config = pydantic.ConfigDict(
        json_schema_extra=_rules(
            ("self.mode != 'External' || has(self.replicas)", "mode External sets replicas"),
            ("self.backend.kind != 'External' || !has(self.scaling)", "an external backend is not scaled from here"),
            (
                "self.backend.kind == 'External' || has(self.scaling)",
                "scaling says how many speech replicas there may be",
            ),
        )
    )
    mode: Mode = Mode.OPERATOR
    """Operator: the operator decides. External: `replicas` does, and an autoscaler may write it. Paused: nobody."""
    promise_seconds: Seconds = 600
    """Seconds after its event in which a recording's transcript is due."""
    consumer_group: Annotated[str, pydantic.Field(min_length=1, max_length=253)] = "aftercall"
    """Kafka consumer group of the pool's consumers."""
    topics: Annotated[
        tuple[Topic, ...],
        pydantic.Field(
            min_length=1,
            max_length=32,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ]
    """Topics that its consumers read."""
    deferred_topic: TopicName | None = None
    """Topic of what is over its tenant's share, which its consumers read too; none: that of the operator's settings."""
    backend: Backend
    """Where its speech replicas are."""
    scaling: Scaling | None = None
    """How many of them there may be; none for an external backend."""
    consumers: Consumers
    """Its consumers."""
    replicas: Replicas | None = None
    """Speech replicas in mode External; the scale subresource writes it."""

    @pydantic.model_validator(mode="after")
    def _fits_together(self) -> TranscriptionPool:
        if self.mode is Mode.EXTERNAL and self.replicas is None:
            raise ValueError("mode External sets replicas")
        if (self.backend.kind is BackendKind.EXTERNAL) == (self.scaling is not None):
            raise ValueError("scaling says how many speech replicas there may be, and an external backend has none")
        names = [topic.name for topic in self.topics]
        if len(set(names)) != len(names):
            raise ValueError("a topic is named twice")
        return self
