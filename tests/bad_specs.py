"""Specifications of custom resources that must be refused, by the field: by the models and by an API server alike."""

from __future__ import annotations

from typing import Any

Spec = dict[str, Any]

SID = "AC" + "0" * 32
TENANT: Spec = {
    "id": "Acme (EU)",
    "language": "pt-BR",
    "vocabulary": ["Acme Prime"],
    "egressHosts": ["stt.example.com", "10.0.0.1", "fd00::1"],
    "audioSecondsPerMinute": 600,
    "burstAudioSeconds": 30,
    "concurrency": 3,
    "weight": 1000,
    "lanes": ["Live", "Bulk"],
    "topics": ["recordings.ready"],
    "buckets": ["acme-calls"],
    "webhook": {"secret": "acme-hook"},
    "twilio": {"secret": "acme-twilio", "accountSid": SID},
}
"""A good one with every field."""
POOL: Spec = {
    "mode": "External",
    "promiseSeconds": 600,
    "consumerGroup": "calls",
    "topics": [{"name": "recordings"}, {"name": "recordings.bulk", "lane": "Bulk", "promiseSeconds": 14_400}],
    "backend": {"kind": "Deployment", "deployment": {"name": "calls-speech"}},
    "scaling": {
        "minReplicas": 0,
        "maxReplicas": 8,
        "drainTargetSeconds": 150,
        "headroomPercent": -10,
        "stabilizationSeconds": 300,
        "coldStartSeconds": 600,
        "capacityAudioSecondsPerMinute": 6000,
        "maxStep": 4,
    },
    "consumers": {
        "deployment": "calls-consumers",
        "minReplicas": 1,
        "maxReplicas": 12,
        "stabilizationSeconds": 600,
        "capacityAudioSecondsPerMinute": 9000,
    },
    "replicas": 2,
}
"""A good one with every field."""


def changed(good: Spec, changes: Spec) -> Spec:
    """Return a good specification with changes, each by its path (`scaling.maxReplicas`); None leaves a field out."""
    found: Spec = {name: dict(each) if isinstance(each, dict) else each for name, each in good.items()}
    for path, value in changes.items():
        *parents, name = path.split(".")
        part = found
        for parent in parents:
            part = part[parent]
        if value is None:
            del part[name]
        else:
            part[name] = value
    return found


BAD_TENANTS: list[tuple[Spec, str]] = [
    ({"redaction": {}}, "redaction is not built yet"),
    ({"redaction": {"text": True}}, "redaction is not built yet"),
    ({"retentionDays": {"audio": 30}}, "retentionDays is not built yet"),
    ({"diarization": {}}, "diarization is not built yet"),
    ({"redaction": True}, "redaction"),
    ({"retentionDays": 30}, "retentionDays"),
    ({"id": ""}, "id"),
    ({"id": "x" * 201}, "id"),
    ({"id": "a/b"}, "id"),
    ({"id": "a\\b"}, "id"),
    ({"id": "a\nb"}, "id"),
    ({"id": "  "}, "id"),
    ({"id": "."}, "a path, not an id"),
    ({"id": ".."}, "a path, not an id"),
    ({"language": "english, please"}, "language"),
    ({"vocabulary": [""]}, "vocabulary"),
    ({"vocabulary": ["x" * 101]}, "vocabulary"),
    ({"vocabulary": ["x"] * 1001}, "vocabulary"),
    ({"egressHosts": ["https://stt.example.com"]}, "egressHosts"),
    ({"egressHosts": ["user:s3cret@stt.example.com"]}, "egressHosts"),
    ({"egressHosts": ["stt.example.com:443"]}, "egressHosts"),
    ({"egressHosts": ["STT.example.com"]}, "egressHosts"),
    ({"egressHosts": ["a.example", "a.example"]}, "egressHosts"),
    ({"audioSecondsPerMinute": 0}, "audioSecondsPerMinute"),
    ({"audioSecondsPerMinute": 0.5}, "audioSecondsPerMinute"),
    ({"audioSecondsPerMinute": "600"}, "audioSecondsPerMinute"),
    ({"burstAudioSeconds": 29}, "burstAudioSeconds"),
    ({"audioSecondsPerMinute": None}, "burstAudioSeconds is the burst of a limit"),
    ({"concurrency": 0}, "concurrency"),
    ({"weight": 0}, "weight"),
    ({"weight": 1001}, "weight"),
    ({"weight": 1.5}, "weight"),
    ({"weight": True}, "weight"),
    ({"lanes": []}, "lanes"),
    ({"lanes": ["Live", "Live"]}, "lanes"),
    ({"lanes": ["live"]}, "lanes"),
    ({"topics": []}, "topics"),
    ({"topics": ["recordings ready"]}, "topics"),
    ({"buckets": []}, "buckets"),
    ({"buckets": ["s3://acme"]}, "buckets"),
    ({"webhook": {}}, "webhook.secret"),
    ({"webhook": {"secret": "../other"}}, "webhook.secret"),
    ({"webhook": {"secret": "https://hooks.example/s3cret"}}, "webhook.secret"),
    ({"twilio.accountSid": "SK" + "0" * 32}, "twilio.accountSid"),
    ({"twilio.secret": None}, "twilio.secret"),
]
"""What is changed, and what is said of it."""

