"""Whatever an API server takes for a tenant becomes files that consumers take whole, or it is told why not."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from aftercall.contracts import crds, identity, tenancy, tenants
from aftercall.operator import tenancy as compiling

(_VERSION,) = crds.definitions()["tenants"]["spec"]["versions"]
_SCHEMA: dict[str, Any] = _VERSION["schema"]["openAPIV3Schema"]["properties"]["spec"]
_ANY = st.characters(codec="utf-8")
NAMES = st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,20}[a-z0-9])?", fullmatch=True)


def of(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return what a schema lets through, as far as schemas go."""
    match schema["type"]:
        case "integer":
            return st.integers(schema["minimum"], schema["maximum"])
        case "string" if "enum" in schema:
            return st.sampled_from(schema["enum"])
        case "string":
            least, most = schema.get("minLength", 0), schema["maxLength"]
            if "pattern" in schema:
                texts = st.from_regex(schema["pattern"].removesuffix("$") + r"\Z", alphabet=_ANY)
                return texts.filter(lambda text: least <= len(text) <= most)
            return st.text(_ANY, min_size=least, max_size=most)
        case "array":
            unique = schema.get("x-kubernetes-list-type") == "set"
            most = min(3, schema["maxItems"])
            return st.lists(of(schema["items"]), min_size=schema.get("minItems", 0), max_size=most, unique=unique)
        case _:
            fields = {name: of(each) for name, each in schema.get("properties", {}).items()}
            required = set(schema.get("required", ()))
            return st.fixed_dictionaries(
                {name: each for name, each in fields.items() if name in required},
                optional={name: each for name, each in fields.items() if name not in required},
            )


def holds(spec: dict[str, Any]) -> bool:
    """Say whether the rules of the specification hold, which are beyond a schema."""
    return (
        ("burstAudioSeconds" not in spec or "audioSecondsPerMinute" in spec)
        and spec.get("id") not in {".", ".."}
        and not spec.keys() & {"redaction", "retentionDays", "diarization"}
    )


_BUILT = {name: each for name, each in _SCHEMA["properties"].items() if name not in tenancy.REFUSED}
SPECS = of(_SCHEMA | {"properties": _BUILT}).filter(holds)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(NAMES, SPECS, max_size=6), st.integers(0, 50), st.integers(1, 4))
def test_whatever_is_compiled_is_read_as_it_was_meant(
    found: dict[str, dict[str, Any]], max_consumers: int, shards: int
) -> None:
    """Every tenant is a policy with its own values, or has a finding; no file is too large, and none is refused."""
    files, findings = compiling.compile_tenants(found, max_consumers=max_consumers, shards=shards)

    policies = tenants.parse_files({str(at): text.encode() for at, text in enumerate(files)})
    assert shards == len(files)
    assert all(len(text.encode()) <= compiling.MAX_FILE_BYTES for text in files)
    assert len(found) == len(policies) + len(findings)
    for name, spec in found.items():
        if name in findings:
            assert findings[name].reason in {"Invalid", "IdTaken", "AccountTaken"}
            continue
        policy = policies[identity.parse_id(spec.get("id", name), what="id")]
        assert tuple(spec.get("vocabulary", ())) == policy.vocabulary
        assert tuple(spec.get("egressHosts", ())) == policy.egress_hosts
        assert (spec.get("language"), spec.get("weight", 1)) == (policy.language, policy.weight)
        assert tuple(spec.get("topics", ())) == policy.topics
        assert tuple(spec.get("buckets", ())) == policy.buckets
        assert [lane.lower() for lane in spec.get("lanes", ())] == list(policy.lanes)
        limit, floor = policy.audio_seconds_per_minute, policy.floor_audio_seconds_per_minute
        assert (spec.get("audioSecondsPerMinute"), limit is None) == (limit, floor is None)
        assert limit is None or floor is None or 0 < floor * max(1, max_consumers) <= limit * 0.1000001


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(NAMES, SPECS, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_age_decides_who_is_left_out_and_nothing_else(found: dict[str, Any], rng: Any) -> None:
    """Without the tenants that have a finding, any order gives the same bytes."""
    files, findings = compiling.compile_tenants(found, max_consumers=5, shards=2)
    kept = [(name, spec) for name, spec in found.items() if name not in findings]
    rng.shuffle(kept)

    assert (files, {}) == compiling.compile_tenants(dict(kept), max_consumers=5, shards=2)


@settings(max_examples=60, deadline=None)
@given(SPECS)
def test_the_model_takes_what_the_server_takes(spec: dict[str, Any]) -> None:
    """But for ids that no text editor shows, which the model alone can tell."""
    try:
        tenancy.Tenant.model_validate(spec)
    except ValueError:
        try:
            identity.parse_id(spec.get("id", "none"), what="id")
        except identity.InvalidIdError:
            return
        raise
