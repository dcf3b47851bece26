"""Metrics are told in the format that is asked for."""

from __future__ import annotations

import httpx2
import pytest

from aftercall.api import exposition, probes

PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, False),
        ("", False),
        ("*/*", False),
        ("text/plain;version=0.0.4", False),
        ("application/openmetrics-text", True),
        ("text/html, Application/OpenMetrics-Text; version=1.0.0", True),
        (PROMETHEUS, True),
        ("application/openmetrics-text;q=0, text/plain", False),  # refused by name
        ("application/openmetrics-text;q=0.000", False),
        ("application/openmetrics-text;q=0.1", True),
    ],
)
def test_openmetrics_is_for_whoever_asks_for_it(accept: str | None, expected: bool) -> None:
    """A browser gets plain text, a Prometheus gets exemplars."""
    assert expected is exposition.is_openmetrics(accept)


def tell(*, openmetrics: bool = False) -> bytes:
    """Tell which was asked for."""
    return b"open" if openmetrics else b"plain"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Accept": "*/*"}, ("plain", "text/plain; version=0.0.4; charset=utf-8")),
        ({"Accept": PROMETHEUS}, ("open", "application/openmetrics-text; version=1.0.0; charset=utf-8")),
    ],
)
async def test_a_pod_answers_in_that_format(headers: dict[str, str], expected: tuple[str, str]) -> None:
    """Body and type belong together."""
    app = probes.build_probes(why_not_ready=lambda: None, exposition=tell)
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://pod", headers=headers) as client:
        answer = await client.get("/metrics")

    assert expected == (answer.text, answer.headers["content-type"])
