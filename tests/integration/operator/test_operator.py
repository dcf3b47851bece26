"""The operator's process on a real API server and a real broker, with the rights that its documentation lists."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import cluster
import operated
from peers import broker

from aftercall.contracts import reports

if TYPE_CHECKING:
    from conftest import Build


def test_a_message_wakes_a_pool_that_sleeps(namespace_of: Build, shared_kafka: broker.Broker) -> None:
    """From Kafka's lag alone; the first replicas are asked for within ten seconds of the event, at usual settings."""
    space = namespace_of("calls", settings={"AFTERCALL_OPERATOR__INTERVAL_S": "5"})
    topic = f"{space.name}.calls"
    space.client.apply(operated.pool("calls", topic=topic, group=space.name), namespace=space.name)
    space.start()
    cluster.wait_until(lambda: "True" == space.condition("calls")[0], timeout_s=20, what="the pool is ready")

    operated.publish(shared_kafka.address, topic, 1)
    published = time.monotonic()
    cluster.wait_until(
        lambda: space.asked("aftercall-calls-speech") > 0, timeout_s=10, what="a speech server is asked for"
    )
    took_s = time.monotonic() - published
    cluster.wait_until(
        lambda: space.asked("aftercall-calls-consumers") > 0, timeout_s=2, what="a consumer is asked for"
    )

    print(f"event published to first replica asked for: {took_s:.1f} s")
    assert {f"system:serviceaccount:{space.name}:aftercall-operator"} == space.writers()


def test_a_backlog_brings_replicas_and_the_idle_go_first_when_it_is_done(
    namespace_of: Build, shared_kafka: broker.Broker
) -> None:
    """Up from Kafka's lag, held by what a consumer works on, down to the minimum with the busy consumer left."""
    space = namespace_of("calls")
    topic = f"{space.name}.calls"
    operated.publish(shared_kafka.address, topic, 320)
    consumers = {
        "deployment": "aftercall-calls-consumers",
        "minReplicas": 1,
        "maxReplicas": 4,
        "stabilizationSeconds": 0,
    }
    space.client.apply(operated.pool("calls", topic=topic, group=space.name, consumers=consumers), namespace=space.name)
    space.start()
    cluster.wait_until(
        lambda: 4 == space.asked("aftercall-calls-speech"), timeout_s=30, what="speech servers are asked for"
    )
    cluster.wait_until(
        lambda: 4 == len(space.pods("aftercall-calls-consumers")), timeout_s=30, what="consumers are there"
    )

    busy, *idle = space.pods("aftercall-calls-consumers")
    positions = tuple(reports.Position(topic=topic, partition=at, position=80) for at in range(4))
    waiting = reports.TenantLoad(tenant="acme", waiting=319, waiting_audio_s=95_700.0, running_audio_s=300.0)
    assert 200 == space.report("calls", busy, tenants=(waiting,), positions=positions)[0]
    for each in idle:
        assert 200 == space.report("calls", each)[0]
    read = 'aftercall_operator_unread_records{pool="calls"} 0.0'
    cluster.wait_until(lambda: read in space.probe("metrics")[1], timeout_s=10, what="a look has heard the consumers")
    assert (4, 4) == (space.asked("aftercall-calls-speech"), space.asked("aftercall-calls-consumers"))

    operated.commit(shared_kafka.address, space.name, topic, 80)
    running = reports.TenantLoad(tenant="acme", running_audio_s=300.0, served_audio_s=95_700.0)

    def is_down() -> bool:
        # The idle consumers go on reporting; one that is gone cannot.
        there = space.pods("aftercall-calls-consumers")
        for each in [busy, *idle]:
            if each in there:
                space.report("calls", each, **({"tenants": (running,), "positions": positions} if each == busy else {}))
        return (
            down == (space.asked("aftercall-calls-speech"), space.asked("aftercall-calls-consumers"))
            and [busy] == there
        )

    # While something is worked on, the last speech server stays.
    down = 1, 1
    cluster.wait_until(is_down, timeout_s=60, what="what is left is the busy consumer and a speech server")
    running, down = reports.TenantLoad(tenant="acme", served_audio_s=96_000.0), (0, 1)
    cluster.wait_until(is_down, timeout_s=60, what="the pool is at its minimum")
    status = space.get("TranscriptionPool", "calls")["status"]
    assert ("True", 0) == (space.condition("calls", "BacklogKnown")[0], status["backlogAudioSeconds"])
    assert {f"system:serviceaccount:{space.name}:aftercall-operator"} == space.writers()


