"""What the chart refuses before anything is installed: values of the wrong kind, and combinations that cannot work."""

from __future__ import annotations

import copy
import pathlib
import typing

import pytest
import yaml
from peers import helm

from . import conftest

BASE: dict[str, typing.Any] = {
    "kafka": {"bootstrapServers": ["kafka:9092"]},
    "s3": {"bucket": "out", "recordingBuckets": [{"name": "recordings"}]},
    "clickhouse": {"url": "http://clickhouse:8123"},
    "models": {"claim": "models"},
    "api": {"existingSecret": "keys"},
    "pools": {"main": {"topics": [{"name": "recordings.ready"}], "model": {"name": "/models/base"}}},
}
RAY = {"pools.main.backend": "Ray"}
EXTERNAL = {
    "pools.main.backend": "External",
    "pools.main.external.url": "https://stt.example.com/v1",
    "pools.main.model.name": "whisper-1",
}
SECOND = {
    "pools.other": {
        "topics": [{"name": "others"}],
        "model": {"name": "/models/base"},
        "consumerGroup": "other",
        "deferredTopic": "others.deferred",
        "parkedTopic": "others.parked",
    },
    "api.pool": "main",
    "tests.pool": "main",
}
NO_OPERATOR = {
    "operator.enabled": False,
    "tenants.source": "Any",
    "pools.main.speech.replicas": 1,
    "pools.main.consumers.replicas": 1,
}
IPV6 = {f"settings.{name}.host": "::" for name in ("telemetry", "operator", "api")}
# Servers of models read no authorities of the chart's, so that theirs may be said.
TRUSTED = {
    "trust.existingConfigMap": "authorities",
    "pools.main.speech.pod.extraEnv": [{"name": "SSL_CERT_FILE", "value": "/x"}],
}
SHADOW = {"share": 0.1, "backend": "triton", "url": "grpc://calls-aftercall-next-speech.calls.svc:8001"}
# A server elsewhere has no cold start that a test would wait for.
QUICK = {**EXTERNAL, "tests.timeoutSeconds": 60}
OPEN = [{"ports": [{"port": 443}]}]
CLOSED = {
    "networkPolicy.enabled": True,
    **{f"networkPolicy.egress.{name}": OPEN for name in ("kafka", "s3", "clickhouse")},
}

# One value of the wrong kind or spelling a row: the schema names where.
WRONG: list[tuple[str, object]] = [
    ("image.pullpolicy", "Always"),
    ("image.pullPolicy", "Sometimes"),
    ("image.digest", "sha256:abc"),
    ("image.tag", "a tag"),
    ("replicaCount", 3),
    ("crds.instal", True),
    ("crds.keep", "yes"),
    ("kafka.bootstrapServers", "kafka:9092"),
    ("kafka.bootstrapServers", ["kafka"]),
    ("kafka.securityProtocol", "TLS"),
    ("kafka.saslMechanism", "OAUTHBEARER"),
    ("kafka.password", "secret"),
    ("kafka.existingSecret", "Not_A_Name"),
    ("s3.bucket", "No Bucket"),
    ("s3.endpoint", "s3.example.com"),
    ("s3.recordingBuckets", ["recordings"]),
    ("s3.secretAccessKey", "secret"),
    ("clickhouse.url", "tcp://clickhouse:9000"),
    ("telemetry.traceRatio", 2),
    ("telemetry.logFormat", "xml"),
    ("settings.intake.max_open_callz", 4),
    ("settings.intake.max_open_calls", 0),
    ("settings.store.secret_access_key", "secret"),
    ("settings.api.keys", {"acme": "secret"}),
    ("settings.nothing", {"a": 1}),
    ("models.source", "S3"),
    ("models.path", "models"),
    ("pools.Main", {"topics": []}),
    ("pools.main.backend", "Whisper"),
    ("pools.main.mode", "operator"),
    ("pools.main.topics", [{"name": "a topic"}]),
    ("pools.main.topics", [{"name": "recordings", "lane": "live"}]),
    ("pools.main.topics", [{"name": "recordings", "keyTemplates": ["{tenant}.wav"]}]),
    ("pools.main.promiseSeconds", 0),
    ("pools.main.speech.minReplicas", 1.5),
    ("pools.main.speech.maxReplicas", 0),
    ("pools.main.speech.headroomPercent", 95),
    ("pools.main.speech.gpu.resourceName", "gpu"),
    ("pools.main.speech.device", "gpu"),
    ("pools.main.speech.pod.spread", "Even"),
    ("pools.main.consumers.maxUnavailable", 0),
    ("pools.main.consumers.resources.requests.memory", "2 GB"),
    ("pools.main.ray.version", "2"),
    ("pools.main.triton.extraArgs", ["log-verbose=1"]),
    ("tenants.source", "Kafka"),
    ("tenants.resources", [{"name": "acme", "spec": {"audioSecondsPerHour": 1}}]),
    ("tenants.resources", [{"name": "acme", "spec": {"burstAudioSeconds": 5}}]),
    ("tenants.list", [{"name": "acme", "wieght": 4}]),
    ("api.service.type", "ExternalName"),
    ("monitoring.podMonitors.interval", "15"),
    ("networkPolicy.egress.kafka", {"ports": []}),
    ("trust.caKey", ""),
    ("tests.timeoutSeconds", "ten"),
]

