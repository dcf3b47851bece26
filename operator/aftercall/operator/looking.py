"""One look at a pool: everything is read, a decision made of it, and what differs is written."""

from __future__ import annotations

import dataclasses
import datetime
import logging
from collections.abc import Callable, Mapping
from typing import Any

from aftercall.contracts import metrics, pools
from aftercall.operator import (
    conditions,
    departed,
    findings,
    fleets,
    gathering,
    inventory,
    kube,
    measures,
    notices,
    offsets,
    pool,
    presence,
    scaling,
    status,
    targets,
)

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class Means:
    """What every look works with."""

    client: kube.Kubernetes
    reads: offsets.Reader
    reported: departed.Reports
    speech_of: Callable[[pools.Backend], targets.Target | None]
    fleets: fleets.Fleets
    notices: notices.Notices
    observe: measures.Observer
    may_write: Callable[[], bool]
    now: Callable[[], float]
    utc: Callable[[], datetime.datetime]
    deferred_topic: str


@dataclasses.dataclass(frozen=True, slots=True)
class Around:
    """What is known beside the pool itself: who is in its way, and tenants' limits in audio-seconds a second.

    `rivals` is what to say of autoscalers, and `are_rivals_known` whether they could be listed; `refused` is set when
    another pool has what this one names.
    """

    limits_per_s: Mapping[str, float]
    refused: conditions.Finding | None = None
    rivals: str | None = None
    are_rivals_known: bool = True
    held_targets: frozenset[str] = frozenset()
    """Deployments that an autoscaler scales."""


