"""What the chart renders of every sample: safe pods, settings that load, no number that is the operator's."""

from __future__ import annotations

import copy
import math
import pathlib
import re
import shutil
import subprocess
import typing

import pytest
import typer
import yaml
from peers import helm, kubescore, owners

from aftercall.cli import main
from aftercall.contracts import pools, settings, tenancy
from aftercall.operator import rivals

from . import conftest

SAMPLES = pytest.mark.parametrize("sample", conftest.SAMPLES, ids=lambda path: path.name)
DEV, L4, MIG, AIRGAP, RAY, EXTERNAL = conftest.SAMPLES
DIARIZATION = {"enabled": True, "pipeline": "/models/pyannote"}
JUSTIFIED = {
    # Images are named by version or digest; to pull gigabytes anew for each pod would be slow, and fails while the
    # registry is away.
    "container-image-pull-policy",
    # A limit of CPU throttles between two batches; memory is limited everywhere.
    "container-resources",
    # Scratch space has its limit on the volume itself.
    "container-ephemeral-storage-request-and-limit",
    # Triton's image says 1000, and those of Kafka and ClickHouse for trials have users of their own.
    "container-security-context-user-group-id",
    # Off by default: where the network enforces none they would seem to hold.
    "pod-networkpolicy",
    # The API and the servers for trials are ready as soon as they live.
    "pod-probes-identical",
    # KubeRay makes the pods that these select.
    "networkpolicy-targets-pod",
    "service-targets-pod",
}


@pytest.mark.timeout(120)
@SAMPLES
def test_lint_is_clean_in_helm_3_and_4(any_helm: helm.Helm, sample: pathlib.Path) -> None:
    """Warnings are failures."""
    done = any_helm.run("lint", "--strict", str(conftest.CHART), f"--values={sample}", *conftest.OFFLINE)

    assert "0 chart(s) failed" in done.stdout
    assert "[WARNING]" not in done.stdout


@SAMPLES
def test_helm_3_and_4_render_the_same(any_helm: helm.Helm, render: conftest.Render, sample: pathlib.Path) -> None:
    """So an upgrade of Helm changes nothing."""
    done = any_helm.run(
        "template", "calls", str(conftest.CHART), "--namespace=calls", f"--values={sample}", *conftest.OFFLINE
    )

    def named(objects: typing.Iterable[dict[str, typing.Any]]) -> dict[tuple[str, str, str], dict[str, typing.Any]]:
        return {
            (one["kind"], one["metadata"]["name"], one["metadata"].get("annotations", {}).get("helm.sh/hook", "")): one
            for one in objects
        }

    assert named(render(sample)) == named(one for one in yaml.safe_load_all(done.stdout) if one)


@SAMPLES
def test_pods_keep_to_the_restricted_standard(render: conftest.Render, sample: pathlib.Path) -> None:
    """And beyond: a read-only root, limits of memory, scratch space with an end, no token unless it is needed."""
    pods = conftest.pods_of(render(sample))
    assert pods
    for name, spec in pods:
        security = spec["securityContext"]
        assert security["runAsNonRoot"], name
        assert security["runAsUser"] >= 100, name
        assert {"type": "RuntimeDefault"} == security["seccompProfile"], name
        assert any(part in name for part in ("operator", "head", "kinds")) == spec["automountServiceAccountToken"], name
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            inside = container["securityContext"]
            assert {"drop": ["ALL"]} == inside["capabilities"], name
            assert (False, True) == (inside["allowPrivilegeEscalation"], inside["readOnlyRootFilesystem"]), name
            assert {"cpu", "memory"} <= set(container["resources"]["requests"]), name
            assert "memory" in container["resources"]["limits"], name
            names = [one["name"] for one in container.get("env", [])]
            assert len(set(names)) == len(names), name
        for volume in spec["volumes"]:
            kinds = set(volume) - {"name"}
            assert kinds <= {"configMap", "secret", "projected", "emptyDir", "persistentVolumeClaim"}, name
            if "emptyDir" in volume:
                assert "sizeLimit" in volume["emptyDir"], f"{name} {volume['name']}"
        mounted = {one["name"] for each in spec["containers"] for one in each["volumeMounts"]}
        there = {volume["name"] for volume in spec["volumes"]}
        assert mounted <= there, name


@SAMPLES
def test_numbers_of_the_operator_are_not_the_charts(render: conftest.Render, sample: pathlib.Path) -> None:
    """No `replicas` for consumers and speech; for all else there are some."""
    objects = render(sample)
    for name, one in conftest.every("Deployment")(objects).items():
        component = one["metadata"]["labels"]["app.kubernetes.io/component"]
        assert (component in {"consumers", "speech"}) == ("replicas" not in one["spec"]), name
    for one in conftest.every("RayService")(objects).values():
        workers = one["spec"]["rayClusterConfig"]["workerGroupSpecs"]
        assert all("replicas" not in group for group in workers)