# Values that are right one by one and wrong together: what is set, the key that is named, and words of the sentence.
CONTRADICTIONS: list[tuple[dict[str, object], str, str]] = [
    ({"pools": {}}, "pools", "name at least one"),
    ({"kafka.bootstrapServers": []}, "kafka.bootstrapServers", "where the brokers are"),
    ({"dev.kafka.enabled": True}, "dev.kafka.enabled", "choose one"),
    (
        {"dev.kafka.enabled": True, "kafka.bootstrapServers": [], "kafka.securityProtocol": "SSL"},
        "kafka.securityProtocol",
        "PLAINTEXT only",
    ),
    ({"kafka.securityProtocol": "SASL_SSL", "kafka.existingSecret": "k"}, "kafka.saslMechanism", "needs one"),
    ({"kafka.securityProtocol": "SASL_SSL", "kafka.saslMechanism": "PLAIN"}, "kafka.existingSecret", "a login"),
    ({"kafka.existingSecret": "k"}, "kafka.securityProtocol", "logs nobody in"),
    ({"kafka.tls.existingSecret": "k"}, "kafka.tls.existingSecret", "no certificates"),
    (
        {"kafka.securityProtocol": "SSL", "kafka.tls.existingSecret": "k", "kafka.tls.certificateKey": "tls.crt"},
        "kafka.tls.keyKey",
        "go together",
    ),
    ({"s3.bucket": ""}, "s3.bucket", "which bucket"),
    ({"s3.recordingBuckets": []}, "s3.recordingBuckets", "name the buckets"),
    ({"dev.s3.enabled": True, "s3.endpoint": "https://s3.example.com"}, "dev.s3.enabled", "choose one"),
    ({"dev.clickhouse.enabled": True}, "dev.clickhouse.enabled", "choose one"),
    ({"clickhouse.url": "", "clickhouse.existingSecret": "c"}, "clickhouse.url", "no address"),
    ({"trust.existingSecret": "a", "trust.existingConfigMap": "b"}, "trust.existingConfigMap", "choose one"),
    (
        {"trust.existingConfigMap": "a", "podDefaults.extraEnv": [{"name": "SSL_CERT_FILE", "value": "/x"}]},
        "podDefaults.extraEnv",
        "SSL_CERT_FILE is set by the chart",
    ),
    ({"telemetry.otlpEndpoint": "http://collector:4317"}, "telemetry.otlpEndpoint", "4318"),
    ({"monitoring.podMonitors.enabled": True}, "monitoring.podMonitors.enabled", "capabilities.prometheusOperator"),
    ({"monitoring.rules.enabled": True}, "monitoring.rules.enabled", "capabilities.prometheusOperator"),
    ({"models.claim": ""}, "models.claim", "name the PersistentVolumeClaim"),
    ({"models.source": "Image"}, "models.image.repository", "name the image"),
    ({"api.existingSecret": ""}, "api.existingSecret", "API keys"),
    ({"dev.apiKeys": {"acme": "k"}}, "dev.apiKeys", "choose one"),
    ({"api.uploadsBucket": "uploads"}, "api.uploadsBucket", "none of s3.recordingBuckets"),
    ({"api.ingress.enabled": True}, "api.ingress.host", "needs one"),
    ({"api.enabled": False, "api.ingress.enabled": True}, "api.ingress.enabled", "nothing behind it"),
    ({"clickhouse.url": ""}, "relay.enabled", "nothing to relay to"),
    ({"relay.enabled": False}, "relay.enabled", "only the relay writes there"),
    ({"relay.webhooks.secrets": ["acme"]}, "relay.webhooks.apiUrl", "no webhooks"),
    ({"diarization.enabled": True}, "diarization.pipeline", "where the pipeline is"),
    ({"diarization.enabled": True, "diarization.pipeline": "org/name"}, "diarization.pipeline", "no folder"),
    (
        {"diarization.enabled": True, "diarization.pipeline": "/models/p", "diarization.drainSeconds": 900},
        "diarization.terminationGracePeriodSeconds",
        "905 s",
    ),
    (
        {"podDefaults.extraEnv": [{"name": "AFTERCALL_SETTINGS_FILE", "value": "/x"}]},
        "podDefaults.extraEnv",
        "set by the chart",
    ),
    ({"relay.pod.extraEnv": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}, "relay.pod.extraEnv", "twice"),
    ({"tests.timeoutSeconds": 60}, "tests.timeoutSeconds", "pools.main.speech.coldStartSeconds = 180 s"),
    (
        {"tests.timeoutSeconds": 300, "pools.main.speech.coldStartSeconds": 600},
        "tests.timeoutSeconds",
        "pools.main.speech.coldStartSeconds = 600 s",
    ),
    ({"settings.kafka.deferred_topic": "d"}, "settings.kafka.deferred_topic", "deferredTopic of the pool"),
    ({"pools.main.settings.kafka.group": "g"}, "pools.main.settings.kafka.group", "consumerGroup of the pool"),
    ({"poolDefaults.settings.intake.promise_s": 9}, "poolDefaults.settings.intake.promise_s", "promiseSeconds"),
    ({"relay.settings.telemetry.port": 9000}, "relay.settings.telemetry.port", "monitoring.podMonitors"),
    ({"operator.settings.operator.port": 9000}, "operator.settings.operator.port", "would not follow"),
    ({"api.settings.api.port": 9000}, "api.settings.api.port", "would not follow"),
    ({"tenants.source": "File"}, "tenants.list", "nobody would be served"),
    (
        {"tenants.source": "File", "tenants.list": [{"name": "aftercall-test"}], "tenants.existingConfigMap": "t"},
        "tenants.existingConfigMap",
        "choose one",
    ),
    ({"tenants.source": "File", "tenants.list": [{"name": "acme"}]}, "tests.tenant", "wait for ever"),
    ({"tenants.list": [{"name": "acme"}]}, "tenants.source", "set it to File"),
    ({"tenants.source": "Any", "tenants.resources": [{"name": "acme"}]}, "tenants.resources", "be ignored"),
    ({"tenants.resources": [{"name": "acme"}, {"name": "acme"}]}, "tenants.resources", "listed twice"),
    ({"tenants.resources": [{"name": "aftercall-test"}]}, "tests.tenant", "the chart makes it"),
    ({**NO_OPERATOR, "tenants.source": "Resources"}, "tenants.source", "compiled by the operator"),
    ({"networkPolicy.enabled": True}, "networkPolicy.egress.kafka", "have to reach it"),
    ({**CLOSED, "networkPolicy.egress.clickhouse": []}, "networkPolicy.egress.clickhouse", "have to reach it"),
    ({**CLOSED, "telemetry.otlpEndpoint": "http://c:4318"}, "networkPolicy.egress.telemetry", "have to reach it"),
    ({**CLOSED, **EXTERNAL}, "networkPolicy.egress.external", "have to reach it"),
    ({**CLOSED, "pools.main.settings.recording.from_web": True}, "networkPolicy.egress.external", "have to reach it"),
    ({**CLOSED, "settings.shadow": SHADOW}, "networkPolicy.egress.external", "have to reach it"),
    ({"fullnameOverride": "a" * 40, "pools.a-pool-with-a-long-name": {}}, "pools.a-pool-with-a-long-name", "63"),
    (
        {"setup.enabled": True, "fullnameOverride": "contact-centre-transcription-production", "pools.english-uk": {}},
        "pools.english-uk",
        "the Job contact-centre-transcription-production-english-uk-setup-…",
    ),
    ({"pools.main.topics": []}, "pools.main.topics", "announce recordings"),
    ({"pools.main.topics": [{"name": "recordings.dead"}]}, "pools.main.topics", "own topics"),
    ({"pools.main.topics": [{"name": "a"}, {"name": "a"}]}, "pools.main.topics", "named twice"),
    ({**SECOND, "pools.other.topics": [{"name": "recordings.ready"}]}, "pools.other.topics", "a topic is one pool's"),
    ({**SECOND, "pools.other.consumerGroup": ""}, "pools.other.consumerGroup", "each pool its own"),
    ({**SECOND, "pools.other.deferredTopic": ""}, "pools.other.deferredTopic", "its own"),
    ({**SECOND, "pools.other.parkedTopic": ""}, "pools.other.parkedTopic", "its own"),
    ({**SECOND, "api.pool": ""}, "api.pool", "several pools"),
    ({**SECOND, "tests.pool": "third"}, "tests.pool", "no pool"),
    ({"pools.main.consumers.minReplicas": 9}, "pools.main.consumers.minReplicas", "more than maxReplicas"),
    ({"pools.main.partitions": 4}, "pools.main.consumers.maxReplicas", "nothing to do"),
    (
        {"pools.main.consumers.terminationGracePeriodSeconds": 49},
        "pools.main.consumers.terminationGracePeriodSeconds",
        "50 s",
    ),
    ({"pools.main.consumers.replicas": 2}, "pools.main.consumers.replicas", "the operator sets it"),
    ({**NO_OPERATOR, "pools.main.consumers.replicas": None}, "pools.main.consumers.replicas", "how many"),
    ({**NO_OPERATOR, "pools.main.speech.replicas": None}, "pools.main.speech.replicas", "how many"),
    ({**NO_OPERATOR, "pools.main.speech.replicas": 0}, "pools.main.speech.replicas", "nobody would ever"),
    (
        {**NO_OPERATOR, **RAY, "capabilities.kubeRay": "Present", "pools.main.speech.replicas": 0},
        "pools.main.speech.replicas",
        "nobody would ever",
    ),
    ({**NO_OPERATOR, "pools.main.mode": "Paused"}, "pools.main.mode", "operator.enabled is false"),
    ({"pools.main.external.url": "https://stt.example.com"}, "pools.main.external", "backend is Triton"),
    ({**RAY, "pools.main.triton.extraArgs": []}, "pools.main.triton", "backend is Ray"),
    ({"pools.main.model.name": ""}, "pools.main.model.name", "which model"),
    ({"pools.main.model.name": "base"}, "pools.main.model.name", "no folder"),
    ({"pools.main.model.engine": "tensorrt_llm", "pools.main.speech.device": "cpu"}, "pools.main.model.engine", "GPUs"),
    ({"pools.main.model.engine": "tensorrt_llm", "pools.main.model.beamSize": 5}, "pools.main.model.beamSize", "beams"),
    ({"pools.main.speech.minReplicas": 5}, "pools.main.speech.minReplicas", "more than maxReplicas"),
    ({"pools.main.promiseSeconds": 100}, "pools.main.speech.drainTargetSeconds", "more than promiseSeconds"),
    ({"pools.main.speech.replicas": 2}, "pools.main.speech.replicas", "mode Operator"),
    ({"pools.main.mode": "External"}, "pools.main.speech.replicas", "at first"),
    ({"pools.main.speech.gpu.count": 0}, "pools.main.speech.gpu.count", "needs a GPU"),
    ({"pools.main.speech.device": "cpu", "pools.main.speech.gpu.count": 1}, "pools.main.speech.gpu", "be ignored"),
    (
        {"pools.main.speech.gpu.resourceName": "nvidia.com/mig-6gb"},
        "pools.main.speech.gpu.resourceName",
        "nvidia.com/mig-1g.6gb",
    ),
    ({"pools.main.speech.drainSeconds": 75}, "pools.main.speech.terminationGracePeriodSeconds", "80 s"),
    ({**EXTERNAL, "pools.main.speech.maxReplicas": 4}, "pools.main.speech", "maxReplicas"),
    ({**EXTERNAL, "pools.main.mode": "External"}, "pools.main.mode", "no speech replicas"),
    ({**EXTERNAL, "pools.main.external.url": ""}, "pools.main.external.url", "where the server is"),
    ({**EXTERNAL, "tenants.source": "Any"}, "pools.main.external.url", "has no policies"),
    ({**EXTERNAL, "tenants.resources": [{"name": "acme"}]}, "pools.main.external.url", "no tenant lists"),
    (
        {"pools.main.backend": "InProcess", "pools.main.speech.device": "cuda"},
        "pools.main.speech.device",
        "take Triton or Ray",
    ),
    (RAY, "pools.main.backend", "capabilities.kubeRay"),
    (
        {**RAY, "capabilities.kubeRay": "Present", "pools.main.ray.head.pod.extraEnv": [{"name": "HOME"}]},
        "pools.main.ray.head.pod.extraEnv",
        "set by the chart",
    ),
    (
        {**RAY, "capabilities.kubeRay": "Present", "fullnameOverride": "a-rather-long-name-of-a-release"},
        "pools.main",
        "41 characters",
    ),
    (
        {
            **RAY,
            "capabilities.kubeRay": "Present",
            "pools.main.speech.gpu.count": 3,
            "pools.main.ray.replicasPerWorker": 2,
        },
        "pools.main.ray.replicasPerWorker",
        "evenly",
    ),
    (
        {"pools.main.topics": [{"name": "recordings.ready", "tenants": ["acme"]}]},
        "tests.tenant",
        "on no topic of pools.main",
    ),
    ({"s3.recordingBuckets": [{"name": "recordings", "tenants": ["acme"]}]}, "tests.tenant", "in no bucket"),
]


