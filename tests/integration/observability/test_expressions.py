"""Every expression of every dashboard and rule, on a real Prometheus that scrapes the real service.

An expression that names a metric or a label wrongly finds nothing, and nobody notices until the night when it matters.
"""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib
import re
import time
from collections.abc import Callable, Iterator, Mapping

import cluster
import httpx2
import pytest
import watched
import yaml
from peers import prometheus

FILES = pathlib.Path(__file__).resolve().parents[3] / "charts" / "aftercall" / "files"
BOARDS = sorted((FILES / "dashboards").glob("*.json"))
RULES = sorted((FILES / "rules").glob("*.yaml"))
VARIABLES = {
    "$namespace": watched.NAMESPACE,
    "$pool": ".*",
    "$tenant": ".*",
    "$price": "0.10",
    "$__rate_interval": "1m",
    "$__range": "2m",
}
RIGHTLY_EMPTY = {
    # Ray makes this counter with the first error, and our deployment answers whatever it is sent.
    "ray_serve_deployment_error_counter_total",
}
SELECTOR = re.compile(r"\b((?:aftercall|ray_|nv_|DCGM_)[\w:]*|up)\b(\{[^}]*\})?(?!\()")
WITHIN_S = 100.0


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """An expression, where it stands, and the labels that whoever reads its series relies on."""

    place: str
    expr: str
    labels: frozenset[str] = frozenset()
    any_value: bool = False
    """Whether what is no number will do: infinite drain."""


def substituted(text: str) -> str:
    """Return an expression with a board's variables replaced."""
    for name, value in VARIABLES.items():
        text = text.replace(name, value)
    return text


def of_boards() -> Iterator[Wanted]:
    """Return the expressions of panels and annotations, with the labels of their legends."""
    for path in BOARDS:
        board = json.loads(path.read_text())
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                labels = frozenset(re.findall(r"{{(\w+)}}", target["legendFormat"]))
                yield Wanted(f"{path.stem}: {panel['title']}", substituted(target["expr"]), labels)
        for annotation in board["annotations"]["list"]:
            labels = frozenset(re.findall(r"{{(\w+)}}", annotation["titleFormat"]))
            expr = substituted(annotation["expr"]).removesuffix("> 0")
            yield Wanted(f"{path.stem}: {annotation['name']}", expr, labels)


def rules() -> Iterator[tuple[str, Mapping[str, str]]]:
    """Return every rule, with its file."""
    for path in RULES:
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                yield path.stem, rule


COMPARED = re.compile(r"\s(?:>=?|<=?|==|!=|and|or|unless)\s+(?:on\s*\([^)]*\)\s*)?")


def operands(expr: str) -> list[str]:
    """Return what an alert compares and joins, on both sides, without the numbers: in parentheses too."""
    found, depth, since, at = [], 0, 0, 0
    while at < len(expr):
        depth += (expr[at] in "({[") - (expr[at] in ")}]")
        sign = COMPARED.match(expr, at) if depth == 0 else None
        if sign is not None:
            found.append(expr[since:at])
            since = at = sign.end()
        else:
            at += 1
    found.append(expr[since:])
    if len(found) == 1:
        return [] if re.fullmatch(r"\s*[\d.e-]+\s*", expr) else [expr.strip()]
    return [one for each in found for one in operands(_bare(each.strip()))]


def _bare(expr: str) -> str:
    """Return what stands in parentheses, where all of it does."""
    depth = 0
    for at, sign in enumerate(expr):
        depth += (sign == "(") - (sign == ")")
        if depth == 0:
            return expr[1:-1] if at and at == len(expr) - 1 and expr[0] == "(" else expr
    return expr


def of_rules() -> Iterator[Wanted]:
    """Return what rules record, what alerts compare and join, with the labels of their texts, and each series named."""
    for file, rule in rules():
        place = f"{file}: {rule.get('record') or rule.get('alert')}"
        if "record" in rule:
            labels = "".join(f'{name}="{value}"' for name, value in dict(rule.get("labels", {})).items())
            if not any(name in rule["expr"] for name in RIGHTLY_EMPTY):
                yield Wanted(place, f"{rule['record']}{{{labels}}}", frozenset({"namespace"}))
        else:
            text = " ".join(dict(rule["annotations"]).values())
            shown = frozenset(re.findall(r"\$labels\.(\w+)", text))
            for at, each in enumerate(operands(rule["expr"])):
                # What was a quarter of an hour ago was before the service began.
                yield Wanted(place, re.sub(r" offset \w+", "", each), frozenset() if at else shown, any_value=True)
        for name, matchers in SELECTOR.findall(rule["expr"]):
            if name not in RIGHTLY_EMPTY:
                yield Wanted(place, f"{name}{matchers}", any_value=True)


def missing(client: httpx2.Client, wanted: Wanted) -> str | None:
    """Return what an expression lacks; None where it has data, and all labels are there."""
    answer = client.get("/api/v1/query", params={"query": wanted.expr}).json()
    if answer["status"] != "success":
        return str(answer["error"])
    found = answer["data"]["result"]
    if not found:
        return "finds nothing"
    if not wanted.any_value and not any(math.isfinite(float(each["value"][1])) for each in found):
        return "has no number"
    # A GPU that is not cut has no profile: it is enough that some series has each.
    there = {name for each in found for name, value in each["metric"].items() if value}
    lacking = wanted.labels - there
    return f"lacks {', '.join(sorted(lacking))}" if lacking else None