class Looker:
    """Looks at one pool, again and again."""

    def __init__(self, name: str, means: Means) -> None:
        self.name = name
        self._means = means
        self._state: pool.State | None = None
        self._conditions: tuple[conditions.Condition, ...] = ()
        self._status: Mapping[str, Any] = {}
        self._version = ""
        self._is_measured = False
        self._departed = departed.Departed(name, means.client, means.reported, now=means.now)

    async def look(self, found: Mapping[str, Any], around: Around) -> bool:
        """Look once. Return whether to look again soon, since something was changed meanwhile."""
        if self._state is None:
            self._remember(found.get("status") or {})
        elif inventory.is_newer(found, self._version):
            self._status = found.get("status") or {}  # if another has changed it, it is written again
        try:
            spec = pools.TranscriptionPool.model_validate(found.get("spec"))
        except ValueError as exc:
            return await self._refuse(found, findings.invalid(_sentence(exc)))
        if around.refused is not None:
            return await self._refuse(found, around.refused)
        return await self._follow(found, spec, around)

    async def _refuse(self, found: Mapping[str, Any], why: conditions.Finding) -> bool:
        """Say why a pool is not followed. What was measured of it is told no more: an alert would go on for ever."""
        if self._is_measured:
            self._means.observe.forget(pool=self.name)
            self._is_measured = False
        await self._tell(found, {conditions.Type.VALID: why}, {})
        return False

    def _remember(self, kept: Mapping[str, Any]) -> None:
        """Begin with what the status has kept of a forerunner."""
        self._status = kept
        self._conditions = conditions.read(kept.get("conditions") or ())
        self._state = pool.State(
            heard=status.estimate(kept, "capacity"), prepared=status.estimate(kept, "consumerCapacity")
        )

    async def _follow(self, found: Mapping[str, Any], spec: pools.TranscriptionPool, around: Around) -> bool:
        means = self._means
        await self._departed.find()
        seen = await gathering.gather(
            spec,
            means.reads,
            speech=means.speech_of(spec.backend),
            consumers=targets.Deployment(means.client, spec.consumers.deployment),
            deferred_topic=means.deferred_topic,
        )
        reading = seen.reading(means.reported.known(self.name), around.limits_per_s)
        assert self._state is not None
        has_begun = self._state.present.began_at_s is not None
        decided, self._state = pool.decide(spec, reading, self._state, now_s=means.now())
        if not has_begun and not means.may_write():
            # Who reports is answered once the Lease is held, and finds this operator only then.
            present = dataclasses.replace(self._state.present, began_at_s=None, n_before=None)
            self._state = dataclasses.replace(self._state, present=present)
        speech = await self._bring("speech", seen.speech, decided.speech, found, around, None)
        consumers = await self._bring(
            "consumers", seen.consumers, decided.consumers, found, around, _running(decided.present)
        )
        said = findings.all_of(
            valid=findings.ACCEPTED,
            conflict=findings.conflict(around.rivals, is_known=around.are_rivals_known),
            backlog=findings.backlog(seen, decided),
            replicas=findings.replicas((("speech", seen.speech, speech), ("consumers", seen.consumers, consumers))),
        )
        self._is_measured = True
        measures.tell_look(means.observe, self.name, spec, decided, self._state)
        measures.tell_fleet(means.observe, self.name, "speech", seen.speech)
        measures.tell_fleet(means.observe, self.name, "consumers", seen.consumers)
        await self._tell(found, said, _numbers(seen, decided))
        return fleets.Outcome.CHANGED_MEANWHILE in {each.outcome for each in (speech, consumers) if each is not None}

    async def _bring(
        self,
        fleet: str,
        part: gathering.Part | None,
        decision: scaling.Decision | None,
        found: Mapping[str, Any],
        around: Around,
        running_audio_s: Mapping[str, float] | None,
    ) -> fleets.Applied | None:
        if part is None or decision is None or part.seen is None:
            return None
        if not around.are_rivals_known or part.target.name in around.held_targets:
            conflict = dataclasses.replace(decision, replicas=None, reason=scaling.Reason.SCALING_CONFLICT)
            measures.tell_decision(self._means.observe, self.name, fleet, conflict, part.seen.asked)
            return None
        measures.tell_decision(self._means.observe, self.name, fleet, decision, part.seen.asked)
        applied = await self._means.fleets.bring(
            part.target, part.seen, decision.replicas, running_audio_s=running_audio_s
        )
        if applied.outcome is fleets.Outcome.WRITTEN:
            was, to = part.seen.asked, decision.replicas or 0
            direction = "up" if to > was else "down"
            log.info("scaled", extra={"pool": self.name, "fleet": fleet, "was": was, "to": to, "why": decision.reason})
            self._means.observe.add(metrics.OPERATOR_CHANGES, pool=self.name, fleet=fleet, direction=direction)
            message = f"{fleet} ({part.target.name}) scaled {direction} from {was} to {to}"
            await self._means.notices.post(found, decision.reason, message)
        return applied

    async def _tell(
        self, found: Mapping[str, Any], said: Mapping[conditions.Type, conditions.Finding], numbers: Mapping[str, Any]
    ) -> None:
        """Write the status where it has changed, and post what conditions have changed to."""
        generation = int(found["metadata"].get("generation", 0))
        assert self._state is not None
        merged = conditions.merge(self._conditions, said, generation=generation, now=self._means.utc())
        after = status.build(
            generation=generation,
            found=merged,
            speech=self._state.heard,
            prepared=self._state.prepared,
            **{**dict.fromkeys(_NUMBERS), "selector": {}, **numbers},
        )
        measures.tell_conditions(self._means.observe, self.name, merged)
        change = status.patch(self._status, after)
        if change is None or not self._means.may_write():
            return
        now = await self._means.client.patch(kube.POOLS, self.name, {"status": change}, part="status")
        self._version = str(now["metadata"]["resourceVersion"])
        before = {each.type: each.finding.status for each in self._conditions}
        self._conditions, self._status = merged, after
        for each in merged:
            good = conditions.GOOD.get(each.type)
            if good is not None and before.get(each.type, good) is not each.finding.status:
                is_warning = each.finding.status is not good
                message = f"{each.type} is {each.finding.status}: {each.finding.message}"
                await self._means.notices.post(found, each.finding.reason, message, is_warning=is_warning)


_NUMBERS = ("replicas", "wanted", "consumers", "backlog_audio_s", "drain_s")


def _numbers(seen: gathering.Gathered, decided: pool.Decisions) -> dict[str, Any]:
    speech = None if seen.speech is None else seen.speech.seen
    consumers = seen.consumers.seen
    wanted = None if decided.speech is None else decided.speech.replicas
    return {
        "replicas": None if speech is None else speech.there,
        "wanted": speech.asked if wanted is None and speech is not None else wanted,
        "consumers": None if consumers is None else consumers.there,
        "selector": {} if speech is None else speech.labels,
        "backlog_audio_s": decided.wanted.waiting_audio_s,
        "drain_s": decided.drain_s,
    }


def _running(present: presence.Presence) -> dict[str, float]:
    """Return the audio-seconds that each consumer works on, by its pod; of a silent one that is not known."""
    return {name: sum(load.running_audio_s for load in each.report.tenants) for name, each in present.speaking.items()}


def _sentence(exc: ValueError) -> str:
    import pydantic

    if not isinstance(exc, pydantic.ValidationError):
        return str(exc)
    return "; ".join(
        f"{'.'.join(map(str, ('spec', *each['loc'])))}: {each['msg'].removeprefix('Value error, ')}"
        for each in exc.errors()
    )