@SAMPLES
def test_consumers_are_never_more_than_their_number(render: conftest.Render, sample: pathlib.Path) -> None:
    """Floors of limits are set aside for each: a surge would exceed them. The operator is replaced, never doubled."""
    deployments = conftest.every("Deployment")(render(sample))
    consumers = [one["spec"]["strategy"] for name, one in deployments.items() if name.endswith("-consumers")]

    assert consumers
    assert {0} == {one["rollingUpdate"]["maxSurge"] for one in consumers}
    operator = deployments.get("calls-aftercall-operator")
    assert operator is not None
    assert (1, "Recreate") == (operator["spec"]["replicas"], operator["spec"]["strategy"]["type"])


@SAMPLES
def test_disruption_budgets_block_no_drain(render: conftest.Render, sample: pathlib.Path) -> None:
    """Only `maxUnavailable`, and each finds its pods."""
    objects = render(sample)
    labels = [one["spec"]["template"]["metadata"]["labels"] for one in conftest.every("Deployment")(objects).values()]
    budgets = conftest.every("PodDisruptionBudget")(objects)
    assert budgets
    for name, one in budgets.items():
        assert one["spec"]["maxUnavailable"] >= 1
        assert "minAvailable" not in one["spec"]
        wanted = one["spec"]["selector"]["matchLabels"].items()
        assert 1 == sum(wanted <= found.items() for found in labels), name


