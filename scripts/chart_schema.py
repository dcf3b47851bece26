"""Write charts/aftercall/values.schema.json: which values the chart takes, one by one.

What cannot work together is said by the chart's templates (`_validation.tpl`), with a sentence. Nothing is taken that
is not described, but in maps that go to Kubernetes as they are. `settings` are held to the settings' own schema,
without secrets: those are mounted.

python scripts/chart_schema.py [--check]
"""

from __future__ import annotations

import json
import pathlib
import sys
from typing import Any

from aftercall.contracts import crds

ROOT = pathlib.Path(__file__).resolve().parents[1]
TARGET = ROOT / "charts" / "aftercall" / "values.schema.json"
SETTINGS = ROOT / "contracts" / "schemas" / "settings.json"

_SPOKEN = {"title", "description", "format", "writeOnly", "$schema", "$id", "default"}
"""What of a generated schema binds nobody."""

Schema = dict[str, Any]


def closed(**properties: Schema) -> Schema:
    """Return an object of which nothing else is known."""
    return {"type": "object", "additionalProperties": False, "properties": properties}


def whole(minimum: int = 0, maximum: int = 2**31 - 1) -> Schema:
    """Return a whole number."""
    return {"type": "integer", "minimum": minimum, "maximum": maximum}


def one_of(*values: str) -> Schema:
    """Return one of some words."""
    return {"type": "string", "enum": list(values)}


def text(pattern: str | None = None, *, may_be_empty: bool = True) -> Schema:
    """Return a text; with a pattern, of that form, or empty."""
    if pattern is None:
        return {"type": "string"} if may_be_empty else {"type": "string", "minLength": 1}
    return {"type": "string", "pattern": rf"^({pattern})?$" if may_be_empty else rf"^({pattern})$"}


def many(items: Schema, **more: Any) -> Schema:
    """Return a list."""
    return {"type": "array", "items": items, **more}


def or_nothing(schema: Schema) -> Schema:
    """Return the same, or null."""
    return {**schema, "type": [schema["type"], "null"]}


def named(name: str) -> Schema:
    """Return a definition by reference."""
    return {"$ref": f"#/definitions/{name}"}


