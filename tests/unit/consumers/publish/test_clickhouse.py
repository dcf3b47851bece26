"""Where the driver of ClickHouse connects to."""

from __future__ import annotations

import clickhouse_connect
import pytest
from clickhouse_connect import driver

from aftercall.consumers.publish import clickhouse
from aftercall.contracts import services


@pytest.mark.parametrize(
    ("url", "reached"),
    [
        # Behind an ingress.
        ("https://clickhouse:443", "https://clickhouse:443"),
        ("http://clickhouse:80", "http://clickhouse:80"),
        ("https://clickhouse", "https://clickhouse:8443"),
        ("http://clickhouse", "http://clickhouse:8123"),
        ("https://clickhouse:9440", "https://clickhouse:9440"),
        # A port that others know for TLS.
        ("http://clickhouse:8443", "http://clickhouse:8443"),
    ],
)
async def test_the_server_is_reached_where_the_settings_say(
    monkeypatch: pytest.MonkeyPatch, url: str, reached: str
) -> None:
    """By the driver's own reading of what it is given."""
    asked: list[str] = []

    class Client:
        def __init__(self, interface: str, host: str, port: int, *_: object, **__: object) -> None:
            asked.append(f"{interface}://{host}:{port}")

        def command(self, statement: str) -> None:
            """Do nothing."""

        def close(self) -> None:
            """Do nothing."""

    monkeypatch.setattr(driver, "HttpClient", Client)
    assert driver.create_client is clickhouse_connect.get_client
    sink = clickhouse.ClickHouse.configured(services.ClickHouse.model_validate({"url": url}))
    await sink.open()
    await sink.close()

    assert [reached] == asked