def test_what_a_limit_holds_back_buys_no_servers(namespace_of: Build, shared_kafka: broker.Broker) -> None:
    """One tenant has hours more than it may use, read and unread: one server does what it may. Another's work does."""
    space = namespace_of("calls")
    topic = f"{space.name}.calls"
    for name, spec in {"flood": {"audioSecondsPerMinute": 1500}, "acme": {}}.items():
        tenant = {"apiVersion": "aftercall.io/v1alpha1", "kind": "Tenant", "metadata": {"name": name}, "spec": spec}
        space.client.apply(tenant, namespace=space.name)
    consumers = {"deployment": "aftercall-calls-consumers", "minReplicas": 1, "maxReplicas": 1}
    space.client.apply(operated.pool("calls", topic=topic, group=space.name, consumers=consumers), namespace=space.name)
    space.start()
    cluster.wait_until(
        lambda: 1 == len(space.pods("aftercall-calls-consumers")), timeout_s=30, what="a consumer is there"
    )
    (consumer,) = space.pods("aftercall-calls-consumers")
    positions = tuple(reports.Position(topic=topic, partition=at, position=80) for at in range(4))
    waiting = [reports.TenantLoad(tenant="flood", waiting=320, waiting_audio_s=96_000.0, is_throttled=True)]

    def has_shown(backlog_audio_s: float) -> bool:
        # Until tenants are compiled it is answered 503, and asked again.
        status = space.report("calls", consumer, tenants=tuple(waiting), positions=positions)[0]
        shown = f'aftercall_operator_backlog_audio_seconds{{pool="calls"}} {backlog_audio_s}'
        return status == 200 and shown in space.probe("metrics")[1]

    # What is published then has been read; and then as much again that has not, which counts by the same mix.
    cluster.wait_until(lambda: has_shown(96_000.0), timeout_s=30, what="the backlog is known")
    operated.publish(shared_kafka.address, topic, 640)
    cluster.wait_until(lambda: has_shown(192_000.0), timeout_s=30, what="the unread backlog is known")
    time.sleep(3)  # three looks more
    assert {1} == {to for _, _, to in space.scaled("aftercall-calls-speech")}

    waiting.append(reports.TenantLoad(tenant="acme", waiting=160, waiting_audio_s=48_000.0))
    cluster.wait_until(
        lambda: has_shown(0.0) or 4 == space.asked("aftercall-calls-speech"),
        timeout_s=30,
        what="all servers are asked for",
    )
    assert {f"system:serviceaccount:{space.name}:aftercall-operator"} == space.writers()


def test_what_is_wrong_with_one_pool_is_told_and_disturbs_no_other(
    namespace_of: Build, shared_kafka: broker.Broker
) -> None:
    """An autoscaler on a target, a topic of another pool, a Deployment and a topic that are not there."""
    space = namespace_of("calls", "scaled", "late", "gone", "mute")
    topics = {name: f"{space.name}.{name}" for name in space.pools}
    apply = space.client.apply
    made = {name: operated.pool(name, topic=topic, group=topic) for name, topic in topics.items()}
    made["late"]["spec"]["topics"] = made["calls"]["spec"]["topics"]
    made["mute"]["spec"]["topics"] = [{"name": f"{space.name}.nowhere"}]
    space.client.delete("Deployment", "aftercall-gone-speech", namespace=space.name)
    autoscaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "somebody"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "aftercall-scaled-speech"},
            "maxReplicas": 3,
        },
    }
    apply(autoscaler, namespace=space.name)
    apply(made["calls"], namespace=space.name)
    time.sleep(1.1)  # creation times have a second's precision
    for name in ("scaled", "late", "gone", "mute"):
        apply(made[name], namespace=space.name)
    for name in ("calls", "scaled", "gone"):
        operated.publish(shared_kafka.address, topics[name], 160)
    space.start()

    cluster.wait_until(
        lambda: 4 == space.asked("aftercall-calls-speech"), timeout_s=30, what="the healthy pool is scaled"
    )
    cluster.wait_until(lambda: "True" == space.condition("calls")[0], timeout_s=30, what="the healthy pool is ready")
    expected = {
        "scaled": ("ScalingConflict", "True", "ScalingConflict", "HorizontalPodAutoscaler somebody"),
        "late": ("Valid", "False", "TopicTaken", "that of pool calls"),
        "gone": ("ReplicasAvailable", "False", "TargetMissing", "aftercall-gone-speech"),
        "mute": ("BacklogKnown", "False", "UnknownBacklog", f"{space.name}.nowhere"),
    }
    for name, (kind, status, reason, said) in expected.items():
        cluster.wait_until(
            lambda name=name, kind=kind, expected=(status, reason): expected == space.condition(name, kind)[:2],
            timeout_s=20,
            what=f"{name} is told {reason}",
        )
        assert said in space.condition(name, kind)[2]
        assert "False" == space.condition(name)[0]
    assert (0, 0) == (space.asked("aftercall-scaled-speech"), space.asked("aftercall-late-consumers"))
    wrote = {
        event.name
        for event in space.control_plane.audit()
        if (event.resource, event.namespace) == ("deployments/scale", space.name)
        and event.user == space.user
        and event.verb == "update"
    }
    assert {
        "aftercall-calls-speech",
        "aftercall-calls-consumers",
        "aftercall-scaled-consumers",
        "aftercall-gone-consumers",
    } == wrote
    assert {"Normal", "Warning"} == {
        each["type"]
        for each in space.client.list("Event", namespace=space.name)
        if each["source"].get("component") == "aftercall-operator"
    }


