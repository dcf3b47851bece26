"""Bindings of topics and buckets, and which topic a tenant's work goes to."""

from __future__ import annotations

import pytest

from aftercall.contracts import services
from aftercall.contracts.tenants import TenantPolicy

KAFKA = services.Kafka.model_validate(
    {
        "topics": [
            {"name": "globex", "tenants": ["globex"]},
            {"name": "live"},
            {"name": "bulk", "lane": "bulk"},
            {"name": "acme.bulk", "lane": "bulk", "tenants": ["acme"]},
        ]
    }
)


@pytest.mark.parametrize(
    ("policy", "lane", "topic"),
    [
        ({}, None, "live"),
        ({}, "live", "live"),
        ({}, "bulk", "bulk"),
        ({"topics": ["acme.bulk"]}, None, "acme.bulk"),
        ({"topics": ["acme.bulk"]}, "live", "acme.bulk"),
        ({"lanes": ["bulk"]}, "live", "bulk"),
        ({"topics": ["globex"]}, None, None),
        ({"topics": ["live"], "lanes": ["bulk"]}, None, None),
    ],
)
def test_a_tenant_is_announced_where_it_may_be_named(policy: dict[str, list[str]], lane: str, topic: str) -> None:
    """Best on the lane that is asked for; both the topic's binding and the tenant's policy must let it."""
    acme = TenantPolicy.model_validate({"name": "acme", **policy})

    assert topic == KAFKA.topic_for(acme, lane=lane)  # type: ignore[arg-type]