def told(*layers: typing.Mapping[str, object]) -> dict[str, typing.Any]:
    """Return the base with values set by their paths."""
    values = yaml.safe_load(yaml.safe_dump(BASE))
    for layer in layers:
        for path, value in layer.items():
            at, *keys = values, *path.split(".")
            for key in keys[:-1]:
                at = at.setdefault(key, {})
            at[keys[-1]] = copy.deepcopy(value)
    return values


def refused(program: helm.Helm, folder: pathlib.Path, values: dict[str, typing.Any]) -> str:
    """Return what Helm says as it refuses."""
    file = folder / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    with pytest.raises(helm.HelmError) as raised:
        program.run("template", "calls", str(conftest.CHART), f"--values={file}")
    return str(raised.value)


def test_the_base_is_taken(helm3: helm.Helm, tmp_path: pathlib.Path) -> None:
    """So that it is the one change that is refused; and so are the layers that several rows share."""
    for layer in ({}, IPV6, SECOND, NO_OPERATOR, CLOSED, EXTERNAL, TRUSTED, QUICK):
        file = tmp_path / "values.yaml"
        file.write_text(yaml.safe_dump(told(layer)))
        helm3.run("template", "calls", str(conftest.CHART), f"--values={file}")


@pytest.mark.parametrize(("path", "value"), WRONG, ids=[f"{path}={value}"[:60] for path, value in WRONG])
def test_the_schema_names_what_is_wrong(helm3: helm.Helm, tmp_path: pathlib.Path, path: str, value: object) -> None:
    """By its path."""
    said = refused(helm3, tmp_path, told({path: value}))

    assert "values don't meet the specifications of the schema" in said
    parent, _, name = path.rpartition(".")
    assert parent.replace(".", "/") in said or "propertyName" in said
    assert name in said, said