def test_an_operator_that_was_killed_takes_nothing_away_when_it_is_back(
    namespace_of: Build, shared_kafka: broker.Broker
) -> None:
    """Nobody reports yet, and nothing is unread: what is there was somebody's for the stabilization window."""
    space = namespace_of("calls")
    topic = f"{space.name}.calls"
    operated.publish(shared_kafka.address, topic, 320)
    made = operated.pool("calls", topic=topic, group=space.name)
    for part in ("scaling", "consumers"):
        made["spec"][part]["stabilizationSeconds"] = 300
    space.client.apply(made, namespace=space.name)
    space.start()
    cluster.wait_until(
        lambda: 4 == space.asked("aftercall-calls-speech"), timeout_s=30, what="speech servers are asked for"
    )
    cluster.wait_until(
        lambda: 4 == space.asked("aftercall-calls-consumers"), timeout_s=30, what="consumers are asked for"
    )
    assert space.operator is not None
    space.operator.kill()
    operated.commit(shared_kafka.address, space.name, topic, 80)
    began = time.monotonic()

    space.start()
    print(f"killed and ready again: {time.monotonic() - began:.1f} s")
    cluster.wait_until(
        lambda: 0 == space.get("TranscriptionPool", "calls").get("status", {}).get("backlogAudioSeconds"),
        timeout_s=20,
        what="nothing waits any more",
    )

    looks = 'aftercall_operator_decisions_total{fleet="speech",pool="calls",reason="Stabilizing"}'
    cluster.wait_until(lambda: looks in space.probe("metrics")[1], timeout_s=20, what="a look has held what is there")
    assert (4, 4) == (space.asked("aftercall-calls-speech"), space.asked("aftercall-calls-consumers"))
    assert space.operator.stop(20) == 0
    assert "" == space.get("Lease", "aftercall-operator")["spec"].get("holderIdentity")


def test_tenants_are_compiled_and_told(namespace_of: Build) -> None:
    """A broken one is told why, the others are in the ConfigMap, and nothing is written twice."""
    space = namespace_of("calls", topics=False)
    good = {"apiVersion": "aftercall.io/v1alpha1", "kind": "Tenant", "metadata": {"name": "acme"}}
    space.client.apply({**good, "spec": {"audioSecondsPerMinute": 600}}, namespace=space.name)
    space.client.apply({**good, "metadata": {"name": "beta"}, "spec": {"id": "acme"}}, namespace=space.name)
    space.start()

    def compiled() -> str:
        return str(space.get("ConfigMap", "aftercall-tenants-0").get("data", {}).get("tenants.yaml", ""))

    cluster.wait_until(lambda: '"acme"' in compiled(), timeout_s=20, what="the tenant is compiled")
    cluster.wait_until(
        lambda: "True" == space.condition("acme", kind="Tenant")[0], timeout_s=10, what="the tenant is told"
    )
    cluster.wait_until(
        lambda: ("False", "IdTaken") == space.condition("beta", kind="Tenant")[:2], timeout_s=10, what="the other, too"
    )
    version = space.get("ConfigMap", "aftercall-tenants-0")["metadata"]["resourceVersion"]
    space.client.delete("Tenant", "beta", namespace=space.name)
    space.client.apply({**good, "metadata": {"name": "gamma"}, "spec": {}}, namespace=space.name)
    cluster.wait_until(lambda: '"gamma"' in compiled(), timeout_s=20, what="the third is compiled")
    assert version != space.get("ConfigMap", "aftercall-tenants-0")["metadata"]["resourceVersion"]


def test_reports_are_answered_within_20_ms(namespace_of: Build) -> None:
    """Of 200 reports, 99 % are, in one of five rounds: others work on this machine; who may not is told so."""
    space = namespace_of("calls", topics=False)
    space.client.apply(operated.pool("calls"), namespace=space.name)
    space.client.apply(operated.deployment("aftercall-calls-consumers", 1), namespace=space.name)
    tenant = {"apiVersion": "aftercall.io/v1alpha1", "kind": "Tenant", "metadata": {"name": "acme"}}
    space.client.apply({**tenant, "spec": {"audioSecondsPerMinute": 600}}, namespace=space.name)
    space.start()
    cluster.wait_until(lambda: bool(space.pods("aftercall-calls-consumers")), timeout_s=30, what="a consumer is there")
    (pod,) = space.pods("aftercall-calls-consumers")
    cluster.wait_until(lambda: 200 == space.report("calls", pod)[0], timeout_s=10, what="a report is answered")

    assert 409 == space.report("nothing", pod)[0]
    assert 403 == space.report("calls", pod, consumer="another")[0]
    rounds_ms = [space.time_reports("calls", pod, 200) for _ in range(5)]
    p99_ms, rss_mib = min(rounds_ms), space.rss_mib()
    print(f"report to grant p99: {p99_ms:.1f} to {max(rounds_ms):.1f} ms; operator RSS {rss_mib:.0f} MiB")
    assert p99_ms <= 20