_DNS = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
NAME = text(rf"{_DNS}(\.{_DNS})*")
NEEDED_NAME = text(rf"{_DNS}(\.{_DNS})*", may_be_empty=False)
KEY = text(r"[-._a-zA-Z0-9]+")
NEEDED_KEY = text(r"[-._a-zA-Z0-9]+", may_be_empty=False)
TOPIC = text(r"[a-zA-Z0-9._-]{1,249}")
BUCKET = text(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", may_be_empty=False)
URL = text(r"https?://[^\s/]+(/\S*)?")
PATH = text(r"/\S*", may_be_empty=False)
QUANTITY = {"type": ["string", "integer", "number"], "pattern": r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"}
SIZE = text(r"[1-9][0-9]*(\.[0-9]+)?(Ki|Mi|Gi|Ti|k|M|G|T)", may_be_empty=False)
DURATION = text(r"[0-9]+(ms|s|m|h)", may_be_empty=False)
FLAG = {"type": "boolean"}
SECONDS = whole(1, 604_800)
REPLICAS = whole(0, 10_000)
PRIORITY = whole(-(10**9), 10**9)
AS_IT_IS = {"type": "object"}
"""Goes to Kubernetes as it is, and is held to what that knows."""
STRINGS = {"type": "object", "additionalProperties": {"type": "string"}}

IMAGE = closed(
    registry=text(r"[a-zA-Z0-9][a-zA-Z0-9._:/-]*"),
    repository=text(r"[a-z0-9]+([._/-]+[a-z0-9]+)*"),
    tag=text(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"),
    digest=text(r"sha256:[0-9a-f]{64}"),
    pullPolicy=one_of("Always", "IfNotPresent", "Never"),
)
MODELS_IMAGE = {**IMAGE, "properties": {**IMAGE["properties"], "folder": PATH}}
RESOURCES = closed(
    requests={"type": "object", "additionalProperties": QUANTITY},
    limits={"type": "object", "additionalProperties": QUANTITY},
)
POD = closed(
    annotations=STRINGS,
    labels=STRINGS,
    nodeSelector=STRINGS,
    tolerations=many(AS_IT_IS),
    affinity=AS_IT_IS,
    spread=one_of("Soft", "Hard", "None"),
    topologySpreadConstraints=many(AS_IT_IS),
    priorityClassName=NAME,
    runtimeClassName=NAME,
    schedulerName=text(),
    extraEnv=many({"type": "object", "required": ["name"], "properties": {"name": text(may_be_empty=False)}}),
    extraVolumes=many({"type": "object", "required": ["name"]}),
    extraVolumeMounts=many({"type": "object", "required": ["name", "mountPath"]}),
    tmpSize=SIZE,
)
GPU = closed(resourceName=text(r"[a-z0-9.-]+/[A-Za-z0-9._-]+", may_be_empty=False), count=whole(0, 16))
SERVER = {
    "device": one_of("cuda", "cpu"),
    "gpu": GPU,
    "drainSeconds": SECONDS,
    "startupSeconds": SECONDS,
    "terminationGracePeriodSeconds": SECONDS,
    "sharedMemorySize": SIZE,
    "maxUnavailable": whole(1, 1000),
    "maxSurge": whole(0, 1000),
    "resources": named("resources"),
    "pod": named("pod"),
}
POOL = closed(
    mode=one_of("Operator", "External", "Paused"),
    backend=one_of("Triton", "Ray", "External", "InProcess"),
    promiseSeconds=SECONDS,
    consumerGroup=text(r"\S{1,253}"),
    topics=many(
        {
            **closed(
                name={"type": "string", "pattern": "^[a-zA-Z0-9._-]{1,249}$"},
                lane=one_of("Live", "Bulk"),
                promiseSeconds=SECONDS,
                tenants=many(text(may_be_empty=False)),
                keyTemplates=many({"type": "string", "pattern": r"\{call_id\}"}),
            ),
            "required": ["name"],
        },
        maxItems=32,
    ),
    deferredTopic=TOPIC,
    parkedTopic=TOPIC,
    partitions=whole(0, 100_000),
    model=closed(
        name=text(r"\S+"),
        engine=one_of("ctranslate2", "tensorrt_llm"),
        precision=text(r"[a-z0-9_]+", may_be_empty=False),
        language=text(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*"),
        beamSize=whole(1, 16),
    ),
    speech=closed(
        **SERVER,
        minReplicas=REPLICAS,
        maxReplicas=whole(1, 10_000),
        replicas=or_nothing(REPLICAS),
        drainTargetSeconds=SECONDS,
        headroomPercent=whole(-50, 90),
        stabilizationSeconds=whole(0, 86_400),
        coldStartSeconds=whole(0, 86_400),
        capacityAudioSecondsPerMinute=whole(1, 10_000_000),
        maxStep=or_nothing(whole(1, 10_000)),
        instances=whole(1, 64),
        maxBatchWindows=whole(1, 256),
        maxQueuedWindows=whole(1, 100_000),
        threads=whole(0, 256),
    ),
    triton=closed(image=named("image"), extraArgs=many({"type": "string", "pattern": "^--"})),
    ray=closed(
        image=named("image"),
        version={"type": "string", "pattern": r"^2\.[0-9]+\.[0-9]+$"},
        upgradeStrategy=one_of("NewCluster", "None"),
        replicasPerWorker=whole(1, 64),
        ingresses=whole(1, 100),
        idleTimeoutSeconds=SECONDS,
        head=closed(resources=named("resources"), autoscalerResources=named("resources"), pod=named("pod")),
    ),
    external=closed(url=URL, existingSecret=NAME, apiKeyKey=KEY),
    consumers=closed(
        minReplicas=REPLICAS,
        maxReplicas=whole(1, 10_000),
        replicas=or_nothing(REPLICAS),
        stabilizationSeconds=whole(0, 86_400),
        capacityAudioSecondsPerMinute=whole(1, 10_000_000),
        maxOpenCalls=whole(1, 256),
        maxWindowsInFlight=whole(1, 4096),
        drainSeconds=whole(0, 86_400),
        terminationGracePeriodSeconds=SECONDS,
        startupSeconds=SECONDS,
        maxUnavailable=whole(1, 1000),
        resources=named("resources"),
        pod=named("pod"),
    ),
    settings=named("settings"),
)
MONITOR = {"enabled": FLAG, "additionalLabels": STRINGS, "namespace": NAME}
RULES = many(AS_IT_IS)
EGRESS = ("dns", "kafka", "s3", "clickhouse", "telemetry", "kubernetes", "webhooks", "external", "hub")
AUTO = one_of("Auto", "Present", "Absent")
SECRET_NAMES = many(NEEDED_NAME, uniqueItems=True)
SIMPLE = {"resources": named("resources"), "pod": named("pod"), "settings": named("settings")}


def values() -> Schema:
    """Return the schema of all values."""
    found = closed(
        nameOverride=text(_DNS),
        fullnameOverride=text(_DNS),
        # A parent chart's other charts have values of their own here.
        **{"global": {"type": "object", "properties": {"imageRegistry": text(), "imagePullSecrets": SECRET_NAMES}}},
        commonLabels=STRINGS,
        commonAnnotations=STRINGS,
        image=named("image"),
        crds=closed(install=FLAG, keep=FLAG),
        capabilities=closed(aftercall=AUTO, kubeRay=AUTO, prometheusOperator=AUTO),
        kafka=closed(
            bootstrapServers=many({"type": "string", "pattern": r"^[^\s,:]+:[0-9]+$"}),
            securityProtocol=one_of("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
            saslMechanism=one_of("", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"),
            existingSecret=NAME,
            usernameKey=KEY,
            passwordKey=KEY,
            tls=closed(existingSecret=NAME, caKey=KEY, certificateKey=KEY, keyKey=KEY),
            consumerGroup=text(r"\S{1,253}", may_be_empty=False),
            topics=closed(
                **dict.fromkeys(
                    ("transcripts", "deadLetter", "deferred", "parked"),
                    text(r"[a-zA-Z0-9._-]{1,249}", may_be_empty=False),
                )
            ),
        ),
        s3=closed(
            endpoint=URL,
            region=text(may_be_empty=False),
            bucket=text(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"),
            prefix=text(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*"),
            recordingBuckets=many(
                {**closed(name=BUCKET, tenants=many(text(may_be_empty=False))), "required": ["name"]}
            ),
            existingSecret=NAME,
            accessKeyIdKey=KEY,
            secretAccessKeyKey=KEY,
        ),
        clickhouse=closed(
            url=URL,
            database=text(may_be_empty=False),
            username=text(may_be_empty=False),
            existingSecret=NAME,
            passwordKey=KEY,
        ),
        telemetry=closed(
            otlpEndpoint=URL,
            traceRatio={"type": "number", "minimum": 0, "maximum": 1},
            logFormat=one_of("json", "text"),
        ),
        settings=named("settings"),
        trust=closed(existingConfigMap=NAME, existingSecret=NAME, caKey=NEEDED_KEY),
        serviceAccount=closed(annotations=STRINGS),
        podDefaults=named("pod"),
        priorityClasses=closed(create=FLAG, **dict.fromkeys(("speech", "consumers", "control"), PRIORITY)),
        models=closed(
            source=one_of("Claim", "Image", "Baked", "Hub"),
            claim=NAME,
            path=PATH,
            copySize=SIZE,
            image=MODELS_IMAGE,
        ),
        poolDefaults=named("pool"),
        pools={
            "type": "object",
            "propertyNames": {"pattern": "^[a-z]([-a-z0-9]{0,28}[a-z0-9])?$"},
            "additionalProperties": named("pool"),
        },
        tenants=closed(
            source=one_of("Resources", "File", "Any"),
            shards=whole(1, 64),
            resources=many({**closed(name=NEEDED_NAME, spec=_tenant()), "required": ["name"]}),
            list=many(named("settings.TenantPolicy")),
            existingConfigMap=NAME,
            twilioSecrets=SECRET_NAMES,
        ),
        operator=closed(
            enabled=FLAG,
            grantLeaseSeconds=whole(60, 86_400),
            admissionPolicy=FLAG,
            tls=closed(existingSecret=NAME),
            **SIMPLE,
        ),
        api=closed(
            enabled=FLAG,
            replicas=whole(1, 1000),
            pool=NAME,
            existingSecret=NAME,
            keysKey=KEY,
            publicUrl=URL,
            uploadsBucket=text(),
            service=closed(
                type=one_of("ClusterIP", "NodePort", "LoadBalancer"), port=whole(1, 65_535), annotations=STRINGS
            ),
            ingress=closed(enabled=FLAG, className=NAME, host=NAME, tlsSecret=NAME, annotations=STRINGS),
            maxUnavailable=whole(1, 1000),
            terminationGracePeriodSeconds=SECONDS,
            **SIMPLE,
        ),
        relay=closed(
            enabled=FLAG,
            replicas=whole(1, 1000),
            webhooks=closed(apiUrl=URL, secrets=SECRET_NAMES),
            maxUnavailable=whole(1, 1000),
            terminationGracePeriodSeconds=SECONDS,
            **SIMPLE,
        ),
        diarization=closed(
            enabled=FLAG, pipeline=text(r"\S+"), replicas=whole(1, 1000), image=named("image"), **SERVER
        ),
        networkPolicy=closed(
            enabled=FLAG,
            monitoringNamespace=STRINGS,
            kubeRayNamespace=STRINGS,
            apiFrom=RULES,
            speechFrom=RULES,
            egress=closed(**dict.fromkeys(EGRESS, RULES)),
        ),
        monitoring=closed(
            runbookUrl=text(may_be_empty=False),
            podMonitors=closed(**MONITOR, interval=DURATION),
            rules=closed(**MONITOR),
            dashboards=closed(
                **MONITOR,
                label=text(may_be_empty=False),
                labelValue=text(),
                folderAnnotation=text(may_be_empty=False),
                folder=text(),
            ),
        ),
        tests=closed(
            enabled=FLAG,
            tenant=NEEDED_NAME,
            pool=NAME,
            timeoutSeconds=SECONDS,
            resources=named("resources"),
            pod=named("pod"),
        ),
        setup=closed(enabled=FLAG, partitions=whole(1, 10_000), replication=whole(1, 100), buckets=FLAG),
        dev=closed(
            kafka=closed(enabled=FLAG, image=named("image"), resources=named("resources")),
            s3=closed(
                enabled=FLAG,
                image=named("image"),
                size=SIZE,
                accessKeyId=text(may_be_empty=False),
                secretAccessKey=text(may_be_empty=False),
                resources=named("resources"),
            ),
            clickhouse=closed(
                enabled=FLAG,
                image=named("image"),
                size=SIZE,
                password=text(may_be_empty=False),
                resources=named("resources"),
            ),
            apiKeys=STRINGS,
        ),
    )
    definitions = {"image": IMAGE, "resources": RESOURCES, "pod": POD, "pool": POOL, **_settings()}
    return {"$schema": "http://json-schema.org/draft-07/schema#", **found, "definitions": definitions}


def _settings() -> Schema:
    """Return the settings' own schema, by section, without secrets and tenants, which have values of their own."""
    whole_schema = json.loads(SETTINGS.read_text())
    found = {f"settings.{name}": _plain(each) for name, each in whole_schema["$defs"].items()}
    sections = {name: _plain(each) for name, each in whole_schema["properties"].items() if name != "tenants"}
    return {"settings": closed(**sections), **found}


def _plain(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_plain(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return named(f"settings.{schema['$ref'].rpartition('/')[2]}")
    found = {
        name: each if name in {"enum", "required"} else _plain(each)
        for name, each in schema.items()
        if name not in _SPOKEN
    }
    if "properties" in schema:
        members = schema["properties"].items()
        found["properties"] = {name: _plain(each) for name, each in members if not _is_secret(each)}
    return found


def _is_secret(schema: Any) -> bool:
    return '"writeOnly": true' in json.dumps(schema)


def _tenant() -> Schema:
    """Return what a Tenant's specification is, as its CRD says, but that nothing unknown is passed over."""
    definition = crds.definitions().get("tenants")
    if definition is None:
        return AS_IT_IS
    spec = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return _closed(spec)


def _closed(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return schema
    found = {
        name: each for name, each in schema.items() if name not in _SPOKEN and not name.startswith("x-kubernetes-")
    }
    if "properties" in found:
        refused = {name for name, each in found["properties"].items() if "Refused: " in each.get("description", "")}
        found["properties"] = {name: _closed(each) for name, each in found["properties"].items() if name not in refused}
        found["additionalProperties"] = False
    if "items" in found:
        found["items"] = _closed(found["items"])
    return found


def main() -> None:
    """Write the file, or say that it is stale."""
    wanted = json.dumps(values(), indent=1, ensure_ascii=False) + "\n"
    if "--check" in sys.argv[1:]:
        if not TARGET.exists() or wanted != TARGET.read_text(encoding="utf-8"):
            sys.exit(f"{TARGET.relative_to(ROOT)} is stale; run python scripts/chart_schema.py")
        return
    TARGET.write_text(wanted, encoding="utf-8")


if __name__ == "__main__":
    main()