BAD_POOLS: list[tuple[Spec, str]] = [
    ({"mode": "Sometimes"}, "mode"),
    ({"replicas": None}, "mode External sets replicas"),
    ({"replicas": -1}, "replicas"),
    ({"promiseSeconds": 0}, "promiseSeconds"),
    ({"promiseSeconds": 604_801}, "promiseSeconds"),
    ({"promiseSeconds": 0.5}, "promiseSeconds"),
    ({"promiseSeconds": "600"}, "promiseSeconds"),
    ({"consumerGroup": ""}, "consumerGroup"),
    ({"topics": None}, "topics"),
    ({"topics": []}, "topics"),
    ({"topics": [{"name": f"t{at}"} for at in range(33)]}, "topics"),
    ({"topics": [{"name": "a"}, {"name": "a"}]}, "topic"),
    ({"topics": [{"name": "a b"}]}, "topics"),
    ({"topics": [{"lane": "Bulk"}]}, "topics"),
    ({"topics": [{"name": "a", "lane": "bulk"}]}, "topics"),
    ({"topics": [{"name": "a", "promiseSeconds": 0}]}, "topics"),
    ({"backend": None}, "backend"),
    ({"backend": {}}, "backend.kind"),
    ({"backend": {"kind": "Triton"}}, "backend.kind"),
    ({"backend": {"kind": "Deployment"}}, "kind Deployment names a deployment"),
    ({"backend.rayServe": {"service": "x"}}, "kind RayServe has rayServe"),
    ({"backend": {"kind": "RayServe"}}, "kind RayServe has rayServe"),
    ({"backend": {"kind": "RayServe", "rayServe": {"service": "x", "port": 0}}}, "backend.rayServe.port"),
    ({"backend": {"kind": "RayServe", "rayServe": {"service": "x", "application": "../a"}}}, "rayServe.application"),
    ({"backend": {"kind": "RayServe", "rayServe": {"service": "x", "deployment": "a/b"}}}, "rayServe.deployment"),
    ({"backend": {"kind": "Deployment", "deployment": {"name": "Calls_Speech"}}}, "backend.deployment.name"),
    ({"backend": {"kind": "External"}}, "external backend"),
    ({"scaling": None}, "scaling says how many"),
    ({"scaling.minReplicas": 9}, "minReplicas is at most maxReplicas"),
    ({"scaling.maxReplicas": None}, "scaling.maxReplicas"),
    ({"scaling.maxReplicas": 10_001}, "scaling.maxReplicas"),
    ({"scaling.maxReplicas": 1.5}, "scaling.maxReplicas"),
    ({"scaling.capacityAudioSecondsPerMinute": None}, "scaling.capacityAudioSecondsPerMinute"),
    ({"scaling.capacityAudioSecondsPerMinute": 0}, "scaling.capacityAudioSecondsPerMinute"),
    ({"scaling.drainTargetSeconds": 0}, "scaling.drainTargetSeconds"),
    ({"scaling.headroomPercent": 91}, "scaling.headroomPercent"),
    ({"scaling.headroomPercent": -51}, "scaling.headroomPercent"),
    ({"scaling.stabilizationSeconds": -1}, "scaling.stabilizationSeconds"),
    ({"scaling.coldStartSeconds": 86_401}, "scaling.coldStartSeconds"),
    ({"scaling.maxStep": 0}, "scaling.maxStep"),
    ({"consumers": None}, "consumers"),
    ({"consumers.deployment": None}, "consumers.deployment"),
    ({"consumers.deployment": "calls/consumers"}, "consumers.deployment"),
    ({"consumers.minReplicas": 13}, "minReplicas is at most maxReplicas"),
    ({"consumers.maxReplicas": None}, "consumers.maxReplicas"),
    ({"consumers.capacityAudioSecondsPerMinute": 10_000_001}, "consumers.capacityAudioSecondsPerMinute"),
]
"""What is changed, and what is said of it."""


def name_of(bad: tuple[Spec, str] | object) -> str:
    """Return a short name of a case."""
    return repr(bad)[:60]
