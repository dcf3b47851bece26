"""Pools, and what a look at them works with, in memory."""

from __future__ import annotations

from typing import Any

from aftercall.contracts import pools, reports
from aftercall.operator import exchange, fleets, kube, looking, notices, presence, targets, testing

SPEC: dict[str, Any] = {
    "consumerGroup": "g",
    "topics": [{"name": "recordings"}],
    "backend": {"kind": "Deployment", "deployment": {"name": "speech"}},
    "scaling": {
        "minReplicas": 0,
        "maxReplicas": 8,
        "capacityAudioSecondsPerMinute": 3000,
        "stabilizationSeconds": 0,
    },
    "consumers": {"deployment": "consumers", "minReplicas": 0, "maxReplicas": 12, "stabilizationSeconds": 0},
}


class World:
    """A namespace with one pool, its Deployments and its topic, all at rest."""

    def __init__(self) -> None:
        self.cluster = testing.FakeKubernetes()
        self.clock = testing.Clock()
        self.offsets = testing.FakeOffsets()
        self.measured = testing.Measured()
        self.exchange = exchange.Exchange(lease_s=900.0, stale_s=presence.STALE_S)
        self.exchange.begin(1, now_s=self.clock())
        self.is_leading = True
        self.offsets.unread("recordings", 0, 0, 0, 0)
        self.offsets.unread("deferred", 0)
        for name in ("speech", "consumers"):
            self.cluster.deployment(name, 0)

    def pool(self, name: str = "calls", **more: Any) -> dict[str, Any]:
        """Let a pool be there; return it."""
        known = dict(self.cluster._objects.get(("transcriptionpools", name), {}))
        return self.cluster.put(kube.POOLS, name, spec=SPEC | more, status=known.get("status", {}))

    def means(self) -> looking.Means:
        """Return what looks work with."""
        return looking.Means(
            client=self.cluster,
            reads=self.offsets,
            reported=self.exchange,
            speech_of=self._speech_of,
            fleets=fleets.Fleets(self.cluster, may_write=lambda: self.is_leading, utc=self.clock.utc),
            notices=notices.Notices(self.cluster, utc=self.clock.utc),
            observe=self.measured,
            may_write=lambda: self.is_leading,
            now=self.clock,
            utc=self.clock.utc,
            deferred_topic="deferred",
        )

    def report(self, consumer: str, pool: str = "calls", *, position: int = 100, **more: Any) -> reports.Grants:
        """Let a consumer report that has read all of the topic up to a position."""
        places = tuple(reports.Position(topic="recordings", partition=at, position=position) for at in range(4))
        told = {"consumer": consumer, "instance": "1", "pool": pool, "number": round(self.clock()), "positions": places}
        report = reports.ConsumerReport.model_validate(told | more)
        return self.exchange.hear(report, {}, now_s=self.clock(), held_at_s=self.clock())

    def asked(self, name: str) -> int:
        """Return how many replicas a Deployment is to have."""
        return int(self.cluster.seen(kube.DEPLOYMENTS, name)["spec"]["replicas"])

    def condition(self, kind: str, name: str = "calls", of: kube.Resource = kube.POOLS) -> tuple[str, str]:
        """Return the status and reason of a condition."""
        for each in self.cluster.seen(of, name).get("status", {}).get("conditions", ()):
            if each["type"] == kind:
                return each["status"], each["reason"]
        return "", ""

    def _speech_of(self, backend: pools.Backend) -> targets.Target | None:
        return None if backend.deployment is None else targets.Deployment(self.cluster, backend.deployment.name)
