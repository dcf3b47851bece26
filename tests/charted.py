"""What the chart gives an operator: its account, its rights and its settings, as `helm template` renders them."""

from __future__ import annotations

import functools
import json
import pathlib
import tempfile
from collections.abc import Iterable, Iterator

import yaml
from peers import helm, kubeclient

RELEASE = "aftercall"
"""The release, and what every name begins with."""
OPERATOR = f"{RELEASE}-operator"
"""The operator's account, its roles, its settings and its Lease."""
CONSUMERS = f"{RELEASE}-consumers"
"""The consumers' account."""

_CHART = pathlib.Path(__file__).resolve().parents[1] / "charts" / "aftercall"
_TEMPLATES = (
    *("consumers.serviceaccount", "operator.rbac", "operator.admissionpolicy"),
    *("operator.configmap", "tenants.configmap"),
)
_NAMESPACE = "namespace-of-the-test"


def deployment(pool: str, part: str) -> str:
    """Return the name of a pool's Deployment; `part` is `speech` or `consumers`."""
    return f"{RELEASE}-{pool}-{part}"


def operator(namespace: str, pools: tuple[str, ...], shards: int) -> list[kubeclient.Manifest]:
    """Return what there is of an operator in a namespace of Triton pools, but its pod."""
    text = _rendered(pools, shards).replace(_NAMESPACE, namespace)
    return [each for each in yaml.safe_load_all(text) if each]


def bound(manifests: Iterable[kubeclient.Manifest], account: str) -> Iterator[kubeclient.Manifest]:
    """Make another account, and bind it to what the operator's is bound to."""
    for each in manifests:
        if each["kind"] not in ("RoleBinding", "ClusterRoleBinding"):
            continue
        about = each["metadata"] | {"name": each["metadata"]["name"].replace(OPERATOR, account)}
        (subject,) = each["subjects"]
        yield each | {"metadata": about, "subjects": [subject | {"name": account}]}
    yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account}}


def _pool(name: str) -> kubeclient.Manifest:
    topics = {"topics": [{"name": name}], "deferredTopic": f"{name}.deferred", "parkedTopic": f"{name}.parked"}
    return {"consumerGroup": name, "model": {"name": "/models/any"}, **topics}


@functools.cache
def _rendered(pools: tuple[str, ...], shards: int) -> str:
    """Render the chart, once for all namespaces: that takes a third of a second."""
    values = {
        "kafka": {"bootstrapServers": ["kafka:9092"]},
        "s3": {"bucket": "transcripts", "recordingBuckets": [{"name": "recordings"}]},
        "models": {"source": "Baked"},
        "pools": {name: _pool(name) for name in pools},
        "tenants": {"shards": shards},
        **{part: {"enabled": False} for part in ("api", "relay", "tests")},
    }
    shown = [f"--show-only=templates/{each.partition('.')[0]}/{each}.yaml" for each in _TEMPLATES]
    with tempfile.TemporaryDirectory() as made:
        folder = pathlib.Path(made)
        (folder / "values.yaml").write_text(json.dumps(values))
        given = [f"--values={folder / 'values.yaml'}", f"--namespace={_NAMESPACE}"]
        return helm.Helm(folder).run("template", RELEASE, str(_CHART), *given, *shown).stdout
