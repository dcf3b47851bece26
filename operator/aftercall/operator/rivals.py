"""Who else writes what a pool names: another pool, or an autoscaler. One writer for each target, one pool for a topic.

Of two pools that name the same, the older keeps it, so that a mistake in a new one never disturbs one that runs.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aftercall.contracts import pools
from aftercall.operator import conditions

_DEFERRED = "that kafka.deferred_topic names, since deferredTopic is left out,"
"""Stands for the topic that all pools have which name none of their own."""


class Reason(enum.StrEnum):
    """What is in a pool's way."""

    TOPIC_TAKEN = "TopicTaken"
    TARGET_TAKEN = "TargetTaken"


@dataclasses.dataclass(frozen=True, slots=True)
class Claim:
    """What a pool names. `created` is as Kubernetes writes it, which sorts by time."""

    pool: str
    created: str
    spec: pools.TranscriptionPool


def settle(claims: Iterable[Claim]) -> dict[str, conditions.Finding]:
    """Return a finding for each pool that names what an older one has; who is refused keeps nothing from others."""
    topics: dict[str, str] = {}
    targets: dict[str, str] = {}
    found = {}
    for claim in sorted(claims, key=lambda each: (each.created, each.pool)):
        refused = _taken(claim, topics_of(claim.spec), topics, Reason.TOPIC_TAKEN, "topic")
        refused = refused or _taken(claim, targets_of(claim.spec), targets, Reason.TARGET_TAKEN, "target")
        if refused is not None:
            found[claim.pool] = refused
            continue
        topics |= dict.fromkeys(topics_of(claim.spec), claim.pool)
        targets |= dict.fromkeys(targets_of(claim.spec), claim.pool)
    return found


def topics_of(spec: pools.TranscriptionPool) -> list[str]:
    """Return the topics that a pool reads, that of what was put aside among them: two would count it twice."""
    return [*(each.name for each in spec.topics), spec.deferred_topic or _DEFERRED]


def targets_of(spec: pools.TranscriptionPool) -> list[str]:
    """Return what a pool scales, each by a name that no other thing has."""
    found = [f"Deployment {spec.consumers.deployment}"]
    if spec.backend.deployment is not None:
        found.append(f"Deployment {spec.backend.deployment.name}")
    if spec.backend.ray_serve is not None:
        ray = spec.backend.ray_serve
        found.append(f"Ray Serve {ray.service}:{ray.port}/{ray.application}/{ray.deployment}")
    return found


def _taken(
    claim: Claim, wanted: Sequence[str], taken: Mapping[str, str], reason: Reason, what: str
) -> conditions.Finding | None:
    if len(set(wanted)) < len(wanted):
        said = f"pool {claim.pool} names the {what} {wanted[0]} twice"
        return conditions.Finding(conditions.Status.FALSE, reason, said)
    for name in wanted:
        if name in taken:
            said = (
                f"the {what} {name} is already that of pool {taken[name]}, which is older; nothing of pool"
                f" {claim.pool} is scaled until one of the two names another"
            )
            return conditions.Finding(conditions.Status.FALSE, reason, said)
    return None


def autoscalers(found: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], str]:
    """Return the names of autoscalers by the kind and name of what they scale; KEDA's are among them."""
    scaled = {}
    for each in found:
        target = each.get("spec", {}).get("scaleTargetRef", {})
        scaled[str(target.get("kind", "")), str(target.get("name", ""))] = str(each["metadata"]["name"])
    return scaled


def conflict(pool: str, spec: pools.TranscriptionPool, scaled: Mapping[tuple[str, str], str]) -> str | None:
    """Return what to say of autoscalers that are in a pool's way; None: there are none."""
    said = [
        f"HorizontalPodAutoscaler {scaled['Deployment', name]} scales the Deployment {name} too, which is left alone"
        " until that is deleted"
        for name in deployments_of(spec)
        if ("Deployment", name) in scaled
    ]
    own = scaled.get(("TranscriptionPool", pool))
    if own is not None and spec.mode is not pools.Mode.EXTERNAL:
        said.append(f"HorizontalPodAutoscaler {own} scales this pool, which follows it in mode External only")
    return "; ".join(said) or None


def deployments_of(spec: pools.TranscriptionPool) -> list[str]:
    """Return the names of the Deployments that a pool scales, its consumers first."""
    speech = spec.backend.deployment
    return [spec.consumers.deployment, *([] if speech is None else [speech.name])]
