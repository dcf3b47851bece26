"""Bindings of topics and buckets, and which topic a tenant's work goes to."""

from __future__ import annotations

import pydantic
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


@pytest.mark.parametrize(
    ("written", "port"),
    [
        ("https://clickhouse:443", 443),
        ("http://clickhouse:80/", 80),
        ("https://clickhouse:80", 80),
        ("https://clickhouse", 8443),
        ("http://clickhouse", 8123),
        ("HTTPS://clickhouse/", 8443),
        ("https://clickhouse:", 8443),
        ("https://clickhouse:8443", 8443),
        ("http://clickhouse:9000/?compress=1", 9000),
        ("https://[::1]", 8443),
        ("https://[::1]:443", 443),
        ("https://someone:else@clickhouse?query_limit=0", 8443),
        (" https://clickhouse:443 ", 443),
    ],
)
def test_the_port_of_clickhouse_is_the_one_that_is_written(written: str, port: int) -> None:
    """None is ClickHouse's own, not the scheme's; the scheme's own counts where it is written."""
    url = services.ClickHouse.model_validate({"url": written}).url

    assert url is not None
    assert (port, written.strip().partition(":")[0].lower()) == (url.port, url.scheme)
    assert url.host in {"clickhouse", "[::1]"}


@pytest.mark.parametrize("written", ["", "tcp://clickhouse:9000", "clickhouse", "https://:443", "https://[::1", 8443])
def test_an_address_of_clickhouse_that_is_none_is_refused(written: object) -> None:
    """As any other address."""
    with pytest.raises(pydantic.ValidationError, match="url"):
        services.ClickHouse.model_validate({"url": written})
