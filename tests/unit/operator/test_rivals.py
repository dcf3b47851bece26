"""One writer for each target, and one pool for a topic."""

from __future__ import annotations

from typing import Any

import pytest

from aftercall.contracts import pools
from aftercall.operator import rivals


def claim(
    pool: str,
    topic: str = "",
    speech: str = "",
    consumers: str = "",
    created: str = "2026-01-01",
    deferred: str | None = "",
) -> rivals.Claim:
    """Return a pool's claim; what is not named is its own. `deferred` None: it names no topic of what is put aside."""
    spec = pools.TranscriptionPool.model_validate(
        {
            "topics": [{"name": topic or f"{pool}-topic"}],
            "deferredTopic": f"{pool}-deferred" if deferred == "" else deferred,
            "backend": {"kind": "Deployment", "deployment": {"name": speech or f"{pool}-speech"}},
            "scaling": {"maxReplicas": 8, "capacityAudioSecondsPerMinute": 3000},
            "consumers": {"deployment": consumers or f"{pool}-consumers", "maxReplicas": 12},
        }
    )
    return rivals.Claim(pool, created, spec)


def autoscaler(name: str, kind: str, of: str) -> dict[str, Any]:
    """Return an autoscaler as the API has it."""
    return {"metadata": {"name": name}, "spec": {"scaleTargetRef": {"kind": kind, "name": of}}}


def test_the_older_pool_keeps_a_topic() -> None:
    """And the message names both, whichever is listed first."""
    older, newer = claim("z", topic="calls", created="2026-01-01"), claim("a", topic="calls", created="2026-01-02")

    found = rivals.settle([newer, older])

    assert ["a"] == list(found)
    assert rivals.Reason.TOPIC_TAKEN == found["a"].reason
    assert "topic calls is already that of pool z" in found["a"].message
    assert "nothing of pool a is scaled" in found["a"].message


@pytest.mark.parametrize("deferred", [None, "aside"])
def test_what_is_put_aside_is_one_pools_too(deferred: str | None) -> None:
    """Both would count it as their own backlog, whether they name the topic or leave it out."""
    found = rivals.settle([claim("a", deferred=deferred), claim("b", deferred=deferred, created="2026-01-02")])

    assert {"b": rivals.Reason.TOPIC_TAKEN} == {name: each.reason for name, each in found.items()}


def test_of_the_same_age_the_first_by_name_keeps_a_target() -> None:
    """A second's precision is what creation times have."""
    found = rivals.settle([claim("b", speech="s"), claim("a", consumers="s")])

    assert {"b": rivals.Reason.TARGET_TAKEN} == {name: each.reason for name, each in found.items()}


def test_who_is_refused_takes_nothing_from_a_third() -> None:
    """It names a free topic as well, which the next may have."""
    first, second = claim("a", topic="calls"), claim("b", topic="calls", speech="free", created="2026-01-02")

    found = rivals.settle([first, second, claim("c", speech="free", created="2026-01-03")])

    assert ["b"] == list(found)


def test_a_pool_that_names_one_target_twice_is_refused() -> None:
    """Its consumers are not its speech servers."""
    assert rivals.Reason.TARGET_TAKEN == rivals.settle([claim("a", speech="s", consumers="s")])["a"].reason


def test_an_autoscaler_on_a_target_is_a_conflict() -> None:
    """Whoever made it; on other things it is none."""
    scaled = rivals.autoscalers([autoscaler("keda-hpa", "Deployment", "a-speech"), autoscaler("h", "StatefulSet", "x")])

    said = rivals.conflict("a", claim("a").spec, scaled)

    assert said is not None
    assert "HorizontalPodAutoscaler keda-hpa scales the Deployment a-speech too" in said
    assert rivals.conflict("b", claim("b").spec, scaled) is None


def test_an_autoscaler_on_the_pool_belongs_to_mode_external() -> None:
    """In another mode its number is followed by nobody, which is said."""
    scaled = rivals.autoscalers([autoscaler("h", "TranscriptionPool", "a")])
    spec = claim("a").spec

    external = spec.model_copy(update={"mode": pools.Mode.EXTERNAL, "replicas": 3})

    assert rivals.conflict("a", external, scaled) is None
    assert "mode External only" in (rivals.conflict("a", spec, scaled) or "")