@pytest.mark.parametrize(
    ("values", "key", "words"), CONTRADICTIONS, ids=[f"{key}-{words}"[:70] for _, key, words in CONTRADICTIONS]
)
def test_what_cannot_work_together_is_said_by_its_key(
    helm3: helm.Helm, tmp_path: pathlib.Path, values: dict[str, object], key: str, words: str
) -> None:
    """In a sentence that says what to do."""
    said = refused(helm3, tmp_path, told(values))

    lines = [line for line in said.splitlines() if f"{key}: " in line]
    assert lines, said
    assert any(words in line for line in lines), said


def test_all_that_is_wrong_is_said_at_once(helm3: helm.Helm, tmp_path: pathlib.Path) -> None:
    """Three mistakes, three lines."""
    values = told({"kafka.bootstrapServers": [], "s3.bucket": "", "pools.main.topics": []})
    said = refused(helm3, tmp_path, values)

    assert all(f"{key}: " in said for key in ("kafka.bootstrapServers", "s3.bucket", "pools.main.topics"))
    assert "nil pointer" not in said


def test_every_refusal_has_a_row() -> None:
    """A sentence of the templates that no row provokes is one that nobody has seen."""
    text = (conftest.CHART / "templates" / "_validation.tpl").read_text()

    assert len(CONTRADICTIONS) >= text.count('include "aftercall.unless"')