@SAMPLES
def test_settings_load(render: conftest.Render, sample: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Every rendered file is read by what reads it in a pod, with the environment and the Secrets of that pod."""
    objects = render(sample)
    maps = conftest.every("ConfigMap")(objects)
    read = set()
    for name, spec in conftest.pods_of(objects):
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            env = {one["name"]: one for one in container.get("env", [])}
            if "AFTERCALL_SETTINGS_FILE" not in env:
                continue
            volume = next(one for one in spec["volumes"] if one["name"] == "settings")
            text = maps[volume["configMap"]["name"]]["data"]["settings.yaml"]
            secrets = tmp_path / str(len(read))
            for mount in container["volumeMounts"]:
                if mount["mountPath"].startswith("/var/run/secrets/aftercall/"):
                    _fill(secrets, mount, spec["volumes"])
            file = secrets / "settings.yaml"
            secrets.mkdir(exist_ok=True)
            file.write_text(text.replace("/var/run/secrets/aftercall", str(secrets)))
            given = {key: _value(one) for key, one in env.items() if key.startswith("AFTERCALL_")}
            loaded = settings.load(given, file=file)
            component = name.removeprefix("Deployment calls-aftercall-")
            if component == "api":
                assert loaded.api.keys
            if component.endswith("-consumers"):
                assert loaded.kafka.drain_s + 5 <= spec["terminationGracePeriodSeconds"]
                assert loaded.reporting.pool == component.removesuffix("-consumers")
            read.add(name)
    assert len(read) >= 3


def _fill(secrets: pathlib.Path, mount: dict[str, typing.Any], volumes: list[dict[str, typing.Any]]) -> None:
    """Write what a kubelet would: the keys that the volume names."""
    folder = secrets / mount["mountPath"].removeprefix("/var/run/secrets/aftercall/")
    folder.mkdir(parents=True, exist_ok=True)
    volume = next(one for one in volumes if one["name"] == mount["name"])
    names = [item["path"] for item in volume.get("secret", {}).get("items", [])] or ["token", "ca.crt", "tls.crt"]
    for name in names:
        (folder / name).write_text("told")


def _value(one: dict[str, typing.Any]) -> str:
    if one["name"] == "AFTERCALL_API__KEYS":
        return "{acme: s3cret}"
    return str(one.get("value", "told"))


@SAMPLES
def test_commands_of_containers_are_commands(render: conftest.Render, sample: pathlib.Path) -> None:
    """With the options that they take: consumers, relay, API, operator, the setup, the test, Triton's repository."""
    command = typing.cast(typing.Any, typer.main.get_command(main.app))
    seen = set()
    for _, spec in conftest.pods_of(render(sample)):
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            if "command" in container or not container["image"].rpartition("/")[2].startswith("aftercall:"):
                continue
            at, rest = command, [str(one) for one in container["args"]]
            context = None
            while hasattr(at, "resolve_command"):
                context = at.make_context("aftercall", rest, parent=context, resilient_parsing=False)
                _, at, rest = at.resolve_command(context, [*context._protected_args, *context.args])
            at.make_context(at.name, rest, parent=context)
            seen.add(container["args"][0])
    if "airgap" not in sample.name:
        assert {"check", "consume", "operator"} <= seen


@SAMPLES
def test_custom_resources_are_taken_by_the_operators_models(render: conftest.Render, sample: pathlib.Path) -> None:
    """Pools and tenants, with every reference leading to an object that the chart makes."""
    objects = render(sample)
    deployments = set(conftest.every("Deployment")(objects))
    found = conftest.every("TranscriptionPool")(objects)
    assert found
    for one in found.values():
        pool = pools.TranscriptionPool.model_validate(one["spec"])
        assert pool.consumers.deployment in deployments
        if pool.backend.deployment is not None:
            assert pool.backend.deployment.name in deployments
        if pool.backend.ray_serve is not None:
            service = pool.backend.ray_serve.service.removesuffix("-head-svc")
            assert service in conftest.every("RayService")(objects)
    for one in conftest.every("Tenant")(objects).values():
        tenancy.Tenant.model_validate(one["spec"])


@SAMPLES
def test_no_pool_is_in_anothers_way(render: conftest.Render, sample: pathlib.Path) -> None:
    """The operator refuses none of a release's pools, whose objects are all of one second."""
    found = conftest.every("TranscriptionPool")(render(sample))
    specs = {name: pools.TranscriptionPool.model_validate(one["spec"]) for name, one in found.items()}

    assert {} == rivals.settle(rivals.Claim(name, "2026-01-01", spec) for name, spec in specs.items())


@SAMPLES
def test_the_operator_counts_what_consumers_put_aside(render: conftest.Render, sample: pathlib.Path) -> None:
    """A pool's object names the deferred topic that its consumers write, whatever that is called."""
    objects = render(sample, values={"kafka": {"topics": {"deferred": "over.share"}}})
    maps = conftest.every("ConfigMap")(objects)

    def told(name: str) -> str:
        settings_of = yaml.safe_load(maps[f"calls-aftercall-{name}"]["data"]["settings.yaml"])
        return str(settings_of["kafka"]["deferred_topic"])

    found = conftest.every("TranscriptionPool")(objects)
    assert {name: told(f"{name}-consumers") for name in found} == {
        name: one["spec"]["deferredTopic"] for name, one in found.items()
    }
    assert "over.share" in {one["spec"]["deferredTopic"] for one in found.values()}
    assert "over.share" == told("operator")


def test_ray_serve_is_scaled_from_outside(render: conftest.Render) -> None:
    """Its external scaler is on, pods follow by its own autoscaler, and workers hold what replicas need."""
    (service,) = conftest.every("RayService")(render(RAY)).values()
    serve = yaml.safe_load(service["spec"]["serveConfigV2"])
    cluster = service["spec"]["rayClusterConfig"]
    (workers,) = cluster["workerGroupSpecs"]
    told = yaml.safe_load(
        conftest.every("ConfigMap")(render(RAY))["calls-aftercall-main-speech"]["data"]["settings.yaml"]
    )

    assert [True] == [one["external_scaler_enabled"] for one in serve["applications"]]
    assert cluster["enableInTreeAutoscaling"]
    assert (1, 8, "1", "2") == (
        workers["minReplicas"],
        workers["maxReplicas"],
        workers["rayStartParams"]["num-gpus"],
        workers["rayStartParams"]["num-cpus"],
    )
    assert (0.5, 2) == (told["serving"]["gpus"], told["serving"]["replicas"])
    assert "0" == cluster["headGroupSpec"]["rayStartParams"]["num-cpus"]


@pytest.mark.parametrize(("least", "begun"), [(0, 1), (3, 3)])
def test_ray_serve_begins_with_a_replica_at_least(render: conftest.Render, least: int, begun: int) -> None:
    """It deploys nothing with none; a pool that may sleep is taken to none by the operator."""
    objects = render(RAY, values={"pools": {"main": {"speech": {"minReplicas": least}}}})
    (service,) = conftest.every("RayService")(objects).values()
    (workers,) = service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    told = yaml.safe_load(conftest.every("ConfigMap")(objects)["calls-aftercall-main-speech"]["data"]["settings.yaml"])

    assert begun == told["serving"]["replicas"]
    assert math.ceil(least / 2) == workers["minReplicas"]


def test_without_an_operator_ray_has_the_charts_number(render: conftest.Render) -> None:
    """More than `maxReplicas`, too, which is the operator's; a change reaches the running cluster."""
    values = {
        "operator": {"enabled": False},
        "tenants": {"source": "Any", "resources": []},
        "pools": {"main": {"speech": {"replicas": 20}, "consumers": {"replicas": 5}}},
    }
    (service,) = conftest.every("RayService")(render(RAY, values=values)).values()
    (workers,) = service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    (told,) = yaml.safe_load(service["spec"]["serveConfigV2"])["applications"]

    assert [{"name": "speech", "num_replicas": 20}] == told["deployments"]
    assert (0, 10) == (workers["minReplicas"], workers["maxReplicas"])
    values["pools"]["main"]["speech"]["replicas"] = 3
    (service,) = conftest.every("RayService")(render(RAY, values=values)).values()
    (workers,) = service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    assert (0, 8) == (workers["minReplicas"], workers["maxReplicas"])
    assert "external_scaler_enabled" not in told


@pytest.mark.parametrize("sample", [AIRGAP, RAY], ids=lambda one: one.name)
def test_models_of_an_image_are_copied_to_where_they_are_read(
    render: conftest.Render, sample: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """By `cp` in a container in which the image's own folder is not hidden."""
    values = {"models": {"source": "Image", "claim": "", "image": {"repository": "models", "digest": ""}}}
    objects = render(sample, values=values)
    copying = [(spec, one) for _, spec in conftest.pods_of(objects) for one in spec.get("initContainers", [])]
    copying = [(spec, one) for spec, one in copying if one["name"] == "models"]
    assert copying

    for spec, container in copying:
        (mount,) = container["volumeMounts"]
        *command, source, target = container["command"]
        folder = pathlib.PurePath(source)
        assert target == mount["mountPath"]
        assert not folder.is_relative_to(target)
        assert not pathlib.PurePath(target).is_relative_to(folder)
        read = [each for each in spec["containers"][0]["volumeMounts"] if each["name"] == mount["name"]]
        assert ["/models"] == [each["mountPath"] for each in read]
        # What the command does, in a root of its own.
        for name in ("image", "volume"):
            shutil.rmtree(tmp_path / name, ignore_errors=True)
            (tmp_path / name).mkdir()
        (tmp_path / "image" / "whisper").write_text("weights")
        subprocess.run(
            [*command, f"{tmp_path}/image{source.removeprefix(str(folder))}", tmp_path / "volume"], check=True
        )
        assert "weights" == (tmp_path / "volume" / "whisper").read_text()


def test_the_operator_reads_no_recordings(render: conftest.Render) -> None:
    """So it has neither address nor login of S3, and does not begin anew when those change."""
    objects = render(AIRGAP)
    told = yaml.safe_load(conftest.every("ConfigMap")(objects)["calls-aftercall-operator"]["data"]["settings.yaml"])
    pods = {name: yaml.safe_dump(spec) for name, spec in conftest.pods_of(objects)}

    assert "store" not in told
    assert "calls-s3" not in pods["Deployment calls-aftercall-operator"]
    assert "calls-s3" in pods["Deployment calls-aftercall-main-consumers"]


def test_a_key_of_a_server_elsewhere_is_mounted_where_it_is_asked(render: conftest.Render) -> None:
    """Not into consumers of another backend, which would wait for a Secret that nobody needs."""
    values = {"poolDefaults": {"external": {"existingSecret": "calls-stt"}}}
    told = {
        sample: "calls-stt" in yaml.safe_dump(dict(conftest.pods_of(render(sample, values=values))))
        for sample in (L4, EXTERNAL)
    }

    assert {L4: False, EXTERNAL: True} == told


def test_mig_partitions_are_asked_for_by_name(render: conftest.Render) -> None:
    """By speech and diarization; consumers ask for none."""
    asked = {
        name: [key for key in spec["containers"][0]["resources"]["limits"] if key.startswith("nvidia.com/")]
        for name, spec in conftest.pods_of(render(MIG))
    }

    assert ["nvidia.com/mig-1g.6gb"] == asked["Deployment calls-aftercall-live-speech"]
    assert ["nvidia.com/mig-2g.12gb"] == asked["Deployment calls-aftercall-diarization"]
    assert [] == asked["Deployment calls-aftercall-live-consumers"]


def test_an_air_gap_names_one_registry_and_digests(render: conftest.Render) -> None:
    """Every image of every pod."""
    for name, spec in conftest.pods_of(render(AIRGAP)):
        assert [{"name": "registry-internal"}] == spec["imagePullSecrets"], name
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            assert container["image"].startswith("registry.internal:5000/aftercall/"), name
            assert "@sha256:" in container["image"], name
    assert {} == conftest.every("CustomResourceDefinition")(render(AIRGAP))


def test_only_those_who_must_reach_what_they_must(render: conftest.Render) -> None:
    """Speech: consumers of the pool. The Ray dashboard: our operator, and KubeRay's. Reports: consumers."""
    policies = conftest.every("NetworkPolicy")(render(RAY))
    triton = conftest.every("NetworkPolicy")(render(AIRGAP, values={"diarization": DIARIZATION}))

    def who(name: str, port: int | str, policies: dict[str, dict[str, typing.Any]] = policies) -> set[str]:
        rules = [
            rule
            for rule in policies[name]["spec"]["ingress"]
            if port in [each["port"] for each in rule.get("ports", [])]
        ]
        found = set()
        for peer in (each for rule in rules for each in rule["from"]):
            labels = peer.get("podSelector", peer.get("namespaceSelector"))["matchLabels"]
            found.add(labels.get("app.kubernetes.io/component") or labels["kubernetes.io/metadata.name"])
        return found

    assert {"consumers", "kuberay-operator"} == who("calls-aftercall-main-speech", 8000)
    shadowing = {"podSelector": {"matchLabels": {"app.kubernetes.io/component": "shadowing"}}}
    for sample in (RAY, AIRGAP):
        opened = render(sample, values={"networkPolicy": {"speechFrom": [shadowing]}})
        speech = next(name for name in conftest.every("NetworkPolicy")(opened) if name.endswith("-speech"))
        assert "shadowing" in who(speech, 8000, conftest.every("NetworkPolicy")(opened))
    assert {"operator", "kuberay-operator"} == who("calls-aftercall-main-speech-head", 8265)
    assert {"consumers"} == who("calls-aftercall-operator", "reports")
    assert {"monitoring"} == who("calls-aftercall-operator", "metrics")
    assert {"monitoring"} == who("calls-aftercall-api", "metrics")
    assert {"monitoring"} == who("calls-aftercall-main-speech", "metrics", triton)
    for port in (8000, 8001):
        assert {"consumers"} == who("calls-aftercall-main-speech", port, triton)
    assert ({"consumers"}, set()) == tuple(who("calls-aftercall-diarization", port, triton) for port in (8001, 8000))
    for name in ("main-speech", "diarization"):
        assert all("from" in rule and "ports" in rule for rule in triton[f"calls-aftercall-{name}"]["spec"]["ingress"])
    (within,) = [r for r in policies["calls-aftercall-main-speech-head"]["spec"]["ingress"] if "ports" not in r]
    assert {"speech", "ray-head"} == {
        one["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for one in within["from"]
    }
    objects = render(RAY, values={"setup": {"enabled": True}})
    selected = [one["spec"]["podSelector"]["matchLabels"] for one in conftest.every("NetworkPolicy")(objects).values()]
    for one in objects:
        template = one.get("spec", {}).get("template", {}).get("metadata", {}).get("labels")
        labels = one["metadata"]["labels"] if one["kind"] == "Pod" else template
        if labels:
            assert any(each.items() <= labels.items() for each in selected), one["metadata"]["name"]
    kinds = conftest.every("NetworkPolicy")(objects)["calls-aftercall-kinds"]["spec"]
    assert ([], [443]) == (kinds["ingress"], [each["port"] for rule in kinds["egress"] for each in rule["ports"]][:1])


def test_monitoring_is_selected_and_labelled(render: conftest.Render) -> None:
    """By the platform's own labels; pods' pool and component become labels of what they tell."""
    objects = render(L4)
    monitors = conftest.every("PodMonitor")(objects)

    assert {"api", "consumers", "operator", "relay", "speech"} == {
        name.removeprefix("calls-aftercall-") for name in monitors
    }
    for one in monitors.values():
        assert "prometheus" == one["metadata"]["labels"]["release"]
        (endpoint,) = one["spec"]["podMetricsEndpoints"]
        assert {"pool", "component"} == {rule["targetLabel"] for rule in endpoint["relabelings"]}
    for name in (path.stem for path in (conftest.CHART / "files" / "rules").glob("*.yaml")):
        rule = conftest.every("PrometheusRule")(objects)[f"calls-aftercall-{name}"]
        assert rule["spec"]["groups"]
    for path in (conftest.CHART / "files" / "dashboards").glob("*.json"):
        board = conftest.every("ConfigMap")(objects)[f"calls-aftercall-dashboard-{path.stem}"]
        assert "1" == board["metadata"]["labels"]["grafana_dashboard"]
        linked = path.read_text().replace("__RUNBOOKS__", "docs/runbooks")
        assert linked.rstrip() == board["data"][path.name].rstrip()
        assert len(board["data"][path.name]) < 2**20


@pytest.mark.timeout(3600)
def test_kinds_of_others_are_as_their_operators_know_them(render: conftest.Render) -> None:
    """Of every sample; a field that KubeRay does not have, and a cluster that it refuses, would be noticed."""
    monitoring = {"monitoring": {"podMonitors": {"enabled": True}, "rules": {"enabled": True}}}
    found = {
        sample.name: [one for one in render(sample, values=monitoring) if one["kind"] in owners.KINDS]
        for sample in conftest.SAMPLES
    }

    assert {name: [] for name in found} == {name: owners.refusals(objects) for name, objects in found.items()}
    assert set(owners.KINDS) == {one["kind"] for objects in found.values() for one in objects}
    (ray,) = (one for one in found["05-ray.values.yaml"] if one["kind"] == "RayService")
    misspelt, headless = copy.deepcopy(ray), copy.deepcopy(ray)
    misspelt["spec"]["rayClusterConfig"]["headGroupSpecs"] = {}
    headless["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]["spec"]["containers"] = []
    said = [refusal.why for refusal in owners.refusals([misspelt, headless])]
    assert 2 == len(said)
    assert 'unknown field "headGroupSpecs"' in said[0]


def test_alerts_and_boards_lead_to_the_runbooks_of_the_platform(render: conftest.Render) -> None:
    """Wherever it serves them; nothing keeps the place of their address."""
    objects = render(L4, values={"monitoring": {"runbookUrl": "https://wiki.example.com/aftercall/"}})

    rules = [rule for one in conftest.every("PrometheusRule")(objects).values() for rule in one["spec"]["groups"]]
    urls = {rule["annotations"]["runbook_url"] for group in rules for rule in group["rules"] if "alert" in rule}
    assert urls
    assert all(url.startswith("https://wiki.example.com/aftercall/aftercall-") for url in urls)
    assert "__RUNBOOKS__" not in str(objects)


ALL = {"api", "main-consumers", "operator", "relay"}


def _said(value: object) -> str:
    """Return a test's name of a value, the same in every process."""
    return str(sorted(value)) if isinstance(value, set) else str(value)


@pytest.mark.parametrize(
    ("values", "components"),
    [
        ({"operator": {"grantLeaseSeconds": 1234}}, {"operator"}),
        ({"relay": {"settings": {"webhooks": {"timeout_s": 5}}}}, {"relay"}),
        ({"api": {"publicUrl": "https://other.example.com"}}, {"api"}),
        ({"clickhouse": {"database": "calls"}}, {"relay"}),
        ({"pools": {"main": {"consumers": {"maxOpenCalls": 3}}}}, {"main-consumers"}),
        ({"pools": {"main": {"model": {"beamSize": 5}}}}, {"main-consumers"}),
        ({"pools": {"main": {"speech": {"maxBatchWindows": 3}}}}, {"main-speech"}),
        ({"pools": {"main": {"speech": {"maxReplicas": 3}, "consumers": {"maxReplicas": 3}}}}, set()),
        ({"pools": {"main": {"deferredTopic": "later"}}}, {"main-consumers", "api"}),
        ({"kafka": {"topics": {"deferred": "later"}}}, {"main-consumers", "api", "operator"}),
        ({"telemetry": {"traceRatio": 0.5}}, ALL),
        ({"s3": {"prefix": "calls"}}, ALL - {"operator"}),
        ({"tenants": {"resources": []}}, set()),
        ({"commonAnnotations": {"team": "calls"}}, set()),
    ],
    ids=_said,
)
def test_what_changes_restarts_whom_it_concerns(
    render: conftest.Render, values: conftest.Values, components: set[str]
) -> None:
    """The checksum of the relay's settings is the relay's alone, and a pool's is the pool's."""
    plain, changed = checksums(render(L4)), checksums(render(L4, values=values))

    assert components == {name for name in plain if plain[name] != changed[name]}


@SAMPLES
def test_one_changed_value_restarts_one_component(render: conftest.Render, sample: pathlib.Path) -> None:
    """In every sample."""
    plain = checksums(render(sample))
    changed = checksums(render(sample, values={"operator": {"grantLeaseSeconds": 1234}}))

    assert {"operator"} == {name for name in plain if plain[name] != changed[name]}


def checksums(objects: list[dict[str, typing.Any]]) -> dict[str, str]:
    """Return the checksum of each component's settings."""
    return {
        name.removeprefix("calls-aftercall-"): one["spec"]["template"]["metadata"]["annotations"]["checksum/settings"]
        for name, one in conftest.every("Deployment")(objects).items()
        if "dev-" not in name
    }


@pytest.mark.parametrize(
    ("speech", "is_new"),
    [
        ({"minReplicas": 4, "maxReplicas": 20}, False),
        ({"drainTargetSeconds": 90, "capacityAudioSecondsPerMinute": 7000}, False),
        ({"maxBatchWindows": 8}, True),
        ({"gpu": {"count": 2}}, True),
    ],
    ids=str,
)
def test_how_many_replicas_there_are_makes_no_new_ray_cluster(
    render: conftest.Render, speech: dict[str, object], is_new: bool
) -> None:
    """KubeRay makes one of what it compares, which is all but the numbers of workers."""

    def compared(objects: list[dict[str, typing.Any]]) -> dict[str, typing.Any]:
        (service,) = conftest.every("RayService")(objects).values()
        cluster = copy.deepcopy(service["spec"]["rayClusterConfig"])
        for group in cluster["workerGroupSpecs"]:
            for number in ("replicas", "minReplicas", "maxReplicas"):
                group.pop(number, None)
        return {"cluster": cluster, "serve": service["spec"]["serveConfigV2"]}

    changed = render(RAY, values={"pools": {"main": {"speech": speech}}})

    assert is_new == (compared(render(RAY)) != compared(changed))
    told = yaml.safe_load(conftest.every("ConfigMap")(changed)["calls-aftercall-main-speech"]["data"]["settings.yaml"])
    assert speech.get("minReplicas", 2) == told["serving"]["replicas"]


@SAMPLES
def test_a_linter_finds_nothing_but_what_is_justified(render: conftest.Render, sample: pathlib.Path) -> None:
    """Every exception of kube-score stands here, with its reason."""
    known = {"CustomResourceDefinition", "RayService", "PodMonitor", "PrometheusRule", "TranscriptionPool", "Tenant"}
    manifests = yaml.safe_dump_all([one for one in render(sample) if one["kind"] not in known])

    assert [] == kubescore.score(manifests, ignore=sorted(JUSTIFIED))


def test_without_an_operator_numbers_are_the_charts(render: conftest.Render) -> None:
    """Then every Deployment has them, nobody reports, and there is neither pool nor RBAC."""
    values = {
        "operator": {"enabled": False},
        "tenants": {"source": "Any", "resources": []},
        "pools": {"main": {"speech": {"replicas": 3}, "consumers": {"replicas": 5}}},
    }
    objects = render(L4, values=values)
    replicas = {name: one["spec"]["replicas"] for name, one in conftest.every("Deployment")(objects).items()}

    assert (3, 5) == (replicas["calls-aftercall-main-speech"], replicas["calls-aftercall-main-consumers"])
    assert {} == conftest.every("TranscriptionPool")(objects) | conftest.every("Role")(objects)
    told = conftest.every("ConfigMap")(objects)["calls-aftercall-main-consumers"]["data"]["settings.yaml"]
    assert "reporting" not in yaml.safe_load(told)


def test_zero_false_and_nothing_are_values(render: conftest.Render) -> None:
    """A pool's 0 beats the default's 1, an empty text the default's text."""
    values = {
        "poolDefaults": {"consumers": {"minReplicas": 2}, "settings": {"recording": {"from_web": True}}},
        "pools": {"main": {"consumers": {"minReplicas": 0}, "settings": {"recording": {"from_web": False}}}},
    }
    objects = render(EXTERNAL, values=values)
    (pool,) = conftest.every("TranscriptionPool")(objects).values()
    told = conftest.every("ConfigMap")(objects)["calls-aftercall-main-consumers"]["data"]["settings.yaml"]

    assert 0 == pool["spec"]["consumers"]["minReplicas"]
    assert yaml.safe_load(told)["recording"] == {"from_web": False}


def test_settings_over_settings(render: conftest.Render) -> None:
    """A component's own beat everybody's, and those beat the chart's."""
    values = {
        "settings": {"store": {"claim_lease_s": 33}, "telemetry": {"log_format": "text"}},
        "relay": {"settings": {"telemetry": {"log_format": "json"}}},
    }
    maps = conftest.every("ConfigMap")(render(L4, values=values))
    relay = yaml.safe_load(maps["calls-aftercall-relay"]["data"]["settings.yaml"])
    consumers = yaml.safe_load(maps["calls-aftercall-main-consumers"]["data"]["settings.yaml"])

    assert ("json", "text") == (relay["telemetry"]["log_format"], consumers["telemetry"]["log_format"])
    assert {33} == {one["store"]["claim_lease_s"] for one in (relay, consumers)}


def test_values_of_the_documentation_work(render: conftest.Render) -> None:
    """The least that works, as docs/kubernetes.md says it."""
    page = (conftest.CHART.parents[1] / "docs" / "kubernetes.md").read_text()
    (block,) = [one for one in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "pools:" in one]

    assert {"main"} == set(conftest.every("TranscriptionPool")(render(values=yaml.safe_load(block))))


def test_missing_topics_and_buckets_are_made_where_that_is_asked_for(render: conftest.Render) -> None:
    """By a Job of each pool, with as many partitions as it says, or as `setup` says where it does not."""

    def made(**setup: object) -> dict[str, list[list[str]]]:
        found = conftest.every("Job")(render(MIG, values={"setup": setup}))
        specs = {name.rpartition("-")[0]: job["spec"]["template"]["spec"] for name, job in found.items()}
        return {
            name: [one["args"] for one in (*spec.get("initContainers", ()), *spec["containers"])]
            for name, spec in specs.items()
            if name.endswith("-setup")
        }

    def topics(partitions: int, replication: int) -> list[str]:
        return ["topics", "--create", "--replication", str(replication), "--partitions", str(partitions)]

    assert {} == made()
    buckets = ["buckets", "--create"]
    assert {
        "calls-aftercall-live-setup": [buckets, topics(12, 3)],
        "calls-aftercall-bulk-setup": [buckets, topics(24, 3)],
    } == made(enabled=True)
    assert {
        "calls-aftercall-live-setup": [topics(12, 2)],
        "calls-aftercall-bulk-setup": [topics(48, 2)],
    } == made(enabled=True, buckets=False, partitions=48, replication=2)


@pytest.mark.parametrize(
    "values",
    [
        {"global": {"imagePullSecrets": ["elsewhere"]}},
        {"commonLabels": {"team": "calls"}},
        {"podDefaults": {"nodeSelector": {"disk": "ssd"}}},
        {"podDefaults": {"extraEnv": [{"name": "A", "value": "1"}], "extraVolumes": [{"name": "a", "emptyDir": {}}]}},
        {"s3": {"existingSecret": "other", "accessKeyIdKey": "id"}},
        {"kafka": {"existingSecret": "other"}},
        {"kafka": {"topics": {"transcripts": "told"}}},
        {"image": {"tag": "next"}},
        {"setup": {"replication": 2}},
        {"pools": {"main": {"partitions": 48}}},
        {"fullnameOverride": "calls-aftercall"},
    ],
    ids=str,
)
def test_a_setup_job_that_changes_has_another_name(render: conftest.Render, values: conftest.Values) -> None:
    """The API server takes no other pod template under the old one; and what is the same is not done again."""

    def made(**more: object) -> dict[str, object]:
        objects = render(
            L4, values={**more, "setup": {"enabled": True, **typing.cast(dict[str, object], more.get("setup", {}))}}
        )
        (name,) = [name for name in conftest.every("Job")(objects) if "-setup-" in name]
        settings_of = conftest.every("ConfigMap")(objects)["calls-aftercall-main-setup"]["data"]
        return {"name": name, "says": (conftest.every("Job")(objects)[name]["spec"], settings_of)}

    plain, changed = made(), made(**values)

    assert (plain["says"] == changed["says"]) == (plain["name"] == changed["name"])
    assert ("fullnameOverride" in values) == (plain == changed)


@SAMPLES
def test_who_reaches_s3_has_the_accounts_annotations(render: conftest.Render, sample: pathlib.Path) -> None:
    """So an identity of the cloud is that of the test and of the setup, too; both as consumers."""
    role = {"example.com/role": "calls"}
    values = {"serviceAccount": {"annotations": role}, "setup": {"enabled": True}}
    objects = render(sample, values=values)
    accounts = conftest.every("ServiceAccount")(objects)
    found = {}
    for name, spec in conftest.pods_of(objects):
        told = [one for one in spec["volumes"] if one["name"] == "settings"]
        if told and "RayService" not in name:
            found[name] = spec["serviceAccountName"]
            assert role.items() <= accounts[spec["serviceAccountName"]]["metadata"]["annotations"].items(), name

    checking = {account for name, account in found.items() if name.startswith("Pod ") or "-setup-" in name}
    assert {"calls-aftercall-consumers"} == checking


def test_priority_classes_are_named_by_their_value(render: conftest.Render) -> None:
    """Which cannot change: another value is another class, and pods name the one that there is."""

    def classes(**numbers: int) -> dict[str, int]:
        objects = render(L4, values={"priorityClasses": numbers})
        found = {name: one["value"] for name, one in conftest.every("PriorityClass")(objects).items()}
        used = {spec["priorityClassName"] for name, spec in conftest.pods_of(objects) if name.startswith("Deployment")}
        assert used == set(found)
        return found

    plain, changed = classes(), classes(speech=-5)

    assert [1000, 2000, 3000] == sorted(plain.values())
    assert {1000, -5} == {value for _, value in plain.items() ^ changed.items()}
    assert {} == {name: plain[name] for name in plain.keys() & changed if plain[name] != changed[name]}
    assert {} == conftest.every("PriorityClass")(render(RAY))


@SAMPLES
@pytest.mark.parametrize(
    ("spread", "otherwise"), [("Soft", "ScheduleAnyway"), ("Hard", "DoNotSchedule"), ("None", None)]
)
def test_pods_are_spread_over_zones_and_nodes(
    render: conftest.Render, sample: pathlib.Path, spread: str, otherwise: str | None
) -> None:
    """Each component's among themselves; what there is one of is not spread."""
    for name, one in conftest.every("Deployment")(render(sample, values={"podDefaults": {"spread": spread}})).items():
        template = one["spec"]["template"]
        constraints = template["spec"].get("topologySpreadConstraints", [])
        if otherwise is None or "-dev-" in name:
            assert [] == constraints, name
            continue
        topologies = [(each["topologyKey"], each["whenUnsatisfiable"]) for each in constraints]
        assert [("topology.kubernetes.io/zone", otherwise), ("kubernetes.io/hostname", otherwise)] == topologies, name
        for each in constraints:
            assert one["spec"]["selector"] == each["labelSelector"], name


def test_constraints_of_ones_own_take_the_place_of_the_spread(render: conftest.Render) -> None:
    """For the component that has them."""
    own = [{"maxSkew": 2, "topologyKey": "rack", "whenUnsatisfiable": "ScheduleAnyway"}]
    objects = render(L4, values={"relay": {"pod": {"topologySpreadConstraints": own}}})
    found = {
        name: one["spec"]["template"]["spec"]["topologySpreadConstraints"]
        for name, one in conftest.every("Deployment")(objects).items()
    }

    assert ["calls-aftercall-relay"] == [name for name, each in found.items() if own == each]


@pytest.mark.parametrize(
    ("crds", "whens"),
    [
        ({}, {"post-install,post-upgrade,post-rollback", "post-delete"}),
        ({"keep": False}, {"post-install,post-upgrade,post-rollback"}),
        ({"keep": False, "install": False}, {"post-install,post-upgrade,post-rollback", "post-delete"}),
    ],
    ids=_said,
)
def test_no_object_is_made_of_a_kind_that_is_gone(
    render: conftest.Render, crds: dict[str, bool], whens: set[str]
) -> None:
    """CRDs that go with the release take their objects along."""
    made = [one for one in render(EXTERNAL, values={"crds": crds}) if one["kind"] in {"TranscriptionPool", "Tenant"}]

    assert whens == {one["metadata"]["annotations"]["helm.sh/hook"] for one in made}


@SAMPLES
def test_the_notes_say_what_to_do_next(render: conftest.Render, tmp_path: pathlib.Path, sample: pathlib.Path) -> None:
    """With commands that work: on objects that there are, and with time enough."""
    given = ("--namespace=calls", f"--values={sample}", *conftest.OFFLINE)
    program = helm.Helm(tmp_path, major=4)  # Helm 3 shows notes where there is a cluster
    notes = program.run("install", "calls", str(conftest.CHART), *given, "--dry-run=client").stdout
    notes = notes.partition("NOTES:")[2]
    objects = render(sample)
    found = conftest.every("TranscriptionPool")(objects)
    deployments, services = (conftest.every(kind)(objects) for kind in ("Deployment", "Service"))

    assert set(found) == set(re.findall(r"^  pool (\S+): ", notes, re.MULTILINE))
    (timeout_s,) = re.findall(r"helm test calls -n calls --logs --timeout (\d+)s", notes)
    (test,) = conftest.every("Pod")(objects).values()
    assert int(timeout_s) > test["spec"]["activeDeadlineSeconds"]
    assert set(re.findall(r"deploy/(\S+)", notes)) <= set(deployments)
    assert set(re.findall(r"svc/(\S+)", notes)) <= set(services)
    assert " exec " not in notes
    if sample == DEV:
        assert "delete job -l app.kubernetes.io/instance=calls,app.kubernetes.io/component=setup" in notes
        assert "A Job makes those that are missing" in notes
        return
    listed = set(re.findall(r"^     ([\w.]+)$", notes, re.MULTILINE))
    for one in found.values():
        assert {one["spec"]["deferredTopic"], *(each["name"] for each in one["spec"]["topics"])} <= listed