def wait_for(server: prometheus.Prometheus, every: list[Wanted], check: Callable[[], None]) -> None:
    """Return once every expression has had data; fail with those that have none."""
    deadline = time.monotonic() + WITHIN_S
    left = list(dict.fromkeys(every))
    with httpx2.Client(base_url=server.url, timeout=10, trust_env=False) as client:
        while left:
            check()
            told = {one: missing(client, one) for one in left}
            left = [one for one in left if told[one] is not None]
            if left and time.monotonic() > deadline:
                lines = [f"{one.place}\n    {told[one]}: {one.expr}" for one in left]
                raise AssertionError(f"{len(lines)} of {len(every)} expressions:\n" + "\n".join(lines))
            time.sleep(1)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[watched.Service]:
    """The service with all that it runs on, at work."""
    with watched.servers(tmp_path_factory.mktemp) as servers:
        running = watched.Service(servers, tmp_path_factory.mktemp("service"))
        try:
            running.start()
            yield running
        finally:
            running.stop()


@pytest.fixture(scope="module")
def server(service: watched.Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[prometheus.Prometheus]:
    """A Prometheus with our rules that scrapes the service each second."""
    folder = tmp_path_factory.mktemp("prometheus")
    ours = []
    for path in RULES:
        ours.append(folder / path.name)
        ours[-1].write_text(path.read_text().replace("interval: 30s", "interval: 1s"))
    with watched.exporters() as dcgm:
        found = prometheus.Prometheus(folder, service.jobs(dcgm), rules=ours)
        found.start()
        n_targets = sum(len(targets) for targets in service.jobs(dcgm).values())
        cluster.wait_until(
            lambda: [1.0] * n_targets == list(found.query("up").values()), timeout_s=60, what="every target is up"
        )
        yield found
        found.stop()


@pytest.mark.timeout(400)
def test_every_expression_has_data_with_the_labels_that_are_shown(
    server: prometheus.Prometheus, service: watched.Service
) -> None:
    """Panels and annotations as Grafana asks, recorded series, and what alerts compare and name."""
    every = [*of_boards(), *of_rules()]
    assert 200 < len(every)

    wait_for(server, every, service.check)
    print(f"\n{len(every)} expressions of {len(BOARDS)} boards and {len(RULES)} files of rules have data")


def test_an_alert_is_taken_apart() -> None:
    """Both sides of comparisons and joins; what is computed of them is one."""
    expr = "(\n  a > 0\n  or sum (b unless on (c) d == 1) > 0\n)\nand on (c) e / (f > 0) <= 2 * max by (c) (g)"

    assert ["a", "sum (b unless on (c) d == 1)", "e / (f > 0)", "2 * max by (c) (g)"] == operands(expr)


@pytest.mark.timeout(400)
def test_every_rule_is_evaluated_without_an_error(server: prometheus.Prometheus, service: watched.Service) -> None:
    """What joins many to many, or divides by a series that is there twice, fails only once there is data."""
    service.check()
    every = [rule for _, rule in rules()]

    def evaluated() -> list[dict[str, str]]:
        found = [rule for group in server.ask("rules")["groups"] for rule in group["rules"]]
        assert len(every) == len(found)
        return found

    cluster.wait_until(
        lambda: all(one["health"] != "unknown" for one in evaluated()), timeout_s=90, what="every rule is evaluated"
    )
    cluster.wait_until(lambda: len(server.query("aftercall:done_audio_seconds:rate5m")) > 5, timeout_s=60, what="work")
    wrong = {one["name"]: one.get("lastError", one["health"]) for one in evaluated() if one["health"] != "ok"}
    assert {} == wrong


@pytest.mark.timeout(400)
def test_every_choice_has_something_to_choose(server: prometheus.Prometheus, service: watched.Service) -> None:
    """The boards' variables list namespaces, pools and tenants."""
    service.check()
    cluster.wait_until(lambda: len(server.query("aftercall:done_audio_seconds:rate5m")) > 5, timeout_s=60, what="work")
    for path in BOARDS:
        for variable in json.loads(path.read_text())["templating"]["list"]:
            if variable["type"] == "query":
                match, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]).groups()  # type: ignore[union-attr]
                found = server.ask(f"label/{label}/values", **{"match[]": substituted(match)})
                expected = {"namespace": [watched.NAMESPACE], "pool": sorted(watched.POOLS)}.get(label)
                assert found == (expected or sorted(watched.TENANTS)), (path.stem, variable["name"])


@pytest.mark.timeout(400)
def test_exemplars_lead_to_traces(server: prometheus.Prometheus, service: watched.Service) -> None:
    """Of whole calls, and of their stages."""
    service.check()
    for name in ("aftercall_consumer_event_to_transcript_seconds_bucket", "aftercall_consumer_stage_seconds_bucket"):
        cluster.wait_until(lambda name=name: bool(server.exemplars(name)), timeout_s=60, what=f"exemplars of {name}")
        found = server.exemplars(name)
        assert all(re.fullmatch(r"[0-9a-f]{32}", one["trace_id"]) for one in found)


@pytest.mark.timeout(400)
def test_gpus_are_ours_whichever_way_they_are_told_of(server: prometheus.Prometheus) -> None:
    """By MIG and profiling with `exported_pod`, or by utilization with `pod`; both in their pools."""
    name = "aftercall:gpu_busy:ratio"
    cluster.wait_until(lambda: len(server.query(name)) == 2, timeout_s=30, what="both GPUs")
    told = [(dict(labels), value) for labels, value in server.query(name).items()]
    busy = {(labels["pool"], labels.get("GPU_I_PROFILE")): value for labels, value in told}

    assert {("triton", "3g.40gb"): 0.7, ("rays", None): 0.9} == busy
